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

// Buffer is storage with a reference count. It begins with one reference; the last Release puts it back into its pool, or
// gives it back to its owner, after which its content must not be used any more. Retain and Release may be called from
// any goroutine.
type Buffer struct {
	refs  atomic.Int32 // 1 in the pool, where free is set
	class int8         // the pool, or one of the constants below
	free  bool
	data  []byte
	// returned tells the owner of memory that is not the pool's: of class owned when the last reference was given back, of
	// class loaned when all but the lender's were. It is nil for the other classes.
	returned func(*Buffer)
}

// The classes of buffers that belong to no pool.
const (
	unpooled = -1 // from the heap, and left to the garbage collector
	loaned   = -2 // of a Loan, and never overwritten by debugPut
	owned    = -3 // made by NewOwned
)

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
	b := &Buffer{class: unpooled, data: make([]byte, n)}
	b.refs.Store(1)
	debugGet(b)
	return b
}

// NewOwned returns a buffer over memory that a device owns, the chunk of a ring that it shares with the kernel for
// instance, with one reference, which the caller owns. The last Release calls returned with the buffer, on the goroutine
// that releases it, which may hold locks of the stack: returned must not wait, nor call the stack. From then on the memory
// is the device's again. It may make the same buffer valid once more with Renew, so that frames cost no allocation.
//
// A reader that does not keep up holds buffers for as long as it likes: a receive queue refers to text that fills at least
// half of its buffer. A device that runs out of memory must copy into buffers of NewBuffer, or drop.
func NewOwned(p []byte, returned func(b *Buffer)) *Buffer {
	b := &Buffer{class: owned, data: p, returned: returned}
	b.refs.Store(1)
	debugGet(b)
	return b
}

// Renew makes a buffer of NewOwned that was given back valid again, with one reference, which the caller owns.
func (b *Buffer) Renew() {
	if b.class != owned || !b.free {
		panic("link: Renew of a buffer that was not given back to its owner")
	}
	b.free = false
	debugGet(b)
}

// Bytes returns the whole storage. The caller borrows it while it holds a reference.
func (b *Buffer) Bytes() []byte { return b.data }

// Cap returns the size of the storage in octets: as much memory as a reference keeps from being freed.
func (b *Buffer) Cap() int { return len(b.data) }

// Retain adds a reference, which must be released like the first one.
func (b *Buffer) Retain() { b.refs.Add(1) }

// Release gives one reference back. It panics if there is none left, which is a bug in the caller.
func (b *Buffer) Release() {
	if b.refs.Load() != 1 { // the only reference needs no subtraction: no other goroutine could add or release one
		switch n := b.refs.Add(-1); {
		case n == 1 && b.class == loaned:
			b.returned(b)
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
	switch {
	case b.class >= 0:
		pools[b.class].Put(b)
	case b.class == owned:
		b.returned(b)
	}
}
