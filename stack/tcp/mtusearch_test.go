package tcp

import (
	"fmt"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/tcp/cc"
)

// hole is a connection whose path drops what is larger than mtu and says nothing, and acknowledges the rest after a
// round trip.
type hole struct {
	*lab
	mtu      int
	dead     bool    // it drops everything
	icmp     bool    // it says so, too
	arrived  []Block // ahead of next
	next     Seq
	largest  int // of what arrived, as a packet
	lost     int // packets
	segments int
}

func newHole(t *testing.T, p Path, mtu int, peer func(*Segment)) *hole {
	o := Options{Linger: -1, NoDelay: true, SendBuffer: 1 << 22}
	h := &hole{lab: newLabOn(t, p, Config{MaxSendBuffer: 1 << 23}, o, func(s *Segment) {
		s.Options |= OptWindowScale
		s.WindowScale = 7
		if peer != nil {
			peer(s)
		}
	}), mtu: mtu}
	return h
}

func withSACK(s *Segment) { s.Options |= OptSACKPermitted }

// size returns the size of the packets that a segment leaves in.
func (h *hole) size(s *Segment) int {
	n := int(s.TextLen)
	if s.GSOSize > 0 {
		n = min(n, int(s.GSOSize))
	}
	return n + h.path.headerLen() + headerLen + h.conn.stampLen()
}

// turn lets what has left arrive, and the peer answer each segment, 10 ms later.
func (h *hole) turn() {
	h.now = h.now.Add(10 * time.Millisecond)
	out := h.out
	h.out = nil
	for i := range out {
		s := &out[i]
		from := s.Seq.Distance(h.iss)
		to := from + s.TextLen
		if s.TextLen == 0 {
			continue
		}
		h.segments++
		if size := h.size(s); h.dead || size > h.mtu {
			h.lost++
			if h.icmp {
				h.conn.ICMPError(ICMPError{MTU: h.mtu, Seq: s.Seq}, h.now)
			}
			continue
		} else {
			h.largest = max(h.largest, size)
		}
		h.arrived = append(h.arrived, Block{Seq(from), Seq(to)})
		h.acknowledge(Block{Seq(from), Seq(to)})
	}
}

func (h *hole) acknowledge(last Block) {
	ack := max(h.next, 1)
	for again := true; again; {
		again = false
		for _, b := range h.arrived {
			if b.Left <= ack && ack < b.Right {
				ack, again = b.Right, true
			}
		}
	}
	kept := h.arrived[:0]
	for _, b := range h.arrived {
		if b.Right > ack {
			kept = append(kept, b)
		}
	}
	h.arrived, h.next = kept, ack
	in := seg{flags: ACK, seq: 1, ack: uint32(ack)}
	if h.conn.has(flagSACK) && last.Left > ack {
		in.sack = []Block{last}
	}
	h.in(in)
}

// until runs the connection until it has nothing in flight, or for d at most, and returns how many timeouts there were.
func (h *hole) until(d time.Duration) (timeouts uint64) {
	h.t.Helper()
	before := h.env.Counters.Timeouts
	for end := h.now.Add(d); h.now < end; {
		if len(h.out) > 0 {
			h.turn()
			continue
		}
		at := h.conn.Deadline()
		if at == 0 || h.conn.SendQueued() == 0 {
			break
		}
		h.now = max(h.now, min(at, end))
		h.conn.Timeout(h.now)
	}
	return h.env.Counters.Timeouts - before
}

// pathFamilies are a path of each family: how much text its segments carry, then those of the first four timeouts in a
// black hole, and the MTU of the third.
var pathFamilies = []struct {
	of    string
	path  Path
	mss   int
	sizes [4]int
	base  int
}{
	{"", path, 1460, [4]int{1460, 1460, 984, 512}, basePath},
	{" (IPv6)", Path{MTU: 1500, V6: true}, 1440, [4]int{1440, 1440, 1220, 1220}, 1280},
}

