package tcp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unet-go/unet/internal/mono"
)

// A lab is one connection with a script for a peer: segments go in by hand, and what comes out is compared
// whole. Sequence numbers in scripts count from the end's own initial number: our SYN is 0, our first octet
// is 1, and so is the peer's.
type lab struct {
	t    *testing.T
	env  *Env
	conn Conn
	now  mono.Time
	out  []Segment
	iss  Seq // ours
	irs  Seq // the peer's
	path Path
	// timestamps of the peer
	ts           bool
	tsval, tsecr uint32
}

func (l *lab) Transmit(seg *Segment) { l.out = append(l.out, copySegment(seg)) }

// seg is a segment of a script.
type seg struct {
	flags Flags
	seq   uint32
	ack   uint32
	n     int
	win   int  // raw; -1 in an expectation: not compared; 0 in an incoming one: 65535
	zero  bool // the incoming window is zero
	urg   uint16
	text  string
	sack  []Block // relative
	gso   uint16
	ce    bool   // incoming: the IP header says Congestion Experienced
	tsval uint32 // incoming: overrides the lab's
}

const anyWindow = -1

func (s seg) String() string {
	names := []struct {
		f Flags
		c string
	}{{SYN, "S"}, {FIN, "F"}, {RST, "R"}, {PSH, "P"}, {ACK, "A"}, {URG, "U"}, {ECE, "E"}, {CWR, "C"}}
	var b strings.Builder
	for _, n := range names {
		if s.flags&n.f != 0 {
			b.WriteString(n.c)
		}
	}
	fmt.Fprintf(&b, " seq=%d ack=%d len=%d", s.seq, s.ack, s.n)
	if s.win != anyWindow {
		fmt.Fprintf(&b, " win=%d", s.win)
	}
	if s.urg != 0 {
		fmt.Fprintf(&b, " urg=%d", s.urg)
	}
	if len(s.sack) > 0 {
		fmt.Fprintf(&b, " sack=%v", s.sack)
	}
	return b.String()
}

// newLab makes a lab whose connection is in ESTABLISHED after an active open. peer changes the SYN-ACK.
func newLab(t *testing.T, cfg Config, o Options, peer func(synack *Segment)) *lab {
	t.Helper()
	return newLabOn(t, path, cfg, o, peer)
}

// newLabOn is newLab over another path.
func newLabOn(t *testing.T, p Path, cfg Config, o Options, peer func(synack *Segment)) *lab {
	t.Helper()
	l := &lab{t: t, env: newEnv(cfg), now: mono.Time(time.Hour), irs: 5000, path: p}
	l.dial(o)
	syn := l.out[0]
	l.out = nil
	in := Segment{Flags: SYN | ACK, Seq: l.irs, Ack: l.iss.Add(1), Window: 65535, Options: OptMSS, MSS: 1460}
	if peer != nil {
		peer(&in)
	}
	l.ts = in.Options&OptTimestamps != 0
	if l.ts {
		l.tsval = in.TSVal
		in.TSEcr = syn.TSVal
	}
	l.now = l.now.Add(10 * time.Millisecond)
	l.conn.SegmentArrives(&in, l.now)
	l.conn.Output(l.now)
	if l.conn.State() != Established {
		t.Fatalf("state %v after the handshake", l.conn.State())
	}
	l.out = nil
	l.conn.TakeEvents()
	return l
}

func (l *lab) dial(o Options) {
	if l.path.MTU == 0 {
		l.path = path
	}
	l.conn.Connect(l.env, l, Tuple{addrA, addrB}, l.path, &o, ISSFloor{}, l.now)
	l.iss = l.conn.snd.iss
}

// established is the plainest connection: no options but the MSS of 1460 and a window of 65535 both ways.
func established(t *testing.T) *lab { return establishedOn(t, path) }

func establishedOn(t *testing.T, p Path) *lab {
	return newLabOn(t, p, Config{RecvBuffer: 65535, MaxRecvBuffer: 65535}, Options{Linger: -1, NoDelay: true}, nil)
}

// sacking is a connection with SACK and timestamps and window scale 7 of the peer.
func sacking(t *testing.T) *lab {
	return newLab(t, Config{}, Options{Linger: -1, NoDelay: true}, func(s *Segment) {
		s.Options |= OptSACKPermitted | OptTimestamps | OptWindowScale
		s.TSVal, s.WindowScale = 1000, 7
	})
}

func (l *lab) state(s State) *lab {
	l.t.Helper()
	if l.conn.State() != s {
		l.t.Fatalf("state %v, want %v", l.conn.State(), s)
	}
	return l
}

