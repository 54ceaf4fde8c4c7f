package sim

import (
	"math/bits"
	"time"
)

// golden is the increment of SplitMix64, mix its output function: a bijection whose values look random for the values of
// any counter.
const golden = 0x9e3779b97f4a7c15

func mix(x uint64) uint64 {
	x += golden
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// portSeed returns the seed of one port's frames.
func portSeed(seed int64, number int) uint64 { return mix(mix(uint64(seed)) + uint64(number)) }

// The random numbers of one frame, by their index. Each impairment has its own, so that switching one on does not
// change the effect of the others.
const (
	drawBurst = iota
	drawBurstLoss
	drawLoss
	drawCorrupt
	drawBit
	drawDuplicate
	drawReorder
	drawJitter
)

// dice are the random numbers of one frame.
type dice uint64

func (d dice) draw(which uint64) uint64 { return mix(uint64(d) + which*golden) }

// below returns true with probability p.
func (d dice) below(which uint64, p float64) bool {
	return p > 0 && float64(d.draw(which)>>11)/(1<<53) < p
}

// draw decides by chance what happens to the frame with number w.number. It fills ft in and reports whether the frame is
// lost.
func (w *sender) draw(pl *plan, ft *fate) (lost bool) {
	d := dice(mix(w.seed + w.number))
	switch {
	case pl.Burst.Enter <= 0:
		w.bad = false
	case w.bad:
		w.bad = !d.below(drawBurst, pl.Burst.Leave)
	default:
		w.bad = d.below(drawBurst, pl.Burst.Enter)
	}
	lost = w.bad && d.below(drawBurstLoss, pl.Burst.Loss) || d.below(drawLoss, pl.Loss)
	ft.corrupt = d.below(drawCorrupt, pl.Corrupt)
	ft.duplicate = d.below(drawDuplicate, pl.Duplicate)
	ft.reorder = d.below(drawReorder, pl.Reorder)
	ft.bit = d.draw(drawBit)
	if pl.Jitter > 0 {
		high, _ := bits.Mul64(d.draw(drawJitter), uint64(pl.Jitter))
		ft.jitter = time.Duration(high)
	}
	return lost
}
