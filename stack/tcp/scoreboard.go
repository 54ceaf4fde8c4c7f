package tcp

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// record is a run of sequence numbers that was sent at one time. The FIN's number is part of a record too.
type record struct {
	seq   Seq
	n     uint32
	xmit  mono.Time // of its last transmission
	flags recordFlag
}

type recordFlag uint8

const (
	recSacked  recordFlag = 1 << iota // selectively acknowledged
	recLost                           // deemed lost and not yet sent again
	recRetrans                        // sent more than once
	recProbe                          // a probe of the path's MTU, sent once
)

func (r *record) end() Seq { return r.seq.Add(r.n) }

// scoreboard holds records of everything in flight, in the order of sequence numbers and without gaps. It alone says what
// to retransmit; snd.nxt never goes back.
type scoreboard struct {
	recs []record
	head int
	// sacked and lost are the octets of the records with those flags.
	sacked, lost uint32
	// hint is an index before which no record is lost.
	hint int
	// packed is how many records the last compact left.
	packed int
	// sampler is nil unless the controller wants delivery rates. Then stamps has a stamp for each record.
	sampler *cc.Sampler
	stamps  []cc.Stamp
}

// maxRecords bounds into how many records selective acknowledgments may cut the scoreboard (CVE-2019-11478), and so the work
// for one of them. At this number a block that covers part of a record is ignored until records have been joined.
const maxRecords = 2048

// minSpan is the shortest interval within which the times of transmissions need not be distinguished.
const minSpan = 10 * time.Microsecond

func (s *scoreboard) reset() {
	if cap(s.recs) > 1024 {
		s.recs, s.stamps = nil, nil
	}
	// Field by field: a whole new value would be built on the stack and copied, for every request.
	s.recs, s.head, s.hint, s.packed = s.recs[:0], 0, 0, 0
	s.sacked, s.lost = 0, 0
	s.sampler, s.stamps = nil, s.stamps[:0]
}

// sampleFor makes the scoreboard keep stamps for sampler, or none if it is nil. Records sent before have empty stamps.
func (s *scoreboard) sampleFor(sampler *cc.Sampler) {
	s.sampler, s.stamps = sampler, s.stamps[:0]
	if sampler != nil {
		s.stamps = append(s.stamps, make([]cc.Stamp, len(s.recs))...)
	}
}

// stamp returns the stamp of record i, nil if there are none.
func (s *scoreboard) stamp(i int) *cc.Stamp {
	if s.sampler == nil {
		return nil
	}
	return &s.stamps[i]
}

func (s *scoreboard) len() int { return len(s.recs) - s.head }

// sent notes a new transmission of [seq, seq+n). With alone it is retransmitted as a segment of its own too.
func (s *scoreboard) sent(seq Seq, n uint32, alone bool, now mono.Time) {
	if k := len(s.recs); k > s.head && !alone {
		// Segments sent at the same moment cannot be told apart by time, so they share a record.
		if last := &s.recs[k-1]; last.xmit == now && last.flags == 0 && last.end() == seq {
			last.n += n
			return
		}
	}
	if s.head > 64 && s.head > len(s.recs)/2 {
		k := copy(s.recs, s.recs[s.head:])
		if s.sampler != nil {
			s.stamps = s.stamps[:copy(s.stamps, s.stamps[s.head:])]
		}
		s.hint = max(s.hint-s.head, 0)
		s.recs, s.head = s.recs[:k], 0
	}
	s.recs = append(s.recs, record{seq: seq, n: n, xmit: now})
	if s.sampler != nil {
		s.stamps = append(s.stamps, cc.Stamp{})
	}
}

