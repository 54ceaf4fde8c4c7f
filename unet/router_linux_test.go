package unet

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

// The network of TestPathOfRouters: a host on unet, a router, a narrow link, another router, and a peer on the kernel. The
// first router is the namespace of the test's process. The links of both hosts take 1500 octets, so that only the routers
// know of the narrow one.
//
//	unet -- TAP -- router -- narrow -- router -- wide -- peer

// pathWays are the network's addresses, by family.
var pathWays = []struct {
	family string
	hosts  string    // the network of the n-th host
	narrow [2]string // the routers
	wide   string    // the peer's router
	there  string    // the peer's network
	peers  [2]string // the peer; of the path to each of the two a host knows nothing in the beginning
	header int       // length of the IP header
}{
	{"IPv4", "10.%d.0.1/24", [2]string{"10.71.0.1", "10.71.0.2"}, "10.72.0.1", "10.72.0.0/24", [2]string{"10.72.0.2", "10.72.0.3"}, wire.IPv4Len},
	{"IPv6", "fd00:%d::1/64", [2]string{"fd00:71::1", "fd00:71::2"}, "fd00:72::1", "fd00:72::/64", [2]string{"fd00:72::2", "fd00:72::3"}, wire.IPv6Len},
}

// Whatever a narrow path carries is found out by the first connection, from what routers say or else from what gets through,
// and known to the next one and to UDP. Each kind of path has a process of its own, and the network with it.
func TestPathOfRouters(t *testing.T) {
	if role := os.Getenv(roleVariable); role != "" {
		var mtu int
		var silent bool
		if _, err := fmt.Sscan(role, &mtu, &silent); err != nil {
			t.Fatal(err)
		}
		testPath(t, mtu, silent)
		return
	}
	taptest.Need(t)
	for _, mtu := range []int{1280, 1300} {
		for _, silent := range []bool{false, true} {
			name := fmt.Sprintf("B-PMT-1 B-PMT-9 a path of %d octets whose routers say so", mtu)
			if silent {
				name = fmt.Sprintf("B-PMT-8 B-PMT-9 a path of %d octets whose routers say nothing", mtu)
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				if out, err := play(t, fmt.Sprint(mtu, silent), nil).CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
}

// testPath makes the network, and lets hosts of unet talk over it, each on a device of its own.
func testPath(t *testing.T, mtu int, silent bool) {
	forwarding(t)
	router, peer := newNamespace(t), newNamespace(t)
	four, six := pathWays[0], pathWays[1]
	on := func(a, b string) []string { return []string{a + "/24", b + "/64"} }
	router.connect(t, "narrow", mtu, on(four.narrow[0], six.narrow[0]), on(four.narrow[1], six.narrow[1]))
	router.do(func() {
		peer.connect(t, "wide", 1500, on(four.wide, six.wide), append(on(four.peers[0], six.peers[0]), on(four.peers[1], six.peers[1])...))
	})
	for _, way := range pathWays {
		_, there, _ := net.ParseCIDR(way.there)
		anywhere := &net.IPNet{IP: make(net.IP, len(there.Mask)), Mask: make(net.IPMask, len(there.Mask))}
		route(t, netlink.Route{Dst: there, Gw: net.ParseIP(way.narrow[1])})
		router.do(func() { route(t, netlink.Route{Dst: anywhere, Gw: net.ParseIP(way.narrow[0])}) })
		back := netlink.Route{Dst: anywhere, Gw: net.ParseIP(way.wide)}
		if silent { // the peer, whose search is not tested here, knows, and asks for segments as large as ever
			back.MTU, back.AdvMSS = mtu, 1500-way.header-wire.TCPLen
		}
		peer.do(func() { route(t, back) })
		settle(t, peer, way.peers[0])
	}
	if silent {
		noICMP(t)
		router.do(func() { noICMP(t) })
	}
	if t.Failed() {
		t.FailNow()
	}
	n := 0
	for _, offload := range []bool{true, false} {
		for _, way := range pathWays {
			for _, dials := range []bool{true, false} {
				n++
				subnet := netip.MustParsePrefix(fmt.Sprintf(way.hosts, 110+n))
				t.Run(fmt.Sprintf("%s, offload %t, unet dials %t", way.family, offload, dials), func(t *testing.T) {
					t.Parallel()
					e := newPathEnds(t, subnet, !offload, peer)
					e.mtu, e.silent, e.dials, e.header = mtu, silent, dials, way.header
					e.learn(way.peers)
				})
			}
		}
	}
}

// settle waits until the kernel's hosts know each other. Linux may lose the first question for a neighbour on a new link, and
// a SYN that a host then sends again makes its first timeout one of 3 s (RFC 6298 5.7).
func settle(t *testing.T, peer *namespace, remote string) {
	t.Helper()
	var l net.Listener
	var err error
	peer.do(func() { l, err = net.Listen("tcp", net.JoinHostPort(remote, "0")) })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.DialTimeout("tcp", l.Addr().String(), hang)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// noICMP has the namespace of the caller send no message of ICMP, by a rule of its routes. Neighbour discovery looks no route up.
func noICMP(t *testing.T) {
	t.Helper()
	for family, protocol := range map[int]int{unix.AF_INET: unix.IPPROTO_ICMP, unix.AF_INET6: unix.IPPROTO_ICMPV6} {
		rule := netlink.NewRule()
		rule.Family, rule.Priority, rule.IPProto, rule.Type = family, 100, protocol, unix.RTN_BLACKHOLE
		if err := netlink.RuleAdd(rule); err != nil {
			t.Error(err)
		}
	}
}

// pathEnds are a host on unet and the peer.
type pathEnds struct {
	*testing.T
	host   *Host
	ours   netip.Addr
	wire   *measured
	peer   *namespace
	mtu    int  // of the narrow link
	silent bool // routers send no ICMP
	dials  bool // unet is the client
	header int  // length of the IP header
}

func newPathEnds(t *testing.T, kernel netip.Prefix, noOffload bool, peer *namespace) *pathEnds {
	t.Helper()
	dev := taptest.Open(t, tap.Config{NoOffload: noOffload, PeerAddrs: []netip.Prefix{kernel}})
	e := &pathEnds{T: t, ours: kernel.Addr().Next(), wire: &measured{Device: dev}, peer: peer}
	cfg := Config{Link: e.wire, Addrs: []netip.Prefix{netip.PrefixFrom(e.ours, kernel.Bits())}}
	if kernel.Addr().Is4() {
		cfg.Gateway = kernel.Addr()
	} else {
		cfg.Gateway6 = kernel.Addr()
	}
	h, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	e.host = h
	return e
}

// learn lets TCP find out what the path to the first address of the peer carries, and UDP, if there is ICMP, to the second.
// UDP alone cannot find it out otherwise (RFC 8899 leaves that to the application).
func (e *pathEnds) learn(peers [2]string) {
	first, second := netip.MustParseAddr(peers[0]), netip.MustParseAddr(peers[1])
	found, longest := e.stream(first)
	stats := e.host.Stats()
	if longest != 1500 {
		e.Errorf("the first connection's longest packet has %d octets, and begins with 1500", longest)
	}
	if e.silent {
		if stats.ICMPErrorsIn != 0 || stats.TCP.Timeouts < 3 {
			e.Errorf("a black hole shows by %d messages and %d timeouts", stats.ICMPErrorsIn, stats.TCP.Timeouts)
		}
		if found > e.mtu || found <= e.mtu-8 { // RFC 4821 7.6.1: close enough
			e.Errorf("what gets through: %d octets, want %d or up to 7 less", found, e.mtu)
		}
	} else if stats.ICMPErrorsIn == 0 || stats.TCP.Retransmitted == 0 || found != e.mtu {
		e.Errorf("%d messages, %d segments sent again, path MTU %d; want some and %d", stats.ICMPErrorsIn, stats.TCP.Retransmitted, found, e.mtu)
	}
	if again, longest := e.stream(first); again != found || longest != found {
		e.Errorf("the second connection has a path MTU of %d and packets of up to %d, want %d", again, longest, found)
	}
	e.datagram(first, found)
	if told := e.host.Stats().ICMPErrorsIn; told != stats.ICMPErrorsIn {
		e.Errorf("the routers had to say so again: %d messages and then %d", stats.ICMPErrorsIn, told)
	}
	if e.silent {
		return
	}
	e.lostDatagram(second)
	e.datagram(second, e.mtu)
	stats = e.host.Stats()
	if again, longest := e.stream(second); again != e.mtu || longest != e.mtu {
		e.Errorf("after UDP a connection has a path MTU of %d and packets of up to %d, want %d", again, longest, e.mtu)
	}
	if told := e.host.Stats().ICMPErrorsIn; told != stats.ICMPErrorsIn {
		e.Errorf("the routers had to say so again: %d messages and then %d", stats.ICMPErrorsIn, told)
	}
}

// stream sends the peer a text, which sends it back, and returns the path's MTU as the connection knows it then, and the length
// of the longest packet that has left for the peer.
func (e *pathEnds) stream(remote netip.Addr) (pathMTU, longest int) {
	e.Helper()
	e.wire.take(remote, wire.ProtocolTCP)
	c, s := e.connection(remote)
	defer c.Close()
	go func() {
		defer s.Close()
		if text, err := io.ReadAll(s); err == nil {
			_, _ = s.Write(text)
		}
	}()
	for _, c := range []net.Conn{c, s} {
		if err := c.SetDeadline(time.Now().Add(hang)); err != nil {
			e.Fatal(err)
		}
	}
	text := make([]byte, 512<<10)
	for i := range text {
		text[i] = byte(i * i >> 7)
	}
	if _, err := c.Write(text); err != nil {
		e.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		e.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, text) {
		e.Fatalf("%d octets of %d came back, or others: %v", len(got), len(text), err)
	}
	info := c.Info()
	options := 0
	if info.Timestamps {
		options = 12
	}
	if want := info.PathMTU - e.header - wire.TCPLen - options; info.SndMSS != want {
		e.Errorf("segments of %d octets on a path of %d, want %d", info.SndMSS, info.PathMTU, want)
	}
	return info.PathMTU, slices.Max(e.wire.take(remote, wire.ProtocolTCP))
}

// connection returns both ends of a connection between the host and an address of the peer.
func (e *pathEnds) connection(remote netip.Addr) (ours *TCPConn, peers net.Conn) {
	e.Helper()
	var l net.Listener
	var c net.Conn
	var err error
	if e.dials {
		e.peer.do(func() { l, err = net.Listen("tcp", netip.AddrPortFrom(remote, 0).String()) })
		if err == nil {
			defer l.Close()
			c, err = e.host.Dial("tcp", l.Addr().String())
		}
	} else if l, err = e.host.Listen("tcp", netip.AddrPortFrom(e.ours, 0).String()); err == nil {
		defer l.Close()
		e.peer.do(func() {
			from := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(remote, 0)), Timeout: hang}
			c, err = from.Dial("tcp", l.Addr().String())
		})
	}
	if err != nil {
		e.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		e.Fatal(err)
	}
	if e.dials {
		return c.(*TCPConn), s
	}
	return s.(*TCPConn), c
}

// sockets returns a socket of the host's that is connected to one of the peer's. If the host is the server, it has learnt from
// a first datagram who that is.
func (e *pathEnds) sockets(remote netip.Addr) (ours *stack.UDPSocket, peers net.PacketConn) {
	e.Helper()
	ours, err := e.host.Stack().ListenUDP(netip.AddrPortFrom(e.ours, 0), stack.BindOptions{})
	if err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() { _ = ours.Close() })
	e.peer.do(func() { peers, err = net.ListenPacket("udp", netip.AddrPortFrom(remote, 0).String()) })
	if err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() { _ = peers.Close() })
	if err := peers.SetDeadline(time.Now().Add(hang)); err != nil {
		e.Fatal(err)
	}
	ours.SetReadDeadline(time.Now().Add(hang))
	at := peers.LocalAddr().(*net.UDPAddr).AddrPort()
	if !e.dials {
		if _, err := peers.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(ours.Local())); err != nil {
			e.Fatal(err)
		}
		b := make([]byte, 100)
		n, from, _, err := ours.ReadFrom(b)
		if err != nil || string(b[:n]) != "hello" {
			e.Fatalf("%q, %v", b[:n], err)
		}
		at = from
	}
	if err := ours.Connect(at); err != nil {
		e.Fatal(err)
	}
	return ours, peers
}

