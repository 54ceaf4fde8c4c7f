package cmsg

import (
	"encoding/binary"
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/stack"
)

// Wants is the set of control messages that a receiver asks for.
type Wants uint16

// What a receiver may ask for, each by the socket option of the message's name on Linux, with RECV in front for most.
const (
	Pktinfo4 Wants = 1 << iota
	TTL
	TOS
	Pktinfo6
	Hoplimit6
	Tclass6
	Trains // UDP_GRO

	all4 = Pktinfo4 | TTL | TOS
)

// Set returns w with or without what.
func (w Wants) Set(what Wants, on bool) Wants {
	if on {
		return w | what
	}
	return w &^ what
}

// Put writes the messages about a datagram to b, in Linux's order, and returns their length in octets, and MSG_CTRUNC where
// b was too short for all. On a socket of AF_INET6 the address of a datagram of IPv4 is mapped, in the message of IPv6.
func Put(b []byte, wants Wants, d *stack.Datagram) (n, flags int) {
	w := writer{rest: b}
	is4 := d.To.Is4()
	if wants&Trains != 0 && d.SegmentSize > 0 {
		w.putInt(SolUDP, UDPGRO, d.SegmentSize)
	}
	if wants&Pktinfo6 != 0 {
		a := d.To.As16()
		copy(w.data[:], a[:])
		binary.NativeEndian.PutUint32(w.data[ipv6Len:], uint32(d.Interface))
		w.put(SolIPv6, IPv6Pktinfo, pktinfo6Len)
	}
	switch {
	case is4 && wants&all4 != 0:
		w.messages4(wants, d)
	case !is4:
		if wants&Hoplimit6 != 0 {
			w.putInt(SolIPv6, IPv6Hoplimit, int(d.TTL))
		}
		if wants&Tclass6 != 0 {
			w.putInt(SolIPv6, IPv6Tclass, int(d.TOS))
		}
	}
	return w.n, w.flags
}

// messages4 writes the messages of level SOL_IP.
func (w *writer) messages4(wants Wants, d *stack.Datagram) {
	if wants&Pktinfo4 != 0 {
		binary.NativeEndian.PutUint32(w.data[:], uint32(d.Interface))
		putAddr4(w.data[intLen:], d.Local)
		putAddr4(w.data[intLen+ipv4Len:], d.To)
		w.put(SolIP, IPPktinfo, pktinfo4Len)
	}
	if wants&TTL != 0 {
		w.putInt(SolIP, IPTTL, int(d.TTL))
	}
	if wants&TOS != 0 {
		w.data[0] = d.TOS
		w.put(SolIP, IPTOS, 1)
	}
}

// putAddr4 writes an address to b, 0.0.0.0 for one that is not valid.
func putAddr4(b []byte, a netip.Addr) {
	var octets [ipv4Len]byte
	if a.Is4() {
		octets = a.As4()
	}
	copy(b, octets[:])
}

// ParseReceived reads what Put has written, of either family; hasTOS says that there was a traffic class. Messages that Put
// does not write are ignored. EINVAL: a message lies about its length.
func ParseReceived(b []byte) (d stack.Datagram, hasTOS bool, err error) {
	for {
		m, rest, more, ok := next(b)
		switch {
		case !ok:
			return d, hasTOS, syscall.EINVAL
		case !more:
			return d, hasTOS, nil
		}
		b = rest
		value, isInt := m.number()
		switch at := [2]int{m.level, m.typ}; {
		case at == [2]int{SolIP, IPPktinfo} && len(m.data) == pktinfo4Len:
			d.Interface = int(binary.NativeEndian.Uint32(m.data))
			d.Local = netip.AddrFrom4([ipv4Len]byte(m.data[intLen:]))
			d.To = netip.AddrFrom4([ipv4Len]byte(m.data[intLen+ipv4Len:]))
		case at == [2]int{SolIPv6, IPv6Pktinfo} && len(m.data) == pktinfo6Len:
			d.Interface = int(binary.NativeEndian.Uint32(m.data[ipv6Len:]))
			d.To = netip.AddrFrom16([ipv6Len]byte(m.data)).Unmap()
			if d.Local = d.To; d.To.IsMulticast() {
				d.Local = netip.Addr{}
			}
		case (at == [2]int{SolIP, IPTTL} || at == [2]int{SolIPv6, IPv6Hoplimit}) && isInt:
			d.TTL = uint8(value)
		case at == [2]int{SolUDP, UDPGRO} && isInt:
			d.SegmentSize = value
		case at == [2]int{SolIP, IPTOS} && len(m.data) == 1:
			d.TOS, hasTOS = m.data[0], true
		case at == [2]int{SolIPv6, IPv6Tclass} && isInt:
			d.TOS, hasTOS = uint8(value), true
		}
	}
}
