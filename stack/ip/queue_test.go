package ip

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/unet-go/unet/internal/clock"
	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/span"
	"github.com/unet-go/unet/stack/link"
)

// stuckDevice lets a test decide when a Write returns, and how much of it was taken.
type stuckDevice struct {
	device
	enter, leave chan struct{}
	err          error
}

func (d *stuckDevice) Write(frames []link.Frame) (int, error) {
	if d.enter != nil {
		d.enter <- struct{}{}
		<-d.leave
	}
	if d.err != nil {
		return 0, d.err
	}
	return d.device.Write(frames[:1]) // one at a time is allowed
}

func newQueue(d link.Device) *Queue {
	b := &base{Env: Env{Drops: new(drop.Counters), Clock: new(clock.Clock)}}
	return &Queue{dev: d, device: &deviceState{base: b}}
}

func frameOf(b byte) *link.Frame {
	var f link.Frame
	buf := link.NewBuffer(1)
	buf.Bytes()[0] = b
	f.Set(buf, 0, 1)
	return &f
}

func TestTransmitQueue(t *testing.T) {
	t.Run("frames leave in order, with what comes while a flush writes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := &stuckDevice{enter: make(chan struct{}), leave: make(chan struct{})}
			q := newQueue(d)
			q.put(frameOf(1), nil)
			q.put(frameOf(2), nil)
			done := make(chan struct{})
			go func() {
				q.flush()
				close(done)
			}()
			<-d.enter
			q.put(frameOf(3), nil)
			q.flush() // returns at once: the other one takes ours
			d.leave <- struct{}{}
			for range 2 {
				<-d.enter
				d.leave <- struct{}{}
			}
			<-done
			if diff := cmp.Diff([][]byte{{1}, {2}, {3}}, d.out); diff != "" {
				t.Error(diff)
			}
		})
	})
	t.Run("a burst holds flushes back", func(t *testing.T) {
		d := &device{info: link.Info{}}
		q := newQueue(d)
		q.BeginBurst()
		q.put(frameOf(1), nil)
		q.flush()
		if len(d.out) != 0 {
			t.Error("written during the burst")
		}
		q.EndBurst()
		q.flush()
		if len(d.out) != 1 {
			t.Errorf("%d frames after the burst, want 1", len(d.out))
		}
	})
	t.Run("a device that fails is tried again later, and then gets what came meanwhile too", func(t *testing.T) {
		d := &stuckDevice{err: errors.New("no")}
		q := newQueue(d)
		q.put(frameOf(1), nil)
		q.flush()
		d.err = nil
		q.put(frameOf(2), nil)
		q.flush()
		if len(d.out) != 0 {
			t.Error("written before its time")
		}
		q.advance(0)
		if diff := cmp.Diff([][]byte{{1}, {2}}, d.out); diff != "" {
			t.Error(diff)
		}
		if n := q.device.counters.writeErrors.Load(); n != 1 {
			t.Errorf("%d write errors, want 1", n)
		}
	})
	t.Run("a full queue drops the newest and counts it", func(t *testing.T) {
		d := &device{info: link.Info{}}
		q := newQueue(d)
		for range maxQueuedFrames + 3 {
			q.put(frameOf(1), nil)
		}
		q.flush()
		if n := q.device.base.Drops.Load()[drop.TxQueueFull]; n != 3 || len(d.out) != maxQueuedFrames {
			t.Errorf("%d dropped and %d sent", n, len(d.out))
		}
	})
	t.Run("payload is gathered with references that the flush gives back", func(t *testing.T) {
		d := &device{info: link.Info{}}
		q := newQueue(d)
		buf := link.NewBuffer(10)
		copy(buf.Bytes(), "0123456789")
		for range 3 {
			q.put(frameOf('a'), []span.Span{{Data: buf.Bytes()[:2], Owner: buf}, {Owner: buf}, {Data: buf.Bytes()[5:6], Owner: buf}})
			q.flush()
		}
		if diff := cmp.Diff([][]byte{[]byte("a015"), []byte("a015"), []byte("a015")}, d.out); diff != "" {
			t.Error(diff)
		}
		buf.Release() // would panic if a reference had been given back twice
	})
}

func TestLoopback(t *testing.T) {
	t.Run("gathered frames arrive in one piece, others are shared", func(t *testing.T) {
		l := newLoopback(MaxLoopbackOctets)
		buf := link.NewBuffer(4)
		copy(buf.Bytes(), "tail")
		gathered := *frameOf('a')
		gathered.Append(buf.Bytes()[:4], buf)
		buf.Release()
		frames := []link.Frame{*frameOf('x'), gathered}
		if n, err := l.Write(frames); n != 2 || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
		for i := range frames {
			frames[i].Release()
		}
		got := make([]link.Frame, 4)
		if n, err := l.Read(got); n != 2 || err != nil {
			t.Fatalf("Read = %d, %v", n, err)
		}
		if string(got[0].Header) != "x" || string(got[1].Header) != "atail" || len(got[1].Payload) != 0 {
			t.Errorf("read %q and %q", got[0].Header, got[1].Header)
		}
		got[0].Release()
		got[1].Release()
	})
	t.Run("the queue is bounded", func(t *testing.T) {
		l := newLoopback(MaxLoopbackOctets)
		for range loopbackFrames + 5 {
			f := []link.Frame{*frameOf(1)}
			if _, err := l.Write(f); err != nil {
				t.Fatal(err)
			}
			f[0].Release()
		}
		if n := l.frames.Len(); n != loopbackFrames {
			t.Errorf("%d frames queued, want %d", n, loopbackFrames)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Write(make([]link.Frame, 1)); err != link.ErrClosed {
			t.Errorf("Write = %v, want ErrClosed", err)
		}
		if _, err := l.Read(make([]link.Frame, 1)); err != link.ErrClosed {
			t.Errorf("Read = %v, want ErrClosed", err)
		}
	})
}

// partDevice takes one frame, and then returns an error.
type partDevice struct{ *device }

func (d partDevice) Write(frames []link.Frame) (int, error) {
	n, _ := d.device.Write(frames[:1])
	return n, errors.New("full")
}

// OctetsOut is about what the device has taken.
func TestOctetsOutOfPart(t *testing.T) {
	dev := partDevice{&device{info: link.Info{Name: "mem0", Kind: link.IP, MTU: 1500}}}
	q := &Queue{dev: dev, device: new(deviceState)}
	frames := make([]link.Frame, 3)
	for i := range frames {
		b := link.NewBuffer(100 * (i + 1))
		frames[i].Set(b, 0, 100*(i+1))
	}
	rest, err := q.send(frames)
	if len(rest) != 2 || err == nil || rest[0].Len() != 200 || rest[1].Len() != 300 {
		t.Errorf("send leaves %d frames, %v", len(rest), err)
	}
	if c := &q.device.counters; c.framesOut.Load() != 1 || c.octetsOut.Load() != 100 {
		t.Errorf("%d frames of %d octets are counted, want one of 100", c.framesOut.Load(), c.octetsOut.Load())
	}
	for i := range rest {
		rest[i].Release()
	}
}

// The loopback device holds what was not read, and nothing of what was.
func TestLoopbackHolds(t *testing.T) {
	l := newLoopback(1000)
	defer l.Close()
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