func TestBlackHole(t *testing.T) {
	for _, f := range pathFamilies {
		t.Run("B-PMT-8 the third timeout sends smaller segments, the fourth the smallest, the fifth as before"+f.of, func(t *testing.T) {
			mss := uint32(f.mss)
			l := establishedOn(t, f.path).send(2*f.mss).want(seg{flags: ACK, seq: 1, ack: 1, n: f.mss}, seg{flags: ACK | PSH, seq: 1 + mss, ack: 1, n: f.mss})
			for i, n := range f.sizes {
				at := l.conn.Deadline()
				if at == 0 {
					t.Fatal("no timer runs")
				}
				l.now = at
				l.conn.Timeout(at)
				l.want(seg{flags: ACK, seq: 1, ack: 1, n: n})
				if got := l.conn.Info(); i == 2 && (got.PathMTU != f.base || l.conn.PathMTU() != 1500) {
					t.Errorf("path MTU %d, %d as it was said", got.PathMTU, l.conn.PathMTU())
				}
			}
			l.now = l.conn.Deadline()
			l.conn.Timeout(l.now)
			if int(l.conn.smss) != f.mss || l.conn.searching() != nil {
				t.Errorf("segments of %d octets for a peer that is dead", l.conn.smss)
			}
			l.out = nil
			l.in(seg{flags: ACK, seq: 1, ack: 1 + uint32(f.sizes[3])}) // it is back
			l.in(seg{flags: ACK, seq: 1, ack: 1 + 2*mss})
			l.out = nil
			l.send(f.mss).want(seg{flags: ACK | PSH, seq: 1 + 2*mss, ack: 1, n: f.mss})
		})
	}
	t.Run("a small segment that is lost again and again is none", func(t *testing.T) {
		l := established(t).send(500).wait(20 * time.Second)
		if l.env.Counters.Timeouts < 4 || l.conn.smss != 1460 {
			t.Errorf("%d timeouts, segments of %d octets", l.env.Counters.Timeouts, l.conn.smss)
		}
	})
	t.Run("packets that may be cut meet none", func(t *testing.T) {
		l := newLab(t, Config{}, Options{Linger: -1, Discover: DiscoverDont}, nil).send(1460).wait(20 * time.Second)
		if l.env.Counters.Timeouts < 4 || l.conn.smss != 1460 {
			t.Errorf("%d timeouts, segments of %d octets", l.env.Counters.Timeouts, l.conn.smss)
		}
	})
	t.Run("no router cuts packets of IPv6", func(t *testing.T) {
		h := newHole(t, Path{MTU: 1500, V6: true}, 1300, nil)
		h.conn.SetOptions(&Options{Linger: -1, NoDelay: true, SendBuffer: 1 << 22, Discover: DiscoverOmit}, h.now)
		h.send(200_000)
		if h.until(time.Minute); h.conn.SendQueued() > 0 {
			t.Errorf("%d octets have not arrived", h.conn.SendQueued())
		}
	})
	for _, f := range pathFamilies {
		for _, x := range []struct {
			name string
			peer func(*Segment)
		}{{"with SACK", withSACK}, {"without SACK", nil}, {"with SACK and timestamps", func(s *Segment) {
			withSACK(s)
			s.Options |= OptTimestamps
			s.TSVal = 1
		}}} {
			for _, mtu := range []int{1400, 1300, 1280, 1024, 600} {
				if f.path.V6 && mtu < f.base {
					continue
				}
				t.Run(fmt.Sprintf("B-PMT-8 all above %d vanishes %s%s", mtu, x.name, f.of), func(t *testing.T) {
					h := newHole(t, f.path, mtu, x.peer)
					h.send(200_000)
					if n := h.until(time.Minute); n > 4 || h.conn.SendQueued() > 0 {
						t.Fatalf("%d timeouts, %d octets have not arrived", n, h.conn.SendQueued())
					}
					// What is left of the search.
					cut := h.watchCwnd(func() {
						for range 20 {
							h.send(100_000)
							if n := h.until(time.Minute); n > 0 {
								t.Fatalf("%d timeouts of probes", n)
							}
						}
					})
					if h.largest > mtu || h.largest <= mtu-2*searchStep && mtu >= basePath {
						t.Errorf("packets of %d octets", h.largest)
					}
					if cut {
						t.Error("cwnd was cut")
					}
					if s := h.conn.searching(); s == nil || !s.done() || h.conn.TakeEvents()&PathFound == 0 || h.conn.PathMTU() != h.largest {
						t.Errorf("the search is %+v, the path's MTU %d", s, h.conn.PathMTU())
					}
					lost := h.lost
					h.send(100_000).conn.Output(h.now)
					h.until(time.Minute)
					if h.lost != lost {
						t.Errorf("%d probes after the search", h.lost-lost)
					}
					// The path is said to carry more again: it is tried without a loss of anything else.
					h.mtu = 1500
					h.conn.SetPath(h.path, h.now)
					h.send(300_000)
					if h.until(time.Minute); h.lost != lost || h.conn.searching() != nil || h.conn.path().MTU != 1500 {
						t.Errorf("%d packets lost, the path's MTU is %d", h.lost-lost, h.conn.path().MTU)
					}
				})
			}
		}
		t.Run("B-PMT-8 a peer that was away gets large segments at once"+f.of, func(t *testing.T) {
			h := newHole(t, f.path, 1500, withSACK)
			h.send(20_000)
			h.until(time.Minute)
			h.dead = true
			h.send(200_000)
			for turns := 0; h.conn.retransmits < 3 && turns < 100; turns++ {
				h.until(time.Second)
			}
			h.dead = false
			lost := h.lost
			h.until(time.Minute)
			if h.lost != lost || h.conn.SendQueued() > 0 || h.conn.searching() != nil || int(h.conn.smss) != f.mss {
				t.Errorf("%d packets lost, %d octets left, segments of %d", h.lost-lost, h.conn.SendQueued(), h.conn.smss)
			}
		})
		t.Run("B-PMT-8 a router that answers a probe"+f.of, func(t *testing.T) {
			h := newHole(t, f.path, 1400, withSACK)
			h.send(200_000)
			for turns := 0; h.conn.phase != cc.Open || h.conn.searching() == nil; turns++ {
				if turns == 1000 {
					t.Fatal("no black hole was found")
				}
				if h.until(10 * time.Millisecond); h.conn.SendQueued() < 100_000 {
					h.send(50_000)
				}
			}
			h.icmp = true
			for range 3 {
				h.send(100_000)
				h.until(time.Minute)
			}
			if h.conn.searching() != nil && !h.conn.searching().done() || h.conn.path().MTU != 1400 {
				t.Errorf("the path's MTU is %d, search %+v", h.conn.path().MTU, h.conn.searching())
			}
		})
	}
}

// watchCwnd says whether cwnd was ever less than before while f ran.
func (h *hole) watchCwnd(f func()) (cut bool) {
	last := h.conn.cwnd
	h.env.Trace = func(c *Conn, e TraceEvent) {
		if e.Kind == TraceCwnd {
			cut = cut || e.Window < last
			last = e.Window
		}
	}
	defer func() { h.env.Trace = nil }()
	f()
	return cut
}
