package ip

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// crossroads is a layer that forwards, with two devices for packets without link headers.
type crossroads struct {
	*testing.T
	l    *Layer
	in   *Input // of near
	near *device
	far  *device
}

func atCrossroads(t *testing.T, farMTU int, f func(n *crossroads)) {
	t.Helper()
	onDevice(t, Config{}, InterfaceConfig{Addrs: prefixes("10.1.0.254/24", "2001:db8:1::fe/64", "fe80::1/64")},
		&device{info: link.Info{Name: "near", Kind: link.IP, MTU: 1500}}, func(n *nodes) {
			far := &device{info: link.Info{Name: "far", Kind: link.IP, MTU: farMTU}}
			addrs := prefixes("10.2.0.254/24")
			if farMTU >= leastMTU6 {
				addrs = append(addrs, prefixes("2001:db8:2::fe/64", "fe80::2/64")...)
			}
			if _, err := n.l.Attach(far, InterfaceConfig{Addrs: addrs}); err != nil {
				t.Fatal(err)
			}
			n.l.SetForwarding(true)
			n.in.Begin()
			c := &crossroads{T: t, l: n.l, in: n.in, near: n.dev, far: far}
			c.l.Flush()
			c.near.take()
			c.far.take()
			f(c)
		})
}

func prefixes(list ...string) (all []netip.Prefix) {
	for _, p := range list {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

// give takes a packet from the near side, and returns what has left on either.
func (n *crossroads) give(packet []byte) (back, on [][]byte) {
	f := frames.Frame(packet)
	if n.in.Frame(&f) == ForOthers {
		n.in.Forward(&f)
	}
	f.Release()
	n.l.Flush()
	return n.near.take(), n.far.take()
}

// counted returns the reasons for which packets were dropped.
func (n *crossroads) counted() (list []drop.Reason) {
	for reason, count := range n.l.Drops.Load() {
		if count > 0 {
			list = append(list, drop.Reason(reason))
		}
	}
	return list
}

// said returns the type, the code and the four octets behind of an ICMP message, "" where there is none.
func said(t *testing.T, packets [][]byte) string {
	t.Helper()
	if len(packets) == 0 {
		return ""
	}
	p, err := frames.ParseIP(packets[0])
	if err != nil || len(packets) > 1 || p.TransportSum() != 0xffff {
		t.Fatalf("%d packets, %v, sum %#x", len(packets), err, p.TransportSum())
	}
	return fmt.Sprintf("%d/%d/%d", p.Payload[0], p.Payload[1], int(p.Payload[6])<<8|int(p.Payload[7]))
}

// TestWhatARouterPassesOn checks what comes of single packets, those that must not pass among them.
func TestWhatARouterPassesOn(t *testing.T) {
	const df, udp = 0x40, wire.ProtocolUDP
	packet := func(src, dst string, ttl uint8, size int, change ...func(b []byte)) []byte {
		from, to := netip.MustParseAddr(src), netip.MustParseAddr(dst)
		body := frames.UDP(from, to, 7, 9, make([]byte, size-wire.UDPLen))
		b := frames.IP(from, to, udp, body)
		if from.Is4() {
			b = frames.IPv4(wire.IPv4{Src: from.As4(), Dst: to.As4(), Protocol: udp, TTL: ttl, DF: len(change) == 0}, body)
		} else {
			b[7] = ttl
		}
		for _, c := range change {
			c(b)
		}
		return b
	}
	cut := func([]byte) {} // a packet of IPv4 that may be cut
	for _, c := range []struct {
		name   string
		packet []byte
		on     int    // packets on the far side
		said   string // to the source
		reason []drop.Reason
	}{
		{"IPv4", packet("10.1.0.1", "10.2.0.2", 2, 100), 1, "", nil},
		{"IPv6", packet("2001:db8:1::1", "2001:db8:2::2", 2, 100), 1, "", nil},
		{"TTL", packet("10.1.0.1", "10.2.0.2", 1, 100), 0, "11/0/0", []drop.Reason{drop.HopLimit}},
		{"hop limit", packet("2001:db8:1::1", "2001:db8:2::2", 1, 100), 0, "3/0/0", []drop.Reason{drop.HopLimit}},
		{"no route", packet("10.1.0.1", "192.0.2.1", 9, 100), 0, "3/0/0", []drop.Reason{drop.NoRoute}},
		{"no route of IPv6", packet("2001:db8:1::1", "2001:db8:9::1", 9, 100), 0, "1/0/0", []drop.Reason{drop.NoRoute}},
		{"too big", packet("10.1.0.1", "10.2.0.2", 9, 1400), 0, "3/4/1280", []drop.Reason{drop.TooBig}},
		{"too big, IPv6", packet("2001:db8:1::1", "2001:db8:2::2", 9, 1400), 0, "2/0/1280", []drop.Reason{drop.TooBig}},
		{"cut", packet("10.1.0.1", "10.2.0.2", 9, 1400, cut), 2, "", nil},
		{"from loopback", packet("127.0.0.1", "10.2.0.2", 9, 100), 0, "", []drop.Reason{drop.BadSource}},
		{"from loopback, IPv6", packet("::1", "2001:db8:2::2", 9, 100), 0, "", []drop.Reason{drop.BadSource}},
		{"from a group", packet("224.1.1.1", "10.2.0.2", 9, 100), 0, "", []drop.Reason{drop.BadSource}},
		{"from a group, IPv6", packet("ff02::1", "2001:db8:2::2", 9, 100), 0, "", []drop.Reason{drop.BadSource}},
		{"from nobody", packet("0.0.0.0", "10.2.0.2", 9, 100), 0, "", []drop.Reason{drop.BadSource}},
		{"from all", packet("10.2.0.255", "10.2.0.2", 9, 100), 0, "", []drop.Reason{drop.BadSource}},
		{"from ourselves", packet("10.1.0.254", "10.2.0.2", 9, 100), 0, "", []drop.Reason{drop.BadSource}},
		{"from ourselves, IPv6", packet("2001:db8:1::fe", "2001:db8:2::2", 9, 100), 0, "", []drop.Reason{drop.BadSource}},
		{"from class E", packet("240.0.0.1", "10.2.0.2", 9, 100), 0, "", []drop.Reason{drop.BadSource}},
		{"from one link", packet("169.254.1.1", "10.2.0.2", 9, 100), 0, "", []drop.Reason{drop.NotForwarded}},
		{"from one link, IPv6", packet("fe80::9", "2001:db8:2::2", 9, 100), 0, "1/2/0", []drop.Reason{drop.NotForwarded}},
		{"to one link", packet("10.1.0.1", "169.254.1.1", 9, 100), 0, "", []drop.Reason{drop.NotForwarded}},
		{"to one link, IPv6", packet("2001:db8:1::1", "fe80::9", 9, 100), 0, "", []drop.Reason{drop.NotForwarded}},
		{"to class E", packet("10.1.0.1", "240.0.0.1", 9, 100), 0, "", []drop.Reason{drop.NotForwarded}},
		{"to a group", packet("10.1.0.1", "224.1.1.1", 9, 100), 0, "", []drop.Reason{drop.NotForUs}},
		{"to a group, IPv6", packet("2001:db8:1::1", "ff0e::9", 9, 100), 0, "", []drop.Reason{drop.NotForUs}},
		{"to loopback", packet("10.1.0.1", "127.0.0.1", 9, 100), 0, "", []drop.Reason{drop.BadDestination}},
		{"to loopback, IPv6", packet("2001:db8:1::1", "::1", 9, 100), 0, "", []drop.Reason{drop.BadDestination}},
	} {
		t.Run(c.name, func(t *testing.T) {
			atCrossroads(t, 1280, func(n *crossroads) {
				before := bytes.Clone(c.packet)
				back, on := n.give(c.packet)
				if got := said(t, back); got != c.said || len(on) != c.on || fmt.Sprint(n.counted()) != fmt.Sprint(c.reason) {
					t.Errorf("%d packets went on, the source was told %q, dropped as %v", len(on), got, n.counted())
				}
				if !bytes.Equal(before, c.packet) {
					t.Error("the received packet was changed")
				}
				for _, b := range on {
					if p, err := frames.ParseIP(b); err != nil || p.TTL != before[map[bool]int{true: 7, false: 8}[b[0]>>4 == 6]]-1 {
						t.Errorf("%+v, %v", p, err)
					}
				}
			})
		})
	}
}

// TestFragmentsOfARouter checks that a cut packet comes together again, options that are not to be copied in the first fragment
// alone, also a packet that is a fragment itself.
func TestFragmentsOfARouter(t *testing.T) {
	body := make([]byte, 1400)
	for i := range body {
		body[i] = byte(i)
	}
	for _, base := range []int{0, 800} {
		atCrossroads(t, 576, func(n *crossroads) {
			src, dst := netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.2.0.2")
			h := wire.IPv4{Src: src.As4(), Dst: dst.As4(), Protocol: 17, ID: 77, FragmentOffset: base, MF: base > 0,
				Options: []byte{wire.IPv4OptRouterAlert, 4, 0, 0, wire.IPv4OptRecordRoute, 7, 4, 0, 0, 0, 0}}
			_, on := n.give(frames.IPv4(h, body))
			var got []byte
			for i, b := range on {
				var p wire.IPv4
				data, err := p.Parse(b)
				if err != nil || len(b) > 576 || p.ID != 77 || p.FragmentOffset != base+len(got) || p.MF != (base > 0 || i < len(on)-1) {
					t.Errorf("fragment %d of %d octets: %+v, %v", i, len(b), p, err)
				}
				if want := map[bool]int{true: 32, false: 24}[i == 0]; p.HeaderLen != want {
					t.Errorf("fragment %d has a header of %d octets, want %d", i, p.HeaderLen, want)
				}
				got = append(got, data...)
			}
			if !bytes.Equal(got, body) {
				t.Errorf("%d octets came through of %d", len(got), len(body))
			}
		})
	}
}

// TestMetadataThatLie checks that a frame whose offload metadata contradict it is dropped, and that none that do not lead out of the
// packet.
func TestMetadataThatLie(t *testing.T) {
	src, dst := netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.2.0.2")
	segment := frames.IP(src, dst, wire.ProtocolTCP, frames.TCP(src, dst, wire.TCP{SrcPort: 7, DstPort: 9}, make([]byte, 300)))
	good := link.Meta{NeedsChecksum: true, ChecksumStart: 20, ChecksumOffset: 16, GSO: link.TCP4, GSOSize: 100, HeaderLen: 40}
	for _, c := range []struct {
		name   string
		change func(m *link.Meta)
		on     int
	}{
		{"right", func(*link.Meta) {}, 3},
		{"another family", func(m *link.Meta) { m.GSO = link.TCP6 }, 0},
		{"a kind that there is not", func(m *link.Meta) { m.GSO = 99 }, 0},
		{"segments of nothing", func(m *link.Meta) { m.GSOSize = 0 }, 0},
		{"headers longer than the frame", func(m *link.Meta) { m.HeaderLen = 65535 }, 0},
		{"headers shorter than TCP's", func(m *link.Meta) { m.HeaderLen = 39 }, 0},
		{"no headers", func(m *link.Meta) { m.HeaderLen = 0 }, 0},
		{"a checksum outside", func(m *link.Meta) { m.ChecksumStart = 65535 }, 0},
		{"a checksum in the IP header", func(m *link.Meta) { m.ChecksumStart = 4 }, 0},
		{"only headers", func(m *link.Meta) { m.HeaderLen = 340 }, 1},
	} {
		atCrossroads(t, 1280, func(n *crossroads) {
			n.in.iface.info.Checksum = true
			f := frames.Frame(segment)
			f.Meta = good
			c.change(&f.Meta)
			if n.in.Frame(&f) == ForOthers {
				n.in.Forward(&f)
			}
			f.Release()
			n.l.Flush()
			on := n.far.take()
			lies := n.l.Drops.Load()[drop.NotForwarded]
			if len(on) != c.on || (lies == 0) != (c.on > 0) || len(n.near.take()) > 0 {
				t.Errorf("%s: %d packets went on, %d dropped", c.name, len(on), lies)
			}
			for _, b := range on {
				if p, err := frames.ParseIP(b); err != nil || p.TransportSum() != 0xffff {
					t.Errorf("%s: %v, sum %#x", c.name, err, p.TransportSum())
				}
			}
		})
	}
}
