package cc

import (
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

const ms = mono.Time(time.Millisecond)

// TestSampler feeds a Sampler by hand. Records are of 1000 octets; the k-th ends at number 1000*k.
func TestSampler(t *testing.T) {
	const octets = 1000
	send := func(s *Sampler, n int, inFlight uint32, at mono.Time) (stamps []Stamp) {
		for range n {
			inFlight += octets
			stamps = append(stamps, s.Sent(octets, inFlight, at))
		}
		return stamps
	}
	check := func(t *testing.T, s *Sample, delivered uint64, interval time.Duration, limited bool) {
		t.Helper()
		if s.Delivered != delivered || s.Interval != interval || s.Sent.AppLimited != limited {
			t.Errorf("%d octets in %v, limited %v; want %d, %v, %v", s.Delivered, s.Interval, s.Sent.AppLimited, delivered, interval, limited)
		}
	}
	t.Run("a flight that is acknowledged one by one", func(t *testing.T) {
		var s Sampler
		stamps := send(&s, 4, 0, 100*ms)
		for i := range stamps {
			now := mono.Time(110+i) * ms
			s.Record(&stamps[i], octets, uint32(octets*(i+1)), 100*ms, now)
			got := s.Take(4*octets, 10*time.Millisecond)
			check(t, got, uint64(octets*(i+1)), now.Sub(100*ms), false)
			if got.RTT != now.Sub(100*ms) || got.Acked != octets || got.TotalDelivered != uint64(octets*(i+1)) || got.PriorInFlight != 4*octets {
				t.Errorf("%+v", got)
			}
		}
	})
	t.Run("acknowledgments that arrive in a bunch do not look faster than what was sent", func(t *testing.T) {
		var s Sampler
		var stamps []Stamp
		for i := range 4 { // one each 5 ms
			stamps = append(stamps, send(&s, 1, uint32(octets*i), mono.Time(100+5*i)*ms)...)
		}
		s.Record(&stamps[0], octets, octets, 100*ms, 130*ms)
		check(t, s.Take(0, 0), octets, 30*time.Millisecond, false)
		later := send(&s, 1, 3*octets, 131*ms)
		for i := 1; i < 4; i++ {
			s.Record(&stamps[i], octets, uint32(octets*(i+1)), mono.Time(100+5*i)*ms, 131*ms)
		}
		check(t, s.Take(0, 0), 4*octets, 31*time.Millisecond, false)
		// The network is not empty between: what was sent 131-115 after A, and acknowledged 19 ms after A's delivery.
		s.Record(&later[0], octets, 5*octets, 131*ms, 150*ms)
		check(t, s.Take(0, 0), 4*octets, 31*time.Millisecond, false)
	})
	t.Run("the newest record that one acknowledgment covers counts", func(t *testing.T) {
		var s Sampler
		first := send(&s, 1, 0, 100*ms)
		s.Record(&first[0], octets, octets, 100*ms, 110*ms)
		s.Take(0, 0)
		older := send(&s, 1, 0, 111*ms)
		s.Lost(octets)
		newer := send(&s, 1, octets, 115*ms)
		s.Record(&newer[0], octets, 3*octets, 115*ms, 130*ms)
		s.Record(&older[0], octets, 2*octets, 111*ms, 130*ms)
		got := s.Take(0, 0)
		check(t, got, 2*octets, 19*time.Millisecond, false)
		if got.Acked != 2*octets || got.Lost != octets || got.TotalLost != octets || got.Sent.Lost != octets || got.RTT != 15*time.Millisecond {
			t.Errorf("%+v", got)
		}
	})
	t.Run("an idle time is no time of delivery", func(t *testing.T) {
		var s Sampler
		stamps := send(&s, 1, 0, 100*ms)
		s.Record(&stamps[0], octets, octets, 100*ms, 110*ms)
		s.Take(0, 0)
		stamps = send(&s, 1, 0, 10_000*ms)
		s.Record(&stamps[0], octets, 2*octets, 10_000*ms, 10_010*ms)
		check(t, s.Take(0, 0), octets, 10*time.Millisecond, false)
	})
	t.Run("what the application has limited is marked until it is delivered", func(t *testing.T) {
		var s Sampler
		stamps := send(&s, 1, 0, 100*ms)
		s.AppLimited(octets)
		stamps = append(stamps, send(&s, 2, octets, 101*ms)...)
		for i, limited := range []bool{false, true, true} {
			s.Record(&stamps[i], octets, uint32(octets*(i+1)), []mono.Time{100, 101, 101}[i]*ms, 111*ms)
			if got := s.Take(0, 0); got.Sent.AppLimited != limited {
				t.Errorf("record %d: limited %v", i, got.Sent.AppLimited)
			}
		}
		if next := send(&s, 1, 0, 120*ms); next[0].AppLimited {
			t.Error("still limited")
		}
	})
	t.Run("less than the smallest round-trip time is no rate", func(t *testing.T) {
		var s Sampler
		stamps := send(&s, 1, 0, 100*ms)
		s.Record(&stamps[0], octets, octets, 100*ms, 105*ms)
		if got := s.Take(0, 6*time.Millisecond); got.Interval != 0 || got.Rate() != 0 || got.Acked != octets {
			t.Errorf("%+v", got)
		}
	})
	t.Run("a record without a stamp counts and gives no rate", func(t *testing.T) {
		var s Sampler
		s.Record(&Stamp{}, octets, octets, 100*ms, 105*ms)
		if got := s.Take(0, 0); got.Interval != 0 || got.Acked != octets || got.TotalDelivered != octets {
			t.Errorf("%+v", got)
		}
	})
	t.Run("numbers around zero", func(t *testing.T) {
		var s Sampler
		stamps := send(&s, 2, 0, 100*ms)
		s.Record(&stamps[0], octets, ^uint32(0)-1, 100*ms, 110*ms)
		s.Record(&stamps[1], octets, octets-2, 100*ms, 110*ms)
		if got := s.Take(0, 0); got.Sent.InFlight != 2*octets {
			t.Errorf("the older record counts: %+v", got.Sent)
		}
	})
}
