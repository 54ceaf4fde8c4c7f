package tcp

import (
	"reflect"
	"testing"

	"github.com/unet-go/unet/stack/tcp/cc"
)

func TestControllerOfAConnection(t *testing.T) {
	// is checks the connection's controller, by name and by type.
	is := func(l *lab, want string) {
		l.t.Helper()
		got, has := l.conn.Info().CongestionControl, reflect.TypeOf(l.conn.cc.Controller)
		if got != want || has != reflect.TypeOf(cc.New(want)) {
			l.t.Errorf("%s, a %v; want %s", got, has, want)
		}
	}
	t.Run("MAY-18 each connection has the controller that its options name", func(t *testing.T) {
		for name, want := range map[string]string{"": "cubic", "cubic": "cubic", "reno": "reno", "vegas": "cubic"} {
			l := newLab(t, Config{}, Options{Linger: -1, CongestionControl: name}, nil)
			is(l.send(10), want)
		}
	})
	t.Run("MAY-18 a change keeps the window and takes no part of the old controller along", func(t *testing.T) {
		l := flight(t, Config{}, true, 10)
		l.in(ackTo(0, blk(1, 6)))
		cwnd, ssthresh := l.conn.cwnd, l.conn.ssthresh
		for _, name := range []string{"reno", "cubic"} {
			o := l.conn.Options()
			o.CongestionControl = name
			l.conn.SetOptions(&o, l.now)
			is(l, name)
			if l.conn.cwnd != cwnd || l.conn.ssthresh != ssthresh || !l.conn.cc.loss.undo.armed {
				t.Errorf("cwnd %d, ssthresh %d, %+v", l.conn.cwnd, l.conn.ssthresh, l.conn.cc.loss)
			}
		}
		if got := l.conn.cc.Controller; !reflect.DeepEqual(got, cc.New("cubic")) {
			t.Errorf("%+v", got)
		}
	})
	t.Run("MAY-18 a spare controller of another kind is not taken", func(t *testing.T) {
		l := newLab(t, Config{}, Options{Linger: -1}, nil)
		l.send(10).in(seg{flags: ACK, seq: 1, ack: 11})
		if l.conn.cc != nil {
			t.Fatal("it was kept")
		}
		o := l.conn.Options()
		o.CongestionControl = "reno"
		l.conn.SetOptions(&o, l.now)
		is(l.send(10), "reno")
	})
}
