package tcp

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// fuzzEnd drives one connection with a stranger's segments and a user's calls.
type fuzzEnd struct {
	t      testing.TB
	env    *Env
	conn   Conn
	now    mono.Time
	iss    Seq
	irs    Seq
	edge   Seq
	nxt    Seq
	una    Seq
	read   uint64
	in     Seq
	closed bool
	steps  int
}

// Transmit checks what every outgoing segment must satisfy.
func (f *fuzzEnd) Transmit(seg *Segment) {
	c := &f.conn
	n := uint32(0)
	for _, s := range seg.Gather {
		n += uint32(len(s.Data))
	}
	switch {
	case n != seg.TextLen:
		f.t.Fatalf("TextLen %d, payload %d", seg.TextLen, n)
	case seg.NumSACK > 4 || seg.NumSACK > 3 && seg.Options&OptTimestamps != 0:
		f.t.Fatalf("%d SACK blocks", seg.NumSACK)
	case seg.TextLen > 0 && c.snd.nxt.LessThan(seg.End()):
		f.t.Fatal("text beyond SND.NXT")
	case seg.TextLen > 0 && seg.Seq.LessThan(c.snd.una):
		f.t.Fatal("text that was acknowledged")
	}
	f.steps++
	if f.steps > 1_000_000 {
		f.t.Fatal("no end of output")
	}
}

// check holds the invariants of RFC 9293 against the connection.
func (f *fuzzEnd) check() {
	c := &f.conn
	ev := c.TakeEvents()
	if c.state == Closed {
		if c.tx != nil || c.Deadline() != 0 {
			f.t.Fatal("CLOSED with a sender or a timer")
		}
		return
	}
	if c.state == SynSent {
		return
	}
	switch {
	case c.snd.una.LessThan(f.una):
		f.t.Fatal("SND.UNA went back")
	case c.snd.nxt.LessThan(c.snd.una):
		f.t.Fatal("SND.NXT before SND.UNA")
	case f.nxt != 0 && c.rcv.nxt.LessThan(f.nxt):
		f.t.Fatal("RCV.NXT went back")
	case f.edge != 0 && c.rcv.edge.LessThan(f.edge):
		f.t.Fatal("the right edge went back")
	case c.rcv.edge.LessThan(c.rcv.nxt):
		f.t.Fatal("RCV.NXT beyond the right edge")
	case c.cwnd < uint32(c.smss) && c.state != SynReceived && c.phase == cc.Open:
		f.t.Fatalf("cwnd %d below a segment", c.cwnd)
	case c.Readable() > int(c.env.Config.MaxRecvBuffer)+1<<18:
		f.t.Fatalf("%d octets wait", c.Readable())
	}
	f.una, f.nxt, f.edge = c.snd.una, c.rcv.nxt, c.rcv.edge
	if tx := c.tx; tx != nil && c.synchronized() {
		var n, sacked, lost uint32
		for i := tx.sb.head; i < len(tx.sb.recs); i++ {
			r := &tx.sb.recs[i]
			n += r.n
			if r.flags&recSacked != 0 {
				sacked += r.n
			}
			if r.flags&recLost != 0 {
				lost += r.n
			}
			if r.n == 0 || r.flags&(recSacked|recLost) == recSacked|recLost {
				f.t.Fatalf("record %+v", *r)
			}
		}
		if n != c.flightSize() || sacked != tx.sb.sacked || lost != tx.sb.lost {
			f.t.Fatalf("scoreboard %d %d %d, want %d %d %d", n, sacked, lost, c.flightSize(), tx.sb.sacked, tx.sb.lost)
		}
	}
	if c.rx != nil {
		charge, text := 0, 0
		for i := range c.rx.ooo.pieces {
			p := &c.rx.ooo.pieces[i]
			charge += pinned(p.span)
			text += len(p.span.Data)
			if i > 0 && p.seq.LessThan(c.rx.ooo.pieces[i-1].end()) || p.seq.LessThanEq(c.rcv.nxt) {
				f.t.Fatal("pieces overlap or lie behind RCV.NXT")
			}
		}
		if charge != c.rx.ooo.charge || text != c.rx.ooo.text {
			f.t.Fatalf("charge %d for %d octets of text, want %d for %d", c.rx.ooo.charge, c.rx.ooo.text, charge, text)
		}
	}
	if ev&EnteredTimeWait != 0 {
		f.closed = true
	}
}

// octet is what stands at every place of the peer's stream, so that a wrong delivery shows.
func octet(s Seq) byte { return byte(s ^ s>>8 ^ s>>16) }

