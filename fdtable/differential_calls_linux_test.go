package fdtable

import (
	"net/netip"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tableCalls are the calls of a Table.
type tableCalls struct{ *Table }

func (t tableCalls) socket(domain, typ int) (int, error)    { return t.Socket(domain, typ, 0) }
func (t tableCalls) bind(fd int, a netip.AddrPort) error    { return t.Bind(fd, a) }
func (t tableCalls) listen(fd, backlog int) error           { return t.Listen(fd, backlog) }
func (t tableCalls) connect(fd int, a netip.AddrPort) error { return t.Connect(fd, a) }
func (t tableCalls) disconnect(fd int) error                { return t.Connect(fd, netip.AddrPort{}) }
func (t tableCalls) accept(fd, flags int) (int, error) {
	s, _, err := t.Accept4(fd, flags)
	return s, err
}
func (t tableCalls) send(fd int, iov [][]byte, flags int) (int, error) {
	return t.Sendmsg(fd, &Msghdr{Iov: iov}, flags)
}
func (t tableCalls) sendto(fd int, p []byte, flags int, a netip.AddrPort) (int, error) {
	return t.Sendto(fd, p, flags, a)
}
func (t tableCalls) recv(fd int, iov [][]byte, flags int) (n, got int, err error) {
	m := Msghdr{Iov: iov}
	n, err = t.Recvmsg(fd, &m, flags)
	return n, m.Flags, err
}
func (t tableCalls) recvfrom(fd int, p []byte) (int, netip.AddrPort, error) {
	return t.Recvfrom(fd, p, 0)
}
func (t tableCalls) sendmsg(fd int, p, control []byte, a netip.AddrPort) (int, error) {
	return t.Sendmsg(fd, &Msghdr{Iov: [][]byte{p}, Control: control, Name: a}, 0)
}
func (t tableCalls) recvmsg(fd int, p, control []byte, flags int) (n, controllen, got int, from netip.AddrPort, err error) {
	m := Msghdr{Iov: [][]byte{p}, Control: control}
	n, err = t.Recvmsg(fd, &m, flags)
	return n, m.Controllen, m.Flags, m.Name, err
}
func (t tableCalls) read(fd int, p []byte) (int, error)       { return t.Read(fd, p) }
func (t tableCalls) write(fd int, p []byte) (int, error)      { return t.Write(fd, p) }
func (t tableCalls) readv(fd int, iov [][]byte) (int, error)  { return t.Readv(fd, iov) }
func (t tableCalls) writev(fd int, iov [][]byte) (int, error) { return t.Writev(fd, iov) }
func (t tableCalls) shutdown(fd, how int) error               { return t.Shutdown(fd, how) }
func (t tableCalls) close(fd int) error                       { return t.Close(fd) }
func (t tableCalls) get(fd, level, opt int) (int, error)      { return t.GetsockoptInt(fd, level, opt) }
func (t tableCalls) set(fd, level, opt, value int) error {
	return t.SetsockoptInt(fd, level, opt, value)
}
func (t tableCalls) linger(fd, on, seconds int) error {
	return t.SetsockoptLinger(fd, SOL_SOCKET, SO_LINGER, &Linger{int32(on), int32(seconds)})
}
func (t tableCalls) getLinger(fd int) (int, int, error) {
	l, err := t.GetsockoptLinger(fd, SOL_SOCKET, SO_LINGER)
	if err != nil {
		return 0, 0, err
	}
	return int(l.Onoff), int(l.Linger), nil
}
func (t tableCalls) timeval(fd, opt int, d time.Duration) error {
	return t.SetsockoptTimeval(fd, SOL_SOCKET, opt, &Timeval{Usec: d.Microseconds()})
}
func (t tableCalls) congestion(fd int, name string) error {
	return t.SetsockoptString(fd, IPPROTO_TCP, TCP_CONGESTION, name)
}
func (t tableCalls) state(fd int) (uint8, error) {
	info, err := t.GetsockoptTCPInfo(fd, IPPROTO_TCP, TCP_INFO)
	if err != nil {
		return 0, err
	}
	return info.State, nil
}
func (t tableCalls) name(fd int) (netip.AddrPort, error) { return t.Getsockname(fd) }
func (t tableCalls) peer(fd int) (netip.AddrPort, error) { return t.Getpeername(fd) }
func (t tableCalls) poll(fd, events, timeout int) (int, uint32, error) {
	list := []PollFd{{Fd: int32(fd), Events: int16(events)}}
	n, err := t.Poll(list, timeout)
	return n, uint32(uint16(list[0].Revents)), err
}
func (t tableCalls) dup(fd int) (int, error)             { return t.Dup(fd) }
func (t tableCalls) dup3(fd, to, flags int) (int, error) { return t.Dup3(fd, to, flags) }
func (t tableCalls) fcntl(fd, cmd, arg int) (int, error) { return t.FcntlInt(fd, cmd, arg) }
func (t tableCalls) ioctl(fd, request int) (int, error)  { return t.IoctlInt(fd, request, 0) }
func (t tableCalls) epoll(flags int) (int, error)        { return t.EpollCreate1(flags) }
func (t tableCalls) ctl(ep, op, fd int, events uint32, data int32) error {
	return t.EpollCtl(ep, op, fd, &EpollEvent{Events: events, Fd: data})
}
func (t tableCalls) wait(ep, room, timeout int) ([]EpollEvent, error) {
	list := make([]EpollEvent, room)
	n, err := t.EpollWait(ep, list, timeout)
	return list[:n], err
}

// kernelCalls are the kernel's.
type kernelCalls struct{}

// sockaddrOf is an address as the kernel takes it; its zone is a scope id in decimal.
func sockaddrOf(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	scope, _ := strconv.ParseUint(a.Addr().Zone(), 10, 32)
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16(), ZoneId: uint32(scope)}
}

