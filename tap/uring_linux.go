package tap

import (
	"errors"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system call for each frame is the largest cost of a TAP device: 1.6 to 2.8 us, against 0.3 us for a frame of a batch
// that one io_uring_enter submits. The ring is used for such batches only. The descriptor does not block, so all
// operations are done, in order, when the call returns, and none is left in flight.

// The parts of the interface of io_uring that a ring needs (io_uring_setup(2), io_uring_enter(2)).
const (
	ringOffSQ   = 0
	ringOffSQEs = 0x10000000

	ringSetupSubmitAll   = 1 << 7 // a failed operation does not stop the batch
	ringSetupCoopTaskrun = 1 << 8 // no interrupt for a completion: we look for it ourselves
	ringFeatSingleMmap   = 1
	ringFeatNoDrop       = 1 << 1
	ringEnterGetEvents   = 1

	ringNoWait = 8 // RWF_NOWAIT: EAGAIN in place of waiting, whatever the flags of the descriptor are

	ringOpNop    = 0
	ringOpWritev = 2
	ringOpRead   = 22
	ringOpWrite  = 23
)

// ringEntry is struct io_uring_sqe.
type ringEntry struct {
	opcode, flags uint8
	ioprio        uint16
	fd            int32
	off, addr     uint64
	len, rwFlags  uint32
	userData      uint64
	_             [3]uint64
}

// ringResult is struct io_uring_cqe.
type ringResult struct {
	userData uint64
	res      int32
	flags    uint32
}

// ringParams is struct io_uring_params.
type ringParams struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFd uint32
	_                                                                      [3]uint32
	sq                                                                     struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

// ring is an io_uring that one goroutine at a time uses.
type ring struct {
	fd      int
	rings   []byte // both rings, one mapping
	entries []byte // the submission entries

	sqTail         *uint32
	cqHead, cqTail *uint32
	mask, cqMask   uint32
	sqes           []ringEntry
	cqes           []ringResult
	queued         uint32
}

var errNoRing = errors.New("tap: this kernel's io_uring is too old")

// notDone is the result of an operation that the kernel has not done: it is no errno.
const notDone = -1 << 31

// newRing makes a ring. It returns an error where the system does not allow it: usually ENOSYS or EPERM.
func newRing() (*ring, error) {
	var p ringParams
	p.flags = ringSetupSubmitAll | ringSetupCoopTaskrun
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, ringEntries, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, errno
	}
	r := &ring{fd: int(fd)}
	unix.CloseOnExec(r.fd)
	if p.features&(ringFeatSingleMmap|ringFeatNoDrop) != ringFeatSingleMmap|ringFeatNoDrop {
		r.close()
		return nil, errNoRing
	}
	if err := r.mapMemory(&p); err != nil {
		r.close()
		return nil, err
	}
	// A filter of system calls may allow io_uring_setup and refuse io_uring_enter: try it.
	r.queue(ringOpNop, 0, nil, 0)
	if err := r.submit(func(int, int32) {}); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// mapMemory maps the rings into our memory.
func (r *ring) mapMemory(p *ringParams) (err error) {
	size := max(int(p.sq.array+p.sqEntries*4), int(p.cq.cqes)+int(p.cqEntries)*int(unsafe.Sizeof(ringResult{})))
	const how = unix.MAP_SHARED | unix.MAP_POPULATE
	if r.rings, err = unix.Mmap(r.fd, ringOffSQ, size, unix.PROT_READ|unix.PROT_WRITE, how); err != nil {
		return err
	}
	size = int(p.sqEntries) * int(unsafe.Sizeof(ringEntry{}))
	if r.entries, err = unix.Mmap(r.fd, ringOffSQEs, size, unix.PROT_READ|unix.PROT_WRITE, how); err != nil {
		return err
	}
	word := func(off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.rings[off])) }
	r.sqTail, r.cqHead, r.cqTail = word(p.sq.tail), word(p.cq.head), word(p.cq.tail)
	r.mask, r.cqMask = *word(p.sq.mask), *word(p.cq.mask)
	r.sqes = unsafe.Slice((*ringEntry)(unsafe.Pointer(&r.entries[0])), p.sqEntries)
	r.cqes = unsafe.Slice((*ringResult)(unsafe.Pointer(&r.rings[p.cq.cqes])), p.cqEntries)
	// Entry i of the array always names submission entry i.
	array := unsafe.Slice(word(p.sq.array), p.sqEntries)
	for i := range array {
		array[i] = uint32(i)
	}
	return nil
}

// queue adds an operation on the n octets, or vectors, at addr. Its number in the batch names its result.
func (r *ring) queue(op uint8, fd uintptr, addr unsafe.Pointer, n int) {
	e := &r.sqes[(*r.sqTail+r.queued)&r.mask]
	*e = ringEntry{opcode: op, fd: int32(fd), off: ^uint64(0), addr: uint64(uintptr(addr)), len: uint32(n), rwFlags: ringNoWait, userData: uint64(r.queued)}
	r.queued++
}

// submit has the kernel do the queued operations. It calls done for each operation with its number and its result: a
// count, or a negative errno. It returns when all are done, so the kernel uses none of their memory any more. An error
// means that the kernel refuses to go on: it has not begun the operations for which done was not called, and the ring
// cannot be used any more.
func (r *ring) submit(done func(i int, res int32)) error {
	n := r.queued
	r.queued = 0
	atomic.AddUint32(r.sqTail, n)
	submitted, refused := uint32(0), 0
	for left := n; left > 0; {
		// As a rule all operations are done at submission; then it costs nothing to ask for waiting.
		k, _, errno := unix.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(n-submitted), uintptr(left),
			ringEnterGetEvents, 0, 0)
		switch errno {
		case 0:
			submitted += uint32(k)
			refused = 0
		case unix.EINTR:
		case unix.EAGAIN, unix.EBUSY:
			refused++
		default:
			refused = ringPatience
		}
		head, tail := *r.cqHead, atomic.LoadUint32(r.cqTail)
		for ; head != tail; head++ {
			c := &r.cqes[head&r.cqMask]
			done(int(c.userData), c.res)
			left--
		}
		atomic.StoreUint32(r.cqHead, head)
		if refused >= ringPatience && left > 0 {
			return errno
		}
	}
	return nil
}

// close releases the ring.
func (r *ring) close() {
	if r.entries != nil {
		_ = unix.Munmap(r.entries)
	}
	if r.rings != nil {
		_ = unix.Munmap(r.rings)
	}
	unix.Close(r.fd)
}

// errnoOf returns the errno of an operation's result, zero for none, and EAGAIN for one that was not done.
func errnoOf(res int32) syscall.Errno {
	switch {
	case res >= 0:
		return 0
	case res == notDone:
		return unix.EAGAIN
	}
	return syscall.Errno(-res)
}
