package stack

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// farLink is a port of a segment whose packets pass a router with a smaller link behind it. The router says so, or drops
// what is too large without a word.
type farLink struct {
	link.Device
	router *sim.Port // where it speaks from

	mu      sync.Mutex
	mtu     int
	silent  bool
	old     bool           // it does not tell the MTU, as before RFC 1191
	cut     int            // packets that were too large, but might be cut
	ids     map[uint16]int // their identifications
	dropped int            // packets that were too large
	sizes   []int          // of the packets with text that went through, headers included
	last    []byte         // the headers of the last of them
}

func (d *farLink) Write(list []link.Frame) (int, error) {
	for i := range list {
		if !d.passes(&list[i]) {
			continue
		}
		if n, err := d.Device.Write(list[i : i+1]); err != nil || n == 0 {
			return i, err
		}
	}
	return len(list), nil
}

// passes says whether a frame fits the link behind the router.
func (d *farLink) passes(f *link.Frame) bool {
	p := f.Header[wire.EthernetLen:]
	if len(p) < wire.IPv4Len || p[0]>>4 != 4 && (p[0]>>4 != 6 || len(p) < wire.IPv6Len) {
		return true
	}
	size := len(p)
	for _, s := range f.Payload {
		size += len(s.Data)
	}
	if f.Meta.GSO != link.NoSegmentation {
		size = int(f.Meta.HeaderLen) - wire.EthernetLen + int(f.Meta.GSOSize)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if size <= d.mtu {
		if size > 100 {
			d.sizes = append(d.sizes, size)
			d.last = append([]byte(nil), p...)
		}
		return true
	}
	if ip := (wire.IPv4{}); p[0]>>4 == 4 && p[6]&0x40 == 0 { // without DF: it goes on in fragments, which the other host puts together
		_, err := ip.ParseQuote(p)
		if err != nil || f.Meta.GSO != link.NoSegmentation {
			panic(fmt.Sprint(err, f.Meta))
		}
		d.cut++
		d.ids[ip.ID]++
		d.sizes = append(d.sizes, size)
		return true
	}
	d.dropped++
	if !d.silent {
		mtu := d.mtu
		if d.old {
			mtu = 0
		}
		d.tooBig(p, size, mtu)
	}
	return false
}

// tooBig has the router say that a packet p of size octets was too large for a link of mtu octets.
func (d *farLink) tooBig(p []byte, size, mtu int) {
	rest := [4]byte{2: byte(mtu >> 8), 3: byte(mtu)}
	var packet []byte
	if p[0]>>4 == 4 {
		quote := append([]byte(nil), p[:28]...)
		binary.BigEndian.PutUint16(quote[2:], uint16(size))
		from, to := netip.MustParseAddr("10.0.0.254"), netip.AddrFrom4([4]byte(p[12:16]))
		packet = frames.IP(from, to, wire.ProtocolICMP, frames.ICMP(from, to, wire.ICMPv4DestinationUnreachable, wire.ICMPv4FragmentationNeeded, rest, quote))
	} else {
		quote := append([]byte(nil), p[:60]...)
		binary.BigEndian.PutUint16(quote[4:], uint16(size-wire.IPv6Len))
		from, to := netip.MustParseAddr("fd00::fe"), netip.AddrFrom16([16]byte(p[8:24]))
		packet = frames.IP(from, to, wire.ProtocolICMPv6, frames.ICMP(from, to, wire.ICMPv6PacketTooBig, 0, rest, quote))
	}
	d.say(frames.Ethernet(d.Info().MAC, d.router.Info().MAC, packet))
}

func (d *farLink) say(frame []byte) {
	b := link.NewBuffer(len(frame))
	copy(b.Bytes(), frame)
	var f link.Frame
	f.Set(b, 0, len(frame))
	_, _ = d.router.Write([]link.Frame{f})
	f.Release()
}

// widen gives the router's far link another MTU, and forgets what has passed.
func (d *farLink) widen(mtu int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mtu, d.dropped, d.sizes = mtu, 0, nil
}

// passed returns how many packets were too large since the last call, and the largest one that was not.
func (d *farLink) passed() (dropped, largest int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range d.sizes {
		largest = max(largest, n)
	}
	dropped, d.dropped, d.sizes = d.dropped, 0, nil
	return dropped, largest
}

// behindRouter is inHosts with host a behind a router whose other link takes mtu octets.
func behindRouter(t *testing.T, name string, mtu int, silent bool, body func(n *network, d *farLink)) {
	t.Helper()
	for _, f := range []family{ipv4, ipv6} {
		behindRouterIn(t, f, name, mtu, silent, body)
	}
}

func behindRouterIn(t *testing.T, f family, name string, mtu int, silent bool, body func(n *network, d *farLink)) {
	t.Helper()
	t.Run(name+f.of, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := &network{T: t, family: f, wire: sim.NewSegment(sim.Config{Delay: time.Millisecond, Offload: true})}
			d := &farLink{Device: n.wire.Port(), router: n.wire.Port(), mtu: mtu, silent: silent, ids: make(map[uint16]int)}
			var err error
			n.a, err = New(Config{})
			n.must(err)
			n.must(n.a.Attach(d, Interface{Addrs: []netip.Prefix{netip.PrefixFrom(n.addrA, n.bits)}}))
			n.b = n.host(Config{}, n.addrB)
			body(n, d)
			n.must(n.a.Close())
			n.must(n.b.Close())
			n.must(n.wire.Close())
		})
	})
}

