package ip

import "github.com/unet-go/unet/internal/mono"

// source is a part of the layer that has deadlines, as clock.Source has them. What it finds out about packets of ours it
// returns.
type source interface {
	nextDeadline() (mono.Time, bool)
	advance(now mono.Time) []Report
}

// sources calls f for each part of the layer that has deadlines, the reassembly aside.
func (l *Layer) sources(f func(s source)) {
	f(lifetimes{&l.core})
	for _, ifc := range l.Interfaces() {
		if ifc.loopback || ifc.currentState() == InterfaceDetached { // loopback's device never fails
			continue
		}
		for _, c := range ifc.neighbors {
			if c != nil {
				f(c)
			}
		}
		if ifc.announcer != nil {
			f(ifc.announcer)
			f(ifc.detector)
			f(ifc.groups)
		}
		if c := ifc.configured(); c != nil {
			f(c)
		}
		for _, q := range ifc.queues {
			f(q)
		}
	}
}

// NextDeadline returns the layer's earliest deadline, or a lower bound of it.
func (l *Layer) NextDeadline() (earliest mono.Time, ok bool) {
	earliest, ok = l.reassembly.nextDeadline()
	l.sources(func(s source) {
		if at, armed := s.nextDeadline(); armed && (!ok || at < earliest) {
			earliest, ok = at, true
		}
	})
	return earliest, ok
}

// Advance acts on all deadlines up to now. It returns what it has found out about packets of ours: those that have waited
// in vain for a neighbour. The caller reports them, and then flushes.
func (l *Layer) Advance(now mono.Time) (reports []Report) {
	late := l.reassembly.expire(now)
	for i := range late {
		l.SendError(&late[i], ReassemblyTimeout, 0)
	}
	before := l.topology.Load()
	l.sources(func(s source) {
		if at, ok := s.nextDeadline(); ok && at <= now {
			reports = append(reports, s.advance(now)...)
		}
	})
	if w := l.forwarding.Load(); w != nil {
		reports = (*w).tellSources(reports)
	}
	if l.topology.Load() != before { // addresses may have come to their end
		for _, ifc := range l.Interfaces() {
			l.joinGroups(ifc)
		}
	}
	return reports
}
