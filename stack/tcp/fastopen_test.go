package tcp

import (
	"bytes"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

var someCookie = FastOpenCookie{Len: 8, Octets: [16]byte{1, 2, 3, 4, 5, 6, 7, 8}}

// cookies checks the Fast Open options of what came out, nil for a segment without one, and then want.
func (l *lab) cookies(cookies ...*FastOpenCookie) *lab {
	l.t.Helper()
	var got []*FastOpenCookie
	for i := range l.out {
		if l.out[i].Options&OptFastOpen != 0 {
			got = append(got, &l.out[i].FastOpen)
		} else {
			got = append(got, nil)
		}
	}
	if diff := cmp.Diff(cookies, got); diff != "" {
		l.t.Fatalf("Fast Open options (-want +got):\n%s", diff)
	}
	return l
}

// fastClient is a connection in SYN-SENT whose SYN offers a cookie and text.
func fastClient(t *testing.T, cookie FastOpenCookie, mss uint16, text []byte) (l *lab, taken int) {
	t.Helper()
	l = &lab{t: t, env: newEnv(Config{}), now: mono.Time(time.Hour), irs: 5000}
	o := Options{Linger: -1, NoDelay: true}
	l.conn.ConnectLater(l.env, l, Tuple{addrA, addrB}, path, &o, l.now)
	l.iss = l.conn.snd.iss
	if len(l.out) != 0 || l.conn.Deadline() != 0 {
		t.Fatal("ConnectLater has sent something, or waits for something")
	}
	return l, l.conn.OpenWith(cookie, mss, text, l.now)
}

// synAck hands over the peer's SYN-ACK.
func (l *lab) synAck(ack uint32, cookie *FastOpenCookie) *lab {
	l.now = l.now.Add(10 * time.Millisecond)
	in := Segment{Flags: SYN | ACK, Seq: l.irs, Ack: l.iss.Add(ack), Window: 65535, Options: OptMSS, MSS: 1460}
	if cookie != nil {
		in.SetFastOpenCookie(*cookie, path)
	}
	l.conn.SegmentArrives(&in, l.now)
	l.conn.Output(l.now)
	return l
}

func TestFastOpenClient(t *testing.T) {
	text := bytes.Repeat([]byte("x"), 3000)
	t.Run("C-TFO-1 a request is an empty option, and carries no text", func(t *testing.T) {
		l, n := fastClient(t, FastOpenCookie{}, 0, text)
		if n != 0 {
			t.Errorf("took %d octets", n)
		}
		l.cookies(&FastOpenCookie{}).want(seg{flags: SYN})
		l.synAck(1, &someCookie).want(seg{flags: ACK, seq: 1, ack: 1}).state(Established)
	})
	t.Run("C-TFO-5 text that the SYN-ACK covers is sent once", func(t *testing.T) {
		l, n := fastClient(t, someCookie, 1460, text[:100])
		l.cookies(&someCookie).want(seg{flags: SYN, n: 100})
		l.synAck(101, nil).want(seg{flags: ACK, seq: 101, ack: 1}).state(Established)
		if !l.conn.SYNTextTaken() || n != 100 || l.conn.SendQueued() != 0 || l.conn.tx != nil {
			t.Errorf("taken %v of %d, %d queued", l.conn.SYNTextTaken(), n, l.conn.SendQueued())
		}
		l.send(10).want(seg{flags: PSH | ACK, seq: 101, ack: 1, n: 10})
	})
	t.Run("C-TFO-5 text that the SYN-ACK does not cover is sent after it", func(t *testing.T) {
		l, _ := fastClient(t, someCookie, 1460, text[:100])
		l.out = nil
		cwnd := cc.InitialWindow(1460)
		l.synAck(1, &someCookie).want(seg{flags: PSH | ACK, seq: 1, ack: 1, n: 100}).state(Established)
		if l.conn.SYNTextTaken() || l.conn.cwnd != cwnd || l.conn.phase != cc.Open {
			t.Errorf("taken %v, cwnd %d, recovery %d", l.conn.SYNTextTaken(), l.conn.cwnd, l.conn.phase)
		}
		l.in(seg{flags: ACK, seq: 1, ack: 101}).want()
		l.wait(time.Minute).want()
	})
	t.Run("C-TFO-5 text that met a closed window does not free what follows from cwnd", func(t *testing.T) {
		l, _ := fastClient(t, someCookie, 1460, text[:100])
		l.now = l.now.Add(10 * time.Millisecond)
		l.conn.SegmentArrives(&Segment{Flags: SYN | ACK, Seq: l.irs, Ack: l.iss.Add(1), Options: OptMSS, MSS: 1460}, l.now)
		l.conn.Output(l.now)
		l.send(60000).out = nil
		l.in(seg{flags: ACK, seq: 1, ack: 101})
		if flight := l.conn.flightSize(); flight == 0 || flight > l.conn.cwnd {
			t.Errorf("%d octets in flight with a cwnd of %d", flight, l.conn.cwnd)
		}
	})
	t.Run("C-TFO-5 a SYN that comes before ours has left is answered, and that answer repeated", func(t *testing.T) {
		l := &lab{t: t, env: newEnv(Config{}), now: mono.Time(time.Hour), irs: 5000}
		l.conn.ConnectLater(l.env, l, Tuple{addrA, addrB}, path, &Options{Linger: -1}, l.now)
		l.iss = l.conn.snd.iss
		l.conn.SegmentArrives(&Segment{Flags: SYN, Seq: l.irs, Window: 65535, Options: OptMSS, MSS: 1460}, l.now)
		l.want(seg{flags: SYN | ACK, ack: 1}).state(SynReceived)
		l.wait(time.Second).want(seg{flags: SYN | ACK, ack: 1}).state(SynReceived)
	})
	t.Run("C-TFO-5 and so is the rest of what it covers in part", func(t *testing.T) {
		l, _ := fastClient(t, someCookie, 1460, text[:100])
		l.out = nil
		l.synAck(31, nil).want(seg{flags: PSH | ACK, seq: 31, ack: 1, n: 70})
		if l.conn.SYNTextTaken() {
			t.Error("all taken")
		}
	})
	t.Run("C-TFO-5 a SYN that is repeated carries neither text nor option", func(t *testing.T) {
		l, _ := fastClient(t, someCookie, 1460, text[:100])
		l.out = nil
		l.wait(time.Second).cookies(nil).want(seg{flags: SYN})
		l.wait(2 * time.Second).cookies(nil).want(seg{flags: SYN})
		l.synAck(1, nil).want(seg{flags: PSH | ACK, seq: 1, ack: 1, n: 100}).state(Established)
		if !l.conn.SYNRepeated() {
			t.Error("SYNRepeated is false")
		}
		l.wait(300 * time.Millisecond)
		l.state(Established)
	})
	t.Run("C-TFO-5 no more than fits a segment of the peer's last MSS", func(t *testing.T) {
		for _, tt := range []struct{ mss, want uint16 }{{0, 536 - 40}, {1000, 960}, {1460, 1420}, {9000, 1420}, {20, 0}} {
			l, n := fastClient(t, someCookie, tt.mss, text)
			if n != int(tt.want) {
				t.Errorf("MSS %d: %d octets, want %d", tt.mss, n, tt.want)
			}
			l.want(seg{flags: SYN, n: n})
		}
	})
	t.Run("C-TFO-5 text written in SYN-SENT follows the handshake", func(t *testing.T) {
		l, _ := fastClient(t, someCookie, 1460, text[:100])
		l.send(50).want(seg{flags: SYN, n: 100})
		l.conn.CloseWrite(l.now)
		l.synAck(101, nil).want(seg{flags: FIN | PSH | ACK, seq: 101, ack: 1, n: 50}).state(FinWait1)
	})
	t.Run("C-TFO-5 a SYN-ACK for more than was sent is not ours", func(t *testing.T) {
		l, _ := fastClient(t, someCookie, 1460, text[:100])
		l.out = nil
		l.synAck(102, nil).want(seg{flags: RST, seq: 102}).state(SynSent)
	})
	t.Run("C-TFO-5 simultaneous open, and the peer has taken nothing", func(t *testing.T) {
		l, _ := fastClient(t, someCookie, 1460, text[:100])
		l.out = nil
		l.in(seg{flags: SYN}).want(seg{flags: SYN | ACK, seq: 0, ack: 1}).state(SynReceived)
		l.in(seg{flags: SYN | ACK, seq: 0, ack: 1}).want(seg{flags: PSH | ACK, seq: 1, ack: 1, n: 100}).state(Established)
		l.in(seg{flags: ACK, seq: 1, ack: 101}).want()
	})
	t.Run("C-TFO-6 an ordinary SYN has no Fast Open option", func(t *testing.T) {
		l := &lab{t: t, env: newEnv(Config{}), now: mono.Time(time.Hour)}
		l.dial(DefaultOptions())
		l.cookies(nil)
	})
}

// fastServer is a connection in SYN-RECEIVED that took n octets from its SYN.
func fastServer(t *testing.T, o Options, n int, cookie FastOpenCookie) *lab {
	t.Helper()
	l := &lab{t: t, env: newEnv(Config{RecvBuffer: 20000, MaxRecvBuffer: 20000}), now: mono.Time(time.Hour), irs: 5000}
	syn := Segment{Flags: SYN | FIN, Seq: l.irs, Window: 30000, Options: OptMSS, MSS: 1460}
	syn.Text.Data, syn.TextLen = bytes.Repeat([]byte("s"), n), uint32(n)
	var h HalfOpen
	h.Init(l.env, Tuple{addrA, addrB}, path, &o, &syn, ISSFloor{}, l.now)
	l.conn.AcceptFastOpen(l.env, l, &h, path, &o, &syn, cookie, l.now)
	l.iss = h.iss
	return l
}

func TestFastOpenServer(t *testing.T) {
	o := Options{Linger: -1}
	t.Run("C-TFO-2 text on the SYN is readable and acknowledged at once", func(t *testing.T) {
		l := fastServer(t, o, 100, FastOpenCookie{})
		l.cookies(nil).want(seg{flags: SYN | ACK, seq: 0, ack: 101, win: 19900}).state(SynReceived)
		if got := l.read(); len(got) != 100 {
			t.Errorf("read %d octets", len(got))
		}
		l.conn.Output(l.now)
		l.want()
		l.in(seg{flags: ACK, seq: 101, ack: 1}).want().state(Established)
		l.wait(time.Minute).want()
	})
	t.Run("C-TFO-2 the answer leaves before the handshake is over", func(t *testing.T) {
		l := fastServer(t, o, 100, someCookie)
		l.cookies(&someCookie).want(seg{flags: SYN | ACK, seq: 0, ack: 101})
		l.send(200).want(seg{flags: PSH | ACK, seq: 1, ack: 101, n: 200}).state(SynReceived)
		l.wait(10 * time.Millisecond)
		l.in(seg{flags: ACK, seq: 101, ack: 201}).want().state(Established)
		if l.conn.SendQueued() != 0 {
			t.Errorf("%d octets queued", l.conn.SendQueued())
		}
		l.wait(time.Minute).want()
	})
	t.Run("C-TFO-2 an answer of which the first ACK says nothing is sent again in time", func(t *testing.T) {
		l := fastServer(t, o, 100, FastOpenCookie{})
		l.send(200).wait(100 * time.Millisecond)
		l.out = nil
		l.in(seg{flags: ACK, seq: 101, ack: 1}).want().state(Established)
		l.wait(500 * time.Millisecond).want(seg{flags: PSH | ACK, seq: 1, ack: 101, n: 200})
	})
	t.Run("C-TFO-2 a close in SYN-RECEIVED", func(t *testing.T) {
		l := fastServer(t, o, 100, FastOpenCookie{})
		l.read()
		l.send(200)
		l.out = nil
		l.conn.Close(l.now)
		l.want(seg{flags: FIN | ACK, seq: 201, ack: 101}).state(SynReceived)
		l.in(seg{flags: ACK, seq: 101, ack: 202}).want().state(FinWait2)
	})
	t.Run("C-TFO-2 the SYN-ACK is sent again five times, without cookie and text", func(t *testing.T) {
		l := fastServer(t, o, 100, someCookie)
		l.send(200)
		l.out = nil
		for i := range 5 {
			l.wait(time.Second << i).cookies(nil).want(seg{flags: SYN | ACK, seq: 0, ack: 101})
		}
		l.wait(40 * time.Second).want().state(Closed)
		if l.conn.Err() != syscall.ETIMEDOUT {
			t.Errorf("error %v", l.conn.Err())
		}
	})
	t.Run("C-TFO-2 the SYN again is answered again, and its text not taken twice", func(t *testing.T) {
		l := fastServer(t, o, 100, FastOpenCookie{})
		l.out = nil
		l.in(seg{flags: SYN, n: 100}).want(seg{flags: SYN | ACK, seq: 0, ack: 101})
		if l.conn.Readable() != 100 {
			t.Errorf("%d octets", l.conn.Readable())
		}
	})
	t.Run("C-TFO-2 text beyond the window is left to be sent again", func(t *testing.T) {
		o := o
		o.RecvBuffer = 2304
		fastServer(t, o, 5000, FastOpenCookie{}).want(seg{flags: SYN | ACK, seq: 0, ack: 2305})
	})
	t.Run("C-TFO-4 a RST in SYN-RECEIVED is told apart from a refusal", func(t *testing.T) {
		l := fastServer(t, o, 100, FastOpenCookie{})
		l.in(seg{flags: RST, seq: 101}).state(Closed)
		if l.conn.Err() != syscall.ECONNRESET || l.conn.Readable() != 100 {
			t.Errorf("error %v, %d octets to read", l.conn.Err(), l.conn.Readable())
		}
	})
	t.Run("A-SM-30 text on a SYN without Fast Open is left to be sent again", func(t *testing.T) {
		env := newEnv(Config{})
		syn := Segment{Flags: SYN, Seq: 5000, Window: 30000, Text: Span{Data: make([]byte, 10)}, TextLen: 10}
		var h HalfOpen
		var reply Segment
		h.Init(env, Tuple{addrA, addrB}, path, &o, &syn, ISSFloor{}, 1)
		h.SynAck(env, &reply, 1)
		if reply.Ack != 5001 {
			t.Errorf("SYN-ACK acknowledges %d", reply.Ack)
		}
		ack := Segment{Flags: ACK, Seq: 5001, Ack: h.iss.Add(1), Window: 1000, Text: Span{Data: []byte("ten octets")}, TextLen: 10}
		if h.SegmentArrives(env, &ack, &reply, 2) != Complete {
			t.Fatal("not complete")
		}
		l := &lab{t: t, env: env, now: 2, irs: 5000, iss: h.iss}
		l.conn.Accept(env, l, &h, Tuple{addrA, addrB}, path, &o, l.now)
		l.conn.SegmentArrives(&ack, l.now)
		l.reads("ten octets")
	})
}

func TestFastOpenCookie(t *testing.T) {
	env := newEnv(Config{})
	tuple := Tuple{addrA, addrB}
	now := mono.Time(10 * time.Hour)
	c := env.FastOpenCookie(tuple, now)
	otherPorts := Tuple{netip.AddrPortFrom(addrA.Addr(), 9), netip.AddrPortFrom(addrB.Addr(), 10)}
	otherClient := Tuple{addrA, netip.MustParseAddrPort("10.0.0.3:2000")}
	forged := c
	forged.Octets[7]++
	longer := c
	longer.Len = 16
	for _, tt := range []struct {
		name         string
		tuple        Tuple
		cookie       FastOpenCookie
		later        time.Duration
		valid, fresh bool
	}{
		{"C-TFO-3 the address that got it", tuple, c, 0, true, true},
		{"C-TFO-3 from any port to any other", otherPorts, c, 59 * time.Minute, true, true},
		{"C-TFO-3 another address", otherClient, c, 0, false, false},
		{"C-TFO-3 one octet is wrong", tuple, forged, 0, false, false},
		{"C-TFO-3 another length", tuple, longer, 0, false, false},
		{"C-TFO-3 the key before the present one", tuple, c, time.Hour, true, false},
		{"C-TFO-3 to the end of its time", tuple, c, 2*time.Hour - 1, true, false},
		{"C-TFO-3 an older key", tuple, c, 2 * time.Hour, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if valid, fresh := env.CheckFastOpen(tt.tuple, &tt.cookie, now.Add(tt.later)); valid != tt.valid || fresh != tt.fresh {
				t.Errorf("valid %v, fresh %v", valid, fresh)
			}
		})
	}
	if c.Len != 8 || c == newEnvWithSecret(Secret{1}).FastOpenCookie(tuple, now) {
		t.Error("the cookie is not 8 octets, or does not depend on the secret")
	}
}

func newEnvWithSecret(s Secret) *Env {
	env := newEnv(Config{})
	env.Secret = &s
	return env
}
