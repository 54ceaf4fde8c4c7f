package stack

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack/link"
)

// waitFor runs a call that has to wait, in a goroutine, and returns where its error will be.
func waitFor(t *testing.T, call func() error) <-chan error {
	t.Helper()
	result := make(chan error, 1)
	go func() { result <- call() }()
	synctest.Wait()
	if len(result) != 0 {
		t.Fatalf("did not wait, but returned %v", <-result)
	}
	return result
}

// returned demands that the call has returned by now.
func returned(t *testing.T, what string, result <-chan error, want error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-result:
		if err != want {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	default:
		t.Errorf("%s still waits", what)
	}
}

func TestUDPSocketEnds(t *testing.T) {
	withPeers(t, "a deadline in the past ends a read", Config{}, func(b *bed) {
		s := b.bindUDP(b.here(7))
		for _, past := range []time.Time{time.Unix(1, 0), time.Now().Add(-time.Hour)} {
			if err := s.SetReadDeadline(time.Time{}); err != nil {
				b.Fatal(err)
			}
			read := waitFor(b.T, func() error { _, err := s.Read(make([]byte, 8)); return err })
			if err := s.SetReadDeadline(past); err != nil {
				b.Fatal(err)
			}
			returned(b.T, "the read", read, syscall.EAGAIN)
		}
	})
	withPeers(t, "readiness after the last device has failed", Config{}, func(b *bed) {
		s, lo := b.bindUDP(b.here(7)), b.bindUDP(b.loopback(7))
		if r := s.Ready(); r != ReadyOut {
			b.Fatalf("ready for %b at first", r)
		}
		if err := b.dev.Close(); err != nil { // which its Read tells
			b.Fatal(err)
		}
		<-b.h.Done()
		if r := s.Ready(); r != ReadyIn|ReadyOut|ReadyErr|ReadyHup {
			b.Errorf("ready for %b without a device, want IN, OUT, ERR and HUP", r)
		}
		if _, err := s.Read(make([]byte, 1)); err != syscall.ENETDOWN {
			b.Errorf("Read: %v, want ENETDOWN", err)
		}
		if r := lo.Ready(); r != ReadyOut {
			b.Errorf("the socket on a loopback address is ready for %b", r)
		}
	})
	withPeers(t, "what waits in a socket that is closed is no longer counted", Config{}, func(b *bed) {
		s := b.bindUDP(b.here(7))
		for range 40 {
			b.inject(b.udpIn(5, 7, make([]byte, 1000)))
		}
		if n := b.h.buffered.Load(); n < udpStep {
			b.Fatalf("%d octets are counted", n)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		if n, sockets := b.h.buffered.Load(), b.h.Stats().UDPSockets; n != 0 || sockets != 0 {
			b.Errorf("%d octets and %d sockets are counted after Close", n, sockets)
		}
	})
	onDevices(t, "one datagram always fits", Config{}, link.Info{Name: "mem0", Kind: link.IP, MTU: 65535}, func(b *bed) {
		s := b.bindUDP(b.here(7))
		if err := s.SetReadBuffer(0); err != nil {
			b.Fatal(err)
		}
		data := octets(60000)
		b.inject(b.udpIn(5, 7, data))
		b.inject(b.udpIn(5, 7, data))
		b.wantDatagram(s, data)
		b.wantNoDatagram(s)
		b.wantDrop(DropUDPFull, 1)
	})
}