// step takes one decision of the script and says whether there was one.
func (f *fuzzEnd) step(b []byte) []byte {
	take := func(n int) uint32 {
		var v [4]byte
		k := copy(v[:n], b)
		b = b[k:]
		return binary.LittleEndian.Uint32(v[:])
	}
	c := &f.conn
	op := take(1)
	f.now = f.now.Add(time.Duration(take(1)) * time.Millisecond)
	switch op & 15 {
	default:
		s := Segment{Flags: Flags(take(1)) & 0x3f, Window: uint16(take(2)), Urgent: uint16(op >> 4)}
		if op&1 != 0 {
			s.Flags = ACK | PSH
		}
		// Numbers near what is expected, so that the script gets somewhere.
		s.Seq = c.rcv.nxt + Seq(int16(take(2)))
		s.Ack = c.snd.una + Seq(int16(take(2)))
		if c.state == SynSent {
			s.Seq, s.Ack = f.irs, f.iss.Add(1)
			s.Flags |= SYN
			opts := take(1)
			s.Options = OptionSet(opts) & 15
			s.MSS, s.WindowScale, s.TSVal = uint16(take(2)), uint8(take(1)), 1
		} else if c.has(flagTimestamps) {
			s.Options |= OptTimestamps
			s.TSVal = c.tsRecent + uint32(int8(take(1)))
			s.TSEcr = c.tsNow(f.now) - take(1)
		}
		if op&16 != 0 {
			s.Options |= OptSACK
			s.NumSACK = uint8(1 + op>>5&3)
			for i := range int(s.NumSACK) {
				s.SACK[i].Left = c.snd.una + Seq(int16(take(2)))
				s.SACK[i].Right = s.SACK[i].Left + Seq(take(2))
			}
		}
		text := make([]byte, take(2)%3000)
		first := s.Seq
		if s.Flags&SYN != 0 {
			first = first.Add(1)
		}
		for i := range text {
			text[i] = octet(first + Seq(i) - f.irs)
		}
		s.Text, s.TextLen = Span{Data: text}, uint32(len(text))
		c.SegmentArrives(&s, f.now)
		if op&128 == 0 {
			c.Output(f.now)
		}
	case 2:
		if op&16 != 0 {
			c.SendUrgent(make([]byte, take(2)), f.now)
		} else {
			c.Send(make([]byte, take(2)), f.now)
		}
	case 4:
		buf := make([]byte, take(2))
		c.ReceiveUrgent(op&16 != 0)
		n := c.Receive(buf, f.now)
		for i, got := range buf[:n] {
			if want := octet(f.in + Seq(i) - f.irs); got != want {
				f.t.Fatalf("octet %d of the stream is %d, want %d", f.read+uint64(i), got, want)
			}
		}
		f.read += uint64(n)
		f.in = f.in.Add(uint32(n))
	case 6:
		if at := c.Deadline(); at != 0 {
			f.now = max(f.now, at)
			c.Timeout(f.now)
		}
	case 8:
		switch take(1) {
		case 0:
			c.Close(f.now)
		case 1:
			c.CloseRead(f.now)
			f.read = 1 << 62
		case 2:
			c.Abort(f.now)
		case 3, 4:
			c.CloseWrite(f.now)
		case 5:
			c.ICMPError(ICMPError{Errno: 111, Hard: true, MTU: int(take(2)), Seq: c.snd.una.Add(take(1))}, f.now)
		case 6:
			o := c.Options()
			o.NoDelay, o.Cork, o.KeepAlive = op&16 != 0, op&32 != 0, op&64 != 0
			o.RecvBuffer = int32(take(3))
			c.SetOptions(&o, f.now)
		}
	case 10:
		c.Output(f.now)
	}
	return b
}

// FuzzSegmentArrives runs scripts of hostile segments, user calls and passing time against one connection
// and holds its invariants after each step.
func FuzzSegmentArrives(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 9))
	for range 20 {
		b := make([]byte, 50+r.IntN(2000))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { runScript(t, b) })
}

func runScript(t testing.TB, b []byte) {
	f := &fuzzEnd{t: t, env: newEnv(Config{RecvBuffer: 20000, MaxRecvBuffer: 60000, SendBuffer: 20000, MaxSendBuffer: 100000}),
		now: mono.Time(time.Hour), irs: 0xfffff000}
	f.conn.Connect(f.env, f, Tuple{addrA, addrB}, Path{MTU: 1500, MaxSuper: 65535}, &Options{Linger: -1}, ISSFloor{after: 0xffffe000, set: true}, f.now)
	f.iss = f.conn.snd.iss
	f.una = f.iss
	f.in = f.irs.Add(1)
	if len(b) > 1<<14 {
		b = b[:1<<14]
	}
	for len(b) > 0 && f.conn.state != Closed && !f.closed {
		b = f.step(b)
		f.check()
	}
}

// TestFuzzScripts runs random scripts with a fixed seed, so that every run of the tests has some.
func TestFuzzScripts(t *testing.T) {
	r := rand.New(rand.NewPCG(42, 42))
	for range 2000 {
		b := make([]byte, 3000)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		runScript(t, b)
	}
}
