package fdtable

import (
	"math"
	"syscall"
	"time"

	"github.com/unet-go/unet/stack"
)

// Events of Poll. POLLERR, POLLHUP and POLLNVAL are reported without being asked for.
const (
	POLLIN     = 0x1
	POLLPRI    = 0x2
	POLLOUT    = 0x4
	POLLERR    = 0x8
	POLLHUP    = 0x10
	POLLNVAL   = 0x20
	POLLRDNORM = 0x40
	POLLWRNORM = 0x100
	POLLRDHUP  = 0x2000
)

// PollFd is an entry of Poll: Events are those that the caller asks for, Revents those that Poll reports. An entry with a
// negative Fd is skipped.
type PollFd struct {
	Fd      int32
	Events  int16
	Revents int16
}

// Timespec is a length of time: seconds, and nanoseconds below a thousand million.
type Timespec struct{ Sec, Nsec int64 }

// eventBits returns r in the bits of poll and epoll, which are the same.
func eventBits(r stack.Readiness) uint32 {
	var bits uint32
	if r&stack.ReadyIn != 0 {
		bits |= POLLIN | POLLRDNORM
	}
	if r&stack.ReadyOut != 0 {
		bits |= POLLOUT | POLLWRNORM
	}
	if r&stack.ReadyPri != 0 {
		bits |= POLLPRI
	}
	if r&stack.ReadyErr != 0 {
		bits |= POLLERR
	}
	if r&stack.ReadyHup != 0 {
		bits |= POLLHUP
	}
	if r&stack.ReadyRdHup != 0 {
		bits |= POLLRDHUP
	}
	return bits
}

// Poll waits until a descriptor of fds is ready for an event that its entry asks for, at most timeout milliseconds, for
// ever if timeout is negative. It sets Revents of all entries and returns the number of those that are not zero. A
// descriptor that is not open, or is closed while Poll waits, has POLLNVAL and counts. EINVAL for more entries than
// descriptors can be open.
func (t *Table) Poll(fds []PollFd, timeout int) (int, error) {
	return t.poll(fds, milliseconds(timeout))
}

// Ppoll is Poll with a timeout in nanoseconds; nil is for ever. There are no signals to mask. EINVAL for a timeout that
// is negative or whose Nsec is out of range.
func (t *Table) Ppoll(fds []PollFd, timeout *Timespec) (int, error) {
	d, ok := timeout.duration()
	if !ok {
		return 0, syscall.EINVAL
	}
	return t.poll(fds, d)
}

const (
	forEver = time.Duration(-1)
	longest = time.Duration(math.MaxInt64)
)

// milliseconds returns the timeout of Poll and EpollWait as a Duration, or the longest Duration if that is too short.
func milliseconds(n int) time.Duration {
	switch {
	case n < 0:
		return forEver
	case int64(n) > int64(longest/time.Millisecond):
		return longest
	}
	return time.Duration(n) * time.Millisecond
}

// duration returns the timeout of Ppoll and EpollPwait2 as a Duration, forEver if it is nil. It returns false
// for an invalid timeout.
func (ts *Timespec) duration() (time.Duration, bool) {
	if ts == nil {
		return forEver, true
	}
	if ts.Sec < 0 || ts.Nsec < 0 || ts.Nsec >= 1e9 {
		return 0, false
	}
	if ts.Sec >= int64(longest/time.Second) {
		return longest, true
	}
	return time.Duration(ts.Sec*1e9 + ts.Nsec), true
}

// poller is a call of Poll that waits, and pollEntry one of its descriptors.
type poller struct{ woken chan struct{} }

type pollEntry struct {
	watch
	file   *file
	poller *poller
	events uint32
}

func (e *pollEntry) wake(edges stack.Readiness) bool {
	if edges != stack.ReadyAll && eventBits(edges)&e.events == 0 {
		return false
	}
	select {
	case e.poller.woken <- struct{}{}:
	default: // it is awake already
	}
	return true
}

func (t *Table) poll(fds []PollFd, timeout time.Duration) (int, error) {
	t.mu.Lock()
	limit := t.limit
	t.mu.Unlock()
	if len(fds) > limit {
		return 0, syscall.EINVAL
	}
	entries := make([]pollEntry, len(fds))
	for i := range fds {
		e := &entries[i]
		e.events = uint32(uint16(fds[i].Events)) | POLLERR | POLLHUP
		e.file, _ = t.file(int(fds[i].Fd))
	}
	defer func() {
		for i := range entries {
			if f := entries[i].file; f != nil {
				f.release()
			}
		}
	}()
	if n := scan(fds, entries); n > 0 || timeout == 0 {
		return n, nil
	}
	return sleepOn(fds, entries, timeout), nil
}

// scan sets Revents of all entries and returns how many are not zero.
func scan(fds []PollFd, entries []pollEntry) int {
	ready := 0
	for i := range entries {
		var bits uint32
		switch f := entries[i].file; {
		case fds[i].Fd < 0:
		case f == nil || f.dying():
			bits = POLLNVAL
		default:
			bits = eventBits(f.body.ready()) & entries[i].events
		}
		if fds[i].Revents = int16(bits); bits != 0 {
			ready++
		}
	}
	return ready
}

// sleepOn watches all entries until one is ready or the time is up.
func sleepOn(fds []PollFd, entries []pollEntry, timeout time.Duration) int {
	p := &poller{woken: make(chan struct{}, 1)}
	for i := range entries {
		if e := &entries[i]; e.file != nil {
			e.poller, e.sink = p, e
			e.file.attach(&e.watch) // if it fails the file is being closed, and scan finds that
			defer e.file.detach(&e.watch)
		}
	}
	var expired <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		expired = timer.C
	}
	for {
		if n := scan(fds, entries); n > 0 {
			return n
		}
		select {
		case <-p.woken:
		case <-expired:
			return scan(fds, entries)
		}
	}
}
