package tcp

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// text is the expectation of plain data segments of size n from seq on, the last one pushed.
func text(seq uint32, sizes ...int) (out []seg) {
	for i, n := range sizes {
		s := seg{flags: ACK, seq: seq, ack: 1, n: n}
		if i == len(sizes)-1 {
			s.flags |= PSH
		}
		out = append(out, s)
		seq += uint32(n)
	}
	return out
}

func TestSegmentSize(t *testing.T) {
	t.Run("MUST-16 the payload leaves room for the options", func(t *testing.T) {
		l := newLab(t, Config{}, DefaultOptions(), func(s *Segment) { s.Options |= OptTimestamps | OptSACKPermitted; s.TSVal = 7 })
		l.send(3000).want(text(1, 1448, 1448, 104)...)
		l = newLab(t, Config{}, Options{Linger: -1, NoDelay: true}, func(s *Segment) { s.Options |= OptTimestamps | OptSACKPermitted; s.TSVal = 7 })
		l.tsval = 8
		for i := range uint32(3) {
			l.in(seg{flags: ACK, seq: 101 + 200*i, ack: 1, n: 100})
		}
		l.out = nil
		l.send(3000)
		for i, o := range l.out[:2] {
			// Ethernet's 1500 less IP and TCP headers, timestamps, and an option of three blocks.
			if want := uint32(1500 - 40 - 12 - 28); o.TextLen != want || o.NumSACK != 3 {
				t.Errorf("segment %d: %d octets and %d SACK blocks, want %d and 3", i, o.TextLen, o.NumSACK, want)
			}
		}
	})
	t.Run("MUST-15 no MSS option means 536", func(t *testing.T) {
		l := newLab(t, Config{}, DefaultOptions(), func(s *Segment) { s.Options = 0 })
		l.send(1000).want(text(1, 536, 464)...)
	})
	t.Run("MUST-14 the peer's MSS caps segments", func(t *testing.T) {
		l := newLab(t, Config{}, DefaultOptions(), func(s *Segment) { s.MSS = 700 })
		l.send(1400).want(seg{flags: ACK, seq: 1, ack: 1, n: 700}, seg{flags: ACK | PSH, seq: 701, ack: 1, n: 700})
	})
	t.Run("D-SACK-3 a tiny MSS is raised to 64", func(t *testing.T) {
		for _, mss := range []uint16{0, 1, 47} {
			l := newLab(t, Config{}, DefaultOptions(), func(s *Segment) { s.MSS = mss })
			l.send(64).want(text(1, 64)...)
		}
	})
	t.Run("C-MSS-1 the MSS option ignores other options", func(t *testing.T) {
		l := &lab{t: t, env: newEnv(Config{}), now: mono.Time(time.Hour)}
		l.dial(DefaultOptions())
		if s := l.out[0]; s.MSS != 1460 || s.Options&OptTimestamps == 0 {
			t.Errorf("MSS %d, options %x", s.MSS, s.Options)
		}
	})
	t.Run("MUST-61 PSH on the segment that empties the queue", func(t *testing.T) {
		established(t).send(3*1460 + 1).want(text(1, 1460, 1460, 1460, 1)...)
	})
	t.Run("SHLD-27 pushes are merged when packetizing", func(t *testing.T) {
		l := established(t)
		l.conn.cwnd = 1460
		l.send(1460).want(text(1, 1460)...)
		for range 4 {
			l.send(500)
		}
		l.want()
		l.conn.cwnd = 1460 * 10
		l.in(seg{flags: ACK, seq: 1, ack: 1461}).want(text(1461, 1460, 540)...)
	})
	t.Run("SHLD-28 full segments when possible", func(t *testing.T) {
		l := established(t)
		data := 40000
		l.conn.cwnd = 1 << 20
		l.send(data)
		for i, s := range l.out[:len(l.out)-1] {
			if s.TextLen != 1460 {
				t.Errorf("segment %d has %d octets", i, s.TextLen)
			}
		}
	})
	t.Run("a super-segment where the device cuts", func(t *testing.T) {
		l := established(t)
		l.conn.SetPath(Path{MTU: 1500, MaxSuper: 65535}, l.now)
		l.send(14600)
		if len(l.out) != 1 || l.out[0].TextLen != 14600 || l.out[0].GSOSize != 1460 {
			t.Errorf("%d segments, first of %d octets cut at %d", len(l.out), l.out[0].TextLen, l.out[0].GSOSize)
		}
	})
}

func TestSendSpan(t *testing.T) {
	l := established(t)
	l.conn.SetPath(Path{MTU: 1500, MaxSuper: 65535}, l.now)
	l.conn.cwnd = 1 << 20
	n := l.conn.SendSize()
	if n%1460 != 0 || n < 60000 {
		t.Fatalf("SendSize %d", n)
	}
	span := allocPlain(n)
	if !l.conn.SendSpan(span, l.now) {
		t.Fatal("refused with an empty queue")
	}
	if len(l.out) != 1 || l.out[0].TextLen != uint32(n) || l.out[0].GSOSize != 1460 {
		t.Fatalf("%d segments", len(l.out))
	}
	for l.conn.SendSpace() > 0 {
		l.conn.Send(make([]byte, l.conn.SendSpace()), l.now)
	}
	if l.conn.SendSpan(span, l.now) {
		t.Error("taken by a full queue")
	}
	l.in(seg{flags: ACK, seq: 1, ack: 1 + uint32(n)})
	if l.conn.TakeEvents()&Writable == 0 || !l.conn.SendSpan(span, l.now) {
		t.Error("refused although there is room again")
	}
}