// datagram sends a datagram that needs two fragments, of which the first one is as large as the path lets it be, and has the
// peer send it back, in fragments as well.
func (e *pathEnds) datagram(remote netip.Addr, mtu int) {
	e.Helper()
	ours, peers := e.sockets(remote)
	if got, err := ours.PathMTU(); got != mtu || err != nil {
		e.Errorf("UDP has a path MTU of %d, %v; want %d", got, err, mtu)
	}
	sent := bytes.Repeat([]byte("datagram "), 2000/9)
	before := e.host.Stats()
	e.wire.take(remote, wire.ProtocolUDP)
	if _, err := ours.WriteTo(sent, ours.Remote()); err != nil {
		e.Fatal(err)
	}
	b := make([]byte, 4000)
	n, from, err := peers.ReadFrom(b)
	if err != nil || !bytes.Equal(b[:n], sent) {
		e.Fatalf("%d octets arrived of %d, or others: %v", n, len(sent), err)
	}
	header := e.header
	if header == wire.IPv6Len {
		header += wire.IPv6FragmentLen
	}
	head := (mtu - header) &^ 7 // RFC 791 3.2, RFC 8200 4.5
	if got, want := e.wire.take(remote, wire.ProtocolUDP), []int{header + wire.UDPLen + len(sent) - head, header + head}; !slices.Equal(got, want) {
		e.Errorf("fragments of %d octets, want %d", got, want)
	}
	if _, err := peers.WriteTo(sent, from); err != nil {
		e.Fatal(err)
	}
	if n, _, _, err := ours.ReadFrom(b); err != nil || !bytes.Equal(b[:n], sent) {
		e.Fatalf("%d octets came back of %d, or others: %v", n, len(sent), err)
	}
	after := e.host.Stats()
	if n := after.Fragmented - before.Fragmented; n != 1 {
		e.Errorf("%d datagrams were cut, want one", n)
	}
	if n := after.Reassembled - before.Reassembled; n != 1 {
		e.Errorf("%d datagrams were put together, want one", n)
	}
}

