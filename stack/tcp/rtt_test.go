package tcp

import (
	"testing"
	"time"
)

// All text arrived, its acknowledgments were lost, and so were some retransmissions. What answers one of
// them echoes the text's first transmission, minutes ago.
func TestRoundTripOfDuplicates(t *testing.T) {
	lost := func(t *testing.T) (l *lab, first uint32, rto int32) {
		l = sacking(t).send(3 * 1448)
		first, rto = l.out[0].TSVal, l.conn.rto
		l.wait(time.Minute)
		if l.conn.retransmits < 3 {
			t.Fatalf("%d timeouts in a row", l.conn.retransmits)
		}
		return l, first, rto
	}
	t.Run("the answer to a duplicate is no sample, but ends the backoff", func(t *testing.T) {
		l, first, rto := lost(t)
		l.tsecr = first
		l.in(seg{flags: ACK, seq: 1, ack: 1 + 3*1448, sack: []Block{{1, 1449}}})
		if l.conn.rto != rto || l.conn.retransmits != 0 {
			t.Errorf("RTO %v after %d timeouts, want %v after none", micros(l.conn.rto), l.conn.retransmits, micros(rto))
		}
	})
	t.Run("without a report of a duplicate it is one: the path may have become so slow", func(t *testing.T) {
		l, first, _ := lost(t)
		l.tsecr = first
		l.in(seg{flags: ACK, seq: 1, ack: 1 + 3*1448})
		if micros(l.conn.rto) < time.Minute {
			t.Errorf("RTO %v after a round trip of a minute", micros(l.conn.rto))
		}
	})
}
