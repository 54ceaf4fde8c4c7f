package link

import (
	"bytes"
	"sync"
	"testing"
	"unsafe"
)

// ring is the memory of a device, in chunks that frames refer to, as AF_XDP's.
type ring struct {
	mu   sync.Mutex
	free []*Buffer
}

func newRing(chunks, size int) *ring {
	r := new(ring)
	memory := make([]byte, chunks*size)
	for at := 0; at < len(memory); at += size {
		NewOwned(memory[at:at+size:at+size], r.put).Release()
	}
	return r
}

func (r *ring) put(b *Buffer) {
	r.mu.Lock()
	r.free = append(r.free, b)
	r.mu.Unlock()
}

func (r *ring) left() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.free)
}

// receive fills a frame with text.
func (r *ring) receive(f *Frame, text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.free)
	if n == 0 {
		return false
	}
	b := r.free[n-1]
	r.free = r.free[:n-1]
	b.Renew()
	f.Set(b, Headroom, Headroom+copy(b.Bytes()[Headroom:], text))
	return true
}

func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	f()
}

func TestOwned(t *testing.T) {
	t.Run("the last reference gives the memory back to its owner", func(t *testing.T) {
		before := Outstanding()
		r := newRing(2, 64)
		var a, b, c Frame
		if r.left() != 2 || !r.receive(&a, "first") || !r.receive(&b, "second") || r.receive(&c, "third") {
			t.Fatalf("%d chunks left", r.left())
		}
		if before >= 0 && Outstanding() != before+2 {
			t.Errorf("%d buffers are out, want 2", Outstanding()-before)
		}
		kept := a.Buffer()
		kept.Retain()
		text := a.Header
		a.Release()
		if r.left() != 0 || string(text) != "first" {
			t.Errorf("%d chunks left, text %q", r.left(), text)
		}
		kept.Release()
		if r.left() != 1 {
			t.Errorf("%d chunks left, want 1", r.left())
		}
		if before >= 0 && !bytes.Equal(text, bytes.Repeat([]byte{0xdb}, len(text))) {
			t.Errorf("%q is not poisoned", text)
		}
		if !r.receive(&c, "third") || c.Buffer() != kept || string(c.Header) != "third" || string(b.Header) != "second" {
			t.Error("the chunk is not used again")
		}
		b.Release()
		c.Release()
		if r.left() != 2 || before >= 0 && Outstanding() != before {
			t.Errorf("%d chunks left, %d buffers are out", r.left(), Outstanding()-before)
		}
	})
	t.Run("it is copied no more than pooled memory, and lent memory is", func(t *testing.T) {
		r := newRing(1, 64)
		var f Frame
		r.receive(&f, "text")
		f.Append([]byte("more"), f.Buffer())
		at := f.Buffer()
		if f.Own(); f.Buffer() != at || len(f.Payload) != 1 {
			t.Error("it was copied")
		}
		f.Release()
		loan := Lend([]byte("lent"))
		f.Append([]byte("lent"), loan.Buffer())
		if f.Own(); len(f.Payload) != 0 || string(f.Header) != "lent" {
			t.Error("lent memory was not copied")
		}
		loan.Await()
		f.Release()
	})
	t.Run("misuse panics", func(t *testing.T) {
		b := NewOwned(make([]byte, 16), func(*Buffer) {})
		mustPanic(t, "Renew of a buffer in use", b.Renew)
		b.Release()
		mustPanic(t, "a second Release", b.Release)
		pooled := NewBuffer(16)
		mustPanic(t, "Renew of a pooled buffer", pooled.Renew)
		pooled.Release()
	})
	t.Run("a frame costs no allocation", func(t *testing.T) {
		r := newRing(1, 64)
		var f Frame
		if n := testing.AllocsPerRun(100, func() { r.receive(&f, "text"); f.Release() }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
	t.Run("references are given back by any goroutine", func(t *testing.T) {
		r := newRing(4, 64)
		var wg sync.WaitGroup
		for range 1000 {
			var f Frame
			if !r.receive(&f, "text") {
				continue
			}
			b := f.Buffer()
			b.Retain()
			wg.Add(1)
			go func() {
				defer wg.Done()
				if string(b.Bytes()[Headroom:Headroom+4]) != "text" {
					t.Error("the memory was used again")
				}
				b.Release()
			}()
			f.Release()
		}
		if wg.Wait(); r.left() != 4 {
			t.Errorf("%d chunks left", r.left())
		}
	})
	t.Run("a pooled buffer has no field more", func(t *testing.T) {
		if n := unsafe.Sizeof(Buffer{}); n > 40 {
			t.Errorf("a Buffer takes %d octets, more than 40", n)
		}
	})
}
