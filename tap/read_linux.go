package tap

import (
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack/link"
)

// copyBelow is the size in octets of a buffer up to which a received frame is copied out of the read buffer
// in place of being handed over in it: a copy costs some tens of nanoseconds, the next read finds its buffer
// in the cache, and a frame that the stack keeps pins a small buffer and not one of 72 KB.
const copyBelow = 2048

// colours is the number of places, colourStep octets apart, that frames begin at in their buffers. Buffers are
// aligned to their size, so without that the headers of a batch would compete for the same few cache sets.
const (
	colours    = 8
	colourStep = 128
)

// lastPlace is the last place in its buffer that placeFor returns.
const lastPlace = link.Headroom + 7

// placeFor returns the first place in its buffer of a frame with headroom whose text begins at a multiple of 8 if so
// many octets of headers stand in front of it. Where the text does not begin there, to copy it into the buffer of a
// Read takes a third longer.
func placeFor(headers int) int { return (link.Headroom+headers+7)&^7 - headers }

// networkStart returns where in a frame its IP header begins.
func networkStart(kind link.Kind) int {
	if kind == link.Ethernet {
		return 14
	}
	return 0
}

// Octets of the headers of a TCP segment in IP with timestamps and no other option, as those of a bulk transfer are.
const (
	usualHeaders4 = 20 + 20 + 12
	usualHeaders6 = 40 + 20 + 12
)

// headersOf returns how many octets stand in front of a frame's text if it is a TCP segment. Of a super-segment the
// driver says it, of others they are taken for the usual ones.
func (q *native) headersOf(frame []byte, m *link.Meta) int {
	if m.GSO != link.NoSegmentation {
		return int(m.HeaderLen)
	}
	if len(frame) > q.network && frame[q.network]>>4 == 6 {
		return q.network + usualHeaders6
	}
	return q.network + usualHeaders4
}

// nativeReader is what a Read works with. The lock is held while it looks for frames, and by ReadHeld and TryRead on
// until ReadDone, so that Close can wait for it.
type nativeReader struct {
	sync.Mutex
	ready   func(fd uintptr) bool // native.readReady, made once because a method value allocates
	glance  func(fd uintptr)      // readAll, likewise
	waiting []link.Frame          // what ReadHeld was called with
	frames  []link.Frame
	n       int
	octets  uint64
	err     error
	spare   *link.Buffer // what the next read goes to, kept from call to call
	start   int          // where the frame begins in spare
	// place is where a large frame of colour 0 begins in its buffer. A frame is read before it is known what it is, so
	// this is the place of one like the last one: those of a bulk transfer come many together.
	place  int
	colour int
	spin   spin
	out    uint64      // octets written in all when frames were last found
	ring   *ringReader // nil where there is no io_uring
}

// Read reads frames as link.Device says.
func (q *native) Read(frames []link.Frame) (int, error) {
	n, err := q.ReadHeld(frames)
	if n > 0 {
		q.ReadDone()
	}
	return n, err
}

// ReadHeld reads frames as link.Glancer says.
func (q *native) ReadHeld(frames []link.Frame) (int, error) {
	if len(frames) == 0 {
		return 0, nil
	}
	r := &q.reader
	r.waiting = frames
	err := q.conn.Read(r.ready)
	if err != nil { // else readReady has left the reader locked
		r.Lock()
		r.begin(nil)
	}
	r.waiting = nil
	if n := q.taken(); n > 0 {
		return n, nil
	}
	defer r.Unlock()
	switch {
	case q.closed.Load():
		return 0, link.ErrClosed
	case err == nil:
		err = r.err
	}
	return 0, q.failure(err)
}

// taken ends a read that found frames, and returns how many.
func (q *native) taken() int {
	r := &q.reader
	r.frames = nil
	q.in.frames.Add(uint64(r.n))
	q.in.octets.Add(r.octets)
	return r.n
}

// ReadDone lets the next read begin, as link.Glancer says.
func (q *native) ReadDone() { q.reader.Unlock() }

// TryRead reads frames as link.Glancer says.
func (q *native) TryRead(frames []link.Frame) int {
	r := &q.reader
	if len(frames) == 0 || !r.TryLock() {
		return 0
	}
	r.begin(frames)
	_ = q.conn.Control(r.glance) // an error is for ReadHeld to find
	n := q.taken()
	if n == 0 {
		r.Unlock()
	}
	return n
}

// begin begins a read.
func (r *nativeReader) begin(frames []link.Frame) {
	r.frames, r.n, r.octets, r.err = frames, 0, 0, nil
}

// readReady reads until there is no frame or no room left, and leaves the reader locked. It reports false, so that the
// poller waits, if there was no frame at all and none is to be expected soon.
func (q *native) readReady(fd uintptr) bool {
	r := &q.reader
	r.Lock()
	r.begin(r.waiting)
	for !q.readAll(fd) {
		if q.closed.Load() || !r.spin.again(time.Now) {
			r.Unlock()
			return false
		}
		r.Unlock()
		pause()
		r.Lock()
		r.begin(r.waiting)
	}
	out := q.out.octets.Load()
	r.spin.found(r.octets+out-r.out, time.Now)
	r.out = out
	return true
}

// readAll reads until there is no frame or no room left. It reports false if there was no frame at all.
func (q *native) readAll(fd uintptr) bool {
	r := &q.reader
	if r.ring != nil {
		return q.readRing(fd)
	}
	for r.n < len(r.frames) && r.octets < burstOctets {
		if r.spare == nil {
			r.spare = link.NewBuffer(link.MaxBuffer)
			r.start = r.place + r.colour*colourStep
		}
		room := r.spare.Bytes()[r.start-q.vnet:]
		// Nothing here can sleep, so the scheduler need not be told that a system call begins.
		n, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&room[0])), uintptr(len(room)))
		switch errno {
		case 0:
			if q.receive(r.spare, r.start, int(n)) {
				r.spare = nil
			}
		case unix.EAGAIN:
			return r.n > 0
		case unix.EINTR:
		default:
			r.err = errno
			return true
		}
	}
	return true
}

// receive makes the n octets that were read into b, virtio header first and the frame at start, the next
// frame of the batch, or drops them. It says whether the frame took b over.
func (q *native) receive(b *link.Buffer, start, n int) (taken bool) {
	r := &q.reader
	room := b.Bytes()[start-q.vnet:]
	size := n - q.vnet
	switch {
	case n == len(room):
		// The kernel cuts without a word what does not fit.
		q.in.truncated.Add(1)
		return false
	case size <= 0:
		q.in.malformed.Add(1)
		return false
	}
	f := &r.frames[r.n]
	if q.vnet == 0 {
		f.Meta = link.Meta{}
	} else if !getVnet(room, room[q.vnet:n], &f.Meta) {
		q.in.malformed.Add(1)
		return false
	}
	r.colour = (r.colour + 1) % colours
	place := placeFor(q.headersOf(room[q.vnet:n], &f.Meta))
	if taken = lastPlace+size > copyBelow; taken {
		f.Set(b, start, start+size)
		r.place = place
	} else {
		small := link.NewBuffer(place + size)
		at := place + min(r.colour*colourStep, small.Cap()-place-size)&^7
		copy(small.Bytes()[at:], room[q.vnet:n])
		f.Set(small, at, at+size)
	}
	r.n++
	r.octets += uint64(size)
	return taken
}
