package stack

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// seg is a segment between the peer and us as these tests write it.
type seg struct {
	flags    string // of S A F R P U
	seq, ack uint32
	port     uint16 // ours; 0 means 80
	peer     uint16 // the peer's port; 0 means 1000
	text     string
	cookie   string // of Fast Open: its octets, or "?" for a request
}

func (s seg) String() string {
	if s.cookie != "" {
		return fmt.Sprintf("%s seq=%d ack=%d port=%d peer=%d %q cookie=%q", s.flags, s.seq, s.ack, s.port, s.peer, s.text, s.cookie)
	}
	return fmt.Sprintf("%s seq=%d ack=%d port=%d peer=%d %q", s.flags, s.seq, s.ack, s.port, s.peer, s.text)
}

func (s seg) withDefaults() seg {
	if s.port == 0 {
		s.port = 80
	}
	if s.peer == 0 {
		s.peer = 1000
	}
	return s
}

const flagLetters = "FSRPAU"

// packet returns the segment as IP packet of the peer's.
func (s seg) packet(peer, ours netip.Addr) []byte {
	s = s.withDefaults()
	h := wire.TCP{SrcPort: s.peer, DstPort: s.port, Seq: s.seq, Ack: s.ack, Window: 65535}
	for _, c := range s.flags {
		h.Flags |= 1 << strings.IndexRune(flagLetters, c)
	}
	if s.cookie != "" {
		h.Options.Has |= wire.TCPOptFastOpen
		if s.cookie != "?" {
			h.Options.FastOpenLen = uint8(copy(h.Options.FastOpen[:], s.cookie))
		}
	}
	return frames.IP(peer, ours, wire.ProtocolTCP, frames.TCP(peer, ours, h, []byte(s.text)))
}

// frame returns the segment as frame of the peer's.
func (b *bed) frame(s seg) []byte { return b.framed(s.packet(b.peer(), b.ours())) }

// send gives segments to the host in one burst and returns what it answers.
func (b *bed) send(in ...seg) []seg {
	b.Helper()
	frames := make([][]byte, len(in))
	for i := range in {
		frames[i] = b.frame(in[i])
	}
	b.inject(frames...)
	return b.sent()
}

// sent returns the segments that have left the host.
func (b *bed) sent() []seg {
	b.Helper()
	var out []seg
	for _, f := range b.take() {
		p, ok := b.packetOf(f)
		if !ok || p.Protocol != wire.ProtocolTCP {
			continue
		}
		if p.Src != b.ours() || p.Dst != b.peer() || p.TransportSum() != 0xffff {
			b.Errorf("sent from %v to %v, or with a wrong checksum: %x", p.Src, p.Dst, p.Payload)
		}
		var h wire.TCP
		text, err := h.Parse(p.Payload)
		if err != nil {
			b.Fatalf("sent: %v", err)
		}
		s := seg{seq: h.Seq, ack: h.Ack, port: h.SrcPort, peer: h.DstPort, text: string(text)}
		if o := &h.Options; o.Has&wire.TCPOptFastOpen != 0 {
			s.cookie = "?"
			if o.FastOpenLen > 0 {
				s.cookie = string(o.FastOpen[:o.FastOpenLen])
			}
		}
		for i, c := range flagLetters {
			if h.Flags&(1<<i) != 0 {
				s.flags += string(c)
			}
		}
		out = append(out, s)
	}
	return out
}

// expect checks what has left the host.
func (b *bed) expect(what string, got []seg, want ...seg) {
	b.Helper()
	for i := range want {
		want[i] = want[i].withDefaults()
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		b.Errorf("%s: out %v, want %v", what, got, want)
	}
}