// lostDatagram sends a datagram that is too large for the path, and waits for what the router says of it.
func (e *pathEnds) lostDatagram(remote netip.Addr) {
	e.Helper()
	ours, _ := e.sockets(remote)
	if got, err := ours.PathMTU(); got != 1500 || err != nil {
		e.Errorf("path MTU %d, %v of a path that nobody has used", got, err)
	}
	if _, err := ours.WriteTo(make([]byte, 1400), ours.Remote()); err != nil {
		e.Fatal(err)
	}
	for limit := time.Now().Add(hang); ; time.Sleep(time.Millisecond) {
		if got, err := ours.PathMTU(); got == e.mtu && err == nil {
			break
		} else if time.Now().After(limit) {
			e.Fatalf("path MTU %d, %v; want %d", got, err, e.mtu)
		}
	}
	if err := ours.TakeError(); err != unix.EMSGSIZE {
		e.Errorf("the sender hears %v, want %v", err, unix.EMSGSIZE)
	}
}

// measured is a device that notes how long the packets of TCP and UDP are that leave for each address.
type measured struct {
	link.Device
	mu      sync.Mutex
	lengths map[flowKind]map[int]bool
}

// flowKind is where a packet goes, and as a packet of which protocol.
type flowKind struct {
	remote   netip.Addr
	protocol byte
}

