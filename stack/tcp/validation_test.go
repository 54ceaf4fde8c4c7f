package tcp

import (
	"fmt"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/tcp/cc"
)

// limitedFlight has the application write n segments, in pieces of the given size, and the peer acknowledge them by
// `stretch` segments each.
func limitedFlight(l *lab, n, piece, stretch uint32) {
	l.t.Helper()
	mss, from := uint32(l.conn.smss), l.conn.snd.nxt.Distance(l.iss)
	for at := uint32(0); at < n; at += piece {
		l.send(int(min(piece, n-at) * mss))
	}
	l.now = l.now.Add(10 * time.Millisecond)
	for at := uint32(0); at < n; {
		at = min(at+stretch, n)
		l.in(seg{flags: ACK, seq: 1, ack: from + at*mss, win: 65535})
	}
	l.out = nil
}

// limitedLab is a lab with a large send buffer, and GSO where super says so.
func limitedLab(t *testing.T, cc string, sack, super bool) *lab {
	l := newLab(t, Config{CongestionControl: cc}, Options{Linger: -1, NoDelay: true, SendBuffer: 4 << 20}, func(s *Segment) {
		s.Options |= OptWindowScale
		s.WindowScale = 7
		if sack {
			s.Options |= OptSACKPermitted | OptTimestamps
			s.TSVal = 1000
		}
	})
	l.conn.snd.wnd, l.conn.snd.maxWnd = 65535<<7, 65535<<7
	if super {
		l.conn.maxSuper = 65535
	}
	return l
}

func segmentsOf(l *lab, octets uint32) float64 { return float64(octets) / float64(l.conn.smss) }

// TestValidation is about flows that the application limits: what they have shown to use counts, and no more.
func TestValidation(t *testing.T) {
	for _, name := range []string{"cubic", "reno"} {
		for _, sack := range []bool{true, false} {
			for _, super := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, SACK and timestamps %v, super-segments %v", name, sack, super), func(t *testing.T) {
					testLimitedGrowth(t, name, sack, super)
				})
			}
		}
	}
}

