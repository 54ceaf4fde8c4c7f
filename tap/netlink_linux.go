package tap

import (
	"encoding/binary"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// askNetlink sends one request to the kernel's routing socket and returns its answer's errno, if any.
func askNetlink(request []byte) error {
	messages, err := talkNetlink(request)
	if err != nil {
		return err
	}
	for _, m := range messages {
		if m.Header.Type != unix.NLMSG_ERROR || len(m.Data) < 4 {
			continue
		}
		if code := int32(binary.NativeEndian.Uint32(m.Data)); code != 0 {
			return syscall.Errno(-code)
		}
	}
	return nil
}

// talkNetlink sends one request to the kernel's routing socket and returns the first messages of its answer. The calls with an
// address are those of package syscall, which package net has in every program: those of x/sys bring every family's.
func talkNetlink(request []byte) ([]syscall.NetlinkMessage, error) {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	defer unix.Close(s)
	if err := syscall.Sendto(s, request, 0, &syscall.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	answer := make([]byte, 4096)
	n, _, err := syscall.Recvfrom(s, answer, 0)
	if err != nil {
		return nil, err
	}
	return syscall.ParseNetlinkMessage(answer[:n])
}

// netlinkRequest is a message under construction: struct nlmsghdr, a fixed body, attributes.
type netlinkRequest []byte

// newNetlinkRequest begins a request that asks for an acknowledgement. The length of body is a multiple of four.
func newNetlinkRequest(kind, flags uint16, body ...byte) netlinkRequest {
	b := make(netlinkRequest, unix.SizeofNlMsghdr, 128)
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags)
	return append(b, body...)
}

// add appends an attribute, whose length is a multiple of four. It is not inlined, since appending is much code.
//
//go:noinline
func (b netlinkRequest) add(kind uint16, data []byte) netlinkRequest {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(data)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	return append(b, data...)
}

// done sets the message's length.
func (b netlinkRequest) done() []byte {
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	return b
}

// word returns a 32-bit value in netlink's order of octets, the machine's own.
func word(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// queueLenRequest builds the RTM_SETLINK message that sets an interface's queue length, with struct ifinfomsg.
func queueLenRequest(index uint32, frames int) []byte {
	b := newNetlinkRequest(unix.RTM_SETLINK, 0, unix.AF_UNSPEC, 0, 0, 0)
	b = append(b, word(index)...)
	b = append(b, make([]byte, 8)...) // no flags, no change of flags
	return b.add(unix.IFLA_TXQLEN, word(uint32(frames))).done()
}

// newAddrRequest builds the RTM_NEWADDR message that adds an address, with struct ifaddrmsg.
func newAddrRequest(index uint32, p netip.Prefix) []byte {
	family := byte(unix.AF_INET6)
	if p.Addr().Is4() {
		family = unix.AF_INET
	}
	b := newNetlinkRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE,
		family, byte(p.Bits()), 0, unix.RT_SCOPE_UNIVERSE)
	b = append(b, word(index)...)
	addr := p.Addr().AsSlice()
	b = b.add(unix.IFA_LOCAL, addr).add(unix.IFA_ADDRESS, addr)
	if p.Addr().Is4() && p.Bits() < 31 {
		b = b.add(unix.IFA_BROADCAST, broadcast(p))
	}
	if p.Addr().Is6() {
		b = b.add(unix.IFA_FLAGS, word(unix.IFA_F_NODAD))
	}
	return b.done()
}

// broadcast returns the directed broadcast address of an IPv4 subnet.
func broadcast(p netip.Prefix) []byte {
	a := p.Addr().As4()
	host := uint32(1)<<(32-p.Bits()) - 1
	return binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(a[:])|host)
}
