package stack

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/link"
)

func TestAcceptDeadlineMoves(t *testing.T) {
	withPeer(t, Config{}, func(b *bed) {
		l := b.listenTCP(80, 1)
		for _, first := range []time.Time{{}, time.Now().Add(time.Hour)} {
			if err := l.SetDeadline(first); err != nil {
				t.Fatal(err)
			}
			accept := waitFor(t, func() error { _, err := l.Accept(); return err })
			if err := l.SetDeadline(time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
			returned(t, "Accept", accept, syscall.EAGAIN)
		}
	})
}

// A deadline that ends a read of all that was asked for, amid its text, is not an error that waits for the next call.
func TestReadAllEndedByDeadline(t *testing.T) {
	withPeer(t, Config{}, func(b *bed) {
		c, iss := b.accepted()
		b.send(seg{flags: "PA", seq: 101, ack: iss + 1, text: "text"})
		if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := c.ReadMsg([][]byte{make([]byte, 8)}, ReadMode{All: true})
		if n != 4 || err != nil {
			t.Errorf("ReadMsg: %d, %v; want what was there", n, err)
		}
		if err := c.TakeError(); err != nil {
			t.Errorf("the pending error is %v", err)
		}
		if r := c.Ready(); r&ReadyErr != 0 {
			t.Errorf("ready for %b", r)
		}
	})
}

// The loopback device holds what was not read, and nothing of what was.
func TestLoopbackHolds(t *testing.T) {
	l := newLoopback()
	defer l.Close()
	l.limit = 1000
	frames := make([]link.Frame, 3)
	write := func() {
		t.Helper()
		for i := range frames {
			b := link.NewBuffer(400)
			frames[i].Set(b, 0, 400)
		}
		if n, err := l.Write(frames); n != len(frames) || err != nil {
			t.Errorf("Write: %d, %v", n, err)
		}
		for i := range frames {
			frames[i].Release()
		}
	}
	for range 3 {
		write()
		n, err := l.Read(frames)
		if n != 2 || err != nil {
			t.Errorf("Read: %d frames, %v; want the 2 that there is room for", n, err)
		}
		for i := range n {
			frames[i].Release()
		}
		if l.octets != 0 {
			t.Errorf("%d octets are counted after all were read", l.octets)
		}
	}
}

// partDevice takes one frame, and then returns an error.
type partDevice struct{ *memDevice }

func (d partDevice) Write(frames []link.Frame) (int, error) {
	n, _ := d.memDevice.Write(frames[:1])
	return n, errors.New("full")
}

// OctetsOut is about what the device has taken.
func TestOctetsOutOfPart(t *testing.T) {
	dev := partDevice{newMemDevice(link.Info{Name: "mem0", Kind: link.IP, MTU: 1500})}
	ifc := &iface{dev: dev}
	q := &txQueue{dev: dev, iface: ifc}
	frames := make([]link.Frame, 3)
	for i := range frames {
		b := link.NewBuffer(100 * (i + 1))
		frames[i].Set(b, 0, 100*(i+1))
	}
	rest, err := q.send(frames)
	if len(rest) != 2 || err == nil || rest[0].Len() != 200 || rest[1].Len() != 300 {
		t.Errorf("send leaves %d frames, %v", len(rest), err)
	}
	if c := &ifc.counters; c.framesOut.Load() != 1 || c.octetsOut.Load() != 100 {
		t.Errorf("%d frames of %d octets are counted, want one of 100", c.framesOut.Load(), c.octetsOut.Load())
	}
	for i := range rest {
		rest[i].Release()
	}
}
