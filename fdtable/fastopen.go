package fdtable

import (
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/tcp"
)

// fastOpen holds a socket's options of TCP Fast Open (RFC 7413).
type fastOpen struct {
	pending int  // TCP_FASTOPEN
	connect bool // TCP_FASTOPEN_CONNECT
}

// setFastOpenLocked sets TCP_FASTOPEN or TCP_FASTOPEN_CONNECT. The first is for listeners, and for sockets that
// may become one, the second for sockets that neither listen nor are connected.
func (s *socket) setFastOpenLocked(opt, value int) error {
	if s.setup == nil || value < 0 {
		return syscall.EINVAL
	}
	fresh := s.phase == unconnected && s.conn.Load() == nil
	switch {
	case opt == TCP_FASTOPEN_CONNECT && fresh && value <= 1:
		s.setup.fast.connect = value != 0
	case opt == TCP_FASTOPEN && (fresh || s.phase == listening):
		s.setup.fast.pending = min(value, SOMAXCONN)
		if s.phase == listening {
			s.setup.listener.SetFastOpen(s.setup.fast.pending)
		}
	default:
		return syscall.EINVAL
	}
	return nil
}

func (s *socket) fastOpenLocked(opt int) int {
	switch {
	case s.setup == nil:
		return 0
	case opt == TCP_FASTOPEN:
		return s.setup.fast.pending
	}
	return number(s.setup.fast.connect)
}

// openLocked begins an active open with or without Fast Open.
func (s *socket) openLocked(remote netip.AddrPort, fast bool) (*stack.TCPConn, error) {
	to := remote.Addr()
	if to.IsUnspecified() && s.setup.bound.IsValid() { // loopback, in the family of the socket's own address
		to = s.setup.bound.Addr()
	}
	options := s.optionsTowardLocked(to)
	if fast || s.setup.fast.connect {
		return s.host.ConnectTCPFastOpen(s.setup.binding, remote, options)
	}
	return s.host.ConnectTCP(s.setup.binding, remote, options)
}

// sendFastOpen is sendto with MSG_FASTOPEN: it connects to an address and sends p, as much of it as possible on the SYN.
// On a blocking socket it waits until the handshake is over. On a non-blocking one it returns the number of octets that
// the SYN carries. If that is none, because there was no cookie yet, it returns EINPROGRESS, and the caller writes when
// the connection is established. If an earlier call has begun to connect, it sends once that has succeeded, and otherwise
// returns the error or EALREADY. On a connected socket it returns EISCONN.
func (s *socket) sendFastOpen(p []byte, flags int, to netip.AddrPort) (int, error) {
	c, inProgress, err := s.beginConnect(to, true)
	switch {
	case err == syscall.EAFNOSUPPORT && !to.IsValid():
		return 0, syscall.EINVAL
	case c == nil:
		return 0, err
	}
	if flags&MSG_DONTWAIT != 0 || s.neverWaits() {
		switch {
		case c.Waits():
			return c.TryWrite(p)
		case inProgress == syscall.EALREADY: // begun by an earlier call: it may be over
			return s.sendConnected(c, p, flags)
		}
		return 0, inProgress
	}
	n, err := s.waitToSend(c, outgoing{p: p}, flags)
	switch c.State() {
	case tcp.SynSent: // SO_SNDTIMEO has passed
		if n == 0 && err == syscall.EAGAIN {
			err = syscall.EINPROGRESS
		}
	case tcp.Closed:
		if err != nil && n == 0 {
			return 0, s.finishConnect(c, err)
		}
	case tcp.Listen, tcp.SynReceived, tcp.Established, tcp.FinWait1, tcp.FinWait2, tcp.CloseWait, tcp.Closing,
		tcp.LastAck, tcp.TimeWaitState:
		if failed := s.finishConnect(c, nil); failed != nil && n == 0 {
			return 0, failed
		}
	}
	return n, err
}

// sendConnected sends p if the handshake of c is over.
func (s *socket) sendConnected(c *stack.TCPConn, p []byte, flags int) (int, error) {
	err := c.Connected()
	if pending(err) {
		return 0, syscall.EALREADY
	}
	if err = s.finishConnect(c, err); err != nil {
		return 0, err
	}
	return s.send(p, flags)
}

// endFastOpen makes a socket unconnected again after the first Write has failed with err: with TCP_FASTOPEN_CONNECT that
// Write was to connect.
func (s *socket) endFastOpen(c *stack.TCPConn, err error) {
	if s.setup == nil || c.State() != tcp.Closed {
		return
	}
	s.mu.Lock()
	ours := s.setup.fast.connect && s.phase == connecting
	s.mu.Unlock()
	if ours {
		_ = s.finishConnect(c, err) // the caller has the error already
	}
}
