package ip

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/internal/clock"
	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/span"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// The addresses of the host, of its peer and of a router in the tests of neighbour discovery.
var (
	ndOur, ndPeer = netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8::1")
	ndOurLink     = netip.MustParseAddr("fe80::ff:fe00:2%mem0")
	peerLink      = netip.MustParseAddr("fe80::1%mem0")
	routerLink    = netip.MustParseAddr("fe80::66%mem0")
	ourSolicited  = netip.MustParseAddr("ff02::1:ff00:2")
	strangerMAC   = link.MAC{2, 0, 0, 0, 6, 6}
	unspecified   = netip.IPv6Unspecified()
	noMAC         link.MAC
	settledMoment = 10 * time.Second // DAD, announcements and reports are over
)

// nodes is a layer with one Ethernet interface that has an IPv4 and an IPv6 address.
type nodes struct {
	*testing.T
	l   *Layer
	dev *device
	in  *Input
	log *logLines
}

type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) add(msg string, args []any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.TrimSuffix(fmt.Sprintln(append([]any{msg}, args...)...), "\n"))
}
func (l *logLines) Info(msg string, args ...any) { l.add(msg, args) }
func (l *logLines) Warn(msg string, args ...any) { l.add(msg, args) }

func (l *logLines) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

// onLink runs f in fake time with such a layer, just attached.
func onLink(t *testing.T, config Config, attach InterfaceConfig, f func(n *nodes)) {
	t.Helper()
	onDevice(t, config, attach, &device{info: link.Info{Name: "mem0", Kind: link.Ethernet, MAC: ourMAC, MTU: 1500}}, f)
}

func onDevice(t *testing.T, config Config, attach InterfaceConfig, dev *device, f func(n *nodes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l, c, log := new(Layer), new(clock.Clock), new(logLines)
		c.Init(0)
		config.TTL, config.NeighborReachable = 64, 30*time.Second
		if config.MaxNeighbors == 0 {
			config.MaxNeighbors = 4096
		}
		config.ReassemblyBytes, config.ReassemblyTimeout, config.ICMPRate = 4<<20, 30*time.Second, 1000
		config.QueueOctets, config.LoopbackOctets = MaxQueueOctets, MaxLoopbackOctets
		over := make(chan struct{})
		l.Init(Env{Config: config, Clock: c, Drops: new(drop.Counters), Log: log, Over: over})
		c.Add(&layerSource{Layer: l})
		go c.Run()
		defer func() {
			close(over)
			c.Stop()
			l.Clear()
		}()
		if attach.Addrs == nil {
			attach.Addrs = []netip.Prefix{ourNet, netip.PrefixFrom(ndOur, 64)}
		}
		if _, err := l.Attach(dev, attach); err != nil {
			t.Fatal(err)
		}
		l.Flush()
		f(&nodes{T: t, l: l, dev: dev, in: input(l), log: log})
	})
}

// settled runs f when all that a new interface says has been said.
func settled(t *testing.T, config Config, f func(n *nodes)) {
	t.Helper()
	onLink(t, config, InterfaceConfig{}, func(n *nodes) {
		n.sleep(settledMoment)
		n.sent()
		f(n)
	})
}

func (n *nodes) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// sent returns what was sent since the last call, in words.
func (n *nodes) sent() (list []string) {
	n.Helper()
	synctest.Wait()
	for _, f := range n.dev.take() {
		list = append(list, describe(n.T, f))
	}
	return list
}

