package tap

import (
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack/link"
)

// lastPlace is the last place in its buffer that placeFor returns.
const lastPlace = link.Headroom + 7

// placeFor returns where a frame with headers of so many octets begins in its buffer: at the first place after the
// headroom at which the text behind the headers begins at a multiple of 8. Where it does not, copying it into the buffer
// of a Read takes a third longer.
func placeFor(headers int) int { return (link.Headroom+headers+7)&^7 - headers }

// networkStart returns where in a frame its IP header begins.
func networkStart(kind link.Kind) int {
	if kind == link.Ethernet {
		return 14
	}
	return 0
}

// Lengths in octets of the IP and TCP headers of a segment with timestamps and no other option, as in a bulk transfer.
const (
	usualHeaders4 = 20 + 20 + 12
	usualHeaders6 = 40 + 20 + 12
)

// headersOf returns the number of octets in front of the text of a frame, if the frame is a TCP segment. For a
// super-segment the driver tells it; for others the usual headers are assumed.
func (q *native) headersOf(frame []byte, m *link.Meta) int {
	if m.GSO != link.NoSegmentation {
		return int(m.HeaderLen)
	}
	if len(frame) > q.network && frame[q.network]>>4 == 6 {
		return q.network + usualHeaders6
	}
	return q.network + usualHeaders4
}

// nativeReader is the state of a Read. Its lock is held while the Read looks for frames; ReadHeld and TryRead keep it
// until ReadDone. So Close can wait for a reader.
type nativeReader struct {
	sync.Mutex
	ready   func(fd uintptr) bool // native.readReady, made once because a method value allocates
	glance  func(fd uintptr)      // readAll, likewise
	waiting []link.Frame          // the argument of ReadHeld
	frames  []link.Frame
	n       int
	octets  uint64
	err     error
	spare   *link.Buffer // the next read fills it; kept from call to call
	start   int          // where the frame begins in spare
	// place is where a large frame of colour 0 begins in its buffer. The kind of a frame is known only when it has been
	// read, so this is the place for one like the last one: the frames of a bulk transfer come one after the other.
	place  int
	colour int // of the next buffer, 0 to colours-1
	spin   spin
	out    uint64      // counter of octets written, when frames were last found
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

// taken counts the frames of a read and returns their number.
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
	_ = q.conn.Control(r.glance) // ReadHeld finds the same error and returns it
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

// readReady reads until there is no frame or no room left, and leaves the reader locked. If there was no frame at all and
// none is expected soon it unlocks the reader and reports false, so that the poller waits.
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

// receive makes the next frame of the batch from the n octets that were read into b, where the virtio header ends and the
// frame begins at start. It drops a frame that is malformed or too long. It reports whether b belongs to the frame now.
func (q *native) receive(b *link.Buffer, start, n int) (taken bool) {
	r := &q.reader
	room := b.Bytes()[start-q.vnet:]
	size := n - q.vnet
	switch {
	case n == len(room):
		// The kernel cuts off a frame that does not fit, without an error.
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
