package fdtable_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"github.com/unet-go/unet/internal/wire"
)

// segment is a TCP segment, with the fields of its IP header that scripts can name. The runner has code of its own to
// write and to read it, apart from the checksums, so that it does not repeat a mistake of the stack.
type segment struct {
	src, dst netip.AddrPort
	flags    uint16 // FIN is 1, as on the wire; AE is 0x100, the reserved bits follow
	seq, ack uint32
	window   uint16
	urgent   uint16
	options  []byte
	text     []byte
	ttl, tos uint8
	ip       []byte // IP options
	id       uint16
	df       bool
	badSum   bool
}

// flagLetters stand for FIN, SYN, RST, PSH, ACK, URG, ECE, CWR and AE.
const flagLetters = "FSRPAUECN"

const (
	fin = 1 << iota
	syn
	rst
	psh
	ack
	urg
)

// flagString returns the letters of flags, in their usual order.
func flagString(flags uint16) string {
	var s strings.Builder
	for _, bit := range []int{1, 0, 2, 3, 5, 6, 7, 8, 4} { // SYN first, ACK last
		if flags>>bit&1 != 0 {
			s.WriteByte(flagLetters[bit])
		}
	}
	if reserved := flags >> 9; reserved != 0 {
		fmt.Fprintf(&s, "+%d", reserved)
	}
	if s.Len() == 0 {
		return "-"
	}
	return s.String()
}

func parseFlags(s string) (flags uint16, err error) {
	if s == "-" {
		return 0, nil
	}
	for _, letter := range s {
		bit := strings.IndexRune(flagLetters, letter)
		if bit < 0 {
			return 0, fmt.Errorf("no flag is named %q", letter)
		}
		flags |= 1 << bit
	}
	return flags, nil
}

// packet returns the segment as an IP packet.
func (s *segment) packet() []byte {
	options := append([]byte(nil), s.options...)
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	t := make([]byte, 20+len(options)+len(s.text))
	binary.BigEndian.PutUint16(t[0:], s.src.Port())
	binary.BigEndian.PutUint16(t[2:], s.dst.Port())
	binary.BigEndian.PutUint32(t[4:], s.seq)
	binary.BigEndian.PutUint32(t[8:], s.ack)
	binary.BigEndian.PutUint16(t[12:], uint16((20+len(options))/4)<<12|s.flags&0xfff)
	binary.BigEndian.PutUint16(t[14:], s.window)
	binary.BigEndian.PutUint16(t[18:], s.urgent)
	copy(t[20:], options)
	copy(t[20+len(options):], s.text)
	ip := ipHeader{src: s.src.Addr(), dst: s.dst.Addr(), proto: wire.ProtocolTCP, ttl: s.ttl, tos: s.tos, options: s.ip}
	sum := wire.Checksum(t, wire.PseudoHeader(ip.src, ip.dst, ip.proto, len(t)))
	if s.badSum {
		sum ^= 0x5555
	}
	binary.BigEndian.PutUint16(t[16:], sum)
	return ip.packet(t)
}

// readSegment reads an IP packet of TCP. The error says what is wrong with the packet.
func readSegment(b []byte) (*segment, error) {
	ip, t, err := readIP(b)
	switch {
	case err != nil:
		return nil, err
	case len(t) < 20:
		return nil, fmt.Errorf("IP packet with %d octets of TCP", len(t))
	case wire.Checksum(t, wire.PseudoHeader(ip.src, ip.dst, wire.ProtocolTCP, len(t))) != 0:
		return nil, fmt.Errorf("wrong TCP checksum")
	}
	header := int(t[12]>>4) * 4
	if header < 20 || header > len(t) {
		return nil, fmt.Errorf("TCP header of %d octets", header)
	}
	s := &segment{tos: ip.tos, id: ip.id, df: ip.df, ttl: ip.ttl, ip: ip.options}
	s.src = netip.AddrPortFrom(ip.src, binary.BigEndian.Uint16(t[0:]))
	s.dst = netip.AddrPortFrom(ip.dst, binary.BigEndian.Uint16(t[2:]))
	s.seq, s.ack = binary.BigEndian.Uint32(t[4:]), binary.BigEndian.Uint32(t[8:])
	s.flags = binary.BigEndian.Uint16(t[12:]) & 0xfff
	s.window, s.urgent = binary.BigEndian.Uint16(t[14:]), binary.BigEndian.Uint16(t[18:])
	s.options, s.text = t[20:header], t[header:]
	return s, nil
}

// length is SEG.LEN.
func (s *segment) length() uint32 {
	return uint32(len(s.text)) + uint32(s.flags&syn)/syn + uint32(s.flags&fin)
}

// block is one of a SACK option.
type block struct{ left, right uint32 }

// optionSet are the options of a segment.
type optionSet struct {
	mss, scale     int // -1 for none
	sackOK, stamps bool
	val, ecr       uint32
	sack           []block
	cookie         []byte // of TCP Fast Open; nil for no option
	unknown        []string
	bad            string
}

func readOptions(b []byte) optionSet {
	o := optionSet{mss: -1, scale: -1}
	for len(b) > 0 {
		switch {
		case b[0] == 0:
			for _, pad := range b {
				if pad != 0 {
					o.bad = "octets behind EOL are not zero"
				}
			}
			return o
		case b[0] == 1:
			b = b[1:]
			continue
		case len(b) < 2 || b[1] < 2 || int(b[1]) > len(b):
			o.bad = "illegal length of an option"
			return o
		}
		o.read(b[0], b[2:b[1]])
		b = b[b[1]:]
	}
	return o
}

func (o *optionSet) read(kind byte, value []byte) {
	switch {
	case kind == 2 && len(value) == 2:
		o.mss = int(binary.BigEndian.Uint16(value))
	case kind == 3 && len(value) == 1:
		o.scale = int(value[0])
	case kind == 4 && len(value) == 0:
		o.sackOK = true
	case kind == 5 && len(value)%8 == 0 && len(value) > 0:
		for ; len(value) > 0; value = value[8:] {
			o.sack = append(o.sack, block{binary.BigEndian.Uint32(value), binary.BigEndian.Uint32(value[4:])})
		}
	case kind == 8 && len(value) == 8:
		o.stamps, o.val, o.ecr = true, binary.BigEndian.Uint32(value), binary.BigEndian.Uint32(value[4:])
	case kind == 34:
		o.cookie = append([]byte{}, value...)
	default:
		o.unknown = append(o.unknown, hex.EncodeToString(append([]byte{kind, byte(len(value) + 2)}, value...)))
	}
}

// bytes returns the options in the order MSS, SACK-permitted, timestamps, window scale, cookie, SACK.
func (o *optionSet) bytes() (b []byte) {
	if o.mss >= 0 {
		b = binary.BigEndian.AppendUint16(append(b, 2, 4), uint16(o.mss))
	}
	if o.sackOK {
		b = append(b, 4, 2)
	}
	if o.stamps {
		b = binary.BigEndian.AppendUint32(append(b, 8, 10), o.val)
		b = binary.BigEndian.AppendUint32(b, o.ecr)
	}
	if o.scale >= 0 {
		b = append(b, 3, 3, byte(o.scale))
	}
	if o.cookie != nil {
		b = append(append(b, 34, byte(2+len(o.cookie))), o.cookie...)
	}
	if len(o.sack) > 0 {
		b = append(b, 5, byte(2+8*len(o.sack)))
		for _, s := range o.sack {
			b = binary.BigEndian.AppendUint32(b, s.left)
			b = binary.BigEndian.AppendUint32(b, s.right)
		}
	}
	return b
}
