package tcp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// passive makes a record of a SYN, and returns the SYN-ACK that answers it.
func passive(env *Env, syn Segment, now mono.Time) (*HalfOpen, Segment) {
	h := new(HalfOpen)
	o := DefaultOptions()
	h.Init(env, Tuple{addrA, addrB}, path, &o, &syn, ISSFloor{}, now)
	var reply Segment
	h.SynAck(env, &reply, now)
	return h, reply
}

func TestHalfOpen(t *testing.T) {
	now := mono.Time(time.Hour)
	syn := Segment{Flags: SYN, Seq: 5000, Window: 1000, Options: OptMSS, MSS: 1460}
	t.Run("C-WS-1 the SYN-ACK offers what the SYN offered", func(t *testing.T) {
		for _, opts := range []OptionSet{OptMSS, OptMSS | OptWindowScale, OptMSS | OptSACKPermitted, OptMSS | OptTimestamps | OptWindowScale | OptSACKPermitted} {
			s := syn
			s.Options = opts
			if _, reply := passive(newEnv(Config{}), s, now); reply.Options != opts {
				t.Errorf("SYN with %x, SYN-ACK with %x", opts, reply.Options)
			}
		}
	})
	t.Run("A-SM-19 the same SYN again is answered again", func(t *testing.T) {
		env := newEnv(Config{})
		h, first := passive(env, syn, now)
		var reply Segment
		if v := h.SegmentArrives(env, &syn, &reply, now); v != Reply || reply.Flags != SYN|ACK || reply.Seq != first.Seq || reply.Ack != 5001 {
			t.Errorf("verdict %d, reply %+v", v, reply)
		}
	})
	t.Run("A-SM-17 a RST takes the record away quietly", func(t *testing.T) {
		env := newEnv(Config{})
		h, _ := passive(env, syn, now)
		var reply Segment
		if v := h.SegmentArrives(env, &Segment{Flags: RST, Seq: 5001}, &reply, now); v != Remove || reply.Flags != 0 {
			t.Errorf("verdict %d, reply %+v", v, reply)
		}
		if v := h.SegmentArrives(env, &Segment{Flags: RST, Seq: 5000}, &reply, now); v != Drop {
			t.Errorf("RST outside the window: verdict %d", v)
		}
		if v := h.SegmentArrives(env, &Segment{Flags: RST, Seq: 5002}, &reply, now); v != Reply || reply.Flags != ACK {
			t.Errorf("RST inside the window: verdict %d, reply %+v", v, reply)
		}
	})
	t.Run("A-SM-18 an ACK that is not ours earns a RST and the record stays", func(t *testing.T) {
		env := newEnv(Config{})
		h, sa := passive(env, syn, now)
		var reply Segment
		if v := h.SegmentArrives(env, &Segment{Flags: ACK, Seq: 5001, Ack: sa.Seq.Add(2)}, &reply, now); v != Reply || reply.Flags != RST || reply.Seq != sa.Seq.Add(2) {
			t.Errorf("verdict %d, reply %+v", v, reply)
		}
		if v := h.SegmentArrives(env, &Segment{Flags: ACK, Seq: 5001, Ack: sa.Seq.Add(1)}, &reply, now); v != Complete {
			t.Errorf("verdict %d", v)
		}
	})
	// The connection's own checks have tests of their own; a record has only these.
	t.Run("a record refuses as a connection does", func(t *testing.T) {
		stamped := syn
		stamped.Options, stamped.TSVal = OptMSS|OptTimestamps, 100
		h, sa := passive(newEnv(Config{}), stamped, now)
		for _, tt := range []struct {
			name string
			in   Segment
			want Verdict
		}{
			{"A-SM-10 an ACK before the window", Segment{Flags: ACK, Seq: 5000, Ack: 1, TSVal: 100}, Reply},
			{"A-SM-10 text that ends before the window", Segment{Flags: ACK, Seq: 4991, Ack: 1, TSVal: 100, TextLen: 10}, Reply},
			{"A-SM-09 text that ends in the window", Segment{Flags: ACK, Seq: 4992, Ack: 1, TSVal: 100, TextLen: 10}, Complete},
			{"A-SM-09 the last number of the window", Segment{Flags: ACK, Seq: 5000 + 65535, Ack: 1, TSVal: 100}, Complete},
			{"A-SM-10 behind the window", Segment{Flags: ACK, Seq: 5001 + 65535, Ack: 1, TSVal: 100}, Reply},
			{"C-PAWS-1 an old timestamp", Segment{Flags: ACK, Seq: 5001, Ack: 1, TSVal: 99}, Reply},
			{"D-5961-3 another SYN", Segment{Flags: SYN, Seq: 5001, TSVal: 101}, Reply},
			{"A-SM-13 no ACK bit", Segment{Seq: 5001, TSVal: 100, TextLen: 1}, Drop},
		} {
			t.Run(tt.name, func(t *testing.T) {
				env, rec, in := newEnv(Config{}), *h, tt.in
				in.Options = OptTimestamps
				if in.Has(ACK) {
					in.Ack = sa.Seq.Add(1)
				}
				var reply Segment
				v := rec.SegmentArrives(env, &in, &reply, now)
				if v != tt.want || v == Reply && (reply.Flags != ACK || reply.Seq != sa.Seq.Add(1) || reply.Ack != 5001) {
					t.Errorf("verdict %d, reply %+v, want %d", v, reply, tt.want)
				}
			})
		}
	})
	t.Run("D-SYN-4 the SYN-ACK is sent again five times at most", func(t *testing.T) {
		env := newEnv(Config{})
		h, _ := passive(env, syn, now)
		var at []time.Duration
		for {
			var reply Segment
			d := h.Deadline()
			v := h.Timeout(env, &reply, d)
			if v == Remove {
				if d.Sub(now) != 63*time.Second {
					t.Errorf("given up after %v", d.Sub(now))
				}
				break
			}
			if v != Reply || reply.Flags != SYN|ACK {
				t.Fatalf("verdict %d, reply %+v", v, reply)
			}
			at = append(at, d.Sub(now))
		}
		if len(at) != 5 || at[0] != time.Second || at[4] != 31*time.Second {
			t.Errorf("sent again at %v", at)
		}
	})
	t.Run("D-SYN-4 nor more often where the listener waits for text", func(t *testing.T) {
		for seconds, want := range map[uint16]string{3: "[3s 7s 15s 31s 1m3s]", 70: "[2m7s 4m7s]"} {
			env := newEnv(Config{})
			h, answer := passive(env, syn, now)
			ack := Segment{Flags: ACK, Seq: answer.Ack, Ack: answer.Seq.Add(1), Window: 1000}
			if !h.Defer(&Options{DeferAccept: seconds}, &ack) {
				t.Fatal("not deferred")
			}
			var at []time.Duration
			for v := Reply; v == Reply && len(at) < 10; {
				var reply Segment
				d := h.Deadline()
				v = h.Timeout(env, &reply, d)
				at = append(at, d.Sub(now))
			}
			if got := fmt.Sprint(at); got != want {
				t.Errorf("waiting %d s: sent again, and given up, at %s, want %s", seconds, got, want)
			}
		}
	})
	t.Run("a timer that fires early changes nothing", func(t *testing.T) {
		env := newEnv(Config{})
		h, _ := passive(env, syn, now)
		for i := range 3 {
			before, at := *h, h.Deadline()
			var reply Segment
			if v := h.Timeout(env, &reply, at-1); v != Drop || reply.Flags != 0 || *h != before {
				t.Errorf("try %d: verdict %d, reply %+v, record %+v, was %+v", i, v, reply, *h, before)
			}
			if v := h.Timeout(env, &reply, at); v != Reply || reply.Flags != SYN|ACK || h.Deadline() != at.Add(2<<i*time.Second) {
				t.Errorf("try %d: verdict %d, reply %+v, again at %v", i, v, reply, h.Deadline().Sub(at))
			}
		}
	})
	t.Run("A-SM-29 an old duplicate SYN is recovered from", func(t *testing.T) {
		w := newWire(t, Config{}, DefaultOptions(), impairment{delay: 10 * time.Millisecond}, 1)
		w.b.lis = true
		w.put(w.b, Segment{Flags: SYN, Seq: 90, Window: 1000})
		w.now = w.now.Add(time.Microsecond)
		w.a.conn.Connect(w.a.env, w.a, w.a.tup, path, &w.a.opts, ISSFloor{}, w.now)
		w.run(time.Minute, func() bool { return w.a.conn.State() == Established && w.b.conn.State() == Established })
		if w.a.conn.snd.iss != w.b.conn.rcv.irs {
			t.Error("the ends do not agree")
		}
	})
}

