package fdtable_test

import (
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/fdtable"
)

// kernelSockets are the calls of the kernel, with descriptors that begin at 0 as those of a Table do.
type kernelSockets struct {
	congestion string // its controller, which a namespace cannot always have as its default

	mu  sync.Mutex
	fds []int // the kernel's by the script's; -1 where there is none
}

// add returns the script's number of a descriptor of the kernel's: the lowest that is free.
func (k *kernelSockets) add(fd int, err error) (int, error) {
	if err != nil {
		return -1, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.Index(k.fds, -1)
	if i < 0 {
		k.fds = append(k.fds, -1)
		i = len(k.fds) - 1
	}
	k.fds[i] = fd
	return i, nil
}

func (k *kernelSockets) fd(fd int) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if fd < 0 || fd >= len(k.fds) {
		return -1
	}
	return k.fds[fd]
}

// closeAll ends calls that are still waiting, and closes all descriptors with resets.
func (k *kernelSockets) closeAll() {
	for i := range k.fds {
		if fd := k.fd(i); fd >= 0 {
			_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			_ = unix.Shutdown(fd, unix.SHUT_RDWR)
			_ = k.Close(i)
		}
	}
}

// again repeats a call that a signal interrupts: signals of Go's runtime interrupt calls on a socket with SO_RCVTIMEO.
func again[T any](call func() (T, error)) (T, error) {
	for {
		if v, err := call(); err != unix.EINTR {
			return v, err
		}
	}
}

// count is n without the -1 that the kernel returns with an error.
func count(n int, err error) (int, error) { return max(n, 0), err }

// sockaddr is an address as the kernel takes it.
func sockaddr(a netip.AddrPort) unix.Sockaddr {
	switch {
	case !a.IsValid():
		return nil
	case a.Addr().Is6():
		return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return netip.AddrPort{}
}

func (k *kernelSockets) Socket(domain, typ, protocol int) (int, error) {
	fd, err := unix.Socket(domain, typ|unix.SOCK_CLOEXEC, protocol)
	if err == nil && typ&0xf == unix.SOCK_STREAM {
		if err = unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, k.congestion); err != nil {
			_ = unix.Close(fd)
		}
	}
	return k.add(fd, err)
}

func (k *kernelSockets) Bind(fd int, a netip.AddrPort) error { return unix.Bind(k.fd(fd), sockaddr(a)) }

func (k *kernelSockets) Listen(fd, backlog int) error { return unix.Listen(k.fd(fd), backlog) }

func (k *kernelSockets) Accept(fd int) (int, netip.AddrPort, error) {
	var from unix.Sockaddr
	s, err := again(func() (s int, err error) {
		s, from, err = unix.Accept4(k.fd(fd), unix.SOCK_CLOEXEC)
		return s, err
	})
	s, err = k.add(s, err)
	return s, addrPort(from), err
}

func (k *kernelSockets) Connect(fd int, a netip.AddrPort) error {
	if a.IsValid() {
		return unix.Connect(k.fd(fd), sockaddr(a))
	}
	var sa unix.RawSockaddrInet4 // AF_UNSPEC
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(k.fd(fd)), uintptr(unsafe.Pointer(&sa)), unix.SizeofSockaddrInet4)
	if errno != 0 {
		return errno
	}
	return nil
}

func (k *kernelSockets) Read(fd int, p []byte) (int, error) {
	return count(again(func() (int, error) { return unix.Read(k.fd(fd), p) }))
}

func (k *kernelSockets) Write(fd int, p []byte) (int, error) {
	return count(again(func() (int, error) { return unix.Write(k.fd(fd), p) }))
}

func (k *kernelSockets) Sendto(fd int, p []byte, flags int, to netip.AddrPort) (int, error) {
	return count(again(func() (int, error) { return unix.SendmsgN(k.fd(fd), p, nil, sockaddr(to), flags|unix.MSG_NOSIGNAL) }))
}

