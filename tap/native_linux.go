package tap

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
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

// firstOf returns the least place in its buffer of a frame with headroom whose text, if it is a TCP segment over IPv4
// with timestamps and no other option, as those of a bulk transfer are, begins at a multiple of 8. Where it does not,
// to copy it into the buffer of a Read takes a third longer.
func firstOf(kind link.Kind) int {
	headers := 20 + 20 + 12
	if kind == link.Ethernet {
		headers += 14
	}
	return (link.Headroom+headers+7)&^7 - headers
}

// native is a queue of the Linux TUN driver: a non-blocking descriptor in the runtime's poller.
//
// Frames cross in batches by io_uring where the system allows it; elsewhere one frame is one read(2), write(2)
// or writev(2), the virtio header included. A goroutine waits only when there is nothing at all, and then
// without holding a thread.
type native struct {
	info link.Info
	file *os.File
	conn syscall.RawConn
	vnet int // octets of the virtio header: vnetLen or 0
	// first is where the frame of colour 0 begins in its buffer.
	first int
	counters

	closing  sync.Once
	closed   atomic.Bool // before file is closed
	closeErr error

	reader nativeReader
	writer nativeWriter
	// steering is nil where frames stay on the processor that writes them. It is the writer's.
	steering *steering
}

// nativeReader is what a Read works with. The lock is held throughout, so that Close can wait for it.
type nativeReader struct {
	sync.Mutex
	ready  func(fd uintptr) bool // native.readReady, made once because a method value allocates
	frames []link.Frame
	n      int
	octets uint64
	err    error
	spare  *link.Buffer // what the next read goes to, kept from call to call
	start  int          // where the frame begins in spare
	colour int
	spin   spin
	out    uint64      // octets written in all when frames were last found
	ring   *ringReader // nil where there is no io_uring
}

// nativeWriter is what a Write works with, under its lock.
type nativeWriter struct {
	sync.Mutex
	ready  func(fd uintptr) bool // native.writeReady
	frames []link.Frame
	n      int // frames done with, sent or dropped
	sent   uint64
	octets uint64
	err    error
	iov    []unix.Iovec
	vnet   [vnetLen]byte // for frames without headroom
	ring   *ringWriter   // nil where there is no io_uring
}

// newNative returns a queue on file, which is non-blocking and in the poller, and takes ownership of it. With
// rings it uses io_uring where the system allows that.
func newNative(info link.Info, file *os.File, vnet int, rings bool) (*native, error) {
	conn, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	q := &native{info: info, file: file, conn: conn, vnet: vnet, first: firstOf(info.Kind)}
	q.reader.ready = q.readReady
	q.writer.ready = q.writeReady
	if rings {
		q.useRings()
	}
	return q, nil
}

// Info describes the device that the queue belongs to.
func (q *native) Info() link.Info { return q.info }

// Read reads frames as link.Device says.
func (q *native) Read(frames []link.Frame) (int, error) {
	if len(frames) == 0 {
		return 0, nil
	}
	r := &q.reader
	r.Lock()
	defer r.Unlock()
	r.frames, r.n, r.octets, r.err = frames, 0, 0, nil
	err := q.conn.Read(r.ready)
	r.frames = nil
	q.in.frames.Add(uint64(r.n))
	q.in.octets.Add(r.octets)
	switch {
	case r.n > 0:
		return r.n, nil
	case q.closed.Load():
		return 0, link.ErrClosed
	case err == nil:
		err = r.err
	}
	return 0, q.gone(err)
}

