package clock

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// alarms is a Source of fixed moments.
type alarms struct {
	clock *Clock
	mu    sync.Mutex
	at    []mono.Time
	rang  []mono.Time
}

func (a *alarms) NextDeadline() (mono.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.at) == 0 {
		return 0, false
	}
	return slices.Min(a.at), true
}

func (a *alarms) Advance(now mono.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = slices.DeleteFunc(a.at, func(at mono.Time) bool {
		if at <= now {
			a.rang = append(a.rang, now)
		}
		return at <= now
	})
}

func (a *alarms) set(at mono.Time) {
	a.mu.Lock()
	a.at = append(a.at, at)
	a.mu.Unlock()
	a.clock.Armed(at)
}

func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Clock
		c.Init(0)
		start := c.Now()
		if start != mono.Time(time.Second) {
			t.Errorf("the clock starts at %d", start)
		}
		first, second := &alarms{clock: &c}, &alarms{clock: &c}
		c.Add(first)
		go c.Run()
		first.set(start.Add(time.Hour))
		second.at = []mono.Time{start.Add(3)}
		c.Add(second) // its deadline is there before it is
		synctest.Wait()
		first.set(start.Add(7))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		second.set(c.Now()) // passed already
		synctest.Wait()
		c.Stop()
		if want := []mono.Time{start.Add(7), start.Add(time.Hour)}; !slices.Equal(first.rang, want) {
			t.Errorf("first rang at %v, want %v", first.rang, want)
		}
		if want := []mono.Time{start.Add(3), start.Add(2 * time.Hour)}; !slices.Equal(second.rang, want) {
			t.Errorf("second rang at %v, want %v", second.rang, want)
		}
	})
}

func TestDeadlineMoments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Clock
		c.Init(0)
		for _, x := range []struct {
			t    time.Time
			want mono.Time
		}{
			{time.Time{}, 0},
			{time.Now(), c.Now()},
			{time.Now().Add(time.Minute), c.Now().Add(time.Minute)},
			{time.Unix(1, 0), 1},
		} {
			if got := c.Moment(x.t); got != x.want {
				t.Errorf("%v: %d, want %d", x.t, got, x.want)
			}
		}
		if got := c.Moment(time.Unix(1<<50, 0)); got <= c.Now().Add(24*time.Hour) {
			t.Errorf("the far future is %d", got)
		}
	})
}