func TestNagle(t *testing.T) {
	nagle := func(t *testing.T) *lab { return newLab(t, Config{}, DefaultOptions(), nil) }
	t.Run("SHLD-7 the second small write waits for the ACK", func(t *testing.T) {
		l := nagle(t).send(10).want(text(1, 10)...).send(10).want()
		l.in(seg{flags: ACK, seq: 1, ack: 11}).want(text(11, 10)...)
	})
	t.Run("MAY-16 held writes are merged", func(t *testing.T) {
		l := nagle(t).send(10).want(text(1, 10)...).send(10).send(10).send(10).want()
		l.in(seg{flags: ACK, seq: 1, ack: 11}).want(text(11, 30)...)
	})
	t.Run("MUST-17 NoDelay sends at once and flushes what is held", func(t *testing.T) {
		l := nagle(t).send(10).want(text(1, 10)...).send(10).want()
		o := l.conn.Options()
		o.NoDelay = true
		l.conn.SetOptions(&o, l.now)
		l.want(text(11, 10)...)
		l.send(10).want(text(21, 10)...)
	})
	t.Run("MUST-60 without a push flag nothing is kept for ever", func(t *testing.T) {
		nagle(t).send(1).want(text(1, 1)...)
		l := established(t)
		o := l.conn.Options()
		o.Cork = true
		l.conn.SetOptions(&o, l.now)
		l.send(1).want().wait(200*time.Millisecond - 1).want().wait(1).want(text(1, 1)...)
	})
}

