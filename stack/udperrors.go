package stack

import (
	"bytes"
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/fifo"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/ip"
)

// DatagramError is an error about one datagram of a UDP socket's, as Linux's queue of errors has it.
type DatagramError struct {
	// Errno is what the pending error was or, for a Local one, what the write has returned.
	Errno syscall.Errno
	// Local says that the host itself refused the datagram, as longer than the MTU; else there was an ICMP message, or a
	// neighbour did not answer, which is told as if the host had sent itself such a message.
	Local bool
	// Type and Code are those of the ICMP or ICMPv6 message. Which of both it was goes by To.
	Type, Code uint8
	// Info is the MTU in octets where Errno is EMSGSIZE, and the octet that is wrong where it is EPROTO; the message's own
	// number, which may be 0.
	Info uint32
	// To is where the datagram went.
	To netip.AddrPort
	// Data is as much of the datagram as the message quotes; nil for a Local error.
	Data []byte
	// Message is the ICMP message itself: From, with port 0, is who sent it. The zero value for a Local error.
	Message Datagram
}

// errorQueue is *datagramErrors, which only programs with SetErrorQueue contain. The lock is the socket's.
type errorQueue interface {
	// takeLocked queues what r, made of the ICMP message p, says of a datagram, or where r is nil that one of n octets was
	// longer than mtu allows. It is false where the program does not want errors of the family.
	takeLocked(to netip.AddrPort, errno syscall.Errno, r *ip.Report, p *ip.Packet, mtu, n int) bool
}

// datagramErrors is the queue of a socket's errors. It counts towards the socket's buffer.
type datagramErrors struct {
	socket *UDPSocket
	wanted [2]bool // of IPv4, of IPv6
	queue  fifo.Queue[DatagramError]
}

// chargeOfError is what an error counts in the socket's buffer beside its Data, in octets.
const chargeOfError = 256

func (e *DatagramError) charge() int { return chargeOfError + len(e.Data) }

// SetErrorQueue makes the socket keep errors about datagrams over IPv6, or else over IPv4, for NextError: IPV6_RECVERR and
// IP_RECVERR of Linux. The pending error is then set if the socket is not connected, too. Off drops what is queued of both
// families. Default off. EBADF.
func (s *UDPSocket) SetErrorQueue(ipv6, on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return syscall.EBADF
	}
	q, _ := s.errors.(*datagramErrors)
	if q == nil {
		q = &datagramErrors{socket: s}
		s.errors = q
	}
	q.wanted[familyIndex(ipv6)] = on
	for !on && q.queue.Len() > 0 {
		q.popLocked()
	}
	return nil
}

func familyIndex(ipv6 bool) int {
	if ipv6 {
		return 1
	}
	return 0
}

// NextError takes the oldest error out of the queue; it does not wait. If the next one came by ICMP it becomes the pending
// error, and if this one did and the next one did not, there is no pending error any longer. EAGAIN: there is none; EBADF.
func (s *UDPSocket) NextError() (DatagramError, error) {
	s.mu.Lock()
	q, _ := s.errors.(*datagramErrors)
	switch {
	case s.closed:
		s.mu.Unlock()
		return DatagramError{}, syscall.EBADF
	case q == nil || q.queue.Len() == 0:
		s.mu.Unlock()
		return DatagramError{}, syscall.EAGAIN
	}
	e := q.popLocked()
	more := q.queue.Len() > 0
	switch {
	case more && !q.queue.First().Local:
		s.errno = q.queue.First().Errno
	case !e.Local:
		s.errno = 0
	}
	s.mu.Unlock()
	if more {
		s.notify(ReadyErr)
	}
	return e, nil
}

func (q *datagramErrors) popLocked() DatagramError {
	e := *q.queue.First()
	q.queue.Pop()
	q.socket.queuedErrors = q.queue.Len() > 0
	q.socket.charge -= e.charge()
	q.socket.accountLocked(udpStep)
	return e
}

func (q *datagramErrors) takeLocked(to netip.AddrPort, errno syscall.Errno, r *ip.Report, p *ip.Packet, mtu, n int) bool {
	const most = 1<<16 - 1 // over IPv4 Linux does not even look at the MTU for more
	ipv6 := to.Addr().Is6()
	if !q.wanted[familyIndex(ipv6)] || n > most && !ipv6 {
		return false
	}
	e := DatagramError{Errno: errno, To: to}
	if r == nil {
		e.Local, e.Info = true, uint32(mtu)
	} else {
		e.fill(r, p)
	}
	q.pushLocked(&e)
	return true
}

// fill enters what a report says, and the ICMP message p, which is nil if a neighbour did not answer. Data is borrowed.
func (e *DatagramError) fill(r *ip.Report, p *ip.Packet) {
	e.Data = r.Transport[wire.UDPLen:]
	if p != nil {
		e.Type, e.Code, e.Info = p.ICMPError()
		e.Message = Datagram{From: netip.AddrPortFrom(p.Src, 0), To: p.Dst, TOS: p.TOS, TTL: p.TTL, Interface: p.Interface.Index() + 1}
		return
	}
	e.Type, e.Code = ip.SilenceCodes(e.To.Addr().Is6())
	e.Message = Datagram{From: netip.AddrPortFrom(r.Local, 0), To: r.Local, Interface: 1}
}

// pushLocked queues an error and copies its Data, or drops it when the socket's buffer is full. One always fits.
func (q *datagramErrors) pushLocked(e *DatagramError) {
	s := q.socket
	if s.charge > 0 && s.charge+e.charge() > s.layer.core.datagramLimit(s.limit) {
		s.layer.core.drop(drop.UDPFull)
		return
	}
	e.Data = bytes.Clone(e.Data)
	q.queue.Push(*e)
	s.queuedErrors = true
	s.charge += e.charge()
	s.accountLocked(udpStep)
}
