package tap

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack/link"
)

// native is a queue of the Linux TUN driver: a non-blocking descriptor in the runtime's poller.
//
// Frames cross in batches by io_uring where the system allows it; elsewhere one frame is one read(2), write(2)
// or writev(2), the virtio header included. A goroutine waits only when there is no frame at all, and then
// without holding a thread.
type native struct {
	info    link.Info
	file    *os.File
	conn    syscall.RawConn
	vnet    int // octets of the virtio header: vnetLen or 0
	network int // octets in front of the IP header
	counters

	closing  sync.Once
	closed   atomic.Bool // set before file is closed
	closeErr error

	reader nativeReader
	writer nativeWriter
	// steering is nil where frames stay on the processor that writes them. The writer's lock protects it.
	steering *steering
}

// nativeWriter is the state of a Write, which holds its lock.
type nativeWriter struct {
	sync.Mutex
	ready  func(fd uintptr) bool // native.writeReady
	frames []link.Frame
	n      int // frames that are sent or dropped
	sent   uint64
	octets uint64
	err    error
	iov    []unix.Iovec
	vnet   [vnetLen]byte // for frames without headroom
	// settled marks frames from n on that are sent or dropped already, by their index modulo ringEntries.
	settled [ringEntries]bool
	ring    *ringWriter // nil where there is no io_uring
}

// newNative returns a queue on file, which is non-blocking and in the poller, and takes ownership of it. If rings is set
// the queue uses io_uring where the system allows that.
func newNative(info link.Info, file *os.File, vnet int, rings bool) (*native, error) {
	conn, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	q := &native{info: info, file: file, conn: conn, vnet: vnet, network: networkStart(info.Kind)}
	q.reader.place = placeFor(q.network + usualHeaders4)
	q.reader.ready = q.readReady
	q.reader.glance = func(fd uintptr) { q.readAll(fd) }
	q.writer.ready = q.writeReady
	if rings {
		q.useRings()
	}
	return q, nil
}

// Info describes the device that the queue belongs to.
func (q *native) Info() link.Info { return q.info }

// Write writes frames as link.Device says.
func (q *native) Write(frames []link.Frame) (int, error) {
	w := &q.writer
	w.Lock()
	defer w.Unlock()
	w.frames, w.n, w.sent, w.octets, w.err = frames, 0, 0, 0, nil
	err := q.writeAll()
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
	return w.n, q.failure(err)
}

// writeAll has the poller write w.frames, and tells the steering about it.
func (q *native) writeAll() error {
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
		if settled := &w.settled[w.n%ringEntries]; *settled {
			*settled = false
			continue
		}
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
			w.settled = [ringEntries]bool{}
			return true
		}
	}
	return true
}

// wrote counts a frame as sent or, by its errno, as dropped. It sets w.err where the interface is gone.
func (q *native) wrote(f *link.Frame, errno syscall.Errno) {
	w := &q.writer
	switch errno {
	case 0:
		w.sent++
		if s := q.steering; s != nil && f.Meta.GSO == link.NoSegmentation && isDatagram(f.Header, q.info.Kind) {
			s.wroteDatagram = true
		}
		w.octets += uint64(f.Len())
	case unix.EIO, unix.ENETDOWN:
		// The kernel's side is not up; it may come up again.
		q.out.down.Add(1)
	case unix.ENOMEM, unix.ENOBUFS:
		q.out.noMemory.Add(1)
	case unix.EBADF, unix.EBADFD, unix.ENODEV, unix.ENXIO:
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
	clear(iov) // the frame is the caller's: keep no pointer into it
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

// failure returns the error of a Read or a Write, made from the system's. It wraps link.ErrGone if the queue can never
// work again.
func (q *native) failure(err error) error {
	switch err {
	case unix.EBADF, unix.EBADFD, unix.EFAULT, unix.ENODEV, unix.ENXIO:
		// EBADFD and EFAULT are the driver's answers once the interface is deleted.
		return errorf("tap: interface %s: %w: %w", q.info.Name, link.ErrGone, err)
	}
	if _, ok := err.(syscall.Errno); !ok {
		// The poller's error for a descriptor with nothing to wait for any more: the interface is deleted too.
		return errorf("tap: interface %s: %w: %w (%w)", q.info.Name, link.ErrGone, unix.EBADFD, err)
	}
	return errorf("tap: interface %s: %w", q.info.Name, err)
}

// Close closes the queue, as link.Device says. It waits for a Read and a Write that it interrupts.
func (q *native) Close() error {
	q.closing.Do(func() {
		q.closed.Store(true)
		q.closeErr = q.file.Close()
		// One after the other: a goroutine that has read frames may write before it calls ReadDone.
		q.endWriting()
		q.endReading()
	})
	return q.closeErr
}

// endWriting releases what the writing side holds.
func (q *native) endWriting() {
	w := &q.writer
	w.Lock()
	defer w.Unlock()
	if q.steering != nil {
		q.steering.close()
		q.steering = nil
	}
	if w.ring != nil {
		w.ring.close()
		w.ring = nil
	}
}

// endReading releases what the reading side holds.
func (q *native) endReading() {
	r := &q.reader
	r.Lock()
	defer r.Unlock()
	if r.spare != nil {
		r.spare.Release()
		r.spare = nil
	}
	if r.ring != nil {
		q.dropReadRing()
	}
}
