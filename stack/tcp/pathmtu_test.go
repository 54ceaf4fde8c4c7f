package tcp

import (
	"syscall"
	"testing"
)

// tooBig is what a router's message may do to a connection, whose segments have mss octets of text, and never less than
// least.
func tooBig(t *testing.T, of string, p Path, mss uint32, least int) {
	says := func(l *lab, mtu int, seq uint32) {
		l.conn.ICMPError(ICMPError{Errno: syscall.EMSGSIZE, MTU: mtu, Seq: l.iss.Add(seq)}, l.now)
	}
	t.Run("B-PMT-1 packet too big cuts anew without a cut of cwnd"+of, func(t *testing.T) {
		l := establishedOn(t, p).send(int(mss))
		l.out = nil
		cwnd := l.conn.cwnd
		says(l, 1400, 1)
		l.want(seg{flags: ACK, seq: 1, ack: 1, n: int(mss) - 100}, seg{flags: ACK | PSH, seq: 1 + mss - 100, ack: 1, n: 100})
		if l.conn.cwnd != cwnd {
			t.Errorf("cwnd %d, was %d", l.conn.cwnd, cwnd)
		}
		t.Run("B-PMT-3 and never raises"+of, func(t *testing.T) {
			says(l, 9000, 1)
			if uint32(l.conn.smss) != mss-100 {
				t.Errorf("smss %d", l.conn.smss)
			}
		})
		t.Run("B-PMT-2 and never goes below the floor"+of, func(t *testing.T) {
			says(l, 68, 1)
			if int(l.conn.smss) != least {
				t.Errorf("smss %d", l.conn.smss)
			}
			if l.conn.MayFragment() == p.V6 {
				t.Errorf("may be cut: %v", l.conn.MayFragment())
			}
			l.conn.SetPath(p, l.now)
			if l.conn.MayFragment() {
				t.Error("may be cut although the path has become wide again")
			}
		})
	})
	t.Run("B-PMT-6 packet too big is believed from UNA up to, and without, NXT"+of, func(t *testing.T) {
		l := establishedOn(t, p).send(int(mss))
		l.in(seg{flags: ACK, seq: 1, ack: 1 + mss}).send(int(2 * mss))
		una, nxt := 1+mss, 1+3*mss
		l.out = nil
		for _, s := range []uint32{0, 1, una - 1, nxt, nxt + 1, nxt + 70000, una + 1<<31} {
			says(l, 1300, s)
			if uint32(l.conn.smss) != mss || l.conn.PathMTU() != 1500 || l.conn.TakeEvents()&PathTooBig != 0 {
				t.Errorf("a message that quotes %d was believed", s)
			}
		}
		l.want()
		says(l, 1400, una)
		if uint32(l.conn.smss) != mss-100 {
			t.Errorf("smss %d after what is the first in flight", l.conn.smss)
		}
		says(l, 1300, nxt-1)
		if uint32(l.conn.smss) != mss-200 {
			t.Errorf("smss %d after what is the last in flight", l.conn.smss)
		}
	})
	t.Run("E-OPT-5 packet too big and the modes of discovery"+of, func(t *testing.T) {
		for mode, believed := range map[PathMTUDiscovery]bool{DiscoverWant: true, DiscoverDo: true, DiscoverProbe: true,
			DiscoverDont: p.V6, DiscoverInterface: false, DiscoverOmit: false} {
			l := newLabOn(t, p, Config{}, Options{Linger: -1, NoDelay: true, Discover: mode}, nil).send(int(mss))
			says(l, 1400, 1)
			if got := uint32(l.conn.smss) < mss; got != believed {
				t.Errorf("mode %d: believed %v", mode, got)
			}
		}
	})
}
