package fdtable

import "github.com/unet-go/unet/stack"

// ready says what poll would: see body.
func (s *socket) ready() stack.Readiness {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.typ == SOCK_DGRAM {
		return s.readyDatagramLocked()
	}
	conn := s.conn.Load()
	var r stack.Readiness
	switch {
	case s.phase == listening:
		return s.origin.listener.Ready()
	case conn == nil:
		r = stack.ReadyOut | stack.ReadyHup
	case s.phase == unconnected: // shutdown has given the handshake up
		r = conn.Ready() &^ (stack.ReadyIn | stack.ReadyRdHup)
	default:
		r = conn.Ready()
	}
	if s.kept.Load() != 0 {
		r |= stack.ReadyErr
	}
	return r
}

func (s *socket) readyDatagramLocked() stack.Readiness {
	r := stack.ReadyOut
	if u := s.udp.Load(); u != nil {
		r = u.Ready()
	}
	ended := s.origin.ended.Load()
	if ended&endedRead != 0 {
		r |= stack.ReadyIn | stack.ReadyRdHup
		if ended&endedWrite != 0 {
			r |= stack.ReadyHup
		}
	}
	return r
}

// follow makes the stack tell the socket when it may have become ready, now and for what it becomes next. It
// stays so: who has asked once asks again.
func (s *socket) follow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watched {
		return
	}
	s.watched = true
	if c := s.conn.Load(); c != nil {
		c.Watch(s)
	}
	if u := s.udp.Load(); u != nil {
		u.Watch(s)
	}
	if s.phase == listening {
		s.origin.listener.Watch(s)
	}
}