func testLimitedGrowth(t *testing.T, name string, sack, super bool) {
	t.Run("C-CC-10 all that a flight of cwnd has acknowledged counts", func(t *testing.T) {
		for _, piece := range []uint32{10, 3, 1} {
			for _, stretch := range []uint32{1, 2, 3, 10} {
				l := limitedLab(t, name, sack, super)
				limitedFlight(l, 10, piece, stretch)
				if got := segmentsOf(l, l.conn.cwnd); got != 20 {
					t.Errorf("written by %d, acknowledged by %d: cwnd is %v segments, want 20", piece, stretch, got)
				}
			}
		}
	})
	t.Run("C-CC-10 flights that double find cwnd doubled", func(t *testing.T) {
		for _, stretch := range []uint32{1, 2, 45} {
			l := limitedLab(t, name, sack, super)
			for n := uint32(10); n <= 160; n *= 2 {
				limitedFlight(l, n, n, stretch)
				if got := segmentsOf(l, l.conn.cwnd); got != 2*float64(n) {
					t.Errorf("acknowledged by %d: cwnd is %v segments after a flight of %d", stretch, got, n)
				}
			}
		}
	})
	t.Run("C-CC-10 in slow start a flight of more than half of cwnd counts up to twice itself", func(t *testing.T) {
		for n, want := range map[uint32]float64{1: 10, 4: 10, 5: 10, 6: 12, 7: 14, 8: 16, 9: 18} {
			l := limitedLab(t, name, sack, super)
			for range 5 {
				limitedFlight(l, n, n, 1)
			}
			if got := segmentsOf(l, l.conn.cwnd); got != want {
				t.Errorf("flights of %d: cwnd is %v segments, want %v", n, got, want)
			}
		}
	})
	t.Run("C-CC-10 in congestion avoidance only a flight of cwnd counts", func(t *testing.T) {
		for _, n := range []uint32{5, 9, 10} {
			l := limitedLab(t, name, sack, super)
			l.conn.ssthresh = l.conn.cwnd
			w, control := *l.conn.window(), cc.New(name) // what each ACK gives where all of them count
			w.Flight = new(cc.Flight)
			w.Flight.Usage.Note(n*w.SMSS, 0, n*w.SMSS, n == 10, &w.Used, time.Second, l.now)
			limitedFlight(l, n, n, 2)
			for range n / 2 {
				control.OnAck(&w, &cc.Ack{Acked: 2 * w.SMSS}, l.now)
			}
			if n == 10 && w.Cwnd < 10*w.SMSS+w.SMSS/2 {
				t.Errorf("the controller gives %d octets only", w.Cwnd)
			}
			if l.conn.cwnd != w.Cwnd {
				t.Errorf("flight of %d: cwnd is %d, want %d", n, l.conn.cwnd, w.Cwnd)
			}
		}
	})
	t.Run("C-CC-10 a window that was full says nothing of the next", func(t *testing.T) {
		l := limitedLab(t, name, sack, super)
		limitedFlight(l, 10, 10, 2)
		for range 50 {
			limitedFlight(l, 4, 1, 2)
		}
		if got := segmentsOf(l, l.conn.cwnd); got != 20 {
			t.Errorf("cwnd is %v segments, want 20", got)
		}
	})
	t.Run("C-CC-10 a flow without a pause is judged by each window of data", func(t *testing.T) {
		l := limitedLab(t, name, sack, super)
		mss := uint32(l.conn.smss)
		limitedFlight(l, 10, 10, 10) // cwnd 20
		from := l.conn.snd.nxt.Distance(l.iss)
		l.send(int(4 * mss))
		for i := uint32(1); i <= 200; i++ { // always four in flight
			l.now = l.now.Add(time.Millisecond)
			l.send(int(mss))
			l.in(seg{flags: ACK, seq: 1, ack: from + i*mss})
		}
		if got := segmentsOf(l, l.conn.cwnd); got != 20 {
			t.Errorf("cwnd is %v segments, want 20", got)
		}
	})
	t.Run("C-CC-10 a window of the peer's limits cwnd to what it lets be used", func(t *testing.T) {
		for segments, want := range map[uint32]float64{4: 10, 8: 16, 10: 20} {
			l := limitedLab(t, name, sack, super)
			mss := uint32(l.conn.smss)
			l.conn.snd.wnd, l.conn.snd.maxWnd, l.conn.sndScale = segments*mss, segments*mss, 0
			l.send(int(200 * mss))
			for i := uint32(1); i <= 100; i++ {
				l.now = l.now.Add(time.Millisecond)
				l.in(seg{flags: ACK, seq: 1, ack: 1 + i*mss, win: int(segments * mss)})
			}
			if got := segmentsOf(l, l.conn.cwnd); got != want {
				t.Errorf("window of %d segments: cwnd is %v segments, want %v", segments, got, want)
			}
		}
	})
	t.Run("C-CC-9 C-CC-10 after idle slow start begins anew with what fills it", func(t *testing.T) {
		l := limitedLab(t, name, sack, super)
		limitedFlight(l, 10, 10, 2)
		limitedFlight(l, 20, 20, 2)
		l.wait(time.Minute)
		limitedFlight(l, 10, 10, 2)
		if got := segmentsOf(l, l.conn.cwnd); got != 20 {
			t.Errorf("cwnd is %v segments, want 20", got)
		}
		limitedFlight(l, 3, 3, 2)
		if got := segmentsOf(l, l.conn.cwnd); got != 20 {
			t.Errorf("cwnd is %v segments after a small flight, want 20", got)
		}
	})
	if sack {
		t.Run("C-CC-10 recovery of a small flight leaves nothing to grow by", func(t *testing.T) {
			l := limitedLab(t, name, sack, super)
			mss := uint32(l.conn.smss)
			limitedFlight(l, 10, 10, 2)
			from := l.conn.snd.nxt.Distance(l.iss)
			l.send(int(6 * mss))
			l.in(seg{flags: ACK, seq: 1, ack: from, sack: []Block{{Seq(from + mss), Seq(from + 5*mss)}}})
			if l.conn.phase != cc.Recovery {
				t.Fatalf("state %d", l.conn.phase)
			}
			l.send(int(2 * mss))
			l.in(seg{flags: ACK, seq: 1, ack: from + 6*mss})
			cwnd := l.conn.cwnd
			l.in(seg{flags: ACK, seq: 1, ack: from + 8*mss})
			if l.conn.phase != cc.Open || l.conn.cwnd != cwnd {
				t.Errorf("state %d, cwnd went from %d to %d", l.conn.phase, cwnd, l.conn.cwnd)
			}
		})
	}
}
