package ip

import (
	"sync"

	"github.com/unet-go/unet/internal/fifo"
	"github.com/unet-go/unet/stack/link"
)

// What the loopback device holds at most; more is dropped, as on a wire.
const (
	loopbackFrames = 16384
	loopbackMTU    = 65535
)

// loopback is the device that leads back to the host itself. It carries IP packets, trusts their
// checksums and takes super-segments whole.
type loopback struct {
	mu     sync.Mutex
	ready  sync.Cond
	frames fifo.Queue[link.Frame]
	octets int
	limit  int // of octets
	closed bool
}

func newLoopback(octets int) *loopback {
	l := &loopback{limit: octets}
	l.ready.L = &l.mu
	return l
}

// Info describes the device.
func (l *loopback) Info() link.Info {
	return link.Info{Name: "lo", Kind: link.IP, MTU: loopbackMTU, Checksum: true, TSO4: true, TSO6: true,
		MaxPacket: loopbackMTU}
}

// Write queues frames for Read. A frame in one piece is shared, one in several is copied together: what Read
// returns is contiguous.
func (l *loopback) Write(frames []link.Frame) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, link.ErrClosed
	}
	for i := range frames {
		f := &frames[i]
		n := f.Len()
		if l.frames.Len() >= loopbackFrames || l.octets+n > l.limit {
			continue
		}
		l.octets += n
		l.frames.Push(link.Frame{})
		slot := l.frames.Last()
		if shared, ok := f.Share(); ok {
			*slot = shared
			continue
		}
		slot.Meta = f.Meta
		b := link.NewBuffer(link.Headroom + n)
		f.CopyTo(b.Bytes()[link.Headroom:])
		slot.Set(b, link.Headroom, link.Headroom+n)
	}
	l.ready.Signal()
	return len(frames), nil
}

// Read waits for frames and returns as many as there are.
func (l *loopback) Read(frames []link.Frame) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.frames.Len() == 0 && !l.closed {
		l.ready.Wait()
	}
	if l.closed {
		return 0, link.ErrClosed
	}
	n := min(len(frames), l.frames.Len())
	for i := range n {
		frames[i] = *l.frames.First()
		l.octets -= len(frames[i].Header)
		l.frames.Pop()
	}
	return n, nil
}

// Close drops what is queued and wakes Read.
func (l *loopback) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for i := range l.frames.Items() {
		l.frames.Items()[i].Release()
	}
	l.frames, l.octets = fifo.Queue[link.Frame]{}, 0
	l.ready.Broadcast()
	return nil
}