// Write passes all on.
func (d *measured) Write(frames []link.Frame) (int, error) {
	d.mu.Lock()
	for i := range frames {
		if to, n := packetLen(&frames[i]); to.remote.IsValid() {
			if d.lengths == nil {
				d.lengths = make(map[flowKind]map[int]bool)
			}
			if d.lengths[to] == nil {
				d.lengths[to] = make(map[int]bool)
			}
			d.lengths[to][n] = true
		}
	}
	d.mu.Unlock()
	return d.Device.Write(frames)
}

// packetLen returns where a frame's packet goes and how many octets it has, the longest of those that a super-segment is cut
// into. The address is not valid if the packet is neither of TCP nor of UDP.
func packetLen(f *link.Frame) (to flowKind, n int) {
	b, n := f.Header[wire.EthernetLen:], f.Len()-wire.EthernetLen
	if f.Meta.GSO != link.NoSegmentation {
		n = min(n, int(f.Meta.HeaderLen)-wire.EthernetLen+int(f.Meta.GSOSize))
	}
	var remote netip.Addr
	var protocol byte
	if b[0]>>4 == 4 {
		remote, _ = netip.AddrFromSlice(b[16:20])
		protocol = b[9]
	} else {
		remote, _ = netip.AddrFromSlice(b[24:40])
		if protocol = b[6]; protocol == wire.IPv6Fragments {
			protocol = b[wire.IPv6Len]
		}
	}
	if protocol != wire.ProtocolTCP && protocol != wire.ProtocolUDP {
		return flowKind{}, 0
	}
	return flowKind{remote, protocol}, n
}

// take returns the lengths of the packets of a protocol that have left for an address since the last call, sorted, each once.
func (d *measured) take(remote netip.Addr, protocol byte) []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	to := flowKind{remote, protocol}
	lengths := slices.Sorted(maps.Keys(d.lengths[to]))
	delete(d.lengths, to)
	return lengths
}
