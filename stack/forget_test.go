package stack

import (
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// looks is a source without deadlines that counts how often the clock looks at its sources.
type looks struct{ atomic.Int64 }

func (n *looks) NextDeadline() (mono.Time, bool) { n.Add(1); return 0, false }
func (n *looks) Advance(mono.Time)               {}

func TestForgottenList(t *testing.T) {
	newHost := func(t *testing.T) *Host {
		h, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		return h
	}
	socket := func(t *testing.T, h *Host) *UDPSocket {
		s, err := h.ListenUDP(netip.AddrPort{}, BindOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Run("E-GO-17 a host that is not in a bubble never looks by itself", func(t *testing.T) {
		h := newHost(t)
		if h.forgotten.inBubble {
			t.Error("it is in a bubble")
		}
		s := socket(t, h)
		if at, ok := h.forgotten.NextDeadline(); ok {
			t.Errorf("it looks at %v", at)
		}
		s.Forget()
		for !s.Closed() {
			runtime.Gosched()
		}
		s.Forget() // the second time is for nothing
	})
	t.Run("in a bubble it looks each second at first, and is done after a year", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t)
			if !h.forgotten.inBubble {
				t.Error("it is not in a bubble")
			}
			var n looks
			h.clock.Add(&n)
			synctest.Wait()
			first := n.Load()
			time.Sleep(4500 * time.Millisecond)
			if n := n.Load() - first; n != 4 {
				t.Errorf("%d looks in 4.5 s", n)
			}
			time.Sleep(10 * lastLookAge)
			if n := n.Load(); n > 150 {
				t.Errorf("%d looks in years", n)
			}
			if at, ok := h.forgotten.NextDeadline(); ok {
				t.Errorf("it looks at %v still", at)
			}
		})
	})
	t.Run("in a bubble a socket is closed within a second, however late it was opened", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t)
			time.Sleep(10 * lastLookAge)
			s := socket(t, h)
			time.Sleep(500 * time.Millisecond)
			s.Forget()
			time.Sleep(499 * time.Millisecond)
			if s.Closed() {
				t.Error("it is closed before the host looked")
			}
			time.Sleep(2 * time.Millisecond)
			if !s.Closed() {
				t.Error("it is not closed")
			}
		})
	})
	t.Run("many are closed in turns", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t)
			var all []*UDPSocket
			for range 10*closedAtOnce + 1 {
				all = append(all, socket(t, h))
			}
			for _, s := range all {
				s.Forget()
			}
			time.Sleep(firstLook)
			synctest.Wait()
			for i, s := range all {
				if !s.Closed() {
					t.Errorf("socket %d of %d is not closed", i, len(all))
				}
			}
		})
	})
}
