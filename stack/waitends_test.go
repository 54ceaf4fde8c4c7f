package stack

import (
	"syscall"
	"testing"
	"time"
)

func TestAcceptDeadlineMoves(t *testing.T) {
	withPeers(t, "to the past", Config{}, func(b *bed) {
		l := b.listenTCP(80, 1)
		for _, first := range []time.Time{{}, time.Now().Add(time.Hour)} {
			if err := l.SetDeadline(first); err != nil {
				b.Fatal(err)
			}
			accept := waitFor(b.T, func() error { _, err := l.Accept(); return err })
			if err := l.SetDeadline(time.Unix(1, 0)); err != nil {
				b.Fatal(err)
			}
			returned(b.T, "Accept", accept, syscall.EAGAIN)
		}
	})
}

// A deadline that ends a read of all that was asked for, amid its text, is not an error that waits for the next call.
func TestReadAllEndedByDeadline(t *testing.T) {
	withPeers(t, "amid the text", Config{}, func(b *bed) {
		c, iss := b.accepted()
		b.send(seg{flags: "PA", seq: 101, ack: iss + 1, text: "text"})
		if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			b.Fatal(err)
		}
		n, err := c.ReadMsg([][]byte{make([]byte, 8)}, ReadMode{All: true})
		if n != 4 || err != nil {
			b.Errorf("ReadMsg: %d, %v; want what was there", n, err)
		}
		if err := c.TakeError(); err != nil {
			b.Errorf("the pending error is %v", err)
		}
		if r := c.Ready(); r&ReadyErr != 0 {
			b.Errorf("ready for %b", r)
		}
	})
}
