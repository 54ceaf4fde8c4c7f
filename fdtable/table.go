package fdtable

import (
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/unet-go/unet/stack"
)

// DefaultLimit is the number of descriptors that a new Table grants.
const DefaultLimit = 1 << 20

// Table is a table of descriptors over one host, as a process has one over the kernel. Its methods may be
// called from any goroutine. The numbers begin at 0: there is no standard input here.
//
// Finding a descriptor takes no lock. The table's own lock is held only to hand out and take back numbers,
// never during a call of package stack.
type Table struct {
	host  *stack.Host
	slots atomic.Pointer[[]atomic.Pointer[page]]

	mu      sync.Mutex // guards what follows, and the stores to slots
	numbers numbers
	used    int // numbers in use, and those reserved by calls that will need one
	limit   int
}

// page is a run of descriptors; pages never move, so that readers need no lock.
type page [pageSize]atomic.Pointer[socket]

const pageSize = 256

// New returns an empty table of descriptors over h. The caller goes on owning h; closing h ends whatever the
// descriptors stand for, but not the descriptors.
func New(h *stack.Host) *Table {
	t := &Table{host: h, limit: DefaultLimit}
	t.slots.Store(new([]atomic.Pointer[page]))
	return t
}

// SetLimit sets how many descriptors may be open at once, like RLIMIT_NOFILE; no number reaches limit.
// Default DefaultLimit, at most 2^30. Descriptors beyond a lower limit stay open.
func (t *Table) SetLimit(limit int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limit = min(max(limit, 0), maxLimit)
}

// reserve promises its caller a number, which install hands out or cancel gives back. A call that waits
// reserves first: EMFILE then costs nobody a connection.
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

// install gives s the lowest free number. That number is below the limit, since fewer than limit are in use.
func (t *Table) install(s *socket) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	fd := t.numbers.take()
	slots := *t.slots.Load()
	if fd/pageSize >= len(slots) {
		grown := make([]atomic.Pointer[page], max(2*len(slots), 4))
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
	p[fd%pageSize].Store(s)
	return fd
}

// at returns what fd stands for, nil for nothing.
func (t *Table) at(fd int) *socket {
	slots := *t.slots.Load()
	if fd < 0 || fd/pageSize >= len(slots) {
		return nil
	}
	p := slots[fd/pageSize].Load()
	if p == nil {
		return nil
	}
	return p[fd%pageSize].Load()
}

// acquire returns the socket of fd with a reference, which the caller releases.
func (t *Table) acquire(fd int) (*socket, error) {
	if s := t.at(fd); s != nil && s.acquire() {
		return s, nil
	}
	return nil, syscall.EBADF
}

// Socket makes a socket and returns its descriptor, the lowest that is free. domain is AF_INET or AF_INET6,
// typ SOCK_STREAM or SOCK_DGRAM with SOCK_NONBLOCK or-ed to it where calls shall not wait, proto 0 or the
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
	return t.install(s), nil
}

// Close ends the descriptor: calls that are blocked on it return EBADF, a listener's queued connections are
// reset, and a connection is closed as close(2) does it: in the background, unless SO_LINGER is set. When
// Close returns, no call on the descriptor is left and its number is free. A second Close, also one at the
// same time, gets EBADF.
func (t *Table) Close(fd int) error {
	s := t.at(fd)
	if s == nil || !s.close() {
		return syscall.EBADF
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	(*t.slots.Load())[fd/pageSize].Load()[fd%pageSize].Store(nil)
	t.numbers.put(fd)
	t.used--
	return nil
}

// SetNonblock says whether calls on the descriptor return EAGAIN (Connect: EINPROGRESS) instead of waiting.
// Calls that already wait go on.
func (t *Table) SetNonblock(fd int, nonblocking bool) error {
	s, err := t.acquire(fd)
	if err != nil {
		return err
	}
	defer s.release()
	s.nonblock.Store(nonblocking)
	return nil
}