// carries sends octets from one end to the other and returns how long that took.
func (n *network) carries(from, to *TCPConn, octets int) time.Duration {
	n.Helper()
	began := time.Now()
	go func() {
		if k, err := from.Write(make([]byte, octets)); k != octets || err != nil {
			n.Errorf("Write: %d, %v", k, err)
		}
	}()
	if k, err := io.CopyN(io.Discard, connReader{to}, int64(octets)); err != nil {
		n.Fatalf("%d octets of %d arrived: %v", k, octets, err)
	}
	time.Sleep(50 * time.Millisecond) // for the last acknowledgment
	return time.Since(began)
}

func (n *network) through(d *farLink, wantDropped bool, largest int) {
	n.Helper()
	dropped, got := d.passed()
	if dropped > 0 != wantDropped || got != largest {
		n.Errorf("%d packets were too large; the largest other one had %d octets, want %d", dropped, got, largest)
	}
}

func saidPath(n *network, d *farLink) {
	mtu := d.mtu
	first, firstPeer := n.connect()
	n.carries(first, firstPeer, 100_000)
	n.through(d, true, mtu)
	second, secondPeer := n.connect()
	n.carries(second, secondPeer, 100_000)
	n.through(d, false, mtu)
	if info := second.Info(); info.PathMTU != mtu || int(info.AdvMSS) != 1500-n.headerLen-20 {
		n.Errorf("path MTU %d, announced MSS %d", info.PathMTU, info.AdvMSS)
	}
	n.carries(secondPeer, second, 100_000) // its segments do not pass the router, and may be as large as the link allows
	if got := secondPeer.Info().SndMSS; int(got) != 1500-n.headerLen-32 {
		n.Errorf("the peer sends segments of %d octets", got)
	}
	d.widen(1500)
	time.Sleep(9 * time.Minute)
	n.carries(first, firstPeer, 100_000)
	n.through(d, false, mtu)
	time.Sleep(time.Minute)
	n.carries(first, firstPeer, 100_000)
	n.through(d, false, 1500)
	n.carries(second, secondPeer, 100_000)
	n.through(d, false, 1500)
}

// lockedPath is a path that is narrower than is believed, as in Linux.
func lockedPath(n *network, d *farLink) {
	mtu := d.mtu
	first, firstPeer := n.connect()
	idle, idlePeer := n.connect()
	n.carries(first, firstPeer, 100_000)
	n.through(d, true, 552)
	if d.cut < 100 {
		n.Errorf("%d packets were cut", d.cut)
	}
	for id, times := range d.ids {
		if times > 1 {
			n.Errorf("%d packets have identification %#x", times, id)
		}
	}
	second, secondPeer := n.connect()
	n.carries(second, secondPeer, 100_000)
	n.through(d, false, 552)
	n.carries(idle, idlePeer, 1000)
	d.passed()
	n.carries(idle, idlePeer, 100_000)
	n.through(d, false, 552)
	before := d.cut
	d.widen(1500)
	time.Sleep(10*time.Minute + time.Second)
	n.carries(first, firstPeer, 1000)
	n.carries(first, firstPeer, 100_000)
	n.through(d, false, 1500)
	d.widen(mtu)
	n.carries(first, firstPeer, 100_000) // and once more
	n.through(d, true, 552)
	if before == d.cut {
		n.Error("nothing was cut the second time")
	}
}

