package link

import "sync"

// Loan is a Buffer around memory that belongs to somebody else, who wants it back: frames refer to it as to any
// other, and Await tells when none does any longer.
type Loan struct {
	buf  Buffer
	mu   sync.Mutex
	back sync.Cond // a reference was given back, and one is left
}

// loaned is the class of a Loan's buffer: nothing to pool, and nothing to poison.
const loaned = -2

var loans = sync.Pool{New: func() any {
	l := new(Loan)
	l.buf.class, l.buf.loan = loaned, l
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

// Buffer returns the buffer around the memory. The lender's reference is Await's to give back.
func (l *Loan) Buffer() *Buffer { return &l.buf }

// Await waits until all references but the lender's have been given back, and ends the loan. Afterwards nobody
// may look at its buffer.
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

// returned tells the lender that nobody else may have a reference any more. The loan may be over by then, and be
// another one: its lender looks again.
func (l *Loan) returned() {
	l.mu.Lock()
	l.back.Signal()
	l.mu.Unlock()
}
