package sim

import (
	"maps"
	"slices"
)

// Partition cuts port a off from the ports of others, or from all other ports that there are now if others is empty: no frame
// passes between them in either direction, also none that is on its way already, until Heal is called. Ports that are made later are
// not concerned, and neither are others among themselves: Partition(a, b) makes a network in which a and b each reach a
// third port, but not one another. Calls add up. The hosts are not told. Lost frames are counted in Stats.Partitioned of the
// port that they do not reach.
func (s *Segment) Partition(a *Port, others ...*Port) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(others) == 0 {
		others = s.fabric.Load().ports
	}
	after := make(cuts)
	if before := s.cuts.Load(); before != nil {
		maps.Copy(after, *before)
	}
	for _, b := range others {
		if b != a {
			after[pairOf(a.number, b.number)] = struct{}{}
		}
	}
	s.cuts.Store(&after)
}

// Heal ends the partitions between the ports of list and all others, or all partitions if list is empty.
func (s *Segment) Heal(list ...*Port) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.cuts.Load()
	if before == nil {
		return
	}
	after := maps.Clone(*before)
	maps.DeleteFunc(after, func(pair [2]int, _ struct{}) bool {
		return len(list) == 0 || slices.ContainsFunc(list, func(p *Port) bool { return p.number == pair[0] || p.number == pair[1] })
	})
	if len(after) == 0 {
		s.cuts.Store(nil)
		return
	}
	s.cuts.Store(&after)
}
