package stack

import (
	"syscall"
)

// When all devices have failed, what is on loopback addresses goes on; everything else fails with ENETDOWN from then
// on. Whatever makes something new looks at ip.Layer.Lost under the lock under which fail looks for it, so that nothing
// slips through.

// fail ends what is not on loopback addresses.
func (l *tcpLayer) fail() {
	for _, listener := range l.listen.all() {
		if !listener.binding.local.Addr().IsLoopback() {
			listener.fail(syscall.ENETDOWN)
		}
	}
	now := l.core.clock.Now()
	for i := range l.shards {
		s := &l.shards[i]
		s.lock()
		for _, f := range s.flows.all(func(f *flow) bool { return !s.tupleLocked(f).Local.Addr().IsLoopback() }) {
			switch f.kind {
			case connFlow:
				f.conn().tcp.Fail(syscall.ENETDOWN)
				f.conn().afterLocked(now)
			case halfOpenFlow:
				s.removeHalfOpenLocked(f.halfOpen())
			case timeWaitFlow:
				s.removeTimeWaitLocked(f.timeWait())
			}
		}
		s.unlock()
	}
}

// fail ends the listener, whose calls fail with why until Close. Its address is free: no program can use it any more.
func (l *Listener) fail(why syscall.Errno) {
	l.mu.Lock()
	if l.closed || l.down {
		l.mu.Unlock()
		return
	}
	l.failed = why
	l.mu.Unlock()
	l.end(l.binding.release)
}

// fail wakes the goroutines that wait at sockets which are not on loopback addresses.
func (l *udpLayer) fail() {
	l.mu.Lock()
	var all []*UDPSocket
	for _, sockets := range l.ports {
		for _, s := range sockets {
			if !s.Local().Addr().IsLoopback() {
				all = append(all, s)
			}
		}
	}
	l.mu.Unlock()
	for _, s := range all {
		s.mu.Lock() // a reader holds it from its look at the topology until it waits
		s.arrived.Broadcast()
		s.mu.Unlock()
		s.notify(ReadyAll)
	}
}