// in hands a segment to the connection and lets it answer.
func (l *lab) in(s seg) *lab {
	l.t.Helper()
	l.raw(s)
	l.conn.Output(l.now)
	return l
}

// raw hands a segment to the connection; it answers at the next Output.
func (l *lab) raw(s seg) {
	in := Segment{Seq: l.irs.Add(s.seq), Ack: l.iss.Add(s.ack), Flags: s.flags, Window: 65535, Urgent: s.urg}
	if s.win > 0 {
		in.Window = uint16(s.win)
	}
	if s.zero {
		in.Window = 0
	}
	if s.flags&ACK == 0 {
		in.Ack = 0
	}
	text := []byte(s.text)
	if len(text) == 0 {
		text = make([]byte, s.n)
		for i := range text {
			text[i] = byte(s.seq + uint32(i))
		}
	}
	in.CE, in.ECT = s.ce, s.ce
	in.Text, in.TextLen = Span{Data: text}, uint32(len(text))
	if l.ts {
		in.Options |= OptTimestamps
		in.TSVal, in.TSEcr = l.tsval, l.tsecr
		if s.tsval != 0 {
			in.TSVal = s.tsval
		}
	}
	for _, b := range s.sack {
		in.Options |= OptSACK
		in.SACK[in.NumSACK] = Block{l.iss.Add(uint32(b.Left)), l.iss.Add(uint32(b.Right))}
		in.NumSACK++
	}
	l.conn.SegmentArrives(&in, l.now)
}

// want compares what came out since it was last called.
func (l *lab) want(segs ...seg) *lab {
	l.t.Helper()
	var got, exp []string
	for i, o := range l.out {
		s := seg{flags: o.Flags, seq: o.Seq.Distance(l.iss), n: int(o.TextLen), win: anyWindow, urg: o.Urgent, gso: o.GSOSize}
		if o.Flags&ACK != 0 {
			s.ack = o.Ack.Distance(l.irs)
		}
		for _, b := range o.SACK[:o.NumSACK] {
			s.sack = append(s.sack, Block{b.Left - l.irs, b.Right - l.irs})
		}
		if i < len(segs) && segs[i].win != anyWindow && segs[i].win != 0 {
			s.win = int(o.Window)
		}
		got = append(got, s.String())
	}
	for _, s := range segs {
		if s.win == 0 {
			s.win = anyWindow
		}
		exp = append(exp, s.String())
	}
	if diff := cmp.Diff(exp, got); diff != "" {
		l.t.Fatalf("segments out (-want +got):\n%s", diff)
	}
	l.out = nil
	return l
}

// wait lets d pass, acting on every deadline at its exact time.
func (l *lab) wait(d time.Duration) *lab {
	limit := l.now.Add(d)
	for {
		at := l.conn.Deadline()
		if at == 0 || at > limit {
			l.now = limit
			return l
		}
		l.now = max(l.now, at)
		l.conn.Timeout(l.now)
	}
}

func (l *lab) send(n int) *lab {
	l.t.Helper()
	if got := l.conn.Send(make([]byte, n), l.now); got != n {
		l.t.Fatalf("Send took %d of %d octets", got, n)
	}
	return l
}

// read reads all that waits.
func (l *lab) read() string {
	b := make([]byte, l.conn.Readable())
	return string(b[:l.conn.Receive(b, l.now)])
}

// in each closing state, by the shortest way there.
func finWait1(t *testing.T) *lab {
	l := established(t)
	l.conn.CloseWrite(l.now)
	return l.want(seg{flags: FIN | ACK, seq: 1, ack: 1}).state(FinWait1)
}

func finWait2(t *testing.T) *lab {
	return finWait1(t).in(seg{flags: ACK, seq: 1, ack: 2}).want().state(FinWait2)
}

func closeWait(t *testing.T) *lab {
	return established(t).in(seg{flags: FIN | ACK, seq: 1, ack: 1}).want(seg{flags: ACK, seq: 1, ack: 2}).state(CloseWait)
}

func closing(t *testing.T) *lab {
	return finWait1(t).in(seg{flags: FIN | ACK, seq: 1, ack: 1}).want(seg{flags: ACK, seq: 2, ack: 2}).state(Closing)
}

func lastAck(t *testing.T) *lab {
	l := closeWait(t)
	l.conn.CloseWrite(l.now)
	return l.want(seg{flags: FIN | ACK, seq: 1, ack: 2}).state(LastAck)
}

func timeWait(t *testing.T) *lab {
	return finWait2(t).in(seg{flags: FIN | ACK, seq: 1, ack: 2}).want(seg{flags: ACK, seq: 2, ack: 2}).state(TimeWaitState)
}