// readReady reads until there is no frame or no room left. It reports false, so that the poller waits, if
// there was no frame at all and none is to be expected soon.
func (q *native) readReady(fd uintptr) bool {
	r := &q.reader
	for !q.readAll(fd) {
		if q.closed.Load() || !r.spin.again(time.Now) {
			return false
		}
		pause()
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
			r.start = q.first + r.colour*colourStep
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
	if taken = q.first+size > copyBelow; taken {
		f.Set(b, start, start+size)
	} else {
		small := link.NewBuffer(q.first + size)
		at := q.first + min(r.colour*colourStep, small.Cap()-q.first-size)
		copy(small.Bytes()[at:], room[q.vnet:n])
		f.Set(small, at, at+size)
	}
	r.n++
	r.octets += uint64(size)
	return taken
}

// Write writes frames as link.Device says.
func (q *native) Write(frames []link.Frame) (int, error) {
	w := &q.writer
	w.Lock()
	defer w.Unlock()
	w.frames, w.n, w.sent, w.octets, w.err = frames, 0, 0, 0, nil
	err := q.steered()
	w.frames = nil
	q.out.frames.Add(w.sent)
	q.out.octets.Add(w.octets)
	switch {
	case err == nil && w.err == nil:
		return w.n, nil
	case q.closed.Load():
		return w.n, link.ErrClosed
	case err == nil:
		err = w.err
	}
	return w.n, q.gone(err)
}

// steered has the poller write w.frames, and tells the steering about it.
func (q *native) steered() error {
	w, s := &q.writer, q.steering
	if s == nil {
		return q.conn.Write(w.ready)
	}
	var began time.Time
	if s.measuring() {
		began = time.Now()
	}
	err := q.conn.Write(w.ready)
	var took time.Duration
	if !began.IsZero() {
		took = time.Since(began)
	}
	s.wrote(w.sent, w.octets, took)
	return err
}

// writeReady writes frames until all are gone. It reports false, so that the poller waits, when the kernel
// has no room.
func (q *native) writeReady(fd uintptr) bool {
	w := &q.writer
	if w.ring != nil && len(w.frames)-w.n > 1 {
		return q.writeRing(fd)
	}
	for ; w.n < len(w.frames); w.n++ {
		f := &w.frames[w.n]
		w.iov = w.iov[:0]
		if !q.gather(f, w.vnet[:]) {
			q.out.malformed.Add(1)
			continue
		}
		errno := q.send(fd)
		for errno == unix.EINTR {
			errno = q.send(fd)
		}
		if errno == unix.EAGAIN {
			return false
		}
		if q.wrote(f, errno); w.err != nil {
			return true
		}
	}
	return true
}

// wrote counts what became of a frame, and notes the error that ends the queue.
func (q *native) wrote(f *link.Frame, errno syscall.Errno) {
	w := &q.writer
	switch errno {
	case 0:
		w.sent++
		w.octets += uint64(f.Len())
	case unix.EIO:
		// The kernel's side is not up; it may come up again.
		q.out.down.Add(1)
	case unix.ENOMEM, unix.ENOBUFS:
		q.out.noMemory.Add(1)
	case unix.EBADF, unix.EBADFD, unix.ENODEV, unix.ENXIO, unix.ENETDOWN:
		w.err = errno
	default:
		q.out.refused.Add(1)
	}
}

// gather appends the frame, with its virtio header, to the writer's vector. The virtio header stands in the
// frame's headroom if there is any, else in spare. It reports false for a frame that must not be sent.
func (q *native) gather(f *link.Frame, spare []byte) bool {
	w := &q.writer
	before := len(w.iov)
	if q.vnet == 0 {
		if !metaFits(&f.Meta, &q.info, f.Len()) {
			return false
		}
		w.add(f.Header)
	} else {
		whole := f.Prepend(q.vnet)
		head := whole
		if whole == nil {
			head = spare
		}
		if !putVnet(head, &f.Meta, &q.info, f.Len()) {
			return false
		}
		w.add(head)
		if whole == nil {
			w.add(f.Header)
		}
	}
	for i := range f.Payload {
		w.add(f.Payload[i].Data)
	}
	return len(w.iov) > before
}

// send writes the vector as one frame.
func (q *native) send(fd uintptr) syscall.Errno {
	// A write runs the kernel's receive path, up to the wakeup of a reader: long enough that the scheduler
	// should know of it, unlike a read.
	iov := q.writer.iov
	var errno syscall.Errno
	if len(iov) == 1 {
		_, _, errno = unix.Syscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(iov[0].Base)), uintptr(iov[0].Len))
	} else {
		_, _, errno = unix.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
	}
	clear(iov) // the frame is borrowed: keep no pointer into it
	return errno
}

// add appends p to the vector unless it is empty.
func (w *nativeWriter) add(p []byte) {
	if len(p) == 0 {
		return
	}
	v := unix.Iovec{Base: &p[0]}
	v.SetLen(len(p))
	w.iov = append(w.iov, v)
}

// gone makes the error that ends the queue for its reader or writer.
func (q *native) gone(err error) error {
	switch err {
	case unix.EBADFD, unix.EFAULT:
		// The driver's answers once somebody has deleted the interface.
		return fmt.Errorf("tap: interface %s is gone: %w", q.info.Name, err)
	}
	if _, ok := err.(syscall.Errno); !ok {
		// The poller has been told that there is nothing to wait for any more: the same from its side.
		return fmt.Errorf("tap: interface %s is gone: %w (%w)", q.info.Name, unix.EBADFD, err)
	}
	return fmt.Errorf("tap: interface %s: %w", q.info.Name, err)
}

// Close closes the queue, as link.Device says. It waits for a Read and a Write that it interrupts.
func (q *native) Close() error {
	q.closing.Do(func() {
		q.closed.Store(true)
		q.closeErr = q.file.Close()
		q.writer.Lock()
		defer q.writer.Unlock()
		q.reader.Lock()
		defer q.reader.Unlock()
		if q.steering != nil {
			q.steering.close()
			q.steering = nil
		}
		if q.reader.spare != nil {
			q.reader.spare.Release()
			q.reader.spare = nil
		}
		q.closeRings()
	})
	return q.closeErr
}
