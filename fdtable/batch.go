package fdtable

import "syscall"

// Mmsghdr is a message of Recvmmsg or Sendmmsg.
type Mmsghdr struct {
	Hdr Msghdr
	// Len is the number of octets that were received or sent.
	Len int
}

// maxBatch is UIO_MAXIOV: the most messages of a call.
const maxBatch = 1024

// Sendmmsg is Sendmsg of several messages, 1024 at most. It returns how many were sent: fewer than all if one failed, and the
// error of Sendmsg only if that was the first.
func (t *Table) Sendmmsg(fd int, messages []Mmsghdr, flags int) (int, error) {
	messages = messages[:min(len(messages), maxBatch)]
	for i := range messages {
		n, err := t.Sendmsg(fd, &messages[i].Hdr, flags)
		if err != nil {
			if i > 0 {
				err = nil
			}
			return i, err
		}
		messages[i].Len = n
	}
	return len(messages), t.known(fd, len(messages))
}

// Recvmmsg is Recvmsg into several messages, 1024 at most. It waits until all are there, or with MSG_WAITFORONE until one is,
// and returns how many were received: fewer if a call of Recvmsg would have returned an error, which is returned only if that
// was the first, and by the next call otherwise, unless it is EAGAIN. There is no timeout; SO_RCVTIMEO does.
func (t *Table) Recvmmsg(fd int, messages []Mmsghdr, flags int) (int, error) {
	messages = messages[:min(len(messages), maxBatch)]
	one := flags&MSG_WAITFORONE != 0
	flags &^= MSG_WAITFORONE
	for i := range messages {
		n, err := t.Recvmsg(fd, &messages[i].Hdr, flags)
		if err != nil {
			if i > 0 {
				t.keep(fd, err)
				err = nil
			}
			return i, err
		}
		messages[i].Len = n
		if one {
			flags |= MSG_DONTWAIT
		}
	}
	return len(messages), t.known(fd, len(messages))
}

// known is the error of a call on n messages, which for none looks at the descriptor alone.
func (t *Table) known(fd, n int) error {
	if n > 0 {
		return nil
	}
	s, err := t.acquire(fd)
	if err == nil {
		s.release()
	}
	return err
}

// keep makes an error the socket's pending one, for the next call.
func (t *Table) keep(fd int, err error) {
	errno, ok := err.(syscall.Errno)
	if !ok || errno == syscall.EAGAIN {
		return
	}
	s, err := t.acquire(fd)
	if err != nil {
		return
	}
	defer s.release()
	if u := s.udp.Load(); u != nil {
		u.Defer(errno)
	} else {
		s.deferred.Store(uint32(errno))
	}
}
