package fdtable

import "github.com/unet-go/unet/stack"

// ready implements body.
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
		return s.setup.listener.Ready()
	case conn == nil:
		r = stack.ReadyOut | stack.ReadyHup
	case s.phase == unconnected: // shutdown has given up the handshake
		r = conn.Ready() &^ (stack.ReadyIn | stack.ReadyRdHup)
	default:
		r = conn.Ready()
	}
	if s.deferred.Load() != 0 {
		r |= stack.ReadyErr
	}
	return r
}

func (s *socket) readyDatagramLocked() stack.Readiness {
	r := stack.ReadyOut
	if u := s.udp.Load(); u != nil {
		r = u.Ready()
	}
	ended := s.setup.ended.Load()
	if ended&endedRead != 0 {
		r |= stack.ReadyIn | stack.ReadyRdHup
		if ended&endedWrite != 0 {
			r |= stack.ReadyHup
		}
	}
	return r
}

// follow implements body. The stack then calls Wake for the connection or listener that the socket has, and for the one
// that it gets later. This is never switched off: a socket that is watched once is usually watched again.
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
		s.setup.listener.Watch(s)
	}
}