func TestWindow(t *testing.T) {
	t.Run("MUST-36 zero-window probes", func(t *testing.T) {
		l := established(t).send(1000).want(text(1, 1000)...)
		l.in(seg{flags: ACK, seq: 1, ack: 1001, zero: true}).send(500).want()
		rto := micros(l.conn.rto)
		probe := seg{flags: ACK, seq: 1000, ack: 1}
		t.Run("SHLD-29 the first after one RTO", func(t *testing.T) {
			l.wait(rto - 1).want().wait(1).want(probe)
		})
		t.Run("SHLD-30 then doubling", func(t *testing.T) {
			for i := range 12 {
				gap := min(rto<<(i+1), l.env.Config.MaxRTO)
				l.in(seg{flags: ACK, seq: 1, ack: 1001, zero: true})
				l.wait(gap - 1).want().wait(1).want(probe)
			}
		})
		t.Run("MUST-37 answered probes keep the connection", func(t *testing.T) {
			for start := l.now; l.now.Sub(start) < 24*time.Hour; {
				l.wait(l.env.Config.MaxRTO)
				l.want(probe)
				l.in(seg{flags: ACK, seq: 1, ack: 1001, zero: true})
			}
			l.state(Established)
		})
		l.in(seg{flags: ACK, seq: 1, ack: 1001}).want(text(1001, 500)...)
	})
	t.Run("D-STK-4 a user timeout ends a connection in the persist state", func(t *testing.T) {
		l := established(t)
		o := l.conn.Options()
		o.UserTimeout = 1000
		l.conn.SetOptions(&o, l.now)
		l.send(100).in(seg{flags: ACK, seq: 1, ack: 101, zero: true}).send(10)
		l.wait(time.Second - 1).state(Established)
		l.wait(1).state(Closed)
		if l.conn.Err() != syscall.ETIMEDOUT {
			t.Errorf("error %v", l.conn.Err())
		}
	})
	t.Run("SHLD-15 no new text after the window shrank below the flight", func(t *testing.T) {
		l := established(t).send(10 * 1460)
		l.out = nil
		l.in(seg{flags: ACK, seq: 1, ack: 1, win: 2 * 1460}).send(1000).want()
		t.Run("SHLD-16 old text inside the window is sent again", func(t *testing.T) {
			l.wait(micros(l.conn.rto)).want(seg{flags: ACK, seq: 1, ack: 1, n: 1460})
		})
		t.Run("SHLD-17 and the connection lives", func(t *testing.T) {
			for range 10 {
				l.wait(time.Minute).in(seg{flags: ACK, seq: 1, ack: 1, win: 2 * 1460})
			}
			l.state(Established)
		})
	})
	t.Run("MUST-34 a negative usable window", func(t *testing.T) {
		l := established(t).send(10 * 1460)
		l.out = nil
		l.in(seg{flags: ACK, seq: 1, ack: 1, zero: true}).send(1000).want().state(Established)
		t.Run("MUST-35 is probed like any closed window", func(t *testing.T) {
			rto := micros(l.conn.rto)
			l.wait(rto).want(seg{flags: ACK, seq: 0, ack: 1}).wait(2 * rto).want(seg{flags: ACK, seq: 0, ack: 1})
		})
	})
	t.Run("SHLD-16 what lies beyond a window that shrank is not sent again", func(t *testing.T) {
		again := func(seq uint32) seg { return seg{flags: ACK, seq: seq, ack: 1, n: 1460} }
		l := newLab(t, Config{NoSACK: true}, Options{Linger: -1, NoDelay: true}, nil).send(4 * 1460)
		l.out = nil
		l.in(seg{flags: ACK, seq: 1, ack: 1, win: 2 * 1460}).wait(micros(l.conn.rto)).want(again(1))
		l.in(seg{flags: ACK, seq: 1, ack: 1461, win: 1460}).want(again(1461))
		last := again(3*1460 + 1)
		last.flags |= PSH
		l.in(seg{flags: ACK, seq: 1, ack: 2921}).want(again(2921), last)
	})
	t.Run("A-SM-16 text sent again brings the window that its acknowledgment stands for", func(t *testing.T) {
		l := established(t).send(4000)
		l.out = nil
		l.in(seg{flags: ACK, seq: 1001, ack: 1001, n: 1000, win: 5000}) // ahead of a gap
		l.in(seg{flags: ACK, seq: 1, ack: 3001, n: 1000, win: 3000})
		if edge := l.conn.snd.una.Add(l.conn.snd.wnd).Distance(l.iss); edge != 6001 {
			t.Errorf("right edge at %d, want that of the last segment, 6001", edge)
		}
		l.in(seg{flags: ACK, seq: 1, ack: 3001, n: 1000, win: 9000})
		if edge := l.conn.snd.una.Add(l.conn.snd.wnd).Distance(l.iss); edge != 6001 {
			t.Errorf("right edge at %d after one that acknowledges no more", edge)
		}
	})
	t.Run("A-SM-12 an ACK stands at the right edge of a window that shrank, where a closed one takes it", func(t *testing.T) {
		l := established(t).send(2000)
		l.out = nil
		l.in(seg{flags: ACK, seq: 1, ack: 1001, zero: true}).want()
		l.in(seg{flags: ACK, seq: 1, ack: 1001, n: 1460, zero: true}).want(seg{flags: ACK, seq: 1001, ack: 1461, win: anyWindow})
		l.conn.Abort(l.now)
		l.want(seg{flags: RST | ACK, seq: 1001, ack: 1461, win: anyWindow})
	})
	t.Run("A-SM-12 an edge that a scaled window rounds off is not taken for one that shrank", func(t *testing.T) {
		l := sacking(t).send(2000)
		l.out = nil
		l.tsecr = l.conn.tsNow(l.now)
		l.in(seg{flags: ACK, seq: 1, ack: 1, win: 15}) // 1920 octets
		l.in(seg{flags: ACK, seq: 1, ack: 1, n: 1448, win: 15}).want(seg{flags: ACK, seq: 2001, ack: 1449, win: anyWindow})
	})
	t.Run("MUST-38 no silly small segments", func(t *testing.T) {
		l := established(t).send(1460).want(text(1, 1460)...)
		l.in(seg{flags: ACK, seq: 1, ack: 1461, zero: true}).send(1460).want()
		l.in(seg{flags: ACK, seq: 1, ack: 1461, win: 10}).want()
		l.in(seg{flags: ACK, seq: 1, ack: 1461, win: 20}).want()
		l.wait(200 * time.Millisecond).want(seg{flags: ACK, seq: 1461, ack: 1, n: 20})
	})
	t.Run("MUST-1 the window field is unsigned", func(t *testing.T) {
		l := established(t)
		l.conn.cwnd = 1 << 20
		l.conn.Send(make([]byte, 100000), l.now)
		n := uint32(0)
		for _, s := range l.out {
			n += s.TextLen
		}
		if n < 65535-1460 || n > 65535 {
			t.Errorf("%d octets in flight, want the window of 65535", n)
		}
	})
	t.Run("MUST-39 no update for a crumb", func(t *testing.T) {
		l := newLab(t, Config{RecvBuffer: 4096, MaxRecvBuffer: 4096}, Options{Linger: -1}, nil)
		for i := uint32(1); i < 4096; i += 1024 {
			l.in(seg{flags: ACK, seq: i, ack: 1, n: 1024})
		}
		if l.conn.rcv.wnd() != 0 {
			t.Fatalf("window %d, want it closed", l.conn.rcv.wnd())
		}
		l.out = nil
		var b [1]byte
		for i := range 1023 {
			l.conn.Receive(b[:], l.now)
			if len(l.out) != 0 {
				t.Fatalf("a window update after %d octets", i+1)
			}
		}
		l.conn.Receive(b[:], l.now)
		l.want(seg{flags: ACK, seq: 1, ack: 4097, win: 1024})
	})
	t.Run("MAY-8 a closed window may stay closed and every probe is answered", func(t *testing.T) {
		l := newLab(t, Config{RecvBuffer: 4096, MaxRecvBuffer: 4096}, Options{Linger: -1}, nil)
		l.in(seg{flags: ACK, seq: 1, ack: 1, n: 4096})
		l.out = nil
		for range 30 {
			l.wait(2 * time.Minute).in(seg{flags: ACK, seq: 4096, ack: 1})
			if len(l.out) != 1 || l.out[0].Window != 0 {
				t.Fatalf("probe answered by %v", l.out)
			}
			l.out = nil
		}
	})
}

