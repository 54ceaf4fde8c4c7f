package link

import "sync"

// Loan is a Buffer around memory that a lender needs back, for instance the argument of a Write. Frames refer to it as to
// any other buffer, and Await waits until none does.
type Loan struct {
	buf  Buffer
	mu   sync.Mutex
	back sync.Cond // signalled when a reference is released and only the lender's is left
}

var loans = sync.Pool{New: func() any {
	l := new(Loan)
	l.buf.class, l.buf.returned = loaned, func(*Buffer) { l.returned() }
	l.back.L = &l.mu
	return l
}}

// Lend returns a loan of p, which must not change before Await has returned.
func Lend(p []byte) *Loan {
	l := loans.Get().(*Loan)
	l.buf.data = p
	l.buf.refs.Store(1)
	return l
}

// Buffer returns the buffer around the memory. Await releases the lender's reference to it.
func (l *Loan) Buffer() *Buffer { return &l.buf }

// Await waits until all references but the lender's have been released, and ends the loan. Its buffer must not be used
// after that.
func (l *Loan) Await() {
	if l.buf.refs.Load() > 1 {
		l.mu.Lock()
		for l.buf.refs.Load() > 1 {
			l.back.Wait()
		}
		l.mu.Unlock()
	}
	l.buf.data = nil
	l.buf.refs.Store(0)
	loans.Put(l)
}

// returned wakes the lender, because the other references may all have been released. The loan may have ended meanwhile,
// and its memory may be another loan by now: that loan's lender checks the count and waits on.
func (l *Loan) returned() {
	l.mu.Lock()
	l.back.Signal()
	l.mu.Unlock()
}
