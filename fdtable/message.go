package fdtable

import (
	"net/netip"
	"slices"
	"syscall"

	"github.com/unet-go/unet/internal/cmsg"
)

// maxIovecs is IOV_MAX: the most buffers of a call.
const maxIovecs = 1024

// Msghdr is a message that Sendmsg sends or Recvmsg receives.
type Msghdr struct {
	// Name is the other side's address: Sendmsg sends a datagram there, or to the connected peer if it is
	// not valid; Recvmsg stores the address that a datagram came from. A connection ignores it.
	Name netip.AddrPort
	// Iov are the buffers, used one after the other.
	Iov [][]byte
	// Control are control messages in the layout of 64-bit Linux, on every system. Sendmsg takes those that say how a datagram
	// is sent: IP_PKTINFO, IP_TTL and IP_TOS over IPv4, IPV6_PKTINFO, IPV6_HOPLIMIT, IPV6_TCLASS and IPV6_DONTFRAG over IPv6.
	// Recvmsg writes there those that the options of the socket ask for.
	Control []byte
	// Controllen is how many octets of Control Recvmsg has written.
	Controllen int
	// Flags are set by Recvmsg: MSG_TRUNC if the datagram was longer than the buffers; MSG_CTRUNC if the control messages were
	// longer than Control; MSG_OOB if the urgent octet was taken; MSG_ERRQUEUE for an error.
	Flags int
}

const (
	sendFlags    = MSG_DONTWAIT | MSG_EOR | MSG_NOSIGNAL | streamFlags
	streamFlags  = MSG_OOB | MSG_MORE | MSG_FASTOPEN // of connections only
	receiveFlags = MSG_OOB | MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT | MSG_WAITALL | MSG_ERRQUEUE | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC
)

// Sendto is Write with flags and, for a datagram socket, an address; without a valid one the datagram goes to
// the connected peer. The flags are MSG_DONTWAIT, MSG_NOSIGNAL, MSG_EOR, which has no effect, and for a connection
// MSG_OOB, which makes the last octet of p urgent, MSG_MORE, which says that more text follows, so that a partial segment
// waits for it, 200 ms at most, and MSG_FASTOPEN. A connection ignores the address unless MSG_FASTOPEN is set. Then it
// connects to the address as Connect does: p leaves with the SYN, if the host has a cookie of the peer's, and the errors
// are Connect's too (on a non-blocking descriptor EINPROGRESS, if the SYN carries nothing). Errors besides Write's:
// EOPNOTSUPP for other flags; for a datagram socket EDESTADDRREQ, EAFNOSUPPORT, EMSGSIZE, EACCES, ENETUNREACH, and once
// ECONNREFUSED for an earlier datagram.
func (t *Table) Sendto(fd int, p []byte, flags int, to netip.AddrPort) (int, error) {
	s, err := t.acquire(fd)
	if err != nil {
		return 0, err
	}
	defer s.release()
	switch {
	case flags&^sendFlags != 0 || s.typ == SOCK_DGRAM && flags&streamFlags != 0:
		return 0, syscall.EOPNOTSUPP
	case s.typ == SOCK_DGRAM:
		return s.sendDatagram(p, to, nil)
	case flags&MSG_FASTOPEN != 0:
		return s.sendFastOpen(p, flags, to)
	}
	return s.send(p, flags)
}

// Sendmsg is Sendto of all buffers of m as if they were one, to m.Name. m.Control applies to this datagram alone. Errors besides
// Sendto's: EMSGSIZE for more than 1024 buffers; for control messages EINVAL (malformed, out of range, of a type that there is
// not, or an IPv6 source address that is not the host's), ENETUNREACH (the same of IPv4, or no way over the interface) and
// ENODEV (no such interface).
func (t *Table) Sendmsg(fd int, m *Msghdr, flags int) (int, error) {
	s, err := t.acquire(fd)
	if err != nil {
		return 0, err
	}
	defer s.release()
	switch {
	case len(m.Iov) > maxIovecs:
		return 0, syscall.EMSGSIZE
	case flags&^sendFlags != 0 || s.typ == SOCK_DGRAM && flags&streamFlags != 0:
		return 0, syscall.EOPNOTSUPP
	}
	return s.sendMessage(m, flags)
}