func (b *bed) listenTCP(port uint16, backlog int) *Listener {
	b.Helper()
	binding, err := b.h.BindTCP(b.anywhere(port), BindOptions{ReuseAddr: true})
	if err != nil {
		b.Fatal(err)
	}
	l, err := b.h.ListenTCP(binding, backlog, tcp.DefaultOptions())
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// accepted returns a connection that the peer has opened from sequence number 100 on, and our ISS.
func (b *bed) accepted() (c *TCPConn, iss uint32) {
	b.Helper()
	l := b.listenTCP(80, 1)
	iss = b.handshake(100)
	c, err := l.TryAccept()
	if err != nil {
		b.Fatal(err)
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	return c, iss
}

// handshake opens a connection from irs on, and returns our ISS.
func (b *bed) handshake(irs uint32) uint32 {
	b.Helper()
	out := b.send(seg{flags: "S", seq: irs})
	if len(out) != 1 || out[0].flags != "SA" || out[0].ack != irs+1 {
		b.Fatalf("SYN answered by %v", out)
	}
	b.expect("final ACK", b.send(seg{flags: "A", seq: irs + 1, ack: out[0].seq + 1}))
	return out[0].seq
}

func TestNoConnection(t *testing.T) {
	on := func(name string, f func(b *bed)) {
		withPeers(t, name, Config{ICMPRate: -1, ResetRate: -1}, f)
	}
	on("A-SM-01 a segment for no connection is answered by a reset", func(b *bed) {
		b.expect("SYN and text", b.send(seg{flags: "S", seq: 500, text: "hello"}), seg{flags: "RA", ack: 506})
		b.expect("ACK", b.send(seg{flags: "A", seq: 500, ack: 900}), seg{flags: "R", seq: 900})
		b.expect("FIN", b.send(seg{flags: "F", seq: 500}), seg{flags: "RA", ack: 501})
		b.expect("SYN and FIN", b.send(seg{flags: "SF", seq: 500}), seg{flags: "RA", ack: 502})
		b.expect("none", b.send(seg{seq: 500}), seg{flags: "RA", ack: 500})
	})
	on("A-SM-02 a reset is never answered", func(b *bed) {
		c, iss := b.accepted()
		b.listenTCP(81, 1)
		for _, port := range []uint16{79, 81} {
			for _, flags := range []string{"R", "RA", "RS", "RSA", "RF"} {
				b.expect(flags, b.send(seg{flags: flags, seq: 101, ack: 7, port: port}))
			}
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
		b.expect("close", b.sent(), seg{flags: "FA", seq: iss + 1, ack: 101})
		b.expect("FIN", b.send(seg{flags: "FA", seq: 101, ack: iss + 2}), seg{flags: "A", seq: iss + 2, ack: 102})
		for _, seq := range []uint32{101, 102, 500} {
			b.expect("in TIME-WAIT", b.send(seg{flags: "R", seq: seq}))
		}
		if n := b.h.Stats().TCPGauges.States[tcp.TimeWaitState]; n != 1 {
			b.Errorf("%d in TIME-WAIT, want 1", n)
		}
	})
	on("D-LAND-1 a SYN from its own destination is dropped", func(b *bed) {
		b.listenTCP(80, 1)
		syn := frames.TCP(b.ours(), b.ours(), wire.TCP{SrcPort: 80, DstPort: 80, Seq: 9, Flags: wire.TCPSyn, Window: 9}, nil)
		b.inject(b.framed(frames.IP(b.ours(), b.ours(), wire.ProtocolTCP, syn)))
		b.expect("LAND", b.sent())
		if n := b.h.Stats().TCPGauges.HalfOpen; n != 0 {
			b.Errorf("%d half-open", n)
		}
	})
	on("MUST-3 a flipped bit anywhere under the checksum is dropped and counted", func(b *bed) {
		b.listenTCP(80, 1)
		bits := uint64(0)
		good := b.frame(seg{flags: "S", seq: 100, text: "text"})
		const ip = wire.EthernetLen
		segment := ip + b.headerLen
		dst := segment - b.ours().BitLen()/8
		src := dst - b.ours().BitLen()/8
		for at := src; at < len(good); at++ {
			for bit := range 8 {
				if dst <= at && at < segment {
					continue // for another host
				}
				f := bytes.Clone(good)
				f[at] ^= 1 << bit
				if at < segment && b.ours().Is4() { // the pseudo-header's source: mend IP's own checksum
					f[ip+10], f[ip+11] = 0, 0
					c := wire.Checksum(f[ip:ip+wire.IPv4Len], 0)
					f[ip+10], f[ip+11] = byte(c>>8), byte(c)
				}
				b.inject(f)
				bits++
			}
		}
		b.expect("corrupt SYNs", b.sent())
		g := b.h.Stats().TCPGauges
		if g.BadChecksum+g.Malformed+uint64(unroutable(b)) != bits || g.BadChecksum < bits-100 || g.HalfOpen != 0 {
			b.Errorf("%d bits: %+v", bits, g)
		}
	})
	on("MUST-57 a SYN to many hosts is dropped", func(b *bed) {
		b.listenTCP(80, 1)
		type place struct {
			dst string
			mac link.MAC
		}
		all, group6 := wire.BroadcastMAC, link.MAC{0x33, 0x33, 0, 0, 0, 1}
		places := []place{{"10.0.0.255", ourMAC}, {"10.0.0.255", all}, {"224.0.0.1", ourMAC}, {"255.255.255.255", ourMAC},
			{"10.0.0.2", all}, {"10.0.0.2", link.MAC{1, 0, 0x5e, 0, 0, 1}}}
		if b.ours().Is6() {
			places = []place{{"ff02::1", ourMAC}, {"ff02::1", group6}, {"ff02::1:ff00:2", link.MAC{0x33, 0x33, 0xff, 0, 0, 2}},
				{"ff01::1", ourMAC}, {"fd00::2", all}, {"fd00::2", group6}}
		}
		for _, x := range places {
			dst := netip.MustParseAddr(x.dst)
			syn := frames.TCP(b.peer(), dst, wire.TCP{SrcPort: 1000, DstPort: 80, Seq: 9, Flags: wire.TCPSyn, Window: 9}, nil)
			b.inject(frames.Ethernet(x.mac, peerMAC, frames.IP(b.peer(), dst, wire.ProtocolTCP, syn)))
			b.expect(x.dst, b.sent())
		}
		if n := b.h.Stats().TCPGauges.HalfOpen; n != 0 {
			b.Errorf("%d half-open", n)
		}
	})
}

// unroutable counts what IP itself has dropped.
func unroutable(b *bed) (n int) {
	for _, dropped := range b.h.Stats().Dropped {
		n += int(dropped)
	}
	return n
}

func TestListenSegments(t *testing.T) {
	on := func(name string, f func(b *bed)) {
		withPeers(t, name, Config{ICMPRate: -1, ResetRate: -1}, f)
	}
	on("A-SM-03 LISTEN ignores a reset", func(b *bed) {
		b.listenTCP(80, 1)
		b.expect("RA", b.send(seg{flags: "RA", seq: 100, ack: 5}))
	})
	on("A-SM-04 LISTEN answers every ACK by a reset", func(b *bed) {
		b.listenTCP(80, 1)
		for _, flags := range []string{"A", "SA", "FA"} {
			b.expect(flags, b.send(seg{flags: flags, seq: 100, ack: 5}), seg{flags: "R", seq: 5})
		}
	})
	on("A-SM-05 LISTEN drops what carries neither SYN nor ACK nor RST", func(b *bed) {
		b.listenTCP(80, 1)
		for _, flags := range []string{"F", "", "PU"} {
			b.expect(flags, b.send(seg{flags: flags, seq: 100}))
		}
	})
	on("A-SM-17 a reset ends a half-open connection quietly", func(b *bed) {
		l := b.listenTCP(80, 1)
		out := b.send(seg{flags: "S", seq: 100})
		b.expect("RST", b.send(seg{flags: "R", seq: 101}))
		if n := b.h.Stats().TCPGauges.HalfOpen; n != 0 {
			b.Errorf("%d half-open", n)
		}
		b.expect("late ACK", b.send(seg{flags: "A", seq: 101, ack: out[0].seq + 1}), seg{flags: "R", seq: out[0].seq + 1})
		b.handshake(9000)
		if _, err := l.TryAccept(); err != nil {
			b.Error(err)
		}
	})
	on("A-SM-18 a wrong ACK is reset and the record kept", func(b *bed) {
		l := b.listenTCP(80, 1)
		iss := b.send(seg{flags: "S", seq: 100})[0].seq
		b.expect("wrong", b.send(seg{flags: "A", seq: 101, ack: iss + 2}), seg{flags: "R", seq: iss + 2})
		b.expect("right", b.send(seg{flags: "A", seq: 101, ack: iss + 1}))
		if _, err := l.TryAccept(); err != nil {
			b.Error(err)
		}
	})
	on("A-SM-19 a repeated SYN makes one connection", func(b *bed) {
		l := b.listenTCP(80, 1)
		first := b.send(seg{flags: "S", seq: 100})
		b.expect("again", b.send(seg{flags: "S", seq: 100}), first...)
		b.expect("ACK", b.send(seg{flags: "A", seq: 101, ack: first[0].seq + 1}))
		if _, err := l.TryAccept(); err != nil {
			b.Error(err)
		}
		if _, err := l.TryAccept(); err == nil {
			b.Error("accepted twice")
		}
	})
	on("E-LIS-8 text and FIN before Accept are kept", func(b *bed) {
		l := b.listenTCP(80, 1)
		iss := b.send(seg{flags: "S", seq: 100})[0].seq
		out := b.send(seg{flags: "A", seq: 101, ack: iss + 1}, seg{flags: "PA", seq: 101, ack: iss + 1, text: "hello"},
			seg{flags: "FA", seq: 106, ack: iss + 1})
		b.expect("one ACK for the burst", out, seg{flags: "A", seq: iss + 1, ack: 107})
		c, err := l.TryAccept()
		if err != nil {
			b.Fatal(err)
		}
		n := &network{T: b.T}
		n.reads(c, "hello", "EOF")
	})
	on("D-SYN-5 flags of all kinds end nowhere but in a counter", func(b *bed) {
		b.listenTCP(80, 64)
		for flags := range 64 {
			s := seg{seq: 1 << 20, text: "text"}
			for i, c := range flagLetters {
				if flags&(1<<i) != 0 {
					s.flags += string(c)
				}
			}
			out := b.send(s)
			if flags&(wire.TCPSyn|wire.TCPRst) == wire.TCPSyn|wire.TCPRst && len(out) != 0 {
				b.Errorf("%s answered by %v", s.flags, out)
			}
		}
	})
}

func TestSYNQueue(t *testing.T) {
	withPeers(t, "D-SYN-1 beyond the SYN queue a cookie answers and nothing is kept", Config{Shards: 8, ICMPRate: -1, ResetRate: -1}, func(b *bed) {
		l := b.listenTCP(80, 16)
		flood(b, 5000)
		g := b.h.Stats().TCPGauges
		if g.HalfOpen != minSYNQueue {
			b.Errorf("%d half-open, want %d", g.HalfOpen, minSYNQueue)
		}
		if g.SYNCookies != 5000-minSYNQueue {
			b.Errorf("%d cookies", g.SYNCookies)
		}
		// An honest client gets in at once.
		b.handshake(77)
		c, err := l.TryAccept()
		if err != nil {
			b.Fatal(err)
		}
		iss := uint32(0)
		if k, err := c.Write([]byte("welcome")); k != 7 || err != nil {
			b.Errorf("Write: %d, %v", k, err)
		}
		for _, s := range b.sent() {
			iss = s.seq
			b.expect("text", []seg{s}, seg{flags: "PA", seq: iss, ack: 78, text: "welcome"})
		}
		if n := b.h.Stats().TCPGauges.CookiesOK; n != 1 {
			b.Errorf("%d connections of cookies, want 1", n)
		}
	})
	withPeers(t, "D-SYN-2 a forged or old cookie is answered by a reset", Config{Shards: 8, ICMPRate: -1, ResetRate: -1, NeighborReachable: time.Hour}, func(b *bed) {
		l := b.listenTCP(80, 1)
		flood(b, minSYNQueue)
		iss := b.send(seg{flags: "S", seq: 100})[0].seq
		for i := range uint32(100) {
			ack := iss + 2 + i*7919
			b.expect("forged", b.send(seg{flags: "A", seq: 101, ack: ack}), seg{flags: "R", seq: ack})
		}
		time.Sleep(3 * time.Minute)
		b.take()
		b.expect("old", b.send(seg{flags: "A", seq: 101, ack: iss + 1}), seg{flags: "R", seq: iss + 1})
		if _, err := l.TryAccept(); err == nil {
			b.Error("accepted")
		}
	})
	withPeers(t, "D-SYN-4 a SYN earns six SYN-ACKs at most", Config{NeighborReachable: time.Hour}, func(b *bed) {
		b.listenTCP(80, 1)
		out := b.send(seg{flags: "S", seq: 100})
		time.Sleep(10 * time.Minute)
		out = append(out, b.sent()...)
		if len(out) != 6 {
			b.Errorf("%d segments: %v", len(out), out)
		}
		if n := b.h.Stats().TCPGauges.HalfOpen; n != 0 {
			b.Errorf("%d half-open", n)
		}
	})
	withPeers(t, "E-LIS-6 closing a listener resets its half-open connections", Config{}, func(b *bed) {
		l := b.listenTCP(80, 1)
		other := b.listenTCP(81, 1)
		iss := b.send(seg{flags: "S", seq: 100})[0].seq
		b.send(seg{flags: "S", seq: 100, port: 81})
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		b.expect("close", b.sent(), seg{flags: "RA", seq: iss + 1, ack: 101})
		if n := b.h.Stats().TCPGauges.HalfOpen; n != 1 {
			b.Errorf("%d half-open, want the other listener's", n)
		}
		b.expect("SYN", b.send(seg{flags: "S", seq: 100}), seg{flags: "RA", ack: 101})
		if err := other.Close(); err != nil {
			b.Fatal(err)
		}
	})
}

// flood sends SYNs from many ports of the peer.
func flood(b *bed, n int) {
	b.Helper()
	frames := make([][]byte, n)
	for i := range frames {
		h := wire.TCP{SrcPort: uint16(2000 + i), DstPort: 80, Seq: uint32(i), Flags: wire.TCPSyn, Window: 1000}
		frames[i] = b.tcpIn(h, nil)
	}
	b.inject(frames...)
	b.take()
}

func TestTimeWait(t *testing.T) {
	// inTimeWait returns a host with a connection in TIME-WAIT, and its SND.NXT.
	inTimeWait := func(b *bed) uint32 {
		b.Helper()
		c, iss := b.accepted()
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
		b.take()
		b.expect("FIN", b.send(seg{flags: "FA", seq: 101, ack: iss + 2}), seg{flags: "A", seq: iss + 2, ack: 102})
		return iss + 2
	}
	records := func(b *bed) int { return b.h.Stats().TCPGauges.States[tcp.TimeWaitState] }
	on := func(name string, f func(b *bed)) {
		withPeers(t, name, Config{NeighborReachable: time.Hour}, f)
	}
	on("A-SM-23 a FIN again is acknowledged and restarts 2MSL", func(b *bed) {
		nxt := inTimeWait(b)
		time.Sleep(59 * time.Second)
		b.expect("FIN again", b.send(seg{flags: "FA", seq: 101, ack: nxt}), seg{flags: "A", seq: nxt, ack: 102})
		time.Sleep(60*time.Second - time.Nanosecond)
		if n := records(b); n != 1 {
			b.Errorf("%d records before 2MSL after the second FIN", n)
		}
		time.Sleep(time.Nanosecond)
		settle()
		if n := records(b); n != 0 {
			b.Errorf("%d records after 2MSL", n)
		}
	})
	on("C-TW-1 a reset does not end it", func(b *bed) {
		inTimeWait(b)
		for _, seq := range []uint32{101, 102, 103} {
			b.expect("RST", b.send(seg{flags: "R", seq: seq}))
		}
		if n := records(b); n != 1 {
			b.Errorf("%d records", n)
		}
	})
	on("MUST-13 it lasts 2MSL, and then there is no connection", func(b *bed) {
		nxt := inTimeWait(b)
		time.Sleep(59 * time.Second)
		fin := seg{flags: "FA", seq: 101, ack: nxt}
		b.expect("FIN", b.send(fin), seg{flags: "A", seq: nxt, ack: 102})
		time.Sleep(60 * time.Second)
		settle() // the record's timer is due at this very moment
		b.expect("FIN after", b.send(fin), seg{flags: "R", seq: nxt})
	})
	on("C-TW-2 a newer SYN reopens the connection", func(b *bed) {
		nxt := inTimeWait(b)
		l := b.listenTCP(80, 1)
		out := b.send(seg{flags: "S", seq: 1000})
		if len(out) != 1 || out[0].flags != "SA" || int32(out[0].seq-nxt) <= 0 {
			b.Fatalf("SYN answered by %v, SND.NXT was %d", out, nxt)
		}
		b.expect("ACK", b.send(seg{flags: "A", seq: 1001, ack: out[0].seq + 1}))
		if _, err := l.TryAccept(); err != nil {
			b.Error(err)
		}
	})
	on("C-TW-2 an older SYN does not", func(b *bed) {
		nxt := inTimeWait(b)
		b.listenTCP(80, 1)
		b.expect("old SYN", b.send(seg{flags: "S", seq: 50}), seg{flags: "A", seq: nxt, ack: 102})
		if n := records(b); n != 1 {
			b.Errorf("%d records", n)
		}
	})
	withPeers(t, "D-TW-1 beyond the cap the oldest record goes", Config{Shards: 1}, func(b *bed) {
		b.h.tcp.limits.timeWait = 10
		l := b.listenTCP(80, 1)
		for i := range uint16(15) {
			time.Sleep(time.Second)
			peer := 3000 + i
			iss := b.send(seg{flags: "S", seq: 100, peer: peer})[0].seq
			b.send(seg{flags: "A", seq: 101, ack: iss + 1, peer: peer})
			c, err := l.TryAccept()
			if err != nil {
				b.Fatal(err)
			}
			if err := c.Close(); err != nil {
				b.Fatal(err)
			}
			b.send(seg{flags: "FA", seq: 101, ack: iss + 2, peer: peer})
		}
		g := b.h.Stats().TCPGauges
		if g.States[tcp.TimeWaitState] != 10 || g.TimeWaitOverflows != 5 {
			b.Errorf("%d records, %d overflows", g.States[tcp.TimeWaitState], g.TimeWaitOverflows)
		}
		b.expect("the oldest", b.send(seg{flags: "FA", seq: 101, ack: 5, peer: 3004}), seg{flags: "R", seq: 5, peer: 3004})
		b.expect("one that stayed", b.send(seg{flags: "R", seq: 101, peer: 3005}))
	})
}
