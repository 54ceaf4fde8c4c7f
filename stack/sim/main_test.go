package sim_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

// TestMain fails when a goroutine is left over or, in a build with the tag unetdebug, a buffer.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if n := link.Outstanding(); n > 0 {
			fmt.Fprintf(os.Stderr, "%d buffers were not given back\n", n)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
}

// newFrame returns an IPv4 frame of n octets from src to dst, of no known protocol, that carries number as its source
// address.
func newFrame(dst, src link.MAC, n int, number uint32) link.Frame {
	b := link.NewBuffer(link.Headroom + n)
	p := b.Bytes()[link.Headroom : link.Headroom+n]
	clear(p)
	copy(p, dst[:])
	copy(p[6:], src[:])
	p[12], p[13] = 8, 0
	if n >= 14+wire.IPv4Len {
		h := wire.IPv4{TotalLen: n - 14, TTL: 64, Protocol: 253}
		binary.BigEndian.PutUint32(h.Src[:], number)
		h.Marshal(p[14:])
	}
	var f link.Frame
	f.Set(b, link.Headroom, link.Headroom+n)
	return f
}

// send writes one frame of n octets and gives it back.
func send(t *testing.T, from, to *sim.Port, n int, number uint32) {
	t.Helper()
	f := []link.Frame{newFrame(to.Info().MAC, from.Info().MAC, n, number)}
	if n, err := from.Write(f); n != 1 || err != nil {
		t.Fatalf("Write = %d, %v; want 1, nil", n, err)
	}
	f[0].Release()
}

// arrival is a frame as its receiver sees it.
type arrival struct {
	at     time.Duration // since the reader was started
	number uint32
}

// reader reads a port until it is closed, and keeps the arrivals for its user, who closes the port first.
type reader struct {
	port *sim.Port
	done chan struct{}
	got  []arrival
	err  error
}

func startReader(p *sim.Port) *reader {
	r := &reader{port: p, done: make(chan struct{})}
	start := time.Now()
	go func() {
		defer close(r.done)
		frames := make([]link.Frame, 16)
		for {
			n, err := p.Read(frames)
			for i := range n {
				a := arrival{at: time.Since(start)}
				if h := frames[i].Header; len(h) >= 34 {
					a.number = binary.BigEndian.Uint32(h[26:])
				}
				r.got = append(r.got, a)
				frames[i].Release()
			}
			if err != nil {
				r.err = err
				return
			}
		}
	}()
	return r
}

// stop closes the port and returns what has arrived.
func (r *reader) stop(t *testing.T) []arrival {
	t.Helper()
	if err := r.port.Close(); err != nil {
		t.Fatal(err)
	}
	<-r.done
	if !errors.Is(r.err, link.ErrClosed) {
		t.Fatalf("Read after Close: %v", r.err)
	}
	return r.got
}

func numbers(got []arrival) []uint32 {
	var n []uint32
	for _, a := range got {
		n = append(n, a.number)
	}
	return n
}