func addrPortOf(sa unix.Sockaddr, err error) (netip.AddrPort, error) {
	if err != nil {
		return netip.AddrPort{}, err
	}
	if in, is := sa.(*unix.SockaddrInet4); is {
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)), nil
	}
	in := sa.(*unix.SockaddrInet6)
	a := netip.AddrFrom16(in.Addr)
	if in.ZoneId != 0 {
		a = a.WithZone(strconv.Itoa(int(in.ZoneId)))
	}
	return netip.AddrPortFrom(a, uint16(in.Port)), nil
}

func (kernelCalls) socket(domain, typ int) (int, error)    { return unix.Socket(domain, typ, 0) }
func (kernelCalls) bind(fd int, a netip.AddrPort) error    { return unix.Bind(fd, sockaddrOf(a)) }
func (kernelCalls) listen(fd, backlog int) error           { return unix.Listen(fd, backlog) }
func (kernelCalls) connect(fd int, a netip.AddrPort) error { return unix.Connect(fd, sockaddrOf(a)) }
func (kernelCalls) disconnect(fd int) error {
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&unix.RawSockaddrInet4{})), unix.SizeofSockaddrInet4)
	return errnoOrNil(errno)
}
func (kernelCalls) accept(fd, flags int) (int, error) {
	for {
		if s, _, err := unix.Accept4(fd, flags); err != unix.EINTR {
			return s, err
		}
	}
}
func (kernelCalls) send(fd int, iov [][]byte, flags int) (int, error) {
	return unix.SendmsgBuffers(fd, iov, nil, nil, flags|unix.MSG_NOSIGNAL)
}
func (kernelCalls) sendto(fd int, p []byte, flags int, a netip.AddrPort) (int, error) {
	return unix.SendmsgN(fd, p, nil, sockaddrOf(a), flags|unix.MSG_NOSIGNAL)
}
func (kernelCalls) recv(fd int, iov [][]byte, flags int) (n, got int, err error) {
	err = unix.EINTR // which Go's own signals cause
	for err == unix.EINTR {
		n, _, got, _, err = unix.RecvmsgBuffers(fd, iov, nil, flags)
	}
	return n, got, err
}
func (kernelCalls) recvfrom(fd int, p []byte) (int, netip.AddrPort, error) {
	for {
		n, sa, err := unix.Recvfrom(fd, p, 0)
		if err != unix.EINTR {
			from, err := addrPortOf(sa, err)
			return n, from, err
		}
	}
}
func (kernelCalls) sendmsg(fd int, p, control []byte, a netip.AddrPort) (int, error) {
	if !a.IsValid() {
		return unix.SendmsgN(fd, p, control, nil, unix.MSG_NOSIGNAL)
	}
	return unix.SendmsgN(fd, p, control, sockaddrOf(a), unix.MSG_NOSIGNAL)
}
func (kernelCalls) recvmsg(fd int, p, control []byte, flags int) (n, controllen, got int, from netip.AddrPort, err error) {
	var sa unix.Sockaddr
	err = unix.EINTR
	for err == unix.EINTR {
		n, controllen, got, sa, err = unix.Recvmsg(fd, p, control, flags)
	}
	if err == nil && sa != nil {
		from, err = addrPortOf(sa, nil)
	}
	return n, controllen, got &^ unix.MSG_CMSG_CLOEXEC, from, err
}
func (kernelCalls) read(fd int, p []byte) (int, error) {
	for {
		if n, err := unix.Read(fd, p); err != unix.EINTR {
			return n, err
		}
	}
}
func (kernelCalls) write(fd int, p []byte) (int, error)      { return unix.Write(fd, p) }
func (kernelCalls) readv(fd int, iov [][]byte) (int, error)  { return unix.Readv(fd, iov) }
func (kernelCalls) writev(fd int, iov [][]byte) (int, error) { return unix.Writev(fd, iov) }
func (kernelCalls) shutdown(fd, how int) error               { return unix.Shutdown(fd, how) }
func (kernelCalls) close(fd int) error                       { return unix.Close(fd) }
func (kernelCalls) get(fd, level, opt int) (int, error)      { return unix.GetsockoptInt(fd, level, opt) }
func (kernelCalls) set(fd, level, opt, value int) error {
	return unix.SetsockoptInt(fd, level, opt, value)
}
func (kernelCalls) linger(fd, on, seconds int) error {
	return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: int32(on), Linger: int32(seconds)})
}
func (kernelCalls) getLinger(fd int) (int, int, error) {
	var l unix.Linger
	size := uint32(unsafe.Sizeof(l))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER,
		uintptr(unsafe.Pointer(&l)), uintptr(unsafe.Pointer(&size)), 0)
	return int(l.Onoff), int(l.Linger), errnoOrNil(errno)
}
func (kernelCalls) timeval(fd, opt int, d time.Duration) error {
	return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, opt, &unix.Timeval{Usec: d.Microseconds()})
}
func (kernelCalls) congestion(fd int, name string) error {
	return unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, name)
}
func (kernelCalls) state(fd int) (uint8, error) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, err
	}
	return info.State, nil
}
func (kernelCalls) name(fd int) (netip.AddrPort, error) { return addrPortOf(unix.Getsockname(fd)) }
func (kernelCalls) peer(fd int) (netip.AddrPort, error) { return addrPortOf(unix.Getpeername(fd)) }
func (kernelCalls) poll(fd, events, timeout int) (int, uint32, error) {
	list := []unix.PollFd{{Fd: int32(fd), Events: int16(events)}}
	n, err := unix.Poll(list, timeout)
	for err == unix.EINTR {
		n, err = unix.Poll(list, timeout)
	}
	return n, uint32(uint16(list[0].Revents)), err
}
func (kernelCalls) dup(fd int) (int, error)             { return unix.Dup(fd) }
func (kernelCalls) dup3(fd, to, flags int) (int, error) { return to, unix.Dup3(fd, to, flags) }
func (kernelCalls) fcntl(fd, cmd, arg int) (int, error) {
	return unix.FcntlInt(uintptr(fd), cmd, arg)
}
func (kernelCalls) ioctl(fd, request int) (int, error) { return unix.IoctlGetInt(fd, uint(request)) }
func (kernelCalls) epoll(flags int) (int, error)       { return unix.EpollCreate1(flags) }
func (kernelCalls) ctl(ep, op, fd int, events uint32, data int32) error {
	return unix.EpollCtl(ep, op, fd, &unix.EpollEvent{Events: events, Fd: data})
}
func (kernelCalls) wait(ep, room, timeout int) ([]EpollEvent, error) {
	list := make([]unix.EpollEvent, room)
	n, err := unix.EpollWait(ep, list, timeout)
	var events []EpollEvent
	for _, e := range list[:max(n, 0)] {
		events = append(events, EpollEvent{Events: e.Events, Fd: e.Fd})
	}
	return events, err
}

func errnoOrNil(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
