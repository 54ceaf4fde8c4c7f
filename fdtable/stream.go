package fdtable

import (
	"syscall"

	"github.com/unet-go/unet/stack"
)

// incoming describes a read from a connection: into p alone, which is the usual case and costs no allocation, or
// into bufs with a mode.
type incoming struct {
	p    []byte
	bufs [][]byte
	mode stack.ReadMode
}

// read reads once, and waits unless try is set.
func (in incoming) read(c *stack.TCPConn, try bool) (int, error) {
	switch {
	case in.bufs != nil:
		in.mode.Try = try
		return c.ReadMsg(in.bufs, in.mode)
	case try:
		return c.TryRead(in.p)
	}
	return c.Read(in.p)
}

// receive reads from a connection into p. The only flag that it looks at is MSG_DONTWAIT.
func (s *socket) receive(p []byte, flags int) (int, error) {
	return s.receiveIn(incoming{p: p}, len(p), flags)
}

// receiveAll reads from a connection into several buffers. It takes all flags but MSG_OOB.
func (s *socket) receiveAll(bufs [][]byte, flags int) (int, error) {
	total := 0
	for _, p := range bufs {
		total += len(p)
	}
	return s.receiveIn(incoming{bufs: bufs, mode: stack.ReadMode{
		Peek: flags&MSG_PEEK != 0, Discard: flags&MSG_TRUNC != 0, All: flags&MSG_WAITALL != 0}}, total, flags)
}

func (s *socket) receiveIn(in incoming, total, flags int) (int, error) {
	c := s.conn.Load()
	if c == nil {
		if kept := s.takeDeferred(); kept != nil {
			return 0, kept
		}
		return 0, syscall.ENOTCONN
	}
	n, err := s.waitToReceive(c, in, flags)
	if n == 0 && err == nil && total > 0 {
		if kept := s.takeDeferred(); kept != nil {
			return 0, kept
		}
	}
	return n, err
}

func (s *socket) waitToReceive(c *stack.TCPConn, in incoming, flags int) (int, error) {
	l := s.timeouts.Load()
	if s.nonblock.Load() || flags&MSG_DONTWAIT != 0 || l != nil && l.receive.never() {
		return in.read(c, true)
	}
	if l == nil {
		n, err := in.read(c, false)
		l = s.timeouts.Load()
		if err != syscall.EAGAIN || l == nil {
			return n, err
		}
		// SO_RCVTIMEO was set meanwhile, and the deadline of another call has ended this read.
	}
	return l.receive.wait(c.SetReadDeadline, func() (int, error) { return in.read(c, false) })
}

// outgoing describes a write to a connection: of p alone, which is the usual case and costs no allocation, or of bufs
// with a mode.
type outgoing struct {
	p    []byte
	bufs [][]byte
	mode stack.WriteMode
}

// write writes once, beginning after the first sent octets, and waits unless try is set.
func (out outgoing) write(c *stack.TCPConn, try bool, sent int) (int, error) {
	switch {
	case out.bufs != nil:
		out.mode.Try = try
		return c.WriteMsg(behind(out.bufs, sent), out.mode)
	case try:
		return c.TryWrite(out.p[sent:])
	}
	return c.Write(out.p[sent:])
}

// behind returns bufs without their first n octets.
func behind(bufs [][]byte, n int) [][]byte {
	for n > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	if n > 0 {
		bufs = append([][]byte{bufs[0][n:]}, bufs[1:]...)
	}
	return bufs
}

// send writes p to a connection, as the flags say.
func (s *socket) send(p []byte, flags int) (int, error) {
	if flags&(MSG_OOB|MSG_MORE) != 0 {
		return s.sendAll([][]byte{p}, flags)
	}
	return s.sendOut(outgoing{p: p}, flags)
}

// sendAll writes several buffers to a connection, as the flags say.
func (s *socket) sendAll(bufs [][]byte, flags int) (int, error) {
	if len(bufs) == 0 {
		bufs = [][]byte{nil}
	}
	return s.sendOut(outgoing{bufs: bufs, mode: stack.WriteMode{Urgent: flags&MSG_OOB != 0, More: flags&MSG_MORE != 0}}, flags)
}

// sendOut writes to a connection. If some octets were taken it returns their number, and the next call returns an error
// that has occurred, as in Linux.
func (s *socket) sendOut(out outgoing, flags int) (int, error) {
	if kept := s.takeDeferred(); kept != nil {
		return 0, kept
	}
	c := s.conn.Load()
	if c == nil {
		return 0, syscall.EPIPE
	}
	n, err := s.waitToSend(c, out, flags)
	if n == 0 && err != nil {
		s.endFastOpen(c, err)
	}
	if n == 0 || err == nil {
		return n, err
	}
	switch errno := err.(syscall.Errno); errno {
	case syscall.EAGAIN, syscall.EPIPE, syscall.EBADF: // the next call gets these again in any case
	default:
		s.deferred.Store(uint32(errno))
	}
	return n, nil
}

func (s *socket) waitToSend(c *stack.TCPConn, out outgoing, flags int) (int, error) {
	l := s.timeouts.Load()
	if s.nonblock.Load() || flags&MSG_DONTWAIT != 0 || l != nil && l.send.never() {
		return out.write(c, true, 0)
	}
	if l == nil {
		n, err := out.write(c, false, 0)
		l = s.timeouts.Load()
		if err != syscall.EAGAIN || l == nil {
			return n, err
		}
		// As in receiveAll the deadline was another call's. This call writes the rest with its own.
		rest, err := l.send.wait(c.SetWriteDeadline, func() (int, error) { return out.write(c, false, n) })
		return n + rest, err
	}
	return l.send.wait(c.SetWriteDeadline, func() (int, error) { return out.write(c, false, 0) })
}
