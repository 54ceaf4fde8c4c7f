// Package cmsg has the control messages of datagrams in the layout of 64-bit Linux, on every system: what a receiver asks
// for, what it gets, and what a sender may say.
package cmsg

import "encoding/binary"

// Levels of control messages.
const (
	SolIP   = 0
	SolUDP  = 17
	SolIPv6 = 41
)

// Types of control messages. Those of IPv4 and IPv6 belong to their levels.
const (
	IPTOS     = 1
	IPTTL     = 2
	IPPktinfo = 8
	IPRecverr = 11

	UDPSegment = 103
	UDPGRO     = 104

	IPv6Recverr  = 25
	IPv6Pktinfo  = 50
	IPv6Hoplimit = 52
	IPv6Dontfrag = 62
	IPv6Tclass   = 67
)

// HeaderLen is the length in octets of a message's header: its length, the header included, its level and its type.
const HeaderLen = 16

const (
	solSocket = 1

	align        = 8
	shortLen     = 2
	intLen       = 4
	pktinfo4Len  = 12
	pktinfo6Len  = 20
	extendedLen  = 16 // struct sock_extended_err, which the sender's address follows
	sockaddr4Len = 16
	sockaddr6Len = 28
	ipv4Len      = 4
	ipv6Len      = 16
	flagCtrunc   = 8
	mostTTL      = 255
	mostTOS      = 255
	notSpecified = -1 // of a hop limit or a traffic class: the socket's
)

// space returns the octets that a message with n octets of data takes, those for the alignment of the next one included.
func space(n int) int { return HeaderLen + (n+align-1)&^(align-1) }

// writer puts messages into the memory that a receiver has for them, as Linux's put_cmsg does.
type writer struct {
	rest  []byte
	n     int
	flags int
	data  [extendedLen + sockaddr6Len]byte
}

// put adds a message with the first n octets of w.data. One that does not fit is cut, and told by the flag MSG_CTRUNC; where
// not even its header fits it is left out.
func (w *writer) put(level, typ, n int) {
	if len(w.rest) < HeaderLen {
		w.flags |= flagCtrunc
		return
	}
	length := HeaderLen + n
	if len(w.rest) < length {
		w.flags |= flagCtrunc
		length = len(w.rest)
	}
	binary.NativeEndian.PutUint64(w.rest, uint64(length))
	binary.NativeEndian.PutUint32(w.rest[8:], uint32(level))
	binary.NativeEndian.PutUint32(w.rest[12:], uint32(typ))
	copy(w.rest[HeaderLen:length], w.data[:n])
	taken := min(space(n), len(w.rest))
	clear(w.rest[length:taken])
	w.n += taken
	w.rest = w.rest[taken:]
}

// putInt is put of a message whose data is an int.
func (w *writer) putInt(level, typ, value int) {
	binary.NativeEndian.PutUint32(w.data[:], uint32(value))
	w.put(level, typ, intLen)
}

// message is a control message that a sender gave.
type message struct {
	level, typ int
	data       []byte
}

// next returns the first message of b and what follows it. more is false at the end, which fewer octets than a header are; ok
// is false for a message whose length is not true.
func next(b []byte) (m message, rest []byte, more, ok bool) {
	if len(b) < HeaderLen {
		return m, nil, false, true
	}
	n := binary.NativeEndian.Uint64(b)
	if n < HeaderLen || n > uint64(len(b)) {
		return m, nil, false, false
	}
	m = message{level: int(int32(binary.NativeEndian.Uint32(b[8:]))), typ: int(int32(binary.NativeEndian.Uint32(b[12:]))), data: b[HeaderLen:n]}
	return m, b[min(space(len(m.data)), len(b)):], true, true
}

// number returns the data as an int. ok is false where it is none.
func (m *message) number() (value int, ok bool) {
	if len(m.data) != intLen {
		return 0, false
	}
	return int(int32(binary.NativeEndian.Uint32(m.data))), true
}
