package stack

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// stuckDevice lets a test decide when a Write returns, and how much of it was taken.
type stuckDevice struct {
	memDevice
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
	return d.memDevice.Write(frames[:1]) // one at a time is allowed
}

func newQueue(d link.Device) *txQueue {
	return &txQueue{dev: d, iface: &iface{host: &Host{}}}
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
		d := newMemDevice(link.Info{})
		q := newQueue(d)
		q.beginBurst()
		q.put(frameOf(1), nil)
		q.flush()
		if len(d.out) != 0 {
			t.Error("written during the burst")
		}
		q.endBurst()
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
		q.Advance(0)
		if diff := cmp.Diff([][]byte{{1}, {2}}, d.out); diff != "" {
			t.Error(diff)
		}
		if n := q.iface.counters.writeErrors.Load(); n != 1 {
			t.Errorf("%d write errors, want 1", n)
		}
	})
	t.Run("a full queue drops the newest and counts it", func(t *testing.T) {
		d := newMemDevice(link.Info{})
		q := newQueue(d)
		for range maxQueuedFrames + 3 {
			q.put(frameOf(1), nil)
		}
		q.flush()
		if n := q.iface.host.counters.dropped[DropTxQueueFull].Load(); n != 3 || len(d.out) != maxQueuedFrames {
			t.Errorf("%d dropped and %d sent", n, len(d.out))
		}
	})
	t.Run("payload is gathered with references that the flush gives back", func(t *testing.T) {
		d := newMemDevice(link.Info{})
		q := newQueue(d)
		buf := link.NewBuffer(10)
		copy(buf.Bytes(), "0123456789")
		for range 3 {
			q.put(frameOf('a'), []tcp.Span{{Data: buf.Bytes()[:2], Owner: buf}, {Owner: buf}, {Data: buf.Bytes()[5:6], Owner: buf}})
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
		l := newLoopback()
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
		l := newLoopback()
		for range loopbackFrames + 5 {
			f := []link.Frame{*frameOf(1)}
			if _, err := l.Write(f); err != nil {
				t.Fatal(err)
			}
			f[0].Release()
		}
		if n := len(l.frames) - l.head; n != loopbackFrames {
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
	t.Run("datagrams of many senders arrive, each sender's in order", func(t *testing.T) {
		h, err := New(Config{UDPBuffer: 64 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}()
		const senders, each = 8, 500
		s, err := h.ListenUDP(netip.MustParseAddrPort("127.0.0.1:7"), BindOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range senders {
			c, err := h.ListenUDP(netip.MustParseAddrPort("127.0.0.1:0"), BindOptions{})
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				for i := range each {
					var p [4]byte
					binary.BigEndian.PutUint32(p[:], uint32(i))
					if _, err := c.WriteTo(p[:], s.Local()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		next := map[netip.AddrPort]uint32{}
		for range senders * each {
			var p [4]byte
			_, from, _, err := s.ReadFrom(p[:])
			if err != nil {
				t.Fatal(err)
			}
			if n := binary.BigEndian.Uint32(p[:]); n != next[from] {
				t.Fatalf("datagram %d of %v, want %d", n, from, next[from])
			}
			next[from]++
		}
		all.Wait()
	})
}