// want fails unless exactly these frames were sent since the last look.
func (n *nodes) want(list ...string) {
	n.Helper()
	if got := n.sent(); !slices.Equal(got, list) {
		n.Errorf("sent\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(list, "\n\t"))
	}
}

// wantND is want, reports of groups aside: their times are random.
func (n *nodes) wantND(list ...string) {
	n.Helper()
	got := slices.DeleteFunc(n.sent(), func(s string) bool { return strings.Contains(s, " report ") })
	if !slices.Equal(got, list) {
		n.Errorf("sent\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(list, "\n\t"))
	}
}

// dropped fails unless so many packets were dropped for the reason so far.
func (n *nodes) dropped(reason drop.Reason, count uint64) {
	n.Helper()
	if got := n.l.Drops.Load()[reason]; got != count {
		n.Errorf("%d packets dropped as %s, want %d", got, reason, count)
	}
}

// message is an ICMPv6 message on its way to the host.
type message struct {
	from, to link.MAC
	src, dst netip.Addr
	hops     uint8 // 0 for 255
	body     []byte
	spoiled  bool   // wrong checksum
	before   []byte // extension headers, the first of the type next
	next     uint8
}

func (m message) frame() *link.Frame {
	body := slices.Clone(m.body)
	wire.PutICMPv6Checksum(body, m.src.As16(), m.dst.As16())
	if m.spoiled {
		body[2] ^= 0x55
	}
	h := wire.IPv6{NextHeader: wire.ProtocolICMPv6, HopLimit: 255, Src: m.src.As16(), Dst: m.dst.As16()}
	if m.before != nil {
		h.NextHeader = m.next
	}
	if m.hops != 0 {
		h.HopLimit = m.hops
	}
	h.PayloadLen = len(m.before) + len(body)
	b := make([]byte, wire.IPv6Len)
	h.Marshal(b)
	b = append(append(b, m.before...), body...)
	f := make([]byte, wire.EthernetLen, wire.EthernetLen+len(b))
	eth := wire.Ethernet{Dst: m.to, Src: m.from, Type: wire.EtherTypeIPv6}
	eth.Marshal(f)
	frame := new(link.Frame)
	*frame = frames.Frame(append(f, b...))
	return frame
}

// give hands the host a message.
func (n *nodes) give(m message) Outcome {
	if m.from == noMAC {
		m.from = peerMAC
	}
	if m.to == noMAC {
		m.to = ourMAC
		if m.dst.IsMulticast() {
			m.to = groupMAC6(m.dst)
		}
	}
	f := m.frame()
	n.in.Begin()
	outcome := n.in.Frame(f)
	n.in.End()
	f.Release()
	n.l.Flush()
	synctest.Wait()
	return outcome
}

// linkOption is an option of a link address.
func linkOption(typ uint8, mac link.MAC) []byte {
	var b [linkAddrLen]byte
	o := wire.NDOption{Type: typ, Data: mac[:]}
	o.Marshal(b[:])
	return b[:]
}

// neighborMessage is a solicitation or an advertisement about target with options.
func neighborMessage(typ uint8, m wire.NDNeighbor, target netip.Addr, options ...[]byte) []byte {
	m.Target = target.As16()
	b := make([]byte, wire.NDNeighborLen)
	m.Marshal(b, typ)
	return append(b, slices.Concat(options...)...)
}

func ns(target netip.Addr, options ...[]byte) []byte {
	return neighborMessage(wire.ICMPv6NeighborSolicitation, wire.NDNeighbor{}, target, options...)
}

// na returns an advertisement with the flags that are in the text, of R, S and O.
func na(flags string, target netip.Addr, options ...[]byte) []byte {
	return neighborMessage(wire.ICMPv6NeighborAdvertisement, wire.NDNeighbor{Router: strings.Contains(flags, "R"),
		Solicited: strings.Contains(flags, "S"), Override: strings.Contains(flags, "O")}, target, options...)
}

func sourceOption(mac link.MAC) []byte { return linkOption(wire.NDOptSourceLinkAddr, mac) }
func targetOption(mac link.MAC) []byte { return linkOption(wire.NDOptTargetLinkAddr, mac) }

// sendUDP sends a datagram of one octet, as a transport does.
func (n *nodes) sendUDP(to netip.Addr) *Route {
	n.Helper()
	r, err := n.l.HostRoute(netip.Addr{}, to)
	if err != nil {
		n.Fatal(err)
	}
	n.sendBy(r)
	return r
}

func (n *nodes) sendBy(r *Route) {
	r.Send(&OutPacket{Protocol: wire.ProtocolUDP, Header: []byte{0, 7, 0, 9, 0, 9, 0, 0}, ChecksumOffset: 6,
		Payload: []span.Span{{Data: []byte("x")}}, PayloadLen: 1})
	n.l.Flush()
}

// neighbor returns what is known of a neighbour, in words, "none" for nothing.
func (n *nodes) neighbor(a netip.Addr) string {
	for _, e := range n.l.Interfaces()[1].Neighbors() {
		if e.Addr == a {
			text := e.State
			if e.MAC != noMAC {
				text += " " + e.MAC.String()
			}
			if e.Router {
				text += " router"
			}
			return text
		}
	}
	return "none"
}

// describe says in words what a frame is. It fails where a checksum is wrong or a length.
func describe(t *testing.T, f []byte) string {
	t.Helper()
	var eth wire.Ethernet
	rest, err := eth.Parse(f)
	if err != nil || eth.Src != ourMAC {
		t.Fatalf("frame %x from %x, %v", f, eth.Src, err)
	}
	if eth.Type != wire.EtherTypeIPv6 {
		return fmt.Sprintf("%s type %04x", link.MAC(eth.Dst).String(), eth.Type)
	}
	var ip wire.IPv6
	body, err := ip.Parse(rest)
	if err != nil || len(rest) != wire.IPv6Len+ip.PayloadLen {
		t.Fatalf("packet %x, %v", rest, err)
	}
	text := fmt.Sprintf("%s %v > %v", link.MAC(eth.Dst).String(), netip.AddrFrom16(ip.Src), netip.AddrFrom16(ip.Dst))
	next, hops := ip.NextHeader, uint8(ndHopLimit)
	if next == wire.IPv6HopByHop {
		if string(body[:8]) != string(routerAlert[:]) {
			t.Errorf("hop-by-hop header %x", body[:8])
		}
		next, body, hops = body[0], body[8:], mldHopLimit
	}
	if next != wire.ProtocolICMPv6 {
		return fmt.Sprintf("%s protocol %d", text, next)
	}
	if ip.HopLimit != hops {
		t.Errorf("hop limit %d, want %d", ip.HopLimit, hops)
	}
	m, rest, err := wire.ParseICMPv6(body, ip.Src, ip.Dst)
	if err != nil || m.Code != 0 {
		t.Fatalf("message %x: code %d, %v", body, m.Code, err)
	}
	return text + " " + describeICMP(t, &m, rest)
}

func describeICMP(t *testing.T, m *wire.ICMPv6, rest []byte) string {
	switch m.Type {
	case wire.ICMPv6NeighborSolicitation, wire.ICMPv6NeighborAdvertisement:
		var n wire.NDNeighbor
		rest, err := n.Parse(m, rest)
		o, ok := readNDOptions(rest)
		if err != nil || !ok {
			t.Fatalf("options %x, %v", rest, err)
		}
		text := "NS"
		if m.Type == wire.ICMPv6NeighborAdvertisement {
			text = "NA "
			for i, set := range []bool{n.Router, n.Solicited, n.Override} {
				if set {
					text += "RSO"[i : i+1]
				}
			}
			text = strings.TrimSpace(text)
		}
		text += " " + netip.AddrFrom16(n.Target).String()
		if o.hasSource {
			text += " source " + o.source.String()
		}
		if o.hasTarget {
			text += " target " + o.target.String()
		}
		return text
	case wire.ICMPv6MLDv2Report:
		text := "report"
		r := wire.ReadMLDRecords(m, rest)
		var record wire.MLDRecord
		for ok, err := r.Next(&record); ok || err != nil; ok, err = r.Next(&record) {
			if err != nil {
				t.Fatal(err)
			}
			text += fmt.Sprintf(" %d(%v)", record.Type, netip.AddrFrom16(record.Group))
		}
		return text
	case wire.ICMPv6RouterSolicitation:
		o, ok := readNDOptions(rest)
		if !ok {
			t.Fatalf("options %x", rest)
		}
		if o.hasSource {
			return "RS source " + o.source.String()
		}
		return "RS"
	case wire.ICMPv6MLDv1Report, wire.ICMPv6MLDv1Done:
		var g wire.MLDGroup
		if err := g.Parse(rest); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d %v", m.Type, netip.AddrFrom16(g.Group))
	}
	return fmt.Sprintf("type %d", m.Type)
}
