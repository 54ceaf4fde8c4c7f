package fdtable_test

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// flow is a connection with the numbers that a script uses. They are relative to the initial sequence numbers, so that
// the first octet of text has number 1; the host's timestamps are relative to the first one that it sent.
type flow struct {
	name       string
	host, peer netip.AddrPort // host's port is 0 until its SYN shows it
	iss, irs   uint32
	issKnown   bool
	hostNext   uint32 // relative: what the host sends next
	peerNext   uint32 // relative: what the peer sends next
	hostWindow string // of the last segment expected
	peerWindow uint16 // of the last segment sent
	stampBase  uint32
	stampKnown bool
	lastStamp  uint32  // relative
	literal    bool    // its text has been other than the pattern
	cookie     *[]byte // of Fast Open: the last one that the host has sent on any flow
	peerStamps uint32  // added to the peer's timestamps
}

// newFlow returns a flow between the usual ends.
func (r *runner) newFlow(name string) *flow {
	ends := r.script.family
	f := &flow{name: name, host: netip.AddrPortFrom(ends.host, hostPort), peer: netip.AddrPortFrom(ends.peer, peerPort),
		irs: r.irs(usualIRS), peerWindow: 65535, cookie: &r.cookie}
	if r.edges != nil {
		f.peerStamps = r.edges.peerStamps
	}
	return f
}

// usualIRS is the peer's initial sequence number.
const usualIRS = 1 << 28

// irs returns the initial sequence number that the peer uses in this run for one that the script gives.
func (r *runner) irs(n uint32) uint32 {
	if r.edges == nil {
		return n
	}
	return n - usualIRS + r.edges.irs
}

// again forgets a connection, for the next one between the same ends.
func (f *flow) again() {
	*f = flow{name: f.name, host: f.host, peer: f.peer, irs: f.irs, peerWindow: 65535, cookie: f.cookie,
		peerStamps: f.peerStamps}
}

// view is a segment as a line describes it: values by the names in viewNames.
type view map[string]string

// viewNames are the names of all values that a line can have, in the order in which they are printed.
var viewNames = []string{"flow", "flags", "seq", "ack", "win", "len", "urg", "mss", "sackok", "ts", "ws", "sack", "tfo",
	"opt", "bad", "text", "tos", "ttl", "frag", "id"}

func (v view) String() string {
	var words []string
	for _, name := range viewNames {
		value, there := v[name]
		switch {
		case !there:
		case name == "flags":
			words = append(words, value)
		case name == "flow":
			words = append(words, value+":")
		case value == "":
			words = append(words, name)
		default:
			words = append(words, name+"="+value)
		}
	}
	return strings.Join(words, " ")
}

// pattern is the text of every stream: octet number n of it, from 0.
func pattern(n uint32, length int) []byte {
	p := make([]byte, length)
	for i := range p {
		p[i] = byte((n + uint32(i)) % 251)
	}
	return p
}

// textAt is where in the stream the text of a segment begins.
func textAt(seq uint32, flags uint16) uint32 {
	if flags&syn != 0 {
		return seq
	}
	return seq - 1
}

const segmentNames = "seq ack win len urg mss sackok ts ws sack tfo opt text tos ttl frag id"

// expect reads a > line. Values that the line does not give are the usual ones: seq and ack are the next numbers, the
// window is that of the line before, there is no text and there are no options.
func (f *flow) expect(args []string) (view, error) {
	v, err := fields(args[1:], segmentNames)
	if err != nil {
		return nil, err
	}
	flags, err := parseFlags(args[0])
	if err != nil {
		return nil, err
	}
	want := view(v)
	want["flags"] = flagString(flags)
	if f.name != "a" {
		want["flow"] = f.name
	}
	set := func(name, value string) {
		if _, said := want[name]; !said {
			want[name] = value
		}
	}
	set("seq", fmt.Sprint(f.hostNext))
	if flags&ack != 0 {
		set("ack", fmt.Sprint(f.peerNext))
	}
	if text, literal := want["text"]; literal {
		f.literal = true
		set("len", fmt.Sprint(len(strings.Trim(text, `"`))))
	}
	switch _, said := want["win"]; {
	case said && flags&rst == 0 && want["win"] != "*":
		f.hostWindow = want["win"]
	case said:
	case flags&rst != 0:
		want["win"] = "0"
	case f.hostWindow == "":
		return nil, fmt.Errorf("the first segment of a flow must tell win")
	default:
		want["win"] = f.hostWindow
	}
	return want, nil
}

