package tcp

// piece is a run of text that has arrived after a gap.
type piece struct {
	seq  Seq
	span Span
}

func (p *piece) end() Seq { return p.seq.Add(uint32(len(p.span.Data))) }

// reassembly holds the text and the FIN that arrived out of order, and the SACK blocks that the next acknowledgments report.
// Pieces are sorted and do not overlap. Their number and memory are bounded, so that a peer that sends single octets with gaps
// between them can use up neither time nor memory (CVE-2018-5390).
type reassembly struct {
	pieces []piece
	// charge is the memory that the pieces pin, with their overhead, in octets; text is how many octets of it are text.
	charge, text int
	fin          bool
	finSeq       Seq
	// recent are the blocks to report, newest first (RFC 2018 4); dup is a duplicate to report once (RFC 2883).
	recent    [4]Block
	numRecent uint8
	hasDup    bool
	dup       Block
}

const (
	pieceOverhead = 64
	// leastPieces is how many pieces may be held even if the limit is small.
	leastPieces = 2048
	// pieceShare is the number of octets of a larger limit for each further piece. Full segments of an Ethernet have more
	// octets, so a whole flight of them behind one hole can be held.
	pieceShare = 1024
	// fewPieces is up to how many pieces are moved to the front of their array when those before them are removed.
	fewPieces = 256
)

// ahead says whether a piece after seq is held.
func (a *reassembly) ahead(seq Seq) bool {
	n := len(a.pieces)
	return n > 0 && seq.LessThan(a.pieces[n-1].seq)
}

// idle says whether there is nothing to keep.
func (a *reassembly) idle() bool { return len(a.pieces) == 0 && !a.fin && !a.hasDup }

// reset releases everything. The array stays for the next use.
func (a *reassembly) reset() {
	for i := range a.pieces {
		a.pieces[i].span.Release()
		a.pieces[i] = piece{}
	}
	if a.pieces = a.pieces[:0]; cap(a.pieces) > 256 {
		a.pieces = nil
	}
	a.charge, a.text = 0, 0
	a.fin, a.finSeq = false, 0
	a.numRecent, a.hasDup = 0, false
}

