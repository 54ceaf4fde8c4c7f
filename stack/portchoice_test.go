package stack

import (
	"net/netip"
	"syscall"
	"testing"

	"github.com/unet-go/unet/stack/tcp"
)

// The port that a bind gets is one that nobody has a connection on, though nobody has bound it.
func TestChosenPortIsUnused(t *testing.T) {
	onBed(t, Config{}, func(b *bed) {
		const free = 40001
		ports := &b.h.tcp.ports
		use := func(n int32) {
			for p := range uint16(ephemeralPorts) {
				if p += firstEphemeral; p != free {
					ports.flows[v4-1].of(p).Add(n)
				}
			}
		}
		use(1)
		defer use(-1)
		binding, err := b.h.BindTCP(netip.AddrPortFrom(ourIP, 0), BindOptions{})
		if err != nil || binding.Local().Port() != free {
			t.Fatalf("BindTCP: %v, %v; want port %d", binding, err, free)
		}
		if _, err := b.h.BindTCP(netip.AddrPortFrom(ourIP, 0), BindOptions{}); err != syscall.EADDRINUSE {
			t.Errorf("BindTCP without a free port: %v, want EADDRINUSE", err)
		}
		if err := binding.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A binding whose port ConnectTCP was to choose serves again after there was none.
func TestLatePortAgain(t *testing.T) {
	withPeer(t, Config{}, func(b *bed) {
		binding, err := b.h.BindTCP(netip.AddrPortFrom(ourIP, 0), BindOptions{LatePort: true})
		if err != nil {
			t.Fatal(err)
		}
		bound := &b.h.tcp.ports.bound[v4-1]
		for i := range bound {
			bound[i].Store(^uint32(0))
		}
		to := netip.AddrPortFrom(peerIP, 80)
		for range 2 {
			if _, err := b.h.ConnectTCP(binding, to, tcp.DefaultOptions()); err != syscall.EADDRNOTAVAIL {
				t.Errorf("ConnectTCP without a free port: %v, want EADDRNOTAVAIL", err)
			}
		}
		for i := range bound {
			bound[i].Store(0)
		}
		if _, err := b.h.ConnectTCP(binding, to, tcp.DefaultOptions()); err != nil {
			t.Errorf("ConnectTCP when there are ports again: %v", err)
		}
	})
}

// An acknowledgment that completes a handshake while there is no way back takes no place in the accept queue.
func TestHandshakeWithoutRoute(t *testing.T) {
	withPeer(t, Config{}, func(b *bed) {
		l := b.listenTCP(80, 0) // one place
		out := b.send(seg{flags: "S", seq: 100})
		if len(out) != 1 || out[0].flags != "SA" {
			t.Fatalf("SYN answered by %v", out)
		}
		ack := seg{flags: "A", seq: 101, ack: out[0].seq + 1}
		ifc := b.h.ip.Interfaces()[1]
		ifc.CarrierChanged(false)
		b.expect("an ACK without a route", b.send(ack, ack))
		if _, err := l.TryAccept(); err != syscall.EAGAIN {
			t.Errorf("Accept: %v, want EAGAIN", err)
		}
		ifc.CarrierChanged(true)
		b.take()
		b.expect("an ACK", b.send(ack))
		if _, err := l.TryAccept(); err != nil {
			t.Errorf("Accept when there is a route again: %v", err)
		}
	})
}