func TestRightEdge(t *testing.T) {
	t.Run("SHLD-14 the right edge never retreats", func(t *testing.T) {
		for seed := range uint64(20) {
			r := rand.New(rand.NewPCG(seed, 5))
			l := sacking(t)
			shift := l.conn.rcvScale
			var edge uint32
			next := uint32(1)
			for range 400 {
				switch r.IntN(4) {
				case 0:
					n := 1 + r.IntN(3000)
					if n = min(n, int(l.conn.rcv.wnd())); n > 0 {
						l.tsval++
						l.in(seg{flags: ACK, seq: next, ack: 1, n: n})
						next = uint32(l.conn.rcv.nxt - l.irs)
					}
				case 1:
					l.in(seg{flags: ACK, seq: next + 1000 + uint32(r.IntN(20000)), ack: 1, n: 1 + r.IntN(2000)})
				case 2:
					l.conn.Receive(make([]byte, r.IntN(20000)), l.now)
				case 3:
					o := l.conn.Options()
					o.RecvBuffer = int32(2304 + r.IntN(300000))
					l.conn.SetOptions(&o, l.now)
				}
				for _, s := range l.out {
					e := s.Ack.Distance(l.irs) + uint32(s.Window)<<shift
					if e+1<<shift <= edge {
						t.Fatalf("seed %d: right edge went from %d to %d", seed, edge, e)
					}
					edge = max(edge, e)
				}
				l.out = nil
			}
		}
	})
	t.Run("C-WS-5 small segments that nobody reads close the window", func(t *testing.T) {
		l := sacking(t)
		unit := uint32(1) << l.conn.rcvScale
		edge, next := uint32(0), uint32(1)
		for range 10000 {
			l.tsval++
			l.in(seg{flags: ACK, seq: next, ack: 1, n: 50})
			l.in(seg{flags: ACK, seq: next, ack: 1, n: 50}) // a duplicate is acknowledged at once
			for _, s := range l.out {
				e := s.Ack.Distance(l.irs) + uint32(s.Window)*unit
				if e+unit <= edge {
					t.Fatalf("right edge went from %d to %d", edge, e)
				}
				edge = max(edge, e)
			}
			l.out = nil
			next = uint32(l.conn.rcv.nxt - l.irs)
		}
		if most := int(l.conn.rcvBuf) + int(unit); l.conn.Readable() > most {
			t.Errorf("%d octets are kept, with a buffer of %d", l.conn.Readable(), l.conn.rcvBuf)
		}
		if l.conn.Readable() < int(l.conn.rcvBuf)-int(unit) {
			t.Errorf("%d octets are kept, of %d", l.conn.Readable(), l.conn.rcvBuf)
		}
	})
}

