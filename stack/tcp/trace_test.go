package tcp

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unet-go/unet/internal/mono"
)

// traced makes a lab whose connection has been dialled, with numbers that begin at 1000 and 5000, and returns what takes
// the events since it was last called. The lab's clock begins at one hour; times are printed in nanoseconds.
func traced(t *testing.T) (l *lab, events func() []string) {
	var all []string
	l = &lab{t: t, env: newEnv(Config{CongestionControl: "reno"}), now: mono.Time(time.Hour), irs: 5000}
	l.env.Numbers = &Numbers{ISS: 1000}
	l.env.Trace = func(c *Conn, e TraceEvent) {
		if c != &l.conn {
			t.Error("another connection's")
		}
		all = append(all, e.String())
	}
	l.dial(Options{Linger: -1, NoDelay: true})
	return l, func() []string {
		got := slices.Clone(all)
		all = nil
		return got
	}
}

func wantEvents(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func TestTrace(t *testing.T) {
	l, events := traced(t)
	wantEvents(t, "connect", events(),
		"state CLOSED -> SYN-SENT",
		"sent S seq 1000 ack 0 len 0 win 65535",
		"timer set to 3601000000000: SYN",
	)
	in := Segment{Flags: SYN | ACK, Seq: l.irs, Ack: l.iss.Add(1), Window: 65535, Options: OptMSS | OptSACKPermitted, MSS: 1460}
	l.now = l.now.Add(10 * time.Millisecond)
	l.conn.SegmentArrives(&in, l.now)
	l.conn.Output(l.now)
	wantEvents(t, "the handshake", events(),
		"received SA seq 5000 ack 1001 len 0 win 65535",
		"window 65535",
		"state SYN-SENT -> ESTABLISHED",
		"timer stopped",
		"cwnd 14600 ssthresh 1073741824",
		"sent A seq 1001 ack 5001 len 0 win 65535",
	)
	l.send(5 * 1460)
	wantEvents(t, "text", events(),
		"sent A seq 1001 ack 5001 len 1460 win 65535",
		"sent A seq 2461 ack 5001 len 1460 win 65535",
		"sent A seq 3921 ack 5001 len 1460 win 65535",
		"sent A seq 5381 ack 5001 len 1460 win 65535",
		"sent PA seq 6841 ack 5001 len 1460 win 65535",
		"timer set to 3600030000000: tail loss probe",
	)
	l.now = l.now.Add(10 * time.Millisecond)
	l.in(seg{flags: ACK, seq: 1, ack: 1, win: 60000, sack: []Block{{1 + 1460, 1 + 5*1460}}})
	wantEvents(t, "a loss", events(),
		"received A seq 5001 ack 1001 len 0 win 60000",
		"window 60000",
		"lost seq 1001 len 1460: delivered later",
		"cwnd 14600 ssthresh 3650",
		"cwnd 3650 ssthresh 3650",
		"sent A seq 1001 ack 5001 len 1460 win 65535",
		"timer set to 3600230000000: retransmission timeout",
	)
	l.wait(500 * time.Millisecond)
	wantEvents(t, "a timeout", events(),
		"timer fired: retransmission timeout",
		"cwnd 1460 ssthresh 3650",
		"lost seq 1001 len 1460: timeout",
		"sent A seq 1001 ack 5001 len 1460 win 65535",
		"timer set to 3600650000000: retransmission timeout",
	)
	l.in(seg{flags: ACK, seq: 1, ack: 1 + 5*1460, win: 60000})
	wantEvents(t, "recovery is over", events(),
		"received A seq 5001 ack 8301 len 0 win 60000",
		"cwnd 5110 ssthresh 3650",
		"timer stopped",
	)
	l.conn.CloseWrite(l.now)
	l.in(seg{flags: FIN | ACK, seq: 1, ack: 2 + 5*1460, win: 60000})
	wantEvents(t, "the close", events(),
		"state ESTABLISHED -> FIN-WAIT-1",
		"sent FA seq 8301 ack 5001 len 0 win 65535",
		"timer set to 3600940000000: retransmission timeout",
		"received FA seq 5001 ack 8302 len 0 win 60000",
		"state FIN-WAIT-1 -> FIN-WAIT-2",
		"state FIN-WAIT-2 -> TIME-WAIT",
		"sent A seq 8302 ack 5002 len 0 win 65534",
	)
}

// TestTraceCosts holds that a connection without a trace does not allocate for it: TestNoAllocation checks the same of a
// request, and TestSizes that the hook takes no room in a connection.
func TestTraceCosts(t *testing.T) {
	l, _ := traced(t)
	l.env.Trace = nil
	if n := testing.AllocsPerRun(100, func() {
		l.conn.setCwnd(l.conn.cwnd+1, l.conn.ssthresh)
		l.conn.setWindow(l.conn.snd.wnd+1, l.conn.snd.wl1, l.conn.snd.wl2)
		l.conn.setRetransmit(l.conn.timers[timerRetransmit] + 1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
