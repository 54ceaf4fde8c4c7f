package ip

import (
	"sync"

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
	frames []link.Frame // from head on
	head   int
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
		if len(l.frames)-l.head >= loopbackFrames || l.octets+n > l.limit {
			continue
		}
		l.octets += n
		slot := l.extendLocked()
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

// extendLocked appends an empty frame, reusing the array where Read has emptied its front.
func (l *loopback) extendLocked() *link.Frame {
	if l.head > 0 && len(l.frames) == cap(l.frames) {
		n := copy(l.frames, l.frames[l.head:])
		clear(l.frames[n:])
		l.frames, l.head = l.frames[:n], 0
	}
	l.frames = append(l.frames, link.Frame{})
	return &l.frames[len(l.frames)-1]
}

// Read waits for frames and returns as many as there are.
func (l *loopback) Read(frames []link.Frame) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.head == len(l.frames) && !l.closed {
		l.ready.Wait()
	}
	if l.closed {
		return 0, link.ErrClosed
	}
	n := min(len(frames), len(l.frames)-l.head)
	for i := range n {
		f := &l.frames[l.head+i]
		l.octets -= len(f.Header)
		frames[i], *f = *f, link.Frame{}
	}
	if l.head += n; l.head == len(l.frames) {
		l.frames, l.head = l.frames[:0], 0
	}
	return n, nil
}

// Close drops what is queued and wakes Read.
func (l *loopback) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for i := range l.frames[l.head:] {
		l.frames[l.head+i].Release()
	}
	l.frames, l.head, l.octets = nil, 0, 0
	l.ready.Broadcast()
	return nil
}