// find returns the index of the record that holds seq, or len(recs).
func (s *scoreboard) find(seq Seq) int {
	low, high := s.head, len(s.recs)
	for low < high {
		mid := (low + high) / 2
		if s.recs[mid].end().LessThanEq(seq) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// split cuts record i in two so that the first keeps n octets.
func (s *scoreboard) split(i int, n uint32) {
	s.recs = append(s.recs, record{})
	copy(s.recs[i+1:], s.recs[i:])
	if s.sampler != nil {
		s.stamps = append(s.stamps, cc.Stamp{})
		copy(s.stamps[i+1:], s.stamps[i:])
	}
	s.recs[i].n = n
	s.recs[i+1].seq = s.recs[i+1].seq.Add(n)
	s.recs[i+1].n -= n
	if s.hint > i {
		s.hint++
	}
}

// forget subtracts n octets of r from the sums sacked and lost, according to the flags of r.
func (s *scoreboard) forget(r *record, n uint32) {
	if r.flags&recSacked != 0 {
		s.sacked -= n
	}
	if r.flags&recLost != 0 {
		s.lost -= n
	}
}

// ack drops everything before una and calls visit for each record, or part of a record, that is dropped.
func (s *scoreboard) ack(una Seq, visit func(r *record, st *cc.Stamp)) {
	for s.head < len(s.recs) {
		r := &s.recs[s.head]
		if una.LessThanEq(r.seq) {
			break
		}
		if una.LessThan(r.end()) {
			n, rest := una.Distance(r.seq), r.end().Distance(una)
			r.n = n // the part after una was sent at the same time, but has not arrived
			visit(r, s.stamp(s.head))
			s.forget(r, n)
			r.seq, r.n = una, rest
			break
		}
		visit(r, s.stamp(s.head))
		s.forget(r, r.n)
		s.head++
	}
	s.hint = max(s.hint, s.head)
	if s.head == len(s.recs) {
		s.recs, s.head, s.hint, s.packed = s.recs[:0], 0, 0, 0
		if s.sampler != nil {
			s.stamps = s.stamps[:0]
		}
	}
}

// mark marks the records in b as selectively acknowledged, calls visit for each newly marked one, and returns how many
// octets those have. Marked records are joined with marked neighbours, so that the next acknowledgment that covers them need
// not visit them one by one.
func (s *scoreboard) mark(b Block, visit func(r *record, st *cc.Stamp)) uint32 {
	first := s.find(b.Left)
	if first < len(s.recs) && s.recs[first].seq.LessThan(b.Left) && s.recs[first].flags&recSacked == 0 {
		if s.len() < maxRecords {
			s.split(first, b.Left.Distance(s.recs[first].seq))
		}
		first++
	}
	var marked uint32
	i := first
	for ; i < len(s.recs) && s.recs[i].seq.LessThan(b.Right); i++ {
		r := &s.recs[i]
		if r.flags&recSacked != 0 {
			continue
		}
		if b.Right.LessThan(r.end()) {
			if s.len() >= maxRecords {
				break
			}
			s.split(i, b.Right.Distance(r.seq))
			r = &s.recs[i]
		}
		visit(r, s.stamp(i))
		s.forget(r, r.n)
		r.flags = r.flags&^recLost | recSacked
		s.sacked += r.n
		marked += r.n
	}
	if marked > 0 {
		s.joinSacked(first, i)
	}
	return marked
}

// joinSacked joins the records [first, last), all selectively acknowledged, and their neighbours if these are too.
func (s *scoreboard) joinSacked(first, last int) {
	if first > s.head && s.recs[first-1].flags&recSacked != 0 {
		first--
	}
	if last < len(s.recs) && s.recs[last].flags&recSacked != 0 {
		last++
	}
	s.join(first, last)
}

// join joins the records [first, last) into one, with the time of the latest transmission.
func (s *scoreboard) join(first, last int) {
	gone := last - first - 1
	if gone <= 0 {
		return
	}
	r := &s.recs[first]
	for i, o := range s.recs[first+1 : last] {
		if s.sampler != nil && o.xmit > r.xmit {
			s.stamps[first] = s.stamps[first+1+i]
		}
		r.n += o.n
		r.xmit = max(r.xmit, o.xmit)
		r.flags |= o.flags
	}
	s.recs = append(s.recs[:first+1], s.recs[last:]...)
	if s.sampler != nil {
		s.stamps = append(s.stamps[:first+1], s.stamps[last:]...)
	}
	switch {
	case s.hint >= last:
		s.hint -= gone
	case s.hint > first:
		s.hint = first
	}
}

// compact joins neighbours with the same flags if there are very many records: first those sent within the same span of
// time, so that RACK and round-trip times become no less exact than span. A peer can make us send a whole window in single
// octets; if then too many records remain, it joins others too.
func (s *scoreboard) compact(span time.Duration) {
	if s.len() < max(maxRecords, s.packed+maxRecords/16) {
		return
	}
	s.squeeze(func(_ int, a, b *record) bool { return int64(a.xmit)/int64(span) == int64(b.xmit)/int64(span) })
	if s.len() > maxRecords {
		s.squeeze(func(i int, _, _ *record) bool { return i%4 != 0 })
	}
	s.packed = s.len()
}

// squeeze joins each record to the one before it where both have the same flags and join says so.
func (s *scoreboard) squeeze(join func(i int, a, b *record) bool) {
	kept, stamps := s.recs[:0], s.stamps[:0]
	for i := s.head; i < len(s.recs); i++ {
		r := s.recs[i]
		if k := len(kept) - 1; k >= 0 && kept[k].flags == r.flags && join(i-s.head, &kept[k], &r) {
			kept[k].n += r.n
			if s.sampler != nil && r.xmit > kept[k].xmit {
				stamps[k] = s.stamps[i]
			}
			kept[k].xmit = max(kept[k].xmit, r.xmit)
			continue
		}
		kept = append(kept, r)
		if s.sampler != nil {
			stamps = append(stamps, s.stamps[i])
		}
	}
	s.recs, s.stamps, s.head, s.hint = kept, stamps, 0, 0
}

// lose marks record i as lost, and says whether it was not so before.
func (s *scoreboard) lose(i int) bool {
	r := &s.recs[i]
	if r.flags&(recLost|recSacked) != 0 {
		return false
	}
	r.flags |= recLost
	s.lost += r.n
	s.hint = min(s.hint, i)
	return true
}

// checkReneging removes all marks of selective acknowledgments if the first record has one: then the peer has dropped text
// that it had reported, and its reports cannot be trusted (RFC 2018 8, RFC 6675 5.1).
func (s *scoreboard) checkReneging() {
	if s.head == len(s.recs) || s.recs[s.head].flags&recSacked == 0 {
		return
	}
	for i := s.head; i < len(s.recs); i++ {
		s.recs[i].flags &^= recSacked
	}
	s.sacked = 0
}

// unlose removes all marks of losses.
func (s *scoreboard) unlose() {
	for i := s.head; i < len(s.recs) && s.lost > 0; i++ {
		if r := &s.recs[i]; r.flags&recLost != 0 {
			r.flags &^= recLost
			s.lost -= r.n
		}
	}
}

// dupThresh says whether enough was selectively acknowledged to consider the first segment lost (RFC 6675 4, IsLost): three
// separate runs, or more than two full segments.
func (s *scoreboard) dupThresh(smss uint32) bool {
	if s.sacked > 2*smss {
		return true
	}
	runs, inside := 0, false
	for i := s.head; i < len(s.recs) && s.sacked > 0 && runs < 3; i++ {
		sacked := s.recs[i].flags&recSacked != 0
		if sacked && !inside {
			runs++
		}
		inside = sacked
	}
	return runs >= 3
}

// nextLost returns the index of the first lost record, or -1.
func (s *scoreboard) nextLost() int {
	if s.lost == 0 {
		return -1
	}
	for i := max(s.hint, s.head); i < len(s.recs); i++ {
		if s.recs[i].flags&recLost != 0 {
			s.hint = i
			return i
		}
	}
	return -1
}

// resent notes that record i is retransmitted.
func (s *scoreboard) resent(i int, now mono.Time) {
	r := &s.recs[i]
	s.forget(r, r.n)
	r.flags = r.flags&^(recLost|recSacked|recProbe) | recRetrans
	r.xmit = now
}
