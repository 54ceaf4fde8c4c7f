package tcp

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestPartialSegments checks which partial segments wait: Nagle's algorithm as Minshall has it, TCP_CORK and MSG_MORE, and
// what lets go of them.
func TestPartialSegments(t *testing.T) {
	nagle := func(t *testing.T) *lab { return newLab(t, Config{}, DefaultOptions(), nil) }
	sacked := func(t *testing.T) *lab {
		return newLab(t, Config{}, DefaultOptions(), func(s *Segment) { s.Options |= OptSACKPermitted })
	}
	set := func(l *lab, change func(o *Options)) *lab {
		o := l.conn.Options()
		change(&o)
		l.conn.SetOptions(&o, l.now)
		return l
	}
	data := func(seq uint32, n int) seg { return seg{flags: ACK, seq: seq, ack: 1, n: n} }
	last := func(seq uint32, n int) seg { return seg{flags: PSH | ACK, seq: seq, ack: 1, n: n} }
	ack := func(n uint32) seg { return seg{flags: ACK, seq: 1, ack: n} }
	// The probe of a longer flight comes before what a cork may last.
	const probe = 50 * time.Millisecond
	probeSoon := func(l *lab) { l.conn.timers[timerRetransmit] = l.now.Add(probe) }
	t.Run("SHLD-7 the end of one large write waits for nothing", func(t *testing.T) {
		nagle(t).send(2000).want(data(1, 1460), last(1461, 540))
		l := nagle(t)
		l.conn.SetPath(Path{MTU: 1500, MaxSuper: 65535}, l.now)
		l.send(5000).want(seg{flags: PSH | ACK, seq: 1, ack: 1, n: 5000, gso: 1460})
	})
	t.Run("SHLD-7 behind full segments only, a small write waits for nothing", func(t *testing.T) {
		nagle(t).send(2*1460).want(data(1, 1460), last(1461, 1460)).send(10).want(last(2921, 10)).send(10).want()
	})
	t.Run("SHLD-7 a partial segment holds the end of a large write back", func(t *testing.T) {
		l := nagle(t).send(10).want(last(1, 10)).send(2000).want(data(11, 1460))
		l.in(ack(11)).want(last(1471, 540))
	})
	t.Run("SHLD-7 until all of it is acknowledged", func(t *testing.T) {
		l := nagle(t).send(2000).want(data(1, 1460), last(1461, 540)).send(10).want()
		l.in(ack(1461)).want().in(ack(2000)).want().in(ack(2001)).want(last(2001, 10))
	})
	t.Run("SHLD-7 the end of a super-segment holds back as well", func(t *testing.T) {
		l := nagle(t)
		l.conn.SetPath(Path{MTU: 1500, MaxSuper: 65535}, l.now)
		l.send(5000).want(seg{flags: PSH | ACK, seq: 1, ack: 1, n: 5000, gso: 1460}).send(10).want()
		l.in(ack(5000)).want().in(ack(5001)).want(last(5001, 10))
	})
	t.Run("SHLD-7 a selective acknowledgment, or sending it again, does not count", func(t *testing.T) {
		l := sacked(t).send(2000).want(data(1, 1460), last(1461, 540)).send(10).want()
		l.in(seg{flags: ACK, seq: 1, ack: 1, sack: []Block{{1461, 2001}}})
		l.wait(time.Second)
		for _, o := range l.out {
			if o.TextLen != 1460 {
				t.Errorf("%d octets left", o.TextLen)
			}
		}
		l.out = nil
		l.in(ack(2001)).want(last(2001, 10))
	})
	t.Run("SHLD-7 a segment that SACK blocks have shortened is full", func(t *testing.T) {
		l := sacked(t).in(seg{flags: ACK, seq: 101, ack: 1, n: 100})
		l.out = nil
		blocks := []Block{{101, 201}}
		l.send(1460 - 12).want(seg{flags: PSH | ACK, seq: 1, ack: 1, n: 1448, sack: blocks})
		l.send(10).want(seg{flags: PSH | ACK, seq: 1449, ack: 1, n: 10, sack: blocks})
	})
	t.Run("SHLD-7 without Nagle's algorithm a partial segment left", func(t *testing.T) {
		l := set(nagle(t), func(o *Options) { o.NoDelay = true })
		l.send(10).want(last(1, 10)).send(10).want(last(11, 10))
		set(l, func(o *Options) { o.NoDelay = false }).send(10).want()
		l.in(ack(11)).want().in(ack(21)).want(last(21, 10))
	})
	t.Run("SHLD-7 what the peer's window cuts is partial", func(t *testing.T) {
		l := nagle(t).send(1460).want(last(1, 1460))
		l.in(seg{flags: ACK, seq: 1, ack: 1461, win: 100}).send(110).want()
		l.wait(holdTime).want(data(1461, 100))
		l.in(seg{flags: ACK, seq: 1, ack: 1461, win: 2000}).want().in(ack(1561)).want(last(1561, 10))
	})
	t.Run("SHLD-7 the FIN takes what is held along", func(t *testing.T) {
		l := nagle(t).send(10).want(last(1, 10)).send(10).want()
		l.conn.CloseWrite(l.now)
		l.want(seg{flags: FIN | PSH | ACK, seq: 11, ack: 1, n: 10})
	})
	t.Run("an acknowledged mark is forgotten, while others are in flight", func(t *testing.T) {
		l := nagle(t).send(10).send(1460)
		l.in(ack(11))
		if l.conn.tx == nil || l.conn.tx.partial {
			t.Error("2 GiB further on the mark would stand ahead of SND.UNA again")
		}
	})
	t.Run("MUST-17 NoDelay once more flushes what MSG_MORE holds", func(t *testing.T) {
		l := set(nagle(t), func(o *Options) { o.NoDelay = true })
		l.conn.SetMore(true)
		l.send(10).want()
		l.conn.Flush(l.now)
		l.want(last(1, 10)).send(10).want() // MSG_MORE again
		l.conn.SetMore(false)
		l.send(10).want(last(11, 20))
	})
	t.Run("MUST-17 and what a cork holds, which stays", func(t *testing.T) {
		l := set(nagle(t), func(o *Options) { o.Cork = true }).send(10).want()
		set(l, func(o *Options) { o.NoDelay = true }).want(last(1, 10)).send(10).want()
		l.conn.Flush(l.now)
		l.want(last(11, 10)).send(10).want()
		set(l, func(o *Options) { o.Cork = false }).want(last(21, 10))
	})
	t.Run("MUST-17 a flush counts when the window opens", func(t *testing.T) {
		l := set(nagle(t).send(1460).want(last(1, 1460)), func(o *Options) { o.Cork = true })
		l.in(seg{flags: ACK, seq: 1, ack: 1461, zero: true}).send(1500).want()
		l.conn.Flush(l.now)
		l.want().in(ack(1461)).want(data(1461, 1460), last(2921, 40)).send(10).want()
	})
	t.Run("MUST-17 a flush does not count for what is written after it", func(t *testing.T) {
		l := set(nagle(t).send(1460).want(last(1, 1460)), func(o *Options) { o.Cork = true })
		l.in(seg{flags: ACK, seq: 1, ack: 1461, zero: true}).send(1500).want()
		l.conn.Flush(l.now)
		l.send(10).want().in(ack(1461)).want(data(1461, 1460))
	})
	t.Run("C-TLP-2 a probe takes what is held before it repeats anything", func(t *testing.T) {
		holds := map[string]func(l *lab){
			"Nagle":    func(*lab) {},
			"MSG_MORE": func(l *lab) { l.conn.SetMore(true) },
			"a cork":   func(l *lab) { set(l, func(o *Options) { o.Cork = true }) },
		}
		for name, hold := range holds {
			l := sacked(t).send(10).want(last(1, 10))
			hold(l)
			l.send(20).want()
			probeSoon(l)
			l.wait(probe).want(last(11, 20))
			l.send(30).want()
			l.in(ack(31))
			if name == "Nagle" {
				l.want(last(31, 30))
			}
		}
	})
	t.Run("C-TLP-2 but not what the peer's window has no room for", func(t *testing.T) {
		l := sacked(t).send(1460).want(last(1, 1460))
		l.in(seg{flags: ACK, seq: 1, ack: 1461, win: 1465}).send(1460).want(last(1461, 1460)).send(100).want()
		probeSoon(l)
		l.wait(probe).want(data(1461, 1460))
	})
}