// after returns the index of the first piece that ends after seq.
func (a *reassembly) after(seq Seq) int {
	low, high := 0, len(a.pieces)
	for low < high {
		mid := (low + high) / 2
		if a.pieces[mid].end().LessThanEq(seq) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// insert keeps the part of text t at seq that is not held yet. It borrows t. limit is the size of the receive buffer. The
// text itself cannot exceed it, since the window was offered out of that buffer; the memory pinned in addition may be as much
// again. Beyond that insert drops the rightmost pieces, and returns how many octets it dropped.
func (a *reassembly) insert(seq Seq, t Span, limit int, alloc func(int) Span) (pruned int) {
	end := seq.Add(uint32(len(t.Data)))
	for i := a.after(seq); seq.LessThan(end); i++ {
		stop := end
		if i < len(a.pieces) {
			p := &a.pieces[i]
			if p.seq.LessThanEq(seq) {
				if p.end().LessThan(end) {
					t.Data = t.Data[p.end().Distance(seq):]
					seq = p.end()
					continue
				}
				seq = end
				break
			}
			stop = minSeq(end, p.seq)
		}
		n := stop.Distance(seq)
		part := Span{Data: t.Data[:n], Owner: t.Owner}
		if !a.extend(i, seq, part) {
			i = a.place(i, seq, part, alloc)
		} else {
			i--
		}
		t.Data = t.Data[n:]
		seq = stop
	}
	for (a.charge-a.text > limit || len(a.pieces) > max(leastPieces, limit/pieceShare)) && len(a.pieces) > 0 {
		pruned += a.prune()
	}
	return pruned
}

// extend appends part to the piece before index i, if that piece ends at seq and has room.
func (a *reassembly) extend(i int, seq Seq, part Span) bool {
	if i == 0 || keepable(part) {
		return false
	}
	p := &a.pieces[i-1]
	if p.end() != seq || cap(p.span.Data)-len(p.span.Data) < len(part.Data) {
		return false
	}
	p.span.Data = append(p.span.Data, part.Data...)
	a.text += len(part.Data)
	return true
}

func (a *reassembly) place(i int, seq Seq, part Span, alloc func(int) Span) int {
	hint := 0
	if i > 0 && a.pieces[i-1].end() == seq {
		hint = 2 * len(a.pieces[i-1].span.Data)
	}
	s := hold(part, hint, alloc)
	a.pieces = append(a.pieces, piece{})
	copy(a.pieces[i+1:], a.pieces[i:])
	a.pieces[i] = piece{seq: seq, span: s}
	a.charge += pinned(s)
	a.text += len(s.Data)
	return i
}

func pinned(s Span) int {
	if s.Owner == nil {
		return cap(s.Data) + pieceOverhead
	}
	return s.Owner.Cap() + pieceOverhead
}

// prune drops the last piece and returns its length. Its text was acknowledged only selectively, so that the peer still has it
// (RFC 2018 8).
func (a *reassembly) prune() int {
	k := len(a.pieces) - 1
	p := &a.pieces[k]
	n := len(p.span.Data)
	left := p.seq
	a.charge -= pinned(p.span)
	a.text -= n
	p.span.Release()
	a.pieces = a.pieces[:k]
	a.fin = false
	kept := uint8(0)
	for _, b := range a.recent[:a.numRecent] {
		b.Right = minSeq(b.Right, left)
		if b.Left.LessThan(b.Right) {
			a.recent[kept] = b
			kept++
		}
	}
	a.numRecent = kept
	return n
}

// noteOverlap remembers the first part of [seq, end) that is held already, to report it in a D-SACK.
func (a *reassembly) noteOverlap(seq, end Seq) {
	i := a.after(seq)
	if i == len(a.pieces) || end.LessThanEq(a.pieces[i].seq) {
		return
	}
	left, right := maxSeq(seq, a.pieces[i].seq), a.pieces[i].end()
	for i++; i < len(a.pieces) && a.pieces[i].seq == right && right.LessThan(end); i++ {
		right = a.pieces[i].end()
	}
	a.noteDup(left, minSeq(right, end))
}

// noteDup remembers a duplicate for the next acknowledgment. It replaces that of an earlier segment, unless the two form one
// run.
func (a *reassembly) noteDup(left, right Seq) {
	if a.hasDup && left.LessThanEq(a.dup.Right) && a.dup.Left.LessThanEq(right) {
		left, right = minSeq(left, a.dup.Left), maxSeq(right, a.dup.Right)
	}
	a.hasDup, a.dup = true, Block{left, right}
}

// report makes the block around seq the first to be reported.
func (a *reassembly) report(seq Seq) {
	i := a.after(seq)
	if i == len(a.pieces) || seq.LessThan(a.pieces[i].seq) {
		return // it was given up
	}
	b := Block{a.pieces[i].seq, a.pieces[i].end()}
	a.widen(&b, i)
	list := [4]Block{b}
	n := uint8(1)
	for _, old := range a.recent[:a.numRecent] {
		inside := b.Left.LessThanEq(old.Left) && old.Right.LessThanEq(b.Right)
		if !inside && n < uint8(len(list)) {
			list[n] = old
			n++
		}
	}
	a.recent, a.numRecent = list, n
}

// drop removes the first n pieces. If many pieces remain they stay where they are in the array: moving them each time a hole
// is filled would take time in proportion to the number of holes.
func (a *reassembly) drop(n int) {
	if k := len(a.pieces) - n; k <= fewPieces {
		copy(a.pieces, a.pieces[n:])
		clear(a.pieces[k:])
		a.pieces = a.pieces[:k]
		return
	}
	clear(a.pieces[:n])
	a.pieces = a.pieces[n:]
}

// widen extends b, which is piece i, to the whole run that the piece is part of. A part of the run that was reported before is
// skipped in one step: behind a hole a run grows by one piece for each segment of a flight.
func (a *reassembly) widen(b *Block, i int) {
	known := func(match func(old Block) bool) (Block, bool) {
		for _, old := range a.recent[:a.numRecent] {
			if old.Left.LessThan(old.Right) && match(old) {
				return old, true
			}
		}
		return Block{}, false
	}
	for k := i - 1; k >= 0 && a.pieces[k].end() == b.Left; k-- {
		if old, ok := known(func(old Block) bool { return old.Right == b.Left }); ok {
			b.Left = old.Left
			k = a.after(old.Left)
			continue
		}
		b.Left = a.pieces[k].seq
	}
	for k := i + 1; k < len(a.pieces) && a.pieces[k].seq == b.Right; k++ {
		if old, ok := known(func(old Block) bool { return old.Left == b.Right }); ok {
			b.Right = old.Right
			// New text may have been appended to the last piece of that run, after the part that was reported.
			if k = a.after(old.Right); k < len(a.pieces) && a.pieces[k].seq.LessThan(old.Right) {
				b.Right = a.pieces[k].end()
			} else {
				k--
			}
			continue
		}
		b.Right = a.pieces[k].end()
	}
}

// take moves the pieces that are in order at nxt to r, or drops them without keep, and returns the new RCV.NXT.
func (a *reassembly) take(nxt Seq, r *receiver, keep bool) Seq {
	n := 0
	for ; n < len(a.pieces); n++ {
		p := &a.pieces[n]
		if nxt.LessThan(p.seq) {
			break
		}
		a.charge -= pinned(p.span)
		a.text -= len(p.span.Data)
		if skip := nxt.Distance(p.seq); skip < uint32(len(p.span.Data)) && keep {
			nxt = p.end()
			p.span.Data = p.span.Data[skip:]
			r.pushOwned(p.span)
		} else {
			nxt = maxSeq(nxt, p.end())
			p.span.Release()
		}
	}
	if n > 0 {
		a.drop(n)
	}
	kept := uint8(0)
	for _, b := range a.recent[:a.numRecent] {
		if nxt.LessThan(b.Right) {
			a.recent[kept] = b
			kept++
		}
	}
	a.numRecent = kept
	return nxt
}
