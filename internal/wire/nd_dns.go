package wire

import "encoding/binary"

// The options of router advertisements that name servers and domains (RFC 8106 5).
const (
	NDOptRDNSS = 25
	NDOptDNSSL = 31
)

// maxDomain is the most octets of a domain's name in text (RFC 1035 2.3.4).
const maxDomain = 253

// NDServers is what an NDOptRDNSS says: servers that resolve names (RFC 8106 5.1). Servers is borrowed, 16 octets for each.
type NDServers struct {
	// Lifetime is in seconds; all ones mean for ever, zero that the servers are of no use any more.
	Lifetime uint32
	Servers  []byte
}

// Parse reads the option. The error is ErrLength where it does not hold whole addresses, and at least one.
func (s *NDServers) Parse(o *NDOption) error {
	b := o.Data
	if len(b) < 22 || (len(b)-6)%16 != 0 {
		return ErrLength
	}
	s.Lifetime, s.Servers = binary.BigEndian.Uint32(b[2:6]), b[6:]
	return nil
}

// Next returns the next address, and whether there was one.
func (s *NDServers) Next() (a [16]byte, ok bool) {
	if len(s.Servers) < 16 {
		return a, false
	}
	a = [16]byte(s.Servers)
	s.Servers = s.Servers[16:]
	return a, true
}

// NDDomains is what an NDOptDNSSL says: the domains in which short names are looked for (RFC 8106 5.2). Names is borrowed.
type NDDomains struct {
	// Lifetime is that of NDServers.
	Lifetime uint32
	Names    []byte
}

// Parse reads the option. The error is ErrLength where it has no room for a name.
func (s *NDDomains) Parse(o *NDOption) error {
	b := o.Data
	if len(b) < 14 {
		return ErrLength
	}
	s.Lifetime, s.Names = binary.BigEndian.Uint32(b[2:6]), b[6:]
	return nil
}

// Next returns the next name, without the dot at its end, and whether there was one. The error is ErrFormat where a name is
// cut off, longer than names can be, or has an octet that is no letter, digit, hyphen or underscore: what comes from a
// stranger ends up in the programs that read it. There is no next name then.
func (s *NDDomains) Next() (name string, ok bool, err error) {
	b := s.Names
	s.Names = nil
	var text []byte
	for len(b) > 0 && b[0] != 0 {
		n := int(b[0])
		if n > 63 || n >= len(b) || len(text)+n+1 > maxDomain+1 {
			return "", false, ErrFormat
		}
		for _, c := range b[1 : 1+n] {
			if !inDomain(c) {
				return "", false, ErrFormat
			}
		}
		text = append(append(text, b[1:1+n]...), '.')
		b = b[1+n:]
	}
	switch {
	case len(text) == 0: // what is left pads
		return "", false, nil
	case len(b) == 0:
		return "", false, ErrFormat
	}
	s.Names = b[1:]
	return string(text[:len(text)-1]), true, nil
}

// inDomain says whether a domain's name may have the octet.
func inDomain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
