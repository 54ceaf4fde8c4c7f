package tcp

import (
	"fmt"
	"testing"
	"time"
)

// TestNewRenoFraction: half of an odd flight is no whole number of segments, and only whole ones leave. What they are is
// a round trip's worth all the same: at small windows a flow would else grow by a fifth more slowly.
func TestNewRenoFraction(t *testing.T) {
	for _, sack := range []bool{true, false} {
		for _, halves := range []uint32{4, 5, 6, 7, 21} {
			name := fmt.Sprintf("cwnd of %d halves, SACK %v", halves, sack)
			begin := func() (l *lab, mss, from uint32) {
				l = limitedLab(t, "reno", sack, false)
				mss = uint32(l.conn.smss)
				l.conn.cwnd = halves * mss / 2
				l.conn.ssthresh = l.conn.cwnd
				return l, mss, l.conn.cwnd
			}
			for _, stretch := range []uint32{1, 2} {
				t.Run("C-CC-3 a flight of full segments brings SMSS: "+fmt.Sprint(name, ", acknowledged by ", stretch), func(t *testing.T) {
					l, mss, from := begin()
					l.send(1000 * int(mss))
					una := uint32(1)
					for rtt := range uint32(20) {
						if got, want := l.conn.cwnd, from+rtt*mss; got != want {
							t.Fatalf("after %d RTT cwnd is %d, want %d", rtt, got, want)
						}
						l.now = l.now.Add(100 * time.Millisecond)
						for n := halves/2 + rtt; n > 0; n -= min(n, stretch) {
							una += min(n, stretch) * mss
							l.in(seg{flags: ACK, seq: 1, ack: una, win: 65535})
						}
					}
				})
			}
			t.Run("C-CC-3 so does one of small segments, and no more: "+name, func(t *testing.T) {
				const piece = 100
				l, mss, from := begin()
				una := uint32(1)
				for rtt := range uint32(20) {
					if got, want := l.conn.cwnd, from+rtt*mss; got != want {
						t.Fatalf("after %d RTT cwnd is %d, want %d", rtt, got, want)
					}
					for l.conn.flightSize()+piece <= l.conn.cwnd {
						l.send(piece)
					}
					l.now = l.now.Add(100 * time.Millisecond)
					for l.conn.flightSize() > 0 {
						if got := l.conn.cwnd; got != from+rtt*mss {
							t.Fatalf("in round trip %d cwnd is %d with %d octets still in flight", rtt, got, l.conn.flightSize())
						}
						una += piece
						l.in(seg{flags: ACK, seq: 1, ack: una, win: 65535})
					}
				}
			})
		}
	}
}