func TestCookies(t *testing.T) {
	now := mono.Time(10 * time.Hour)
	tuple := Tuple{addrA, addrB}
	o := DefaultOptions()
	syn := Segment{Flags: SYN, Seq: 5000, Window: 1000, Options: OptMSS | OptTimestamps | OptWindowScale | OptSACKPermitted,
		MSS: 1460, WindowScale: 7, TSVal: 77}
	env := newEnv(Config{})
	env.Secret = NewSecret()
	var h HalfOpen
	h.InitSYNCookie(env, tuple, path, &o, &syn, now)
	var sa Segment
	h.SynAck(env, &sa, now)
	ack := Segment{Flags: ACK, Seq: 5001, Ack: sa.Seq.Add(1), Window: 500, Options: OptTimestamps, TSVal: 78, TSEcr: sa.TSVal}
	t.Run("D-SYN-2 a cookie gives the options back, a forged or old one does not", func(t *testing.T) {
		var back HalfOpen
		if !back.FromSYNCookie(env, tuple, path, &o, &ack, now.Add(59*time.Second)) {
			t.Fatal("a good cookie was refused")
		}
		if back.mss != 1460 || back.sndScale != 7 || back.flags&(halfSACK|halfScaled|halfTimestamps) != halfSACK|halfScaled|halfTimestamps ||
			back.iss != sa.Seq || back.irs != 5000 {
			t.Errorf("record %+v", back)
		}
		if back.FromSYNCookie(env, tuple, path, &o, &ack, now.Add(2*time.Minute)) {
			t.Error("a cookie of two minutes was taken")
		}
		elsewhere := ack
		elsewhere.Seq++
		if back.FromSYNCookie(env, tuple, path, &o, &elsewhere, now) {
			t.Error("a cookie for another number of the peer's was taken")
		}
		other := Tuple{addrA, netip.MustParseAddrPort("10.0.0.3:2000")}
		if back.FromSYNCookie(env, other, path, &o, &ack, now) {
			t.Error("a cookie for somebody else was taken")
		}
		r := rand.New(rand.NewPCG(1, 1))
		taken := 0
		for range 200_000 {
			forged := Segment{Flags: ACK, Seq: Seq(r.Uint32()), Ack: Seq(r.Uint32())}
			if back.FromSYNCookie(env, tuple, path, &o, &forged, now) {
				taken++
			}
		}
		if taken > 1 { // one may hit the 26 bits of the hash, once in some 1,300 runs
			t.Errorf("%d forged cookies were taken", taken)
		}
	})
	t.Run("without timestamps a cookie carries the MSS alone", func(t *testing.T) {
		plain := syn
		plain.Options = OptMSS | OptSACKPermitted | OptWindowScale
		var c HalfOpen
		c.InitSYNCookie(env, tuple, path, &o, &plain, now)
		var reply Segment
		c.SynAck(env, &reply, now)
		if reply.Options != OptMSS {
			t.Errorf("options %x", reply.Options)
		}
	})
	t.Run("the stamp never runs ahead of the clock", func(t *testing.T) {
		for i := range 1000 {
			at := now.Add(time.Duration(i) * time.Millisecond)
			h.SynAck(env, &sa, at)
			if int32(sa.TSVal-(tsClock(at)+h.tsOffset)) > 0 {
				t.Fatalf("stamp ahead at %v", at)
			}
		}
	})
}

