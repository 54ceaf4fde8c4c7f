package stack

import (
	"syscall"
	"testing"

	"github.com/unet-go/unet/stack/tcp"
)

// The port that a bind gets is one that nobody has a connection on, though nobody has bound it.
func TestChosenPortIsUnused(t *testing.T) {
	onBeds(t, "with one left", Config{}, func(b *bed) {
		const free = 40001
		ports := &b.h.tcp.ports
		use := func(n int32) {
			for p := range uint16(ephemeralPorts) {
				if p += firstEphemeral; p != free {
					ports.flows[familiesOf(b.ours(), true)-1].of(p).Add(n)
				}
			}
		}
		use(1)
		defer use(-1)
		binding, err := b.h.BindTCP(b.here(0), BindOptions{})
		if err != nil || binding.Local().Port() != free {
			b.Fatalf("BindTCP: %v, %v; want port %d", binding, err, free)
		}
		if _, err := b.h.BindTCP(b.here(0), BindOptions{}); err != syscall.EADDRINUSE {
			b.Errorf("BindTCP without a free port: %v, want EADDRINUSE", err)
		}
		if err := binding.Close(); err != nil {
			b.Error(err)
		}
	})
}

// A binding whose port ConnectTCP was to choose serves again after there was none.
func TestLatePortAgain(t *testing.T) {
	withPeers(t, "when there are ports again", Config{}, func(b *bed) {
		binding, err := b.h.BindTCP(b.here(0), BindOptions{LatePort: true})
		if err != nil {
			b.Fatal(err)
		}
		bound := &b.h.tcp.ports.bound[familiesOf(b.ours(), true)-1]
		for i := range bound {
			bound[i].Store(^uint32(0))
		}
		to := b.there(80)
		for range 2 {
			if _, err := b.h.ConnectTCP(binding, to, tcp.DefaultOptions()); err != syscall.EADDRNOTAVAIL {
				b.Errorf("ConnectTCP without a free port: %v, want EADDRNOTAVAIL", err)
			}
		}
		for i := range bound {
			bound[i].Store(0)
		}
		if _, err := b.h.ConnectTCP(binding, to, tcp.DefaultOptions()); err != nil {
			b.Errorf("ConnectTCP when there are ports again: %v", err)
		}
	})
}

// An acknowledgment that completes a handshake while there is no way back takes no place in the accept queue.
func TestHandshakeWithoutRoute(t *testing.T) {
	withPeers(t, "the carrier goes and comes", Config{}, func(b *bed) {
		l := b.listenTCP(80, 0) // one place
		out := b.send(seg{flags: "S", seq: 100})
		if len(out) != 1 || out[0].flags != "SA" {
			b.Fatalf("SYN answered by %v", out)
		}
		ack := seg{flags: "A", seq: 101, ack: out[0].seq + 1}
		ifc := b.h.ip.Interfaces()[1]
		ifc.CarrierChanged(false)
		b.expect("an ACK without a route", b.send(ack, ack))
		if _, err := l.TryAccept(); err != syscall.EAGAIN {
			b.Errorf("Accept: %v, want EAGAIN", err)
		}
		ifc.CarrierChanged(true)
		b.take()
		b.expect("an ACK", b.send(ack))
		if _, err := l.TryAccept(); err != nil {
			b.Errorf("Accept when there is a route again: %v", err)
		}
	})
}