func TestAcknowledgments(t *testing.T) {
	quiet := func(t *testing.T) *lab {
		l := established(t)
		l.conn.quickLeft = 0
		return l
	}
	t.Run("SHLD-18 a small segment is acknowledged late", func(t *testing.T) {
		l := quiet(t).in(seg{flags: ACK, seq: 1, ack: 1, n: 10}).want()
		t.Run("MUST-40 by 40 ms", func(t *testing.T) {
			l.wait(40*time.Millisecond - 1).want().wait(1).want(seg{flags: ACK, seq: 1, ack: 11})
		})
		t.Run("MUST-40 after the first segment, however many small ones follow", func(t *testing.T) {
			l := quiet(t).in(seg{flags: ACK, seq: 1, ack: 1, n: 10})
			for i := range uint32(3) {
				l.wait(13 * time.Millisecond).in(seg{flags: ACK, seq: 11 + 10*i, ack: 1, n: 10}).want()
			}
			l.wait(time.Millisecond).want(seg{flags: ACK, seq: 1, ack: 41})
		})
		l = quiet(t).in(seg{flags: ACK, seq: 1, ack: 1, n: 10}).send(5).want(seg{flags: ACK | PSH, seq: 1, ack: 11, n: 5})
		l.wait(time.Millisecond * 40).want()
		t.Run("SHLD-18 an answer stops the timer", func(t *testing.T) {
			l := quiet(t).in(seg{flags: ACK, seq: 1, ack: 1, n: 10}).send(5).want(seg{flags: ACK | PSH, seq: 1, ack: 11, n: 5})
			l.wait(30 * time.Millisecond).in(seg{flags: ACK, seq: 11, ack: 6, n: 10})
			l.wait(40*time.Millisecond - 1).want().wait(1).want(seg{flags: ACK, seq: 6, ack: 21})
		})
	})
	t.Run("SHLD-19 at least every second segment", func(t *testing.T) {
		for _, size := range []int{1460, 536} {
			l := quiet(t)
			acks := 0
			for i := range uint32(10) {
				l.in(seg{flags: ACK, seq: 1 + i*uint32(size), ack: 1, n: size})
				acks += len(l.out)
				l.out = nil
			}
			if acks < 5 {
				t.Errorf("%d ACKs for ten segments of %d octets, want at least 5", acks, size)
			}
		}
	})
	t.Run("SHLD-19 more than one full segment is acknowledged when the burst ends, before a tail loss probe asks", func(t *testing.T) {
		l := quiet(t)
		l.conn.rmss = 1460
		l.in(seg{flags: ACK, seq: 1, ack: 1, n: 1460}).want()
		l.raw(seg{flags: ACK | PSH, seq: 1461, ack: 1, n: 10})
		if !l.conn.OutputEarly(l.now) {
			t.Error("no ACK is held")
		}
		l.want()
		l.conn.Output(l.now)
		l.want(seg{flags: ACK, seq: 1, ack: 1471})
	})
	t.Run("SHLD-19 what a device has put together shows no segment larger than one with timestamps can be", func(t *testing.T) {
		l := sacking(t)
		l.in(seg{flags: ACK, seq: 1, ack: 1, n: 3 * 1448, win: 500, tsval: 1001})
		if l.conn.rmss != 1448 {
			t.Errorf("RMSS %d, want 1448", l.conn.rmss)
		}
		l = quiet(t).in(seg{flags: ACK, seq: 1, ack: 1, n: 3 * 1460})
		if l.conn.rmss != 1460 {
			t.Errorf("without them: RMSS %d, want 1460", l.conn.rmss)
		}
	})
	t.Run("an eager ACK waits for the end of the burst, one that a gap asks for does not", func(t *testing.T) {
		l := established(t)
		l.raw(seg{flags: ACK | PSH, seq: 1, ack: 1, n: 10})
		if !l.conn.OutputEarly(l.now) {
			t.Error("no ACK is held")
		}
		l.want()
		l.conn.Queue(make([]byte, 5), l.now)
		l.want()
		l.conn.Output(l.now)
		l.want(seg{flags: ACK | PSH, seq: 1, ack: 11, n: 5})
		l = established(t)
		l.raw(seg{flags: ACK | PSH, seq: 1, ack: 1, n: 20})
		l.conn.OutputEarly(l.now)
		l.want()
		l.conn.Output(l.now)
		l.want(seg{flags: ACK, seq: 1, ack: 21})
		l.raw(seg{flags: ACK | PSH, seq: 31, ack: 1, n: 10})
		if l.conn.OutputEarly(l.now) {
			t.Error("an ACK is held although there is a gap")
		}
		l.want(seg{flags: ACK, seq: 1, ack: 21})
		l.raw(seg{flags: FIN | ACK, seq: 41, ack: 1})
		l.conn.OutputEarly(l.now)
		l.out = nil
		l.raw(seg{flags: ACK | PSH, seq: 21, ack: 1, n: 10})
		if l.conn.OutputEarly(l.now) {
			t.Error("an ACK is held although a gap was filled, up to the FIN")
		}
		l.want(seg{flags: ACK, seq: 1, ack: 42})
	})
	t.Run("the update of the window that our SYN could not name waits with the eager ACK", func(t *testing.T) {
		l := newLab(t, Config{RecvBuffer: 4 * 65535}, Options{Linger: -1, NoDelay: true},
			func(s *Segment) { s.Options |= OptWindowScale })
		l.conn.rcv.edge = l.conn.rcv.nxt.Add(65535) // as behind a SYN-ACK
		l.raw(seg{flags: ACK | PSH, seq: 1, ack: 1, n: 10})
		l.conn.OutputEarly(l.now)
		l.read()
		l.want()
		if !l.conn.windowUpdateDue() {
			t.Fatal("the buffer is not larger than what the window said")
		}
		l.conn.Queue(make([]byte, 5), l.now)
		l.conn.Output(l.now)
		l.want(seg{flags: ACK | PSH, seq: 1, ack: 11, n: 5})
		if l.conn.windowUpdateDue() {
			t.Error("the answer has not said it")
		}
		l.raw(seg{flags: ACK | PSH, seq: 11, ack: 6, n: 10}) // after an answer no ACK is eager
		l.conn.rcv.edge = l.conn.rcv.nxt.Add(100)
		l.conn.OutputEarly(l.now)
		l.read()
		l.want(seg{flags: ACK, seq: 6, ack: 21})
	})
	t.Run("MUST-58 a batch is acknowledged together", func(t *testing.T) {
		l := quiet(t)
		for i := range uint32(8) {
			l.raw(seg{flags: ACK, seq: 1 + i*1460, ack: 1, n: 1460})
		}
		l.conn.Output(l.now)
		l.want(seg{flags: ACK, seq: 1, ack: 1 + 8*1460})
	})
	t.Run("MUST-59 a batch is processed before any ACK", func(t *testing.T) {
		l := quiet(t)
		l.raw(seg{flags: ACK, seq: 1461, ack: 1, n: 1460})
		l.raw(seg{flags: ACK, seq: 1, ack: 1, n: 1460})
		l.conn.Output(l.now)
		l.want(seg{flags: ACK, seq: 1, ack: 2921})
	})
	t.Run("SHLD-31 text ahead of a gap is kept", func(t *testing.T) {
		l := quiet(t)
		for i := range uint32(10) {
			if i != 3 {
				l.in(seg{flags: ACK, seq: 1 + i*100, ack: 1, n: 100})
			}
		}
		l.out = nil
		l.in(seg{flags: ACK, seq: 301, ack: 1, n: 100}).want(seg{flags: ACK, seq: 1, ack: 1001})
	})
	t.Run("C-CC-8 an ACK at once for text out of order and for a filled gap", func(t *testing.T) {
		l := quiet(t).in(seg{flags: ACK, seq: 101, ack: 1, n: 100}).want(seg{flags: ACK, seq: 1, ack: 1})
		l.in(seg{flags: ACK, seq: 1, ack: 1, n: 100}).want(seg{flags: ACK, seq: 1, ack: 201})
	})
	t.Run("MAY-17 text without PSH is readable at once", func(t *testing.T) {
		l := quiet(t).in(seg{flags: ACK, seq: 1, ack: 1, n: 10})
		if l.conn.TakeEvents()&Readable == 0 {
			t.Error("no Readable event")
		}
	})
}

