package unet

import (
	"net"
	"net/netip"

	"github.com/unet-go/unet/internal/cmsg"
	"github.com/unet-go/unet/stack"
)

// ControlMessage is what the control messages of a datagram say. Append writes them for WriteMsgUDP, and
// ParseControlMessage reads those of ReadMsgUDP. On 64-bit Linux the ControlMessage types of golang.org/x/net's
// ipv4 and ipv6 packages do the same.
type ControlMessage struct {
	// Src is the address of ours that a datagram leaves from; not valid for the socket's or the route's. Of a received
	// datagram it is the address that an answer leaves from: Dst, unless that is a broadcast or a group's address.
	Src netip.Addr
	// Dst is the address that the sender of a received datagram wrote to. Append does not use it.
	Dst netip.Addr
	// IfIndex is the number of the interface that the datagram came over or leaves over: 1 for lo, 2 for the first one that
	// was attached, and so on; 0 for that of the route.
	IfIndex int
	// TTL is the TTL or hop limit; 0 for the socket's, or where none was asked for.
	TTL uint8
	// TOS is the type of service or traffic class, where HasTOS is set. Its lowest two bits are ECN (RFC 3168 5).
	TOS    uint8
	HasTOS bool
	// SegmentSize is the length in octets of each of several datagrams that are sent or were read by one call, the last of
	// which may be shorter (UDP_SEGMENT, UDP_GRO); 0 for a single one.
	SegmentSize uint16
}

// Reply returns what to send with the answer to a datagram with m, so that it leaves from the address that was asked.
func (m *ControlMessage) Reply() ControlMessage { return ControlMessage{Src: m.Src} }

// Append appends the control messages for a datagram to an address of a family, that of to, to oob. It adds nothing for a
// zero m.
func (m *ControlMessage) Append(oob []byte, to netip.Addr) []byte {
	return cmsg.Append(oob, to.Unmap().Is6(), &stack.DatagramControl{Source: m.Src.Unmap(), Interface: m.IfIndex, TTL: m.TTL, TOS: m.TOS, HasTOS: m.HasTOS, SegmentSize: m.SegmentSize})
}

// ParseControlMessage reads the control messages that ReadMsgUDP has written, of either family. Others are ignored. EINVAL
// for messages whose lengths are not true.
func ParseControlMessage(oob []byte) (ControlMessage, error) {
	d, seen, err := cmsg.ParseReceived(oob)
	if err != nil {
		return ControlMessage{}, err
	}
	return ControlMessage{Src: d.Local, Dst: d.To, IfIndex: d.Interface, TTL: d.TTL, TOS: d.TOS, HasTOS: seen, SegmentSize: uint16(d.SegmentSize)}, nil
}

// ReplyConn is a UDPConn whose answers leave from the address that was asked: ReadFrom returns a *ReplyAddr, and WriteTo
// to that address sends from where the datagram had arrived. It is for servers on the wildcard address of a host with several
// addresses that take a net.PacketConn and answer to the address that ReadFrom has returned, as those of
// github.com/miekg/dns do.
type ReplyConn struct{ *UDPConn }

// ReplyAddr is the sender of a datagram, with the address that it has written to.
type ReplyAddr struct {
	*net.UDPAddr
	// Local is the address of ours that an answer leaves from; see ControlMessage.
	Local netip.Addr
}

// ReadFrom is (*UDPConn).ReadFrom, but the address that it returns is a *ReplyAddr.
func (c ReplyConn) ReadFrom(b []byte) (int, net.Addr, error) {
	if !c.ok() {
		return c.UDPConn.ReadFrom(b)
	}
	bufs := [1][]byte{b}
	n, d, err := c.socket.ReadMsg(bufs[:], stack.ReadMode{})
	if err != nil {
		return 0, nil, c.opError("read", "recvfrom", c.RemoteAddr(), err)
	}
	return n, &ReplyAddr{c.kind.udpAddr(d.From), d.Local}, nil
}

// WriteTo is (*UDPConn).WriteTo; to a *ReplyAddr it sends from that one's Local.
func (c ReplyConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	a, ok := addr.(*ReplyAddr)
	switch {
	case !ok || !c.ok():
		return c.UDPConn.WriteTo(b, addr)
	case a == nil:
		return c.WriteToUDP(b, nil)
	}
	to, err := c.destination(a.UDPAddr)
	if err == nil {
		var n int
		if n, err = c.socket.WriteMsg(b, to, &stack.DatagramControl{Source: a.Local}); err == nil {
			return n, nil
		}
	}
	return 0, c.opError("write", "sendto", addr, err)
}