func TestNarrowPath(t *testing.T) {
	for _, mtu := range []int{1300, 1280} {
		behindRouter(t, fmt.Sprintf("B-PMT-1 B-PMT-5 what a router of %d has said counts for later connections, for ten minutes", mtu), mtu, false, saidPath)
	}
	behindRouter(t, "B-PMT-9 a path that another connection has found to be narrow", 1500, false, func(n *network, d *farLink) {
		first, firstPeer := n.connect()
		second, secondPeer := n.connect()
		n.carries(second, secondPeer, 20_000)
		d.widen(1400)
		n.carries(first, firstPeer, 100_000)
		n.through(d, true, 1400)
		n.carries(second, secondPeer, 1000) // its acknowledgment is when it looks
		d.passed()
		n.carries(second, secondPeer, 100_000)
		n.through(d, false, 1400)
	})
	behindRouterIn(t, ipv4, "B-PMT-4 a router that tells no MTU", 1400, false, func(n *network, d *farLink) {
		d.old = true
		first, firstPeer := n.connect()
		n.carries(first, firstPeer, 100_000)
		n.through(d, true, 1006)
	})
	for _, mtu := range []int{551, 400, 68} {
		behindRouterIn(t, ipv4, fmt.Sprintf("B-PMT-2 a router of %d: packets of 552 octets that may be cut", mtu), mtu, false, lockedPath)
	}
	for _, mtu := range []int{1400, 1300, 1280} {
		behindRouter(t, fmt.Sprintf("B-PMT-8 a router of %d that says nothing", mtu), mtu, true, func(n *network, d *farLink) {
			first, firstPeer := n.connect()
			if took := n.carries(first, firstPeer, 100_000); took > 3*time.Second {
				n.Errorf("it took %v", took)
			}
			n.carries(first, firstPeer, 1_000_000) // time enough for the search
			if mss := first.Info().PathMTU; mss > mtu || mss <= mtu-16 {
				n.Errorf("path MTU %d", mss)
			}
			d.passed()
			second, secondPeer := n.connect()
			n.carries(second, secondPeer, 100_000)
			n.through(d, false, first.Info().PathMTU)
			d.widen(1500)
			time.Sleep(11 * time.Minute)
			n.carries(first, firstPeer, 1_000_000)
			n.through(d, false, 1500)
		})
	}
	behindRouter(t, "B-PMT-6 a message about another flow changes nothing", 1500, false, func(n *network, d *farLink) {
		first, firstPeer := n.connect()
		n.carries(first, firstPeer, 10_000)
		says := func(change int) (mtu int) { // while one segment is in flight, an octet of its TCP header changed
			n.write(first, strings.Repeat("x", 500))
			time.Sleep(time.Microsecond)
			q := append([]byte(nil), d.last...)
			if change >= 0 {
				q[n.headerLen+change] ^= 0x40
			}
			d.tooBig(q, 1500, 1300)
			time.Sleep(500 * time.Millisecond)
			return first.Info().PathMTU
		}
		for _, octet := range []int{0, 1, 2, 3, 4, 5, 6} { // ports and sequence number
			if mtu := says(octet); mtu != 1500 {
				n.Errorf("octet %d: path MTU %d", octet, mtu)
			}
		}
		second, secondPeer := n.connect()
		n.carries(second, secondPeer, 100_000)
		n.through(d, false, 1500)
		n.carries(first, firstPeer, 1000)
		if mtu := says(-1); mtu != 1300 {
			n.Errorf("its own: path MTU %d", mtu)
		}
		n.carries(second, secondPeer, 1000)
		n.through(d, false, 1052+n.headerLen-20)
		n.carries(second, secondPeer, 100_000)
		n.through(d, false, 1300)
	})
	for _, mode := range []tcp.PathMTUDiscovery{tcp.DiscoverOmit, tcp.DiscoverInterface} {
		behindRouterIn(t, ipv4, fmt.Sprintf("E-OPT-5 mode %d goes by the interface", mode), 1300, false, func(n *network, d *farLink) {
			first, firstPeer := n.connect()
			n.carries(first, firstPeer, 100_000)
			d.widen(1500)
			l := n.listen(n.b, 81, 1)
			o := tcp.DefaultOptions()
			o.Discover = mode
			c, err := n.a.ConnectTCP(nil, netip.AddrPortFrom(n.addrB, 81), o)
			n.must(err)
			n.must(c.WaitConnect())
			server, err := l.Accept()
			n.must(err)
			n.carries(c, server, 100_000)
			n.through(d, false, 1500)
		})
	}
}