func TestTimestamps(t *testing.T) {
	t.Run("C-TS-1 after negotiation on every segment", func(t *testing.T) {
		l := sacking(t).send(10)
		l.conn.Abort(l.now)
		for _, s := range l.out {
			if s.Options&OptTimestamps == 0 {
				t.Errorf("a segment with flags %x has none", s.Flags)
			}
		}
	})
	t.Run("C-TS-3 TS.Recent follows the segment that the next ACK covers first", func(t *testing.T) {
		l := sacking(t)
		l.conn.quickLeft = 0
		l.in(seg{flags: ACK, seq: 1, ack: 1, n: 10, tsval: 2000})
		l.in(seg{flags: ACK, seq: 11, ack: 1, n: 10, tsval: 2001})
		l.wait(40 * time.Millisecond)
		if got := l.out[0].TSEcr; got != 2000 {
			t.Errorf("a delayed ACK echoes %d, want the first segment's 2000", got)
		}
		l.out = nil
		l.in(seg{flags: ACK, seq: 121, ack: 1, n: 10, tsval: 3000})
		if got := l.out[0].TSEcr; got != 2000 {
			t.Errorf("the ACK of text out of order echoes %d, want 2000", got)
		}
	})
	t.Run("C-TS-5 a timestamp is never older than one before it", func(t *testing.T) {
		l := sacking(t)
		burst := l.now
		l.now = l.now.Add(5 * time.Millisecond)
		l.send(10)
		want := l.out[0].TSVal
		l.out = nil
		l.now = burst // one that goes by the moment at which its burst of segments began
		l.send(10)
		if got := l.out[0].TSVal; got != want {
			t.Errorf("TSval %d after %d", got, want)
		}
	})
	t.Run("C-PAWS-1 an old timestamp is acknowledged and dropped", func(t *testing.T) {
		l := sacking(t)
		l.in(seg{flags: ACK, seq: 1, ack: 1, n: 10, tsval: 2000})
		l.out = nil
		l.in(seg{flags: ACK, seq: 11, ack: 1, n: 10, tsval: 1999}).want(seg{flags: ACK, seq: 1, ack: 11})
		if l.conn.Readable() != 10 {
			t.Error("the old segment's text was taken")
		}
	})
	t.Run("C-PAWS-2 RST is exempt", func(t *testing.T) {
		l := sacking(t)
		l.in(seg{flags: RST, seq: 1, tsval: 1}).want().state(Closed)
	})
	t.Run("C-PAWS-4 an unacceptable segment does not poison TS.Recent", func(t *testing.T) {
		l := sacking(t)
		l.in(seg{flags: FIN | ACK, seq: 1, ack: 9999, tsval: 1 << 30})
		l.in(seg{flags: ACK, seq: 1, ack: 1, n: 10, tsval: 1001})
		if l.conn.Readable() != 10 {
			t.Error("a good segment was refused afterwards")
		}
	})
	t.Run("C-PAWS-3 TS.Recent is invalid after 24 days", func(t *testing.T) {
		l := sacking(t)
		l.in(seg{flags: ACK, seq: 1, ack: 1, n: 1, tsval: 5000})
		l.wait(25 * 24 * time.Hour)
		l.in(seg{flags: ACK, seq: 2, ack: 1, n: 10, tsval: 4000})
		if l.conn.Readable() != 11 {
			t.Error("text was refused")
		}
	})
	t.Run("C-TS-4 only an ACK that advances gives a sample, and none of the future does", func(t *testing.T) {
		const rtt = 40 * time.Millisecond
		for _, c := range []struct {
			name   string
			in     seg
			echo   int32 // against what the flight has sent
			sample bool
		}{
			{"a duplicate ACK", seg{flags: ACK, seq: 1, ack: 1}, 0, false},
			{"a duplicate ACK with an odd echo", seg{flags: ACK, seq: 1, ack: 1}, -5000, false},
			{"text with an old ACK", seg{flags: ACK, seq: 1, ack: 1, n: 10}, -5000, false},
			{"no ACK bit", seg{seq: 1, n: 10}, -5000, false},
			{"an echo of the future, for what was sent twice", seg{flags: ACK, seq: 1, ack: 11}, 100_000, false},
			{"the echo of what was sent twice", seg{flags: ACK, seq: 1, ack: 11}, 0, true},
		} {
			l := sacking(t).send(10)
			sent := l.out[0].TSVal
			l.conn.tx.sb.recs[l.conn.tx.sb.head].flags |= recRetrans // so that the timestamp alone can tell
			before := l.conn.srtt
			l.now = l.now.Add(rtt)
			l.tsecr = sent + uint32(c.echo)
			l.in(c.in)
			want := before
			if c.sample {
				want = before - before/8 + int32(rtt.Microseconds())/8
			}
			if got := l.conn.srtt; got < want-500 || got > want+500 || !c.sample && got != before {
				t.Errorf("%s: SRTT %d us, want %d, was %d", c.name, got, want, before)
			}
		}
	})
	t.Run("C-TS-2 a missing timestamp does not end the connection", func(t *testing.T) {
		l := sacking(t)
		l.ts = false
		l.in(seg{flags: ACK, seq: 1, ack: 1, n: 10}).state(Established)
		if l.conn.Readable() != 10 {
			t.Error("text was not taken (ledger Z-9)")
		}
	})
}