// see describes a segment from the host with the numbers of its flow, and updates the flow. Names that have the value *
// in want get that value.
func (f *flow) see(s *segment, want view) view {
	o := readOptions(s.options)
	if f.host.Port() == 0 {
		f.host = s.src
	}
	if s.flags&syn != 0 && !f.issKnown {
		f.iss, f.issKnown, f.hostNext = s.seq, true, 0
	}
	if o.stamps && !f.stampKnown {
		f.stampBase, f.stampKnown = o.val, true
	}
	seq := s.seq - f.iss
	got := view{"flags": flagString(s.flags), "seq": fmt.Sprint(seq), "win": fmt.Sprint(s.window)}
	if f.name != "a" {
		got["flow"] = f.name
	}
	if s.flags&ack != 0 {
		got["ack"] = fmt.Sprint(s.ack - f.irs)
	} else if s.ack != 0 {
		got["ack"] = fmt.Sprint(s.ack)
	}
	if len(s.text) > 0 {
		got["len"] = fmt.Sprint(len(s.text))
		if _, literal := want["text"]; literal {
			got["text"] = strconv.Quote(string(s.text))
		} else if !f.literal && !slices.Equal(s.text, pattern(textAt(seq, s.flags), len(s.text))) {
			got["bad"] = "text"
		}
	}
	if s.flags&urg != 0 || s.urgent != 0 {
		got["urg"] = fmt.Sprint(s.urgent)
	}
	f.seeOptions(&o, s.flags, got)
	if s.tos != 0 {
		got["tos"] = fmt.Sprintf("%#02x", s.tos)
	}
	if s.ttl != 64 {
		got["ttl"] = fmt.Sprint(s.ttl)
	}
	if !s.df {
		got["frag"] = ""
	}
	if s.id != 0 {
		got["id"] = fmt.Sprint(s.id)
	}
	for name, value := range want {
		if _, there := got[name]; there && value == "*" {
			got[name] = "*"
		}
	}
	if s.flags&rst == 0 && int32(seq+s.length()-f.hostNext) > 0 {
		f.hostNext = seq + s.length()
	}
	return got
}

func (f *flow) seeOptions(o *optionSet, flags uint16, got view) {
	if o.mss >= 0 {
		got["mss"] = fmt.Sprint(o.mss)
	}
	if o.sackOK {
		got["sackok"] = ""
	}
	if o.scale >= 0 {
		got["ws"] = fmt.Sprint(o.scale)
	}
	if o.stamps {
		f.lastStamp = o.val - f.stampBase
		if flags&ack != 0 {
			o.ecr -= f.peerStamps
		}
		got["ts"] = fmt.Sprintf("%d/%d", f.lastStamp, o.ecr)
	}
	var blocks []string
	for _, b := range o.sack {
		blocks = append(blocks, fmt.Sprintf("%d-%d", b.left-f.irs, b.right-f.irs))
	}
	if blocks != nil {
		got["sack"] = strings.Join(blocks, ",")
	}
	if o.cookie != nil {
		got["tfo"] = hex.EncodeToString(o.cookie)
		if len(o.cookie) > 0 && f.cookie != nil {
			*f.cookie = o.cookie
		}
	}
	if o.unknown != nil {
		got["opt"] = strings.Join(o.unknown, ",")
	}
	if o.bad != "" {
		got["bad"] = o.bad
	}
}

const sentNames = segmentNames + " badsum raw ipopt from to reserved bmac"

