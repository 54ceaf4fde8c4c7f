package fdtable

import (
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/unet-go/unet/stack"
)

// DefaultLimit is the number of descriptors that may be open in a new Table.
const DefaultLimit = 1 << 20

// Table is a table of descriptors for one host, like the one that the kernel has for a process. Its methods may be
// called from any goroutine. The numbers begin at 0: there is no standard input here. As with the kernel's descriptors, a
// socket stays open until its descriptors or the host are closed, even if the program has forgotten the number.
//
// Finding a descriptor takes no lock. The table's own lock is held only to hand out and take back numbers,
// never during a call of package stack.
type Table struct {
	host  *stack.Host
	slots atomic.Pointer[[]atomic.Pointer[page]]

	mu      sync.Mutex // guards the fields below, and the stores to slots
	numbers numbers
	used    int // numbers in use, and those reserved by calls that will need one
	limit   int

	// nesting serialises the calls that add an epoll instance to another one. It is taken before the instances' locks.
	nesting sync.Mutex
}

// page is a run of descriptors; pages never move, so that readers need no lock.
type page struct {
	files   [pageSize]atomic.Pointer[file]
	cloexec [pageSize]bool // FD_CLOEXEC, guarded by the table's lock
}

const pageSize = 256

// New returns an empty table of descriptors for h. The caller still owns h. Closing h ends the sockets, but does not
// close the descriptors.
func New(h *stack.Host) *Table {
	t := &Table{host: h, limit: DefaultLimit}
	t.slots.Store(new([]atomic.Pointer[page]))
	return t
}

// SetLimit sets how many descriptors may be open at once, like RLIMIT_NOFILE; all numbers are below limit.
// Default DefaultLimit, at most 2^30. Descriptors beyond a lower limit stay open.
func (t *Table) SetLimit(limit int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limit = min(max(limit, 0), maxLimit)
}

// reserve reserves a number, which the caller uses with install or gives back with cancel. A call that waits for a
// connection reserves first, so that no connection is lost because of EMFILE.
func (t *Table) reserve() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.used >= t.limit {
		return syscall.EMFILE
	}
	t.used++
	return nil
}

func (t *Table) cancel() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used--
}

// install gives f the lowest free number. That number is below the limit, since fewer than limit are in use.
func (t *Table) install(f *file, cloexec bool) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	fd := t.numbers.lowest(0)
	t.placeLocked(fd, f, cloexec)
	return fd
}

// placeLocked makes fd, which is free, stand for f.
func (t *Table) placeLocked(fd int, f *file, cloexec bool) {
	t.numbers.add(fd)
	slots := *t.slots.Load()
	if fd/pageSize >= len(slots) {
		grown := make([]atomic.Pointer[page], max(2*len(slots), 4, fd/pageSize+1))
		for i := range slots {
			grown[i].Store(slots[i].Load())
		}
		slots = grown
		t.slots.Store(&slots)
	}
	p := slots[fd/pageSize].Load()
	if p == nil {
		p = new(page)
		slots[fd/pageSize].Store(p)
	}
	f.descriptors++
	p.cloexec[fd%pageSize] = cloexec
	p.files[fd%pageSize].Store(f)
}

// page returns the page of fd, nil for none.
func (t *Table) page(fd int) *page {
	slots := *t.slots.Load()
	if fd < 0 || fd/pageSize >= len(slots) {
		return nil
	}
	return slots[fd/pageSize].Load()
}

// at returns the file of fd, nil for none.
func (t *Table) at(fd int) *file {
	if p := t.page(fd); p != nil {
		return p.files[fd%pageSize].Load()
	}
	return nil
}

// file returns the file of fd with a reference, which the caller releases.
func (t *Table) file(fd int) (*file, error) {
	if f := t.at(fd); f != nil && f.acquire() {
		return f, nil
	}
	return nil, syscall.EBADF
}

// acquire returns the socket of fd with a reference, which the caller releases. ENOTSOCK for an epoll instance.
func (t *Table) acquire(fd int) (*socket, error) {
	f, err := t.file(fd)
	if err != nil {
		return nil, err
	}
	if s, ok := f.body.(*socket); ok {
		return s, nil
	}
	f.release()
	return nil, syscall.ENOTSOCK
}

// Socket makes a socket and returns its descriptor, the lowest that is free. domain is AF_INET, or AF_INET6 for both families,
// typ SOCK_STREAM or SOCK_DGRAM, with SOCK_NONBLOCK or-ed to it if calls should not wait, proto 0 or the
// type's own protocol. Errors: EAFNOSUPPORT, EINVAL (unknown flags of typ), ESOCKTNOSUPPORT,
// EPROTONOSUPPORT, EMFILE.
func (t *Table) Socket(domain, typ, proto int) (int, error) {
	const flags = SOCK_NONBLOCK | SOCK_CLOEXEC
	kind := typ &^ flags
	var own int
	switch {
	case kind < 0 || kind > 15:
		return -1, syscall.EINVAL
	case domain != AF_INET && domain != AF_INET6:
		return -1, syscall.EAFNOSUPPORT
	case kind == SOCK_STREAM:
		own = IPPROTO_TCP
	case kind == SOCK_DGRAM:
		own = IPPROTO_UDP
	default:
		return -1, syscall.ESOCKTNOSUPPORT
	}
	if proto != 0 && proto != own {
		return -1, syscall.EPROTONOSUPPORT
	}
	if err := t.reserve(); err != nil {
		return -1, err
	}
	s := newSocket(t.host, uint8(domain), uint8(kind))
	s.nonblock.Store(typ&SOCK_NONBLOCK != 0)
	return t.install(&s.file, typ&SOCK_CLOEXEC != 0), nil
}

// Close closes the descriptor and, if it was the last one of a socket, the socket: calls that are blocked on it
// return EBADF, a listener's queued connections are reset, and a connection is closed as close(2) does it: in
// the background, unless SO_LINGER is set. When Close returns no call on the descriptor is in progress and its number is
// free. A second Close, also one at the same time, returns EBADF.
func (t *Table) Close(fd int) error {
	f, last := t.vacate(fd)
	if f == nil {
		return syscall.EBADF
	}
	if last {
		f.close()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.numbers.put(fd)
	t.used--
	return nil
}

// vacate separates fd from its file, but keeps its number in use. It returns the file, and whether fd was its last
// descriptor.
func (t *Table) vacate(fd int) (f *file, last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f = t.at(fd); f == nil {
		return nil, false
	}
	t.page(fd).files[fd%pageSize].Store(nil)
	f.descriptors--
	return f, f.descriptors == 0
}