// nagleModel says which segments leave, from the RFC's words and Minshall's: lengths and ends only.
type nagleModel struct {
	mss                 int
	una, nxt, end       int
	small               int // the end of the last partial segment
	noDelay, cork, more bool
	flushed             int // what was written up to here waits for nothing
	segments            []int
	ends                []int
}

func (m *nagleModel) output() {
	for m.end-m.nxt >= m.mss {
		m.put(m.mss)
	}
	rest := m.end - m.nxt
	held := m.cork || m.more || !m.noDelay && m.small > m.una
	if rest > 0 && (!held || m.flushed == m.end) {
		m.put(rest)
		m.small = m.nxt
	}
}

func (m *nagleModel) put(n int) {
	m.nxt += n
	m.segments, m.ends = append(m.segments, n), append(m.ends, m.nxt)
}

// TestPartialSegmentsModel compares any order of writes, options and acknowledgments with the model.
func TestPartialSegmentsModel(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 9))
		l := newLab(t, Config{SendBuffer: 1 << 20}, DefaultOptions(), func(s *Segment) {
			s.Options, s.WindowScale = s.Options|OptWindowScale, 7
		})
		c := &l.conn
		c.cwnd = 1 << 20
		super := r.IntN(2) == 0
		if super {
			l.conn.SetPath(Path{MTU: 1500, MaxSuper: 65535}, l.now)
		}
		m := &nagleModel{mss: 1460}
		var did []string
		for range 200 {
			o := c.Options()
			what := ""
			switch r.IntN(8) {
			case 0, 1, 2:
				n := []int{1, 10, 1459, 1460, 1461, 2000, 2920, 5000}[r.IntN(8)]
				what = "write"
				m.more = r.IntN(4) == 0
				c.SetMore(m.more)
				l.send(n)
				m.end += n
				m.output()
			case 3:
				what, o.NoDelay = "NoDelay", r.IntN(2) == 0
				if o.NoDelay != m.noDelay && o.NoDelay {
					m.flushed = m.end
				}
				m.noDelay = o.NoDelay
				c.SetOptions(&o, l.now)
				m.output()
			case 4:
				what, o.Cork = "Cork", r.IntN(2) == 0
				if m.cork && !o.Cork {
					m.flushed = m.end
				}
				m.cork = o.Cork
				c.SetOptions(&o, l.now)
				m.output()
			case 5:
				what = "flush"
				c.Flush(l.now)
				m.flushed = m.end
				m.output()
			default:
				what = "ACK"
				if len(m.ends) == 0 {
					continue
				}
				k := r.IntN(min(len(m.ends), 3))
				m.una, m.ends = m.ends[k], m.ends[k+1:]
				l.in(seg{flags: ACK, seq: 1, ack: uint32(m.una) + 1})
				m.output()
			}
			did = append(did, what)
			var got []int
			for _, s := range l.out {
				for n := int(s.TextLen); n > 0; n -= m.mss {
					got = append(got, min(n, m.mss))
				}
			}
			l.out = nil
			if len(got) != len(m.segments) {
				t.Fatalf("seed %d, %v: segments of %v, want %v", seed, did, got, m.segments)
			}
			for i := range got {
				if got[i] != m.segments[i] {
					t.Fatalf("seed %d, %v: segments of %v, want %v", seed, did, got, m.segments)
				}
			}
			m.segments = m.segments[:0]
		}
	}
}