func (k *kernelSockets) Recvfrom(fd int, p []byte, flags int) (n int, from netip.AddrPort, err error) {
	n, err = count(again(func() (n int, err error) {
		n, sa, err := unix.Recvfrom(k.fd(fd), p, flags)
		from = addrPort(sa)
		return n, err
	}))
	return n, from, err
}

func (k *kernelSockets) Shutdown(fd, how int) error { return unix.Shutdown(k.fd(fd), how) }

func (k *kernelSockets) Close(fd int) error {
	old := k.fd(fd)
	if old >= 0 {
		k.mu.Lock()
		k.fds[fd] = -1
		k.mu.Unlock()
	}
	return unix.Close(old)
}

func (k *kernelSockets) SetNonblock(fd int, nonblocking bool) error {
	return unix.SetNonblock(k.fd(fd), nonblocking)
}

func (k *kernelSockets) SetsockoptInt(fd, level, opt, value int) error {
	return unix.SetsockoptInt(k.fd(fd), level, opt, value)
}

func (k *kernelSockets) SetsockoptLinger(fd, level, opt int, l *fdtable.Linger) error {
	return unix.SetsockoptLinger(k.fd(fd), level, opt, &unix.Linger{Onoff: l.Onoff, Linger: l.Linger})
}

func (k *kernelSockets) SetsockoptTimeval(fd, level, opt int, tv *fdtable.Timeval) error {
	return unix.SetsockoptTimeval(k.fd(fd), level, opt, &unix.Timeval{Sec: tv.Sec, Usec: tv.Usec})
}

func (k *kernelSockets) GetsockoptInt(fd, level, opt int) (int, error) {
	return unix.GetsockoptInt(k.fd(fd), level, opt)
}

func (k *kernelSockets) Getsockname(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(k.fd(fd))
	return addrPort(sa), err
}

func (k *kernelSockets) Getpeername(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getpeername(k.fd(fd))
	return addrPort(sa), err
}

func (k *kernelSockets) IoctlInt(fd, request, _ int) (int, error) {
	n, err := unix.IoctlGetInt(k.fd(fd), uint(request))
	return n, err
}

func (k *kernelSockets) Dup(fd int) (int, error) { return k.add(unix.Dup(k.fd(fd))) }

func (k *kernelSockets) Writev(fd int, iov [][]byte) (int, error) {
	return count(again(func() (int, error) { return unix.Writev(k.fd(fd), iov) }))
}

func (k *kernelSockets) EpollCreate1(flags int) (int, error) {
	return k.add(unix.EpollCreate1(flags | unix.EPOLL_CLOEXEC))
}

func (k *kernelSockets) EpollCtl(epfd, op, fd int, ev *fdtable.EpollEvent) error {
	return unix.EpollCtl(k.fd(epfd), op, k.fd(fd), &unix.EpollEvent{Events: ev.Events, Fd: ev.Fd})
}

func (k *kernelSockets) EpollWait(epfd int, events []fdtable.EpollEvent, msec int) (int, error) {
	list := make([]unix.EpollEvent, len(events))
	n, err := again(func() (int, error) { return unix.EpollWait(k.fd(epfd), list, msec) })
	for i := range max(n, 0) {
		events[i] = fdtable.EpollEvent{Events: list[i].Events, Fd: list[i].Fd}
	}
	return count(n, err)
}

func (k *kernelSockets) Sockatmark(fd int) (bool, error) {
	at, err := unix.IoctlGetInt(k.fd(fd), unix.SIOCATMARK)
	return at != 0, err
}

func (k *kernelSockets) Poll(fds []fdtable.PollFd, timeout int) (int, error) {
	list := make([]unix.PollFd, len(fds))
	for i, f := range fds {
		list[i] = unix.PollFd{Fd: int32(k.fd(int(f.Fd))), Events: f.Events}
	}
	n, err := again(func() (int, error) { return unix.Poll(list, timeout) })
	for i := range fds {
		fds[i].Revents = list[i].Revents
	}
	return n, err
}

// errnoOf is the errno of a call of the kernel's.
func errnoOf(err error) syscall.Errno {
	errno, _ := err.(syscall.Errno)
	return errno
}
