package link

import (
	"sync"
	"sync/atomic"
)

// sizes are the capacities of the buffer pools in octets. The largest holds a 65,535-octet packet with
// its Ethernet header and Headroom, rounded to the allocator's page.
var sizes = [...]int{256, 2048, 16384, 73728}

// MaxBuffer is the capacity in octets of the largest pooled buffer.
const MaxBuffer = 73728

var pools [len(sizes)]sync.Pool

// Buffer is pooled storage with a reference count. It begins with one reference; the last Release puts it
// back into its pool, and its octets must not be read after that. Retain and Release may be called from any goroutine.
type Buffer struct {
	refs  atomic.Int32 // 1 in the pool, where free is set
	class int8
	free  bool
	data  []byte
	loan  *Loan // the loan of the memory, or nil
}

// NewBuffer returns a buffer of at least n octets with one reference, which the caller owns. Its content
// is undefined. More than MaxBuffer octets come from the heap and are not pooled.
func NewBuffer(n int) *Buffer {
	for class, size := range sizes {
		if n > size {
			continue
		}
		b, _ := pools[class].Get().(*Buffer)
		if b == nil {
			b = &Buffer{class: int8(class), data: make([]byte, size)}
			b.refs.Store(1)
		}
		b.free = false
		debugGet(b)
		return b
	}
	b := &Buffer{class: -1, data: make([]byte, n)}
	b.refs.Store(1)
	debugGet(b)
	return b
}

// Bytes returns the whole storage. The caller borrows it while it holds a reference.
func (b *Buffer) Bytes() []byte { return b.data }

// Cap returns the size of the storage in octets: as much memory as a reference keeps from being freed.
func (b *Buffer) Cap() int { return len(b.data) }

// Retain adds a reference, which must be released.
func (b *Buffer) Retain() { b.refs.Add(1) }

// Release gives one reference back. It panics if there is none left, which is a bug in the caller.
func (b *Buffer) Release() {
	if b.refs.Load() != 1 { // the only reference needs no subtraction: no other goroutine could add or release one
		switch n := b.refs.Add(-1); {
		case n == 1 && b.loan != nil:
			b.loan.returned()
			return
		case n > 0:
			return
		}
		b.refs.Store(1)
	}
	if b.free {
		panic("link: buffer released twice")
	}
	b.free = true
	debugPut(b)
	if b.class >= 0 {
		pools[b.class].Put(b)
	}
}
