package tap

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack/link"
)

// ringReader holds what a nativeReader needs for reading by io_uring.
type ringReader struct {
	*ring
	bufs  [ringEntries]*link.Buffer // the reads of a batch fill them; kept from call to call
	start [ringEntries]int          // where the frame begins in each buffer
	res   [ringEntries]int32
	// ahead is the number of frames that the next batch asks for: twice the number that the last one found. A read that
	// finds none is cheap, but not free.
	ahead int
	done  func(i int, res int32)
}

// ringWriter holds what a nativeWriter needs for writing by io_uring.
type ringWriter struct {
	*ring
	index [ringEntries]int // the frame of each operation, by its index
	res   [ringEntries]int32
	vnet  [ringEntries][vnetLen]byte // for frames without headroom
	done  func(i int, res int32)
}

// useRings makes the queue use io_uring where the system allows it: containers often do not. When the system refuses a
// call later, as a filter of system calls that is installed meanwhile does, that side goes on without io_uring.
func (q *native) useRings() {
	in, err := newRing()
	if err != nil {
		return
	}
	out, err := newRing()
	if err != nil {
		in.close()
		return
	}
	r := &ringReader{ring: in, ahead: 2}
	r.done = func(i int, res int32) { r.res[i] = res }
	w := &ringWriter{ring: out}
	w.done = func(i int, res int32) { w.res[i] = res }
	q.reader.ring, q.writer.ring = r, w
}

// dropReadRing closes the ring of the reading side. Reasons are that the queue is closed, that the driver of this kernel
// (before 6.4) cannot be asked not to wait, or that the system refuses io_uring.
func (q *native) dropReadRing() {
	for _, b := range q.reader.ring.bufs {
		if b != nil {
			b.Release()
		}
	}
	q.reader.ring.close()
	q.reader.ring = nil
}

// readRing does the work of readAll by io_uring: a system call reads as many frames as are probably there.
func (q *native) readRing(fd uintptr) bool {
	r := &q.reader
	ring := r.ring
	for r.n < len(r.frames) && r.octets < burstOctets {
		ask := min(ring.ahead, len(r.frames)-r.n, ringEntries)
		for i := range ask {
			if ring.bufs[i] == nil {
				ring.bufs[i] = link.NewBuffer(link.MaxBuffer)
			}
			ring.start[i] = r.place + i%colours*colourStep
			room := ring.bufs[i].Bytes()[ring.start[i]-q.vnet:]
			ring.queue(ringOpRead, fd, unsafe.Pointer(&room[0]), len(room))
			ring.res[i] = notDone
		}
		refused := ring.submit(ring.done) != nil
		runtime.KeepAlive(&ring.bufs)
		got := 0
		for i := range ask {
			switch errno := errnoOf(ring.res[i]); errno {
			case 0:
				got++
				if q.receive(ring.bufs[i], ring.start[i], int(ring.res[i])) {
					ring.bufs[i] = nil
				}
			case unix.EAGAIN, unix.EINTR:
			case unix.EOPNOTSUPP, unix.EINVAL, unix.ENOSYS, unix.EPERM, unix.EACCES:
				refused = true
			default:
				r.err = errno
			}
		}
		if r.err != nil {
			return true
		}
		if refused {
			q.dropReadRing()
			return q.readAll(fd)
		}
		ring.ahead = min(max(2*got, 2), ringEntries)
		if r.octets >= burstOctets/2 {
			ring.ahead = min(ring.ahead, 4)
		}
		if got < ask {
			return r.n > 0
		}
	}
	return true
}

// writeRing does the work of writeReady by io_uring: a system call writes up to ringEntries frames, in their order. If the
// kernel has no room for a frame and then room for those behind it, that frame is written after them: a network may
// reorder frames, and this loses none.
func (q *native) writeRing(fd uintptr) bool {
	w := &q.writer
	for w.n < len(w.frames) {
		end := min(w.n+ringEntries, len(w.frames))
		ops := q.queueWrites(fd, end)
		refused := w.ring.submit(w.ring.done) != nil
		runtime.KeepAlive(w.frames)
		clear(w.iov) // the frames are the caller's: keep no pointer into them
		for i := range ops {
			errno := errnoOf(w.ring.res[i])
			switch errno {
			case unix.EAGAIN, unix.EINTR:
				continue
			case unix.EOPNOTSUPP, unix.ENOSYS, unix.EPERM, unix.EACCES:
				refused = true
				continue
			default: // written, or an error that wrote counts
			}
			at := w.ring.index[i]
			w.settled[at%ringEntries] = true
			if q.wrote(&w.frames[at], errno); w.err != nil {
				w.settled = [ringEntries]bool{}
				return true
			}
		}
		for ; w.n < end && w.settled[w.n%ringEntries]; w.n++ {
			w.settled[w.n%ringEntries] = false
		}
		if refused {
			w.ring.close()
			w.ring = nil
			return q.writeReady(fd)
		}
		if w.n < end {
			return false
		}
	}
	return true
}

// queueWrites queues a write for each frame before end that may be sent. It returns the number of writes.
func (q *native) queueWrites(fd uintptr, end int) int {
	w := &q.writer
	vectors := 0
	for i := w.n; i < end; i++ {
		vectors += 2 + len(w.frames[i].Payload)
	}
	if cap(w.iov) < vectors {
		w.iov = make([]unix.Iovec, 0, 2*vectors)
	}
	w.iov = w.iov[:0] // large enough now: append must not move it, because the kernel reads it
	ops := 0
	for i := w.n; i < end; i++ {
		if w.settled[i%ringEntries] {
			continue
		}
		from := len(w.iov)
		if !q.gather(&w.frames[i], w.ring.vnet[ops][:]) {
			w.iov = w.iov[:from]
			q.out.malformed.Add(1)
			w.settled[i%ringEntries] = true
			continue
		}
		w.ring.index[ops], w.ring.res[ops] = i, notDone
		ops++
		if v := w.iov[from:]; len(v) == 1 {
			w.ring.queue(ringOpWrite, fd, unsafe.Pointer(v[0].Base), int(v[0].Len))
		} else {
			w.ring.queue(ringOpWritev, fd, unsafe.Pointer(&v[0]), len(v))
		}
	}
	return ops
}