// make makes the segment of a < line. Values that the line does not give are the peer's next number, an acknowledgment of
// everything that the host has sent, the window of the line before, and a TTL of 64.
func (f *flow) make(args []string) (*segment, error) {
	values, err := fields(args[1:], sentNames)
	if err != nil {
		return nil, err
	}
	s := &segment{src: f.peer, dst: f.host, ttl: 64}
	if s.flags, err = parseFlags(args[0]); err != nil {
		return nil, err
	}
	number := func(name string, otherwise uint32) uint32 {
		text, said := values[name]
		if !said {
			return otherwise
		}
		n, e := strconv.ParseInt(text, 0, 64)
		if e != nil {
			err = fmt.Errorf("%s=%s is no number", name, text)
		}
		return uint32(n)
	}
	s.flags |= uint16(number("reserved", 0)) << 9
	seq := number("seq", f.peerNext)
	s.seq = f.irs + seq
	if _, said := values["ack"]; said || s.flags&ack != 0 {
		s.ack = f.iss + number("ack", f.hostNext)
	}
	s.window = uint16(number("win", uint32(f.peerWindow)))
	if s.flags&rst == 0 {
		f.peerWindow = s.window
	}
	s.urgent, s.tos, s.ttl = uint16(number("urg", 0)), uint8(number("tos", 0)), uint8(number("ttl", 64))
	s.text = pattern(textAt(seq, s.flags), int(number("len", 0)))
	if text, literal := values["text"]; literal {
		s.text = []byte(strings.Trim(text, `"`))
	}
	o := optionSet{mss: int(int32(number("mss", ^uint32(0)))), scale: int(int32(number("ws", ^uint32(0))))}
	_, o.sackOK = values["sackok"]
	_, s.badSum = values["badsum"]
	if e := f.makeOptions(s, &o, values); e != nil {
		err = e
	}
	if s.flags&rst == 0 && int32(seq+s.length()-f.peerNext) > 0 {
		f.peerNext = seq + s.length()
	}
	return s, err
}

func (f *flow) makeOptions(s *segment, o *optionSet, values map[string]string) (err error) {
	octets := func(name string) []byte {
		b, e := hex.DecodeString(values[name])
		if e != nil {
			err = fmt.Errorf("%s: %v", name, e)
		}
		return b
	}
	address := func(name string, a *netip.AddrPort) {
		if text, said := values[name]; said {
			ip, e := netip.ParseAddr(text)
			if e == nil && ip.Is4() != a.Addr().Is4() {
				e = fmt.Errorf("%s=%s is of the other family", name, text)
			}
			if e != nil {
				err = e
			}
			*a = netip.AddrPortFrom(ip, a.Port())
		}
	}
	if text, said := values["ts"]; said {
		val, ecr, both := strings.Cut(text, "/")
		v, e := strconv.ParseUint(val, 10, 32)
		o.stamps, o.val, o.ecr, err = true, uint32(v)+f.peerStamps, f.stampBase+f.lastStamp, e
		if both {
			r, e := strconv.ParseUint(ecr, 10, 32)
			o.ecr, err = f.stampBase+uint32(r), e
		}
		if s.flags&ack == 0 {
			o.ecr = 0
		}
	}
	if text, said := values["sack"]; said {
		for one := range strings.SplitSeq(text, ",") {
			var b block
			if _, e := fmt.Sscanf(one, "%d-%d", &b.left, &b.right); e != nil {
				err = fmt.Errorf("sack=%s: %v", one, e)
			}
			o.sack = append(o.sack, block{f.iss + b.left, f.iss + b.right})
		}
	}
	switch text, said := values["tfo"]; {
	case said && text == "seen":
		o.cookie = *f.cookie
	case said:
		o.cookie = append([]byte{}, octets("tfo")...)
	}
	s.options = append(o.bytes(), octets("opt")...)
	if _, said := values["raw"]; said {
		s.options = octets("raw")
	}
	if s.ip = octets("ipopt"); len(s.ip) > 0 && s.src.Addr().Is6() {
		err = fmt.Errorf("ipopt is for IPv4 alone")
	}
	address("from", &s.src)
	address("to", &s.dst)
	return err
}