func (s *socket) sendMessage(m *Msghdr, flags int) (int, error) {
	switch {
	case s.typ == SOCK_DGRAM && len(m.Iov) == 1:
		return s.sendDatagram(m.Iov[0], m.Name, m.Control)
	case s.typ == SOCK_DGRAM:
		return s.sendDatagram(slices.Concat(m.Iov...), m.Name, m.Control)
	case !cmsg.ValidForStream(m.Control):
		return 0, syscall.EINVAL
	case flags&MSG_FASTOPEN != 0:
		return s.sendFastOpen(slices.Concat(m.Iov...), flags, m.Name)
	}
	return s.sendAll(m.Iov, flags)
}

// Recvfrom is Read with flags and the datagram's source address, which is not valid for a connection. The
// flags: MSG_DONTWAIT; MSG_PEEK, with which the next call reads the same again; MSG_WAITALL, which waits until p is
// full, the stream ends, or SO_RCVTIMEO has passed; MSG_TRUNC, which drops the text of a connection instead of
// storing it, and returns a datagram's whole length; MSG_NOSIGNAL and MSG_CMSG_CLOEXEC, which have no effect. With
// MSG_OOB it takes the urgent octet of a connection, or only reads it if MSG_PEEK is set too, and never waits: EAGAIN
// while the octet is on its way, EINVAL if there is none, if it was taken before, or if it is part of the stream
// (SO_OOBINLINE). EOPNOTSUPP for other flags.
func (t *Table) Recvfrom(fd int, p []byte, flags int) (int, netip.AddrPort, error) {
	s, err := t.acquire(fd)
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	defer s.release()
	if s.typ == SOCK_STREAM && flags&^(MSG_DONTWAIT|MSG_NOSIGNAL) == 0 {
		n, err := s.receive(p, flags)
		return n, netip.AddrPort{}, err
	}
	m := Msghdr{Iov: [][]byte{p}}
	n, err := s.receiveMessage(&m, flags)
	return n, m.Name, err
}

// Recvmsg is Recvfrom into all buffers of m, one after the other. It sets m.Name, m.Controllen and m.Flags. With MSG_ERRQUEUE
// it takes the oldest error of a datagram socket with IP_RECVERR or IPV6_RECVERR: m.Name is where the datagram went, the buffers
// get as much of it as an ICMP message quotes, and m.Control a message of the option's name (on an AF_INET6 socket always
// IPV6_RECVERR) with a struct sock_extended_err and the sender's address. EAGAIN if there is none. EMSGSIZE for more than 1024
// buffers.
func (t *Table) Recvmsg(fd int, m *Msghdr, flags int) (int, error) {
	s, err := t.acquire(fd)
	if err != nil {
		return 0, err
	}
	defer s.release()
	m.Name, m.Controllen, m.Flags = netip.AddrPort{}, 0, 0
	if len(m.Iov) > maxIovecs {
		return 0, syscall.EMSGSIZE
	}
	return s.receiveMessage(m, flags)
}

func (s *socket) receiveMessage(m *Msghdr, flags int) (int, error) {
	switch {
	case flags&^receiveFlags != 0 || s.typ == SOCK_DGRAM && flags&MSG_OOB != 0:
		return 0, syscall.EOPNOTSUPP
	case flags&MSG_ERRQUEUE != 0:
		return s.receiveError(m)
	case s.typ == SOCK_DGRAM:
		return s.receiveDatagram(m, flags)
	case flags&MSG_OOB != 0:
		return s.receiveUrgent(m, flags)
	}
	return s.receiveAll(m.Iov, flags)
}