func TestInitialSequenceNumber(t *testing.T) {
	t.Run("MUST-8 the clock moves it every 4 us", func(t *testing.T) {
		s := NewSecret()
		a, _ := s.initial(Tuple{addrA, addrB}, mono.Time(time.Hour))
		b, _ := s.initial(Tuple{addrA, addrB}, mono.Time(time.Hour+time.Second))
		if b.Distance(a) != 250_000 {
			t.Errorf("%d in a second", b.Distance(a))
		}
	})
	t.Run("SHLD-1 tuples and stacks have numbers of their own", func(t *testing.T) {
		s1, s2 := NewSecret(), NewSecret()
		seen := map[Seq]bool{}
		var buckets [16]int
		for i := range 10_000 {
			tup := Tuple{netip.AddrPortFrom(addrA.Addr(), uint16(i)), addrB}
			a, _ := s1.initial(tup, 1)
			b, _ := s2.initial(tup, 1)
			if a == b {
				t.Errorf("port %d: two stacks agree", i)
			}
			seen[a] = true
			buckets[a>>28]++
		}
		if len(seen) < 9_990 {
			t.Errorf("%d different numbers of 10000", len(seen))
		}
		for i, n := range buckets {
			if n < 450 || n > 800 {
				t.Errorf("bucket %d has %d of 10000", i, n)
			}
		}
	})
	t.Run("C-TS-5 timestamp clocks start anywhere", func(t *testing.T) {
		// One tick is a millisecond. A connection of the same four-tuple goes on where the last one was; two others have
		// nothing to do with each other.
		env := newEnv(Config{})
		stamp := func(port uint16, at mono.Time) uint32 {
			remote := netip.AddrPortFrom(addrB.Addr(), port)
			l := &lab{t: t, env: env, now: at}
			o := DefaultOptions()
			l.conn.Connect(env, l, Tuple{addrA, remote}, path, &o, ISSFloor{}, at)
			if len(l.out) != 1 || l.out[0].Options&OptTimestamps == 0 {
				t.Fatalf("sent %v", l.out)
			}
			return l.out[0].TSVal
		}
		begin := mono.Time(time.Hour)
		first := stamp(1, begin)
		last := first
		for _, after := range []time.Duration{time.Millisecond, 5 * time.Millisecond, time.Second, time.Hour} {
			got := stamp(1, begin.Add(after))
			if got-first != uint32(after.Milliseconds()) || int32(got-last) <= 0 {
				t.Errorf("%v later the clock of the same four-tuple is %d further", after, int32(got-first))
			}
			last = got
		}
		near := 0
		seen := map[uint32]bool{}
		for port := uint16(2); port < 200; port++ {
			v := stamp(port, begin)
			if d := int32(v - first); d > -1<<20 && d < 1<<20 {
				near++
			}
			if seen[v] {
				t.Errorf("port %d: %d a second time", port, v)
			}
			seen[v] = true
		}
		if near > 5 { // of 198, one in 2048 is by chance
			t.Errorf("%d clocks of 198 are near the first one", near)
		}
	})
}