func TestRTO(t *testing.T) {
	t.Run("C-RTO-1 SRTT, RTTVAR and RTO", func(t *testing.T) {
		l := established(t)
		c := &l.conn
		c.srtt = 0
		for _, x := range []struct{ ms, srtt, rttvar, rto int32 }{
			{100, 100000, 50000, 300000},
			{100, 100000, 37500, 300000},
			{500, 150000, 128125, 662500},
			{150, 150000, 96094, 534376},
		} {
			c.sampleRTT(time.Duration(x.ms) * time.Millisecond)
			if abs(c.srtt-x.srtt) > 1 || abs(c.rttvar-x.rttvar) > 1 || abs(c.rto-x.rto) > 4 {
				t.Errorf("after %d ms: SRTT %d RTTVAR %d RTO %d, want %d %d %d", x.ms, c.srtt, c.rttvar, c.rto, x.srtt, x.rttvar, x.rto)
			}
		}
	})
	t.Run("C-RTO-5 restarted by each ACK of new text, stopped when nothing is out", func(t *testing.T) {
		l := newLab(t, Config{NoSACK: true}, Options{Linger: -1, NoDelay: true}, nil).send(3 * 1460)
		l.out = nil
		rto := micros(l.conn.rto)
		l.wait(rto - time.Millisecond).want()
		l.in(seg{flags: ACK, seq: 1, ack: 1461}).want()
		rto = micros(l.conn.rto)
		l.wait(rto - 1).want()
		l.wait(1).want(seg{flags: ACK, seq: 1461, ack: 1, n: 1460})
		l.in(seg{flags: ACK, seq: 1, ack: 3*1460 + 1}).want()
		if at := l.conn.timers[timerRetransmit]; at != 0 {
			t.Errorf("the timer runs with nothing outstanding")
		}
		l.wait(time.Hour).want()
		t.Run("C-RTO-5 or only what is held back", func(t *testing.T) {
			l := newLab(t, Config{NoSACK: true}, Options{Linger: -1, Cork: true}, nil).send(1460)
			l.want(text(1, 1460)...).wait(micros(l.conn.rto) - 20*time.Millisecond).send(100)
			l.in(seg{flags: ACK, seq: 1, ack: 1461}).wait(200*time.Millisecond - 1).want()
			if n := l.env.Counters.Timeouts; n != 0 {
				t.Errorf("%d timeouts with nothing outstanding", n)
			}
			l.wait(1).want(text(1461, 100)...)
		})
	})
	t.Run("MUST-19 RTO doubles per timeout", func(t *testing.T) {
		l := newLab(t, Config{NoSACK: true}, Options{Linger: -1, NoDelay: true}, nil).send(100).want(text(1, 100)...)
		rto := micros(l.conn.rto)
		for i := range 6 {
			l.wait(rto<<i - 1).want().wait(1).want(text(1, 100)...)
		}
	})
	t.Run("C-RTO-3 no sample from a retransmission", func(t *testing.T) {
		l := newLab(t, Config{NoSACK: true}, Options{Linger: -1, NoDelay: true}, nil).send(100)
		srtt := l.conn.srtt
		l.wait(micros(l.conn.rto)).in(seg{flags: ACK, seq: 1, ack: 101})
		if l.conn.srtt != srtt {
			t.Error("SRTT has changed")
		}
		t.Run("C-RTO-3 nor from what waited behind it at the peer", func(t *testing.T) {
			l := newLab(t, Config{NoSACK: true}, Options{Linger: -1, NoDelay: true}, nil).send(4 * 1460)
			srtt := l.conn.srtt
			l.want(text(1, 1460, 1460, 1460, 1460)...).wait(10 * time.Millisecond)
			for range 3 {
				l.in(seg{flags: ACK, seq: 1, ack: 1})
			}
			l.want(seg{flags: ACK, seq: 1, ack: 1, n: 1460}).wait(80 * time.Millisecond).in(seg{flags: ACK, seq: 1, ack: 1 + 4*1460})
			if l.conn.srtt != srtt {
				t.Errorf("SRTT went from %v to %v", micros(srtt), micros(l.conn.srtt))
			}
		})
		t.Run("C-RTO-4 the backoff stays", func(t *testing.T) {
			l.out = nil
			l.send(100).want(text(101, 100)...)
			l.wait(2*micros(l.conn.rto) - 1).want().wait(1).want(text(101, 100)...)
		})
	})
	t.Run("C-RTO-6 after a SYN was sent again, RTO starts at 3 s", func(t *testing.T) {
		l := &lab{t: t, env: newEnv(Config{NoTimestamps: true}), now: mono.Time(time.Hour), irs: 5000}
		l.dial(DefaultOptions())
		l.wait(time.Second)
		l.in(seg{flags: SYN | ACK, ack: 1}).state(Established)
		if l.conn.rto != 3e6 {
			t.Errorf("RTO %v", micros(l.conn.rto))
		}
	})
	t.Run("A-SM-36 the user timeout ends the connection", func(t *testing.T) {
		l := established(t)
		o := l.conn.Options()
		o.UserTimeout = 5000
		l.conn.SetOptions(&o, l.now)
		l.send(10).wait(5*time.Second - 1).state(Established)
		l.wait(1).state(Closed)
		t.Run("MUST-21 at the time set", func(t *testing.T) {
			if l.conn.Err() != syscall.ETIMEDOUT || l.conn.TakeEvents()&(Readable|Writable|Gone) != Readable|Writable|Gone {
				t.Errorf("error %v", l.conn.Err())
			}
		})
	})
	t.Run("SHLD-11 by default not before 100 s", func(t *testing.T) {
		l := established(t).send(10).wait(100 * time.Second).state(Established)
		l.wait(time.Hour).state(Closed)
	})
}

