package stack

import (
	"syscall"
	"testing"

	"github.com/unet-go/unet/stack/tcp"
)

func TestLimits(t *testing.T) {
	withPeers(t, "D-SYN-1 Config.MaxHalfOpen bounds the records of all listeners", Config{MaxHalfOpen: 3}, func(b *bed) {
		b.listenTCP(80, 10)
		b.listenTCP(81, 10)
		for i := range uint16(5) {
			for port := range uint16(2) {
				if got := b.send(seg{flags: "S", seq: 100, port: 80 + port, peer: 3000 + i}); len(got) != 1 || got[0].flags != "SA" {
					b.Fatalf("SYN %d of port %d: %v", i, port, got)
				}
			}
		}
		if g := b.h.Stats().TCPGauges; g.HalfOpen != 3 || g.SYNCookies != 7 {
			b.Errorf("%d records, %d cookies", g.HalfOpen, g.SYNCookies)
		}
	})
	withPeers(t, "D-TW-1 Config.MaxTimeWait bounds the records, Config.MaxOrphans the connections without an owner", Config{Shards: 1, MaxTimeWait: 4, MaxOrphans: 2}, func(b *bed) {
		l := b.listenTCP(80, 10)
		for i := range uint16(10) {
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
			b.sent()   // FIN, or the reset
			if i < 6 { // the others' FIN never comes
				b.send(seg{flags: "FA", seq: 101, ack: iss + 2, peer: peer})
			}
		}
		g := b.h.Stats().TCPGauges
		if g.States[tcp.TimeWaitState] != 4 || g.TimeWaitOverflows != 2 || g.Orphans != 2 || g.OrphansReset != 2 {
			b.Errorf("gauges %+v", g)
		}
	})
	t.Run("an unknown congestion control is refused", func(t *testing.T) {
		if h, err := New(Config{TCP: tcp.Config{CongestionControl: "bbr"}}); h != nil || err != syscall.ENOENT {
			t.Errorf("%v, %v", h, err)
		}
	})
}

func TestLatePort(t *testing.T) {
	withPeers(t, "E-PORT-1 an address bound without a port has each port for each destination", Config{}, func(b *bed) {
		dial := func(port uint16) (*TCPConn, error) {
			local, err := b.h.BindTCP(b.here(0), BindOptions{LatePort: true})
			if err != nil {
				b.Fatal(err)
			}
			if got := local.Local(); got != b.here(0) {
				b.Fatalf("bound to %v", got)
			}
			c, err := b.h.ConnectTCP(local, b.there(port), tcp.DefaultOptions())
			if again := local.Close(); (again == nil) != (err != nil) {
				b.Fatalf("connect: %v, then close of the binding: %v", err, again)
			}
			return c, err
		}
		for port := range uint16(2) {
			for i := range ephemeralPorts {
				c, err := dial(1 + port)
				if err != nil {
					b.Fatalf("dial %d of destination %d: %v", i+1, port, err)
				}
				if c.Local().Addr() != b.ours() || c.Local().Port() < firstEphemeral {
					b.Fatalf("from %v", c.Local())
				}
			}
			b.take()
		}
		if _, err := dial(1); err != syscall.EADDRNOTAVAIL {
			b.Errorf("dial beyond: %v", err)
		}
		if n := b.h.Stats().TCPGauges.Bindings; n != 0 {
			b.Errorf("%d bindings", n)
		}
	})
	withPeers(t, "nobody listens without a port", Config{}, func(b *bed) {
		local, err := b.h.BindTCP(b.here(0), BindOptions{LatePort: true})
		if err != nil {
			b.Fatal(err)
		}
		if l, err := b.h.ListenTCP(local, 1, tcp.DefaultOptions()); l != nil || err != syscall.EINVAL {
			b.Errorf("%v, %v", l, err)
		}
		if _, err := b.h.BindTCP(b.there(0), BindOptions{LatePort: true}); err != syscall.EADDRNOTAVAIL {
			b.Errorf("foreign address: %v", err)
		}
		if err := local.Close(); err != nil {
			b.Error(err)
		}
	})
}
