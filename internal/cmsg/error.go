package cmsg

import (
	"encoding/binary"

	"github.com/unet-go/unet/stack"
)

// What an error came from: SO_EE_ORIGIN_LOCAL, SO_EE_ORIGIN_ICMP and SO_EE_ORIGIN_ICMP6.
const (
	originLocal = 1
	originICMP  = 2
	originICMP6 = 3
)

// Families of addresses.
const (
	inet  = 2
	inet6 = 10
)

// PutError writes the messages about an error to b: those that a receiver wants of the ICMP message, and then IP_RECVERR, or on
// a socket of AF_INET6 IPV6_RECVERR. It returns what Put does.
func PutError(b []byte, wants Wants, isInet6 bool, e *stack.DatagramError) (n, flags int) {
	if !e.Local {
		n, flags = Put(b, wants, &e.Message)
	}
	w := writer{rest: b[n:], n: n, flags: flags}
	clear(w.data[:])
	binary.NativeEndian.PutUint32(w.data[:], uint32(e.Errno))
	w.data[4], w.data[5], w.data[6] = origin(e), e.Type, e.Code
	binary.NativeEndian.PutUint32(w.data[8:], e.Info)
	sender, offender := e.Message.From.Addr(), w.data[extendedLen:]
	level, typ, length := SolIP, IPRecverr, extendedLen+sockaddr4Len
	if isInet6 {
		level, typ, length = SolIPv6, IPv6Recverr, extendedLen+sockaddr6Len
	}
	switch { // behind the family: port and address, or port, flow label, address and scope
	case e.Local:
	case isInet6:
		binary.NativeEndian.PutUint16(offender, inet6)
		a := sender.As16()
		copy(offender[8:], a[:])
		if sender.Zone() != "" {
			binary.NativeEndian.PutUint32(offender[24:], uint32(e.Message.Interface))
		}
	default:
		binary.NativeEndian.PutUint16(offender, inet)
		putAddr4(offender[4:], sender)
	}
	w.put(level, typ, length)
	return w.n, w.flags
}

func origin(e *stack.DatagramError) uint8 {
	switch {
	case e.Local:
		return originLocal
	case e.To.Addr().Is4():
		return originICMP
	}
	return originICMP6
}
