package tcp

import (
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// congested is a connection that has agreed on ECN, with n segments in flight.
func congested(t *testing.T, name string, n int) *lab {
	cfg := Config{ECN: ECNActive, CongestionControl: name, RecvBuffer: 65535, MaxRecvBuffer: 65535}
	l := newLab(t, cfg, Options{Linger: -1, NoDelay: true}, func(s *Segment) {
		s.Flags |= ECE
		s.Options |= OptSACKPermitted
	})
	l.now = l.now.Add(time.Millisecond)
	if n > 0 {
		l.send(n * 1460)
	}
	l.out = nil
	l.now = l.now.Add(10 * time.Millisecond)
	return l
}

func TestECNNegotiation(t *testing.T) {
	for _, c := range []struct {
		name   string
		mode   ECN
		syn    Flags
		synAck Flags
		on     bool
	}{
		{"asked and granted", ECNActive, SYN | ECE | CWR, ECE, true},
		{"asked and reflected", ECNActive, SYN | ECE | CWR, ECE | CWR, false},
		{"asked and ignored", ECNActive, SYN | ECE | CWR, 0, false},
		{"asked, CWR alone in the answer", ECNActive, SYN | ECE | CWR, CWR, false},
		{"not asked but granted", ECNPassive, SYN, ECE, false},
		{"off", ECNOff, SYN, ECE, false},
	} {
		t.Run("C-ECN-1 SHLD-8 our SYN: "+c.name, func(t *testing.T) {
			for _, perSocket := range []bool{false, true} {
				cfg, o := Config{ECN: c.mode}, Options{Linger: -1}
				if perSocket {
					cfg, o.ECN = Config{ECN: ECNActive}, c.mode
				}
				var syn Segment
				l := newLab(t, cfg, o, func(s *Segment) { s.Flags |= c.synAck })
				l2 := &lab{t: t, env: newEnv(cfg), now: l.now}
				l2.dial(o)
				syn = l2.out[0]
				if syn.Flags != c.syn || syn.ECT {
					t.Errorf("SYN with flags %x, ECT %v", syn.Flags, syn.ECT)
				}
				if got := l.conn.Info().ECN; got != c.on {
					t.Errorf("ECN %v", got)
				}
			}
		})
	}
	for _, c := range []struct {
		name string
		mode ECN
		syn  Segment
		on   bool
	}{
		{"neither bit", ECNDefault, Segment{}, false},
		{"ECE alone", ECNDefault, Segment{Flags: ECE}, false},
		{"CWR alone", ECNDefault, Segment{Flags: CWR}, false},
		{"both bits", ECNDefault, Segment{Flags: ECE | CWR}, true},
		{"both bits and the one of RFC 9768", ECNDefault, Segment{Flags: ECE | CWR | AE}, true},
		{"both bits in a marked packet", ECNDefault, Segment{Flags: ECE | CWR, ECT: true}, false},
		{"both bits where it is off", ECNOff, Segment{Flags: ECE | CWR}, false},
		{"both bits where it is active", ECNActive, Segment{Flags: ECE | CWR}, true},
	} {
		t.Run("C-ECN-1 SHLD-8 the peer's SYN: "+c.name, func(t *testing.T) {
			for _, cookie := range []bool{false, true} {
				env, now := newEnv(Config{ECN: c.mode}), mono.Time(time.Hour)
				syn := c.syn
				syn.Flags |= SYN
				syn.Seq, syn.Window, syn.Options, syn.TSVal = 700, 1000, OptTimestamps, 5
				var h HalfOpen
				var reply Segment
				o := DefaultOptions()
				tup := Tuple{addrA, addrB}
				if cookie {
					h.InitSYNCookie(env, tup, path, &o, &syn, now)
				} else {
					h.Init(env, tup, path, &o, &syn, ISSFloor{}, now)
				}
				h.SynAck(env, &reply, now)
				if want := SYN | ACK | map[bool]Flags{true: ECE}[c.on]; reply.Flags != want || reply.ECT {
					t.Errorf("SYN-ACK with flags %x, want %x; ECT %v", reply.Flags, want, reply.ECT)
				}
				last := Segment{Flags: ACK, Seq: 701, Ack: reply.Seq.Add(1), Window: 1000,
					Options: OptTimestamps, TSVal: 6, TSEcr: reply.TSVal}
				if cookie {
					h = HalfOpen{}
					if !h.FromSYNCookie(env, tup, path, &o, &last, now) {
						t.Fatal("the cookie is refused")
					}
				}
				l := &lab{t: t, env: env, now: now}
				l.conn.Accept(env, l, &h, tup, path, &o, now)
				if got := l.conn.Info().ECN; got != c.on {
					t.Errorf("ECN %v", got)
				}
			}
		})
	}
	t.Run("C-ECN-5 the third SYN does not ask", func(t *testing.T) {
		l := &lab{t: t, env: newEnv(Config{ECN: ECNActive}), now: mono.Time(time.Hour)}
		l.dial(DefaultOptions())
		l.wait(10 * time.Second)
		ask := SYN | ECE | CWR
		l.want(seg{flags: ask}, seg{flags: ask}, seg{flags: SYN}, seg{flags: SYN})
	})
	t.Run("C-ECN-1 SYNs that cross agree when both ask", func(t *testing.T) {
		for _, mode := range []ECN{ECNActive, ECNPassive} {
			l := &lab{t: t, env: newEnv(Config{ECN: mode}), now: mono.Time(time.Hour), irs: 5000}
			l.dial(DefaultOptions())
			l.out = nil
			l.raw(seg{flags: SYN | ECE | CWR})
			if got, want := l.out[0].Has(ECE), mode == ECNActive; got != want || l.conn.Info().ECN != want {
				t.Errorf("mode %d: SYN-ACK %x, ECN %v", mode, l.out[0].Flags, l.conn.Info().ECN)
			}
		}
	})
}

func TestECNReceiver(t *testing.T) {
	t.Run("C-ECN-3 Congestion Experienced is echoed until CWR", func(t *testing.T) {
		l := congested(t, "", 0)
		l.conn.quickLeft = 0
		l.in(seg{flags: ACK, seq: 1, ack: 1, n: 100, ce: true}).want(seg{flags: ACK | ECE, seq: 1, ack: 101})
		l.in(seg{flags: ACK, seq: 101, ack: 1, n: 100}).want()
		l.wait(time.Second).want(seg{flags: ACK | ECE, seq: 1, ack: 201}) // delayed
		l.send(10).want(seg{flags: ACK | ECE | PSH, seq: 1, ack: 201, n: 10})
		l.in(seg{flags: ACK, seq: 201, ack: 11, n: 100, ce: true})
		l.wait(time.Second).want(seg{flags: ACK | ECE, seq: 11, ack: 301})
		l.in(seg{flags: ACK, seq: 301, ack: 11, n: 100}).want(seg{flags: ACK | ECE, seq: 11, ack: 401})
		l.conn.quickLeft = 0 // it was the first of a burst
		l.in(seg{flags: ACK | CWR, seq: 401, ack: 11, n: 100}).want(seg{flags: ACK, seq: 11, ack: 501})
		l.in(seg{flags: ACK | CWR, seq: 501, ack: 11, n: 100, ce: true}).want(seg{flags: ACK | ECE, seq: 11, ack: 601})
	})
	t.Run("C-ECN-3 marks on what is not acceptable, not text or not agreed on count for nothing", func(t *testing.T) {
		l := congested(t, "", 0).in(seg{flags: ACK, seq: 1, ack: 1, n: 100})
		l.out = nil
		l.in(seg{flags: ACK, seq: 1, ack: 1, n: 100, ce: true})
		l.in(seg{flags: ACK, seq: 101, ack: 1, ce: true})
		l.in(seg{flags: ACK, seq: 101, ack: 1, n: 1})
		for _, s := range l.out {
			if s.Has(ECE) {
				t.Errorf("%v", s)
			}
		}
		l = established(t).in(seg{flags: ACK, seq: 1, ack: 1, n: 100, ce: true})
		l.want(seg{flags: ACK, seq: 1, ack: 101})
	})
}

func TestECNSender(t *testing.T) {
	// ect checks which of the segments out are marked.
	ect := func(l *lab, want ...bool) {
		l.t.Helper()
		for i := range want {
			if i >= len(l.out) || l.out[i].ECT != want[i] {
				l.t.Errorf("ECT: want %v, out %v", want, l.out)
				return
			}
		}
		l.out = nil
	}
	t.Run("C-ECN-2 only new text is marked", func(t *testing.T) {
		l := congested(t, "", 0)
		l.send(100)
		ect(l, true)
		l.in(seg{flags: ACK, seq: 1, ack: 101, n: 10}) // an ACK alone
		l.wait(time.Second)
		ect(l, false)
		l.send(10 * 1460)
		l.out = nil
		l.now = l.now.Add(10 * time.Millisecond)
		l.in(seg{flags: ACK, seq: 11, ack: 101, sack: []Block{{101 + 1460, 101 + 8*1460}}})
		ect(l, false) // the fast retransmission
		l.in(seg{flags: ACK, seq: 11, ack: 101 + 9*1460})
		l.wait(l.conn.Deadline().Sub(l.now))
		ect(l, false) // the loss probe
		l.in(seg{flags: ACK, seq: 11, ack: 101 + 10*1460, zero: true}).send(10)
		l.out = nil
		l.wait(10 * time.Second)
		ect(l, false, false) // window probes
		l.in(seg{flags: ACK, seq: 11, ack: 101 + 10*1460})
		ect(l, true)
		l.in(seg{flags: ACK, seq: 11, ack: 111 + 10*1460})
		l.conn.CloseWrite(l.now)
		ect(l, false) // a FIN without text
		if established(t).send(10).out[0].ECT {
			t.Error("marked without an agreement")
		}
	})
	for name, factor := range map[string]float64{"cubic": 0.7, "reno": 0.5} {
		t.Run("C-ECN-4 an echo cuts the window once a round trip, and is answered by CWR: "+name, func(t *testing.T) {
			l := congested(t, name, 10)
			l.conn.sndBuf = 1 << 20
			l.send(100 * 1460)
			cut := uint32(factor * 10 * 1460)
			end := l.conn.snd.nxt
			l.in(seg{flags: ACK | ECE, seq: 1, ack: 1 + 1460}).want()
			if l.conn.cwnd != cut || l.conn.ssthresh != cut || l.conn.phase != cc.Reduced {
				t.Fatalf("cwnd %d, ssthresh %d, want %d; state %d", l.conn.cwnd, l.conn.ssthresh, cut, l.conn.phase)
			}
			said := 0
			for at := l.iss.Add(1 + 2*1460); at.LessThanEq(end); at = at.Add(1460) {
				l.in(seg{flags: ACK | ECE, seq: 1, ack: at.Distance(l.iss)})
				for _, s := range l.out {
					if s.Has(CWR) {
						said++
						if !s.ECT || s.TextLen != 1460 {
							t.Errorf("CWR on %v", s)
						}
					}
				}
				l.out = nil
				if at != end && l.conn.cwnd != cut {
					t.Fatalf("cwnd %d at %d", l.conn.cwnd, at.Distance(l.iss))
				}
			}
			if said != 1 || l.conn.cwnd >= cut || l.env.Counters.ECNReductions != 2 {
				t.Errorf("CWR %d times; cwnd %d after a round trip, %d reductions", said, l.conn.cwnd, l.env.Counters.ECNReductions)
			}
		})
	}
	t.Run("C-ECN-4 a super-segment does not say CWR", func(t *testing.T) {
		l := congested(t, "", 10)
		l.conn.SetPath(Path{MTU: 1500, MaxSuper: 65535}, l.now)
		l.conn.cwnd, l.conn.sndBuf = 40*1460, 1<<20
		l.in(seg{flags: ACK | ECE, seq: 1, ack: 1 + 10*1460})
		l.send(8 * 1460)
		l.want(seg{flags: ACK | CWR, seq: 1 + 10*1460, ack: 1, n: 1460}, seg{flags: ACK | PSH, seq: 1 + 11*1460, ack: 1, n: 7 * 1460})
	})
	t.Run("C-ECN-4 loss and echo in one window cut once", func(t *testing.T) {
		l := congested(t, "reno", 10)
		l.in(seg{flags: ACK | ECE, seq: 1, ack: 1, sack: []Block{blk(1, 2)}})
		cut := l.conn.ssthresh
		l.in(seg{flags: ACK | ECE, seq: 1, ack: 1, sack: []Block{blk(1, 6)}}).want(seg{flags: ACK, seq: 1, ack: 1, n: 1460})
		l.in(seg{flags: ACK | ECE, seq: 1, ack: 1, sack: []Block{blk(1, 8)}})
		if l.conn.phase != cc.Recovery || cut != 5*1460 || l.conn.ssthresh != cut {
			t.Errorf("state %d, ssthresh %d, was %d", l.conn.phase, l.conn.ssthresh, cut)
		}
	})
	t.Run("C-ECN-4 a loss is told by CWR too", func(t *testing.T) {
		l := congested(t, "", 10)
		l.in(ackTo(0, blk(1, 6))).want(seg{flags: ACK, seq: 1, ack: 1, n: 1460})
		l.in(ackTo(10)).send(2 * 1460)
		l.want(seg{flags: ACK | CWR, seq: 1 + 10*1460, ack: 1, n: 1460}, seg{flags: ACK | PSH, seq: 1 + 11*1460, ack: 1, n: 1460})
	})
	t.Run("C-ECN-4 an echo without an agreement is nothing", func(t *testing.T) {
		l := flight(t, Config{}, true, 10)
		before := l.conn.cwnd
		l.in(seg{flags: ACK | ECE, seq: 1, ack: 1461})
		if l.conn.cwnd <= before || l.env.Counters.ECNReductions != 0 {
			t.Errorf("cwnd %d, was %d", l.conn.cwnd, before)
		}
	})
}