func abs(n int32) int32 { return max(n, -n) }

func TestKeepalive(t *testing.T) {
	alive := Options{Linger: -1, KeepAlive: true, KeepIdle: 7, KeepInterval: 3, KeepCount: 2}
	probe := seg{flags: ACK, seq: 0, ack: 1}
	t.Run("MUST-27 the interval is configurable", func(t *testing.T) {
		l := newLab(t, Config{}, alive, nil)
		t.Run("SHLD-12 probe without text at SND.NXT-1", func(t *testing.T) {
			l.wait(7*time.Second - 1).want().wait(1).want(probe)
		})
		t.Run("MUST-29 one lost probe is not death", func(t *testing.T) {
			l.wait(3 * time.Second).want(probe)
			l.in(seg{flags: ACK, seq: 1, ack: 1}).state(Established)
			l.wait(7 * time.Second).want(probe)
			l.wait(3 * time.Second).want(probe)
			l.wait(3 * time.Second).want(seg{flags: RST | ACK, seq: 1, ack: 1}).state(Closed)
			if l.conn.Err() != syscall.ETIMEDOUT {
				t.Errorf("error %v", l.conn.Err())
			}
		})
	})
	t.Run("MUST-29 a blind guess is no answer", func(t *testing.T) {
		l := newLab(t, Config{}, alive, nil).wait(10*time.Second).want(probe, probe)
		l.in(seg{flags: ACK, seq: 1 << 30, ack: 1 << 30}).want(seg{flags: ACK, seq: 1, ack: 1})
		l.wait(3 * time.Second).want(seg{flags: RST | ACK, seq: 1, ack: 1}).state(Closed)
	})
	t.Run("MUST-25 off by default", func(t *testing.T) {
		newLab(t, Config{}, DefaultOptions(), nil).wait(3 * time.Hour).want().state(Established)
	})
	t.Run("MUST-24 can be turned on and off", func(t *testing.T) {
		l := newLab(t, Config{}, DefaultOptions(), nil)
		l.conn.SetOptions(&alive, l.now)
		l.wait(7 * time.Second).want(probe)
		off := alive
		off.KeepAlive = false
		l.conn.SetOptions(&off, l.now)
		l.wait(time.Hour).want().state(Established)
	})
	t.Run("MUST-26 not while anything is outstanding", func(t *testing.T) {
		l := newLab(t, Config{NoSACK: true}, alive, nil).send(10)
		l.out = nil
		l.wait(20 * time.Second)
		for _, s := range l.out {
			if s.TextLen == 0 {
				t.Error("a keepalive probe went out")
			}
		}
		l = newLab(t, Config{}, alive, nil)
		l.wait(6 * time.Second).in(seg{flags: ACK, seq: 1, ack: 1, n: 1})
		l.out = nil
		l.read()
		l.wait(7*time.Second - 1).want().wait(1).want(seg{flags: ACK, seq: 0, ack: 2})
	})
	t.Run("MUST-28 two hours by default", func(t *testing.T) {
		l := newLab(t, Config{}, Options{Linger: -1, KeepAlive: true}, nil)
		l.wait(2*time.Hour - 1).want().wait(1).want(probe)
	})
}

func TestICMP(t *testing.T) {
	t.Run("MUST-56 soft errors never abort", func(t *testing.T) {
		for _, e := range []syscall.Errno{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EPROTO} {
			l := established(t).send(10)
			l.conn.ICMPError(ICMPError{Errno: e, Seq: l.iss.Add(1)}, l.now)
			l.state(Established)
			l.out = nil
			l.in(seg{flags: ACK, seq: 1, ack: 11}).send(10).want(text(11, 10)...)
			t.Run(fmt.Sprintf("SHLD-25 %v is told on a later timeout", e), func(t *testing.T) {
				l.wait(time.Hour).state(Closed)
				if l.conn.Err() != e {
					t.Errorf("error %v", l.conn.Err())
				}
			})
		}
	})
	t.Run("SHLD-26 hard errors end an attempt to connect", func(t *testing.T) {
		l := &lab{t: t, env: newEnv(Config{}), now: mono.Time(time.Hour), irs: 5000}
		l.dial(DefaultOptions())
		l.conn.ICMPError(ICMPError{Errno: syscall.ECONNREFUSED, Hard: true, Seq: l.iss}, l.now)
		l.state(Closed)
		if l.conn.Err() != syscall.ECONNREFUSED {
			t.Errorf("error %v", l.conn.Err())
		}
	})
	t.Run("D-ICMP-2 hard errors are soft in synchronized states", func(t *testing.T) {
		l := established(t).send(10)
		l.conn.ICMPError(ICMPError{Errno: syscall.ECONNREFUSED, Hard: true, Seq: l.iss.Add(1)}, l.now)
		l.state(Established)
	})
	t.Run("D-ICMP-1 what is not in flight is not believed", func(t *testing.T) {
		l := established(t).send(10)
		for _, s := range []uint32{0, 11, 70000} {
			l.conn.ICMPError(ICMPError{Errno: syscall.EHOSTUNREACH, Seq: l.iss.Add(s)}, l.now)
			if l.conn.soft != 0 {
				t.Errorf("an error that quotes %d was believed", s)
			}
		}
	})
	for _, f := range pathFamilies {
		tooBig(t, f.of, f.path, uint32(f.mss), min(f.sizes[3], f.sizes[2]))
	}
}
