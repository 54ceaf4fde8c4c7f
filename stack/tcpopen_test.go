package stack

import (
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// dialFrom begins an active open from our port 80 to the peer's 1000 and returns it with our ISS.
func (b *bed) dialFrom80() (c *TCPConn, iss uint32) {
	b.Helper()
	binding, err := b.h.BindTCP(b.here(80), BindOptions{ReuseAddr: true})
	if err != nil {
		b.Fatal(err)
	}
	c, err = b.h.ConnectTCP(binding, b.there(1000), tcp.DefaultOptions())
	if err != nil {
		b.Fatal(err)
	}
	out := b.sent()
	if len(out) != 1 || out[0].flags != "S" {
		b.Fatalf("connect sent %v", out)
	}
	return c, out[0].seq
}

func (b *bed) connectIs(c *TCPConn, errno syscall.Errno) {
	b.Helper()
	n := &network{T: b.T}
	n.want("connect", c.Connected(), errno)
}

// refusal is an ICMP error of the peer's, that something is unreachable, about our segment with sequence number seq.
func (b *bed) refusal(code uint8, seq uint32, synAck bool) []byte {
	h := wire.TCP{SrcPort: 80, DstPort: 1000, Seq: seq, Flags: wire.TCPSyn}
	if synAck {
		h.Flags |= wire.TCPAck
	}
	quote := frames.IP(b.ours(), b.peer(), wire.ProtocolTCP, frames.TCP(b.ours(), b.peer(), h, nil))
	return b.icmpIn(b.unreachable, code, [4]byte{}, quote)
}

func TestActiveOpen(t *testing.T) {
	on := func(name string, f func(b *bed)) {
		withPeers(t, name, Config{ICMPRate: -1, ResetRate: -1, NeighborReachable: time.Hour}, f)
	}
	on("MUST-10 a SYN that crosses ours is answered from our ISS and opens one connection", func(b *bed) {
		c, iss := b.dialFrom80()
		b.expect("SYN", b.send(seg{flags: "S", seq: 100}), seg{flags: "SA", seq: iss, ack: 101})
		b.connectIs(c, syscall.EINPROGRESS)
		out := b.send(seg{flags: "SA", seq: 100, ack: iss + 1})
		b.expect("SYN-ACK", out, seg{flags: "A", seq: iss + 1, ack: 101})
		b.connectIs(c, 0)
		if g := b.h.Stats().TCPGauges; g.Connections() != 1 || g.States[tcp.Established] != 1 {
			b.Errorf("connections: %v", g.States)
		}
		n := &network{T: b.T}
		b.expect("text", b.send(seg{flags: "PA", seq: 101, ack: iss + 1, text: "hello"}), seg{flags: "A", seq: iss + 1, ack: 106})
		n.reads(c, "hello")
	})
	on("A-SM-07 in SYN-SENT only a reset that acknowledges the SYN counts", func(b *bed) {
		c, iss := b.dialFrom80()
		b.expect("RST", b.send(seg{flags: "R", seq: 0}))
		b.expect("RST with a wrong ACK", b.send(seg{flags: "RA", seq: 0, ack: iss + 2}))
		b.connectIs(c, syscall.EINPROGRESS)
		b.expect("RST with the ACK", b.send(seg{flags: "RA", seq: 0, ack: iss + 1}))
		b.connectIs(c, syscall.ECONNREFUSED)
	})
	on("A-SM-32 close in SYN-SENT sends nothing, and a late SYN-ACK is reset", func(b *bed) {
		c, iss := b.dialFrom80()
		if err := c.Close(); err != nil {
			b.Error(err)
		}
		b.expect("close", b.sent())
		if n := b.h.Stats().TCPGauges.Connections(); n != 0 {
			b.Errorf("%d connections", n)
		}
		b.expect("SYN-ACK", b.send(seg{flags: "SA", seq: 100, ack: iss + 1}), seg{flags: "R", seq: iss + 1})
	})
	on("A-SM-34 close twice sends one FIN", func(b *bed) {
		c, iss := b.accepted()
		for range 2 {
			if err := c.CloseWrite(); err != nil {
				b.Error(err)
			}
		}
		_ = c.Close()
		_ = c.Close()
		b.expect("close", b.sent(), seg{flags: "FA", seq: iss + 1, ack: 101})
	})
	on("E-CON-12 a foreign ACK in SYN-SENT is reset, and the SYN again succeeds", func(b *bed) {
		c, iss := b.dialFrom80()
		b.expect("challenge ACK", b.send(seg{flags: "A", seq: 7000, ack: 9000}), seg{flags: "R", seq: 9000})
		time.Sleep(time.Second)
		b.expect("SYN again", b.sent(), seg{flags: "S", seq: iss})
		b.expect("SYN-ACK", b.send(seg{flags: "SA", seq: 100, ack: iss + 1}), seg{flags: "A", seq: iss + 1, ack: 101})
		b.connectIs(c, 0)
	})
	on("E-CON-6 unreachables end a connect with their errno", func(b *bed) {
		for code, errno := range map[uint8]syscall.Errno{
			b.noRoute: syscall.ENETUNREACH, b.noHost: syscall.EHOSTUNREACH, b.noPort: syscall.ECONNREFUSED,
			b.prohibited: b.prohibitedErr,
		} {
			c, iss := b.dialFrom80()
			b.inject(b.refusal(code, iss+5000, false)) // D-ICMP-1
			b.connectIs(c, syscall.EINPROGRESS)
			b.inject(b.refusal(code, iss, false))
			b.connectIs(c, errno)
			if err := c.Close(); err != nil {
				b.Error(err)
			}
		}
	})
	on("D-ICMP-2 unreachables leave an established connection alone", func(b *bed) {
		c, iss := b.accepted()
		n := &network{T: b.T}
		n.write(c, "x")
		b.take()
		for code := range uint8(4) {
			b.inject(b.refusal(code, iss+1, false))
		}
		n.state(c, tcp.Established)
		b.expect("ACK", b.send(seg{flags: "PA", seq: 101, ack: iss + 2, text: "y"}), seg{flags: "A", seq: iss + 2, ack: 102})
		n.reads(c, "y")
	})
	on("D-ICMP-4 an unreachable before accept closes only that child", func(b *bed) {
		l := b.listenTCP(80, 4)
		iss := b.send(seg{flags: "S", seq: 100})[0].seq
		other := b.send(seg{flags: "S", seq: 100, peer: 1001})[0].seq
		b.inject(b.refusal(b.noPort, iss+1, true))
		if n := b.h.Stats().TCPGauges.HalfOpen; n != 2 {
			b.Errorf("a wrong quote left %d half-open, want 2", n)
		}
		b.inject(b.refusal(b.noPort, iss, true))
		if n := b.h.Stats().TCPGauges.HalfOpen; n != 1 {
			b.Errorf("%d half-open, want 1", n)
		}
		b.expect("other", b.send(seg{flags: "A", seq: 101, ack: other + 1, peer: 1001}))
		if _, err := l.TryAccept(); err != nil {
			b.Error(err)
		}
	})
}

// TestLocalAddress checks that a connection keeps the address that it began with.
func TestLocalAddress(t *testing.T) {
	withPeers(t, "MUST-45 an address that comes later and lies nearer to the peer changes nothing", Config{}, func(b *bed) {
		c, iss := b.accepted()
		second := newMemDevice(link.Info{Name: "mem1", Kind: link.Ethernet, MAC: otherMAC, MTU: 1500})
		near := netip.PrefixFrom(b.addrC, b.bits+4)
		if err := b.h.Attach(second, Interface{Addrs: []netip.Prefix{near}}); err != nil {
			b.Fatal(err)
		}
		if r, err := b.h.ip.HostRoute(netip.Addr{}, b.peer()); err != nil || r.Local() != near.Addr() {
			b.Fatalf("a new connection would come from %v, %v", r.Local(), err)
		}
		time.Sleep(10 * time.Second) // with IPv6 the interface says something of its own at first
		before := second.sentCount()
		if n, err := c.TryWrite([]byte("text")); n != 4 || err != nil {
			b.Fatalf("Write = %d, %v", n, err)
		}
		fromOurs := func(what string, count int) {
			b.Helper()
			frames := b.take()
			if len(frames) != count {
				b.Errorf("%s: %d frames, want %d", what, len(frames), count)
			}
			for _, f := range frames {
				if p := b.parsed(f); p.Src != b.ours() {
					b.Errorf("%s: from %v", what, p.Src)
				}
			}
		}
		fromOurs("text", 1)
		b.inject(b.frame(seg{flags: "A", seq: 101, ack: iss + 5, text: "hello"}))
		fromOurs("acknowledgment", 1)
		if c.Local().Addr() != b.ours() {
			b.Errorf("Local = %v", c.Local())
		}
		c.Abort()
		fromOurs("reset", 1)
		if frames := second.sentCount() - before; frames != 0 {
			b.Errorf("%d frames left through the other interface", frames)
		}
	})
}

// sentCount returns how many frames the host has sent through d.
func (d *memDevice) sentCount() int {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.out)
}
