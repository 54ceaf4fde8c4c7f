package fdtable

import (
	"net/netip"
	"slices"
	"syscall"
)

// maxIovecs is IOV_MAX: how many buffers a call takes.
const maxIovecs = 1024

// Msghdr is what Sendmsg sends and Recvmsg receives. There are no control messages.
type Msghdr struct {
	// Name is the other side's address: Sendmsg sends a datagram there, or to the connected peer when it is
	// not valid; Recvmsg stores where a datagram came from. It means nothing for a connection.
	Name netip.AddrPort
	// Iov are the buffers, used one after the other.
	Iov [][]byte
	// Flags are what Recvmsg tells: MSG_TRUNC, the datagram was longer than the buffers; MSG_OOB, the urgent
	// octet was taken.
	Flags int
}

const (
	sendFlags    = MSG_DONTWAIT | MSG_EOR | MSG_NOSIGNAL | streamFlags
	streamFlags  = MSG_OOB | MSG_MORE | MSG_FASTOPEN // of connections only
	receiveFlags = MSG_OOB | MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC
)

// Sendto is Write with flags and, for a datagram socket, an address; without a valid one the datagram goes to
// the connected peer. The flags are MSG_DONTWAIT, MSG_NOSIGNAL, MSG_EOR, which means nothing, and of a connection
// MSG_OOB, which makes p urgent, MSG_MORE, more follows, for which a partial segment waits 200 ms at most, and
// MSG_FASTOPEN. A connection ignores the address, but with MSG_FASTOPEN it is what Connect would connect to: p
// leaves with the SYN, if the host has a cookie of the peer's, and Connect's errors are to be expected (on a
// non-blocking descriptor EINPROGRESS, when the SYN carries nothing). Errors besides Write's: EOPNOTSUPP for
// other flags; of a datagram socket EDESTADDRREQ, EAFNOSUPPORT, EMSGSIZE, EACCES, ENETUNREACH, and once
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
		return s.sendDatagram(p, to)
	case flags&MSG_FASTOPEN != 0:
		return s.sendFastOpen(p, flags, to)
	}
	return s.send(p, flags)
}

// Sendmsg is Sendto of all buffers of m as if they were one, to m.Name. EMSGSIZE for more than 1024 buffers.
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
		return s.sendDatagram(m.Iov[0], m.Name)
	case s.typ == SOCK_DGRAM:
		return s.sendDatagram(slices.Concat(m.Iov...), m.Name)
	case flags&MSG_FASTOPEN != 0:
		return s.sendFastOpen(slices.Concat(m.Iov...), flags, m.Name)
	}
	return s.sendAll(m.Iov, flags)
}

// Recvfrom is Read with flags and the datagram's source address, which is not valid for a connection. The
// flags: MSG_DONTWAIT; MSG_PEEK, which leaves what is read where it is; MSG_WAITALL, which waits until p is
// full, the stream ends, or SO_RCVTIMEO has passed; MSG_TRUNC, which drops the text of a connection instead of
// storing it, and returns a datagram's whole length; MSG_NOSIGNAL and MSG_CMSG_CLOEXEC, which mean nothing. With
// MSG_OOB it takes the urgent octet of a connection, or with MSG_PEEK too looks at it, and never waits: EAGAIN
// while it is on its way, EINVAL when there is none, it was taken before, or it is part of the stream
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

// Recvmsg is Recvfrom into all buffers of m, one after the other. It sets m.Name and m.Flags. EMSGSIZE for more
// than 1024 buffers.
func (t *Table) Recvmsg(fd int, m *Msghdr, flags int) (int, error) {
	s, err := t.acquire(fd)
	if err != nil {
		return 0, err
	}
	defer s.release()
	m.Name, m.Flags = netip.AddrPort{}, 0
	if len(m.Iov) > maxIovecs {
		return 0, syscall.EMSGSIZE
	}
	return s.receiveMessage(m, flags)
}

func (s *socket) receiveMessage(m *Msghdr, flags int) (int, error) {
	switch {
	case flags&^receiveFlags != 0 || s.typ == SOCK_DGRAM && flags&MSG_OOB != 0:
		return 0, syscall.EOPNOTSUPP
	case s.typ == SOCK_DGRAM:
		return s.receiveDatagram(m, flags)
	case flags&MSG_OOB != 0:
		return s.receiveUrgent(m, flags)
	}
	return s.receiveAll(m.Iov, flags)
}
