package stack

import (
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// fuzzFrames cuts a fuzzer's octets into frames. The first octet of each says what it is dressed up as, so that
// the fuzzer need not guess checksums to get past the first layers, and of which family.
func fuzzFrames(data []byte) [][]byte {
	var frames [][]byte
	for len(data) >= 2 && len(frames) < 2*burstFrames {
		kind, n := data[0]&7, int(data[1])*8
		six := data[0]&8 != 0
		body := data[2:min(2+n, len(data))]
		data = data[2+len(body):]
		if six {
			frames = append(frames, dress6(kind, body))
		} else {
			frames = append(frames, dress(kind, body))
		}
	}
	return frames
}

func dress(kind byte, body []byte) []byte {
	at := func(i int) byte {
		if i < len(body) {
			return body[i]
		}
		return 0
	}
	h := fromPeer(wire.ProtocolUDP)
	h.ID = uint16(at(0) & 3)
	switch kind {
	case 0:
		return body
	case 1:
		return ethFrame(ourMAC, peerMAC, wire.EtherTypeARP, body)
	case 2:
		return in4(body)
	case 3: // any protocol and options
		h.Protocol, h.Options = at(1), body[min(2, len(body)):min(2+int(at(2)&31), len(body))]
	case 4: // a fragment
		h.FragmentOffset, h.MF = int(at(1))*8, at(2)&1 != 0
		h.Protocol = [...]uint8{wire.ProtocolTCP, wire.ProtocolUDP, wire.ProtocolICMP, 99}[at(2)>>1&3]
	case 5: // ICMP
		h.Protocol = wire.ProtocolICMP
		b := append(make([]byte, 0, len(body)+wire.ICMPLen), body...)
		if len(b) < wire.ICMPLen {
			b = b[:wire.ICMPLen]
		}
		wire.PutICMPv4Checksum(b)
		return in4(ip4(h, b))
	case 6: // a segment to an open port
		h.Protocol = wire.ProtocolTCP
		b := append(make([]byte, 0, len(body)+wire.TCPLen), body...)
		if len(b) < wire.TCPLen {
			b = b[:wire.TCPLen]
		}
		b[2], b[3], b[12] = 0, 80, b[12]|0x50
		b[16], b[17] = 0, 0
		c := wire.Checksum(b, wire.PseudoHeader(peerIP, ourIP, wire.ProtocolTCP, len(b)))
		b[16], b[17] = byte(c>>8), byte(c)
		return in4(ip4(h, b))
	default: // a datagram to an open port
		return in4(ip4(h, udp4(peerIP, ourIP, 5, 7, body)))
	}
	return in4(ip4(h, body))
}

// FuzzHostInput gives a host with an open TCP and UDP port bursts of whatever the fuzzer makes up. No frame may
// bring it down, make it hold more than its bounds, or make it send anything that is not a packet of its own.
func FuzzHostInput(f *testing.F) {
	syn := tcp4(peerIP, ourIP, wire.TCP{SrcPort: 5, DstPort: 80, Flags: wire.TCPSyn, Window: 1000}, nil)
	f.Add([]byte{7, 1, 'h', 'e', 'l', 'l', 'o', 0, 0, 0})
	f.Add(append([]byte{6, 3}, append(syn, make([]byte, 4)...)...))
	f.Add(append([]byte{1, 4}, request(peerIP, peerMAC, ourIP)[14:]...))
	f.Add(append([]byte{0, 6}, append(request(peerIP, peerMAC, ourIP), make([]byte, 6)...)...))
	f.Add([]byte{4, 2, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 4, 1, 1, 2, 0, 2, 3, 4, 5, 6})
	f.Add(append([]byte{5, 8, 3, 3, 0, 0, 0, 0, 0, 0}, ip4(toPeer(wire.ProtocolTCP), syn)...))
	f.Add([]byte{3, 2, 1, 4, 8, 0x9e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	for _, seed := range seeds6() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) { inputFrames(t, data) })
	})
}

// inputFrames gives a host of its own what data makes. It runs in fake time, in which Close waits for neighbours that
// nobody answers for.
func inputFrames(t *testing.T, data []byte) {
	h, err := New(Config{Shards: 1, ReassemblyBytes: 64 << 10, MaxNeighbors: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}()
	dev := newMemDevice(link.Info{Name: "mem0", Kind: link.Ethernet, MAC: ourMAC, MTU: 1500})
	if err := h.Attach(dev, Interface{Addrs: []netip.Prefix{ourNet, netip.PrefixFrom(fuzzed6.our, 64)}}); err != nil {
		t.Fatal(err)
	}
	for _, our := range []netip.Addr{ourIP, fuzzed6.our} {
		bound, err := h.BindTCP(netip.AddrPortFrom(our, 80), BindOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.ListenTCP(bound, 4, tcp.DefaultOptions()); err != nil {
			t.Fatal(err)
		}
		if _, err := h.ListenUDP(netip.AddrPortFrom(our, 7), BindOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	ifc := h.ip.Interfaces()[1]
	rc := newReceiver(h, ifc, ifc.Queues()[0])
	for frames := fuzzFrames(data); len(frames) > 0; {
		n := min(burstFrames, len(frames))
		rc.burst(linkFrames(frames[:n]))
		rc.segments.wakes.run()
		rc.segments.wakes.clear()
		h.flush()
		frames = frames[n:]
	}
	if s := h.Stats(); s.ReassemblyBytes > 64<<10 || s.Interfaces[1].Neighbors > 2*4 {
		t.Errorf("%d octets for reassembly, %d neighbours", s.ReassemblyBytes, s.Interfaces[1].Neighbors)
	}
	dev.mu.Lock()
	defer dev.mu.Unlock()
	for _, f := range dev.out {
		checkSent(t, f)
	}
}

func linkFrames(frames [][]byte) []link.Frame {
	out := make([]link.Frame, len(frames))
	for i, f := range frames {
		b := link.NewBuffer(link.Headroom + len(f))
		copy(b.Bytes()[link.Headroom:], f)
		out[i].Set(b, link.Headroom, link.Headroom+len(f))
	}
	return out
}

// checkSent says what is wrong with a frame that the host sent.
func checkSent(t *testing.T, f []byte) {
	t.Helper()
	var eth wire.Ethernet
	body, err := eth.Parse(f)
	if err != nil || eth.Src != ourMAC || len(f) > 1514 {
		t.Fatalf("sent %x", f)
	}
	if eth.Type == wire.EtherTypeARP {
		var p wire.ARP
		if err := p.Parse(body); err != nil || p.SenderMAC != ourMAC || p.SenderIP != ourIP.As4() {
			t.Fatalf("sent ARP %+v, %v", p, err)
		}
		return
	}
	if eth.Type == wire.EtherTypeIPv6 {
		checkSent6(t, body)
		return
	}
	var ip wire.IPv4
	p, err := ip.Parse(body)
	if err != nil || eth.Type != wire.EtherTypeIPv4 || len(p) == 0 || ip.Src != ourIP.As4() || ip.TTL == 0 {
		t.Fatalf("sent IP %+v, %v", ip, err)
	}
	if ip.MF || ip.FragmentOffset != 0 {
		return
	}
	pseudo := wire.PseudoHeader4(ip.Src, ip.Dst, ip.Protocol, len(p))
	if ip.Protocol == wire.ProtocolICMP {
		pseudo = 0
	}
	if wire.Checksum(p, pseudo) != 0 {
		t.Fatalf("sent %x with a wrong checksum", f)
	}
}
