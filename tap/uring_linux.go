package tap

import (
	"errors"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A system call per frame is what a TAP device costs most: 1.6 to 2.8 us here, against 0.3 us in a batch
// that one io_uring_enter submits. The ring is used as nothing but such a batch: the descriptor does not
// block, so every operation is done when the call returns, in order, and nothing is left in flight.

// ringEntries is the number of operations that one call submits.
const ringEntries = 64

// The parts of the interface of io_uring that a ring needs (io_uring_setup(2), io_uring_enter(2)).
const (
	ringOffSQ   = 0
	ringOffSQEs = 0x10000000

	ringSetupSubmitAll   = 1 << 7 // a failed operation does not stop the batch
	ringSetupCoopTaskrun = 1 << 8 // no interrupt for a completion: we look when we are ready
	ringFeatSingleMmap   = 1
	ringFeatNoDrop       = 1 << 1
	ringEnterGetEvents   = 1

	ringNoWait = 8 // RWF_NOWAIT: EAGAIN in place of waiting, whatever the descriptor says

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

// ringPatience is how often in a row io_uring_enter may say that the kernel is short of something (EAGAIN, EBUSY).
const ringPatience = 16

// notDone is the result of an operation that the kernel has not done: it is no errno.
const notDone = -1 << 31

// newRing makes a ring, or says why the system does not give one: ENOSYS and EPERM are the usual reasons.
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
	// What one filter of system calls allows, another call of the same kind may be refused.
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

// submit has the kernel do what was queued and calls done for each operation with its number and result: a
// count, or an errno below zero. It returns when all are done, so that no memory is in use any more. An error means
// that the kernel refuses to go on: the operations that done was not called for it has not begun, and the ring is of no
// use any more.
func (r *ring) submit(done func(i int, res int32)) error {
	n := r.queued
	r.queued = 0
	atomic.AddUint32(r.sqTail, n)
	submitted, refused := uint32(0), 0
	for left := n; left > 0; {
		// All is done at submission as a rule; waiting costs nothing then.
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

// close gives the ring back.
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
