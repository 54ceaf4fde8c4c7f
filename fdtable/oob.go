package fdtable

import "syscall"

// receiveUrgent is receiveAll with MSG_OOB, which never waits. If the buffers have no room the octet is taken and lost,
// and MSG_TRUNC is set in the flags.
func (s *socket) receiveUrgent(m *Msghdr, flags int) (int, error) {
	c := s.conn.Load()
	if c == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.phase == listening {
			return 0, syscall.ENOTCONN
		}
		return 0, syscall.EINVAL
	}
	octet, err := c.ReadUrgent(flags&MSG_PEEK != 0)
	if err != nil {
		return 0, err
	}
	m.Flags = MSG_OOB
	for _, p := range m.Iov {
		if len(p) > 0 {
			p[0] = octet
			return 1, nil
		}
	}
	m.Flags |= MSG_TRUNC
	return 0, nil
}

// Sockatmark reports whether the reader of a connection is at the mark of urgent data: the next octet of the
// stream is the urgent one, or, without SO_OOBINLINE, the one after it. Reads stop at the mark. ENOTTY for a
// datagram socket, EBADF.
func (t *Table) Sockatmark(fd int) (bool, error) {
	s, err := t.acquire(fd)
	if err != nil {
		return false, err
	}
	defer s.release()
	if s.typ != SOCK_STREAM {
		return false, syscall.ENOTTY
	}
	c := s.conn.Load()
	return c != nil && c.AtMark(), nil
}
