package unet

import (
	"net"
	"net/netip"
	"slices"
	"syscall"

	"github.com/unet-go/unet/internal/cmsg"
	"github.com/unet-go/unet/stack"
)

// Message is a datagram of ReadBatch or WriteBatch. It has the fields of the Message of golang.org/x/net's ipv4 and ipv6
// packages, so that each converts to the other.
type Message struct {
	Buffers [][]byte // the datagram, one buffer after the other
	OOB     []byte   // control messages, as in ReadMsgUDP and WriteMsgUDP
	Addr    net.Addr // the sender, which ReadBatch sets; where to send, nil on a dialled connection

	N     int // octets in Buffers that were read or written
	NN    int // octets in OOB that were read or written
	Flags int // MSG_TRUNC and MSG_CTRUNC of a datagram that was read, as in ReadMsgUDP
}

// ReadBatch waits for a datagram, and reads it and those that have arrived besides into ms, one into each. It returns how many
// these are. flags must be 0: EOPNOTSUPP for others.
func (c *UDPConn) ReadBatch(ms []Message, flags int) (int, error) {
	switch {
	case !c.ok():
		return 0, syscall.EINVAL
	case flags != 0:
		return 0, c.opError("read", "recvmmsg", c.RemoteAddr(), syscall.EOPNOTSUPP)
	}
	for i := range ms {
		m := &ms[i]
		n, d, err := c.socket.ReadMsg(m.Buffers, stack.ReadMode{Try: i > 0})
		switch {
		case err != nil && i > 0 && err == syscall.EAGAIN:
			return i, nil
		case err != nil && i > 0:
			c.socket.Defer(err)
			return i, nil
		case err != nil:
			return 0, c.opError("read", "recvmmsg", c.RemoteAddr(), err)
		}
		wants := cmsg.Wants(c.wants.Load())
		if d.To.Is4() {
			wants &^= cmsg.Pktinfo6
		}
		m.N, m.Addr = n, c.kind.udpAddr(d.From)
		m.NN, m.Flags = cmsg.Put(m.OOB, wants, &d)
		if n < d.Size {
			m.Flags |= msgTrunc
		}
	}
	return len(ms), nil
}

// WriteBatch sends the datagrams of ms, which the device gets together, and returns how many these were. One that fails ends
// the batch, with an error if it is the first; if it is not, a call that begins with it returns the error. flags must be 0:
// EOPNOTSUPP for others.
func (c *UDPConn) WriteBatch(ms []Message, flags int) (int, error) {
	switch {
	case !c.ok():
		return 0, syscall.EINVAL
	case flags != 0:
		return 0, c.opError("write", "sendmmsg", c.RemoteAddr(), syscall.EOPNOTSUPP)
	}
	list := make([]stack.DatagramOut, 0, len(ms))
	var err error
	for i := range ms {
		var d stack.DatagramOut
		if d, err = c.outgoing(&ms[i]); err != nil {
			break
		}
		list = append(list, d)
	}
	n := 0
	if len(list) > 0 {
		n, err = c.socket.WriteBatch(list)
	}
	for i := range n {
		ms[i].N, ms[i].NN = len(list[i].Data), len(ms[i].OOB)
	}
	if n == 0 && err != nil {
		return 0, c.opError("write", "sendmmsg", ms[0].Addr, err)
	}
	return n, nil
}

// outgoing returns a message as the stack sends it.
func (c *UDPConn) outgoing(m *Message) (d stack.DatagramOut, err error) {
	var to netip.AddrPort
	switch a := m.Addr.(type) {
	case nil:
		if err := c.mayWriteTo(false); err != nil && !c.connected {
			return d, err
		}
		to = c.socket.Remote()
	case *net.UDPAddr:
		to, err = c.destination(a)
	case *ReplyAddr:
		to, err = c.destination(a.UDPAddr)
		d.Control.Source = a.Local
	default:
		err = syscall.EINVAL
	}
	if err != nil {
		return d, err
	}
	if len(m.OOB) > 0 {
		if d.Control, err = cmsg.Parse(m.OOB, to.Addr().Unmap().Is6(), c.kind.six); err != nil {
			return d, err
		}
	}
	d.To = to
	if len(m.Buffers) == 1 {
		d.Data = m.Buffers[0]
	} else {
		d.Data = slices.Concat(m.Buffers...)
	}
	return d, nil
}
