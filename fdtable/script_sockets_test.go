package fdtable_test

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/unet-go/unet/fdtable"
)

// sockets are the calls that a script makes: a Table's, or the kernel's.
type sockets interface {
	Socket(domain, typ, protocol int) (int, error)
	Bind(fd int, a netip.AddrPort) error
	Listen(fd, backlog int) error
	Accept(fd int) (int, netip.AddrPort, error)
	Connect(fd int, a netip.AddrPort) error
	Read(fd int, p []byte) (int, error)
	Write(fd int, p []byte) (int, error)
	Sendto(fd int, p []byte, flags int, to netip.AddrPort) (int, error)
	Recvfrom(fd int, p []byte, flags int) (int, netip.AddrPort, error)
	Shutdown(fd, how int) error
	Close(fd int) error
	SetNonblock(fd int, nonblocking bool) error
	SetsockoptInt(fd, level, opt, value int) error
	SetsockoptLinger(fd, level, opt int, l *fdtable.Linger) error
	SetsockoptTimeval(fd, level, opt int, tv *fdtable.Timeval) error
	GetsockoptInt(fd, level, opt int) (int, error)
	Getsockname(fd int) (netip.AddrPort, error)
	Getpeername(fd int) (netip.AddrPort, error)
	IoctlInt(fd, request, arg int) (int, error)
	Dup(fd int) (int, error)
	Writev(fd int, iov [][]byte) (int, error)
	EpollCreate1(flags int) (int, error)
	EpollCtl(epfd, op, fd int, ev *fdtable.EpollEvent) error
	EpollWait(epfd int, events []fdtable.EpollEvent, msec int) (int, error)
	Sockatmark(fd int) (bool, error)
	Poll(fds []fdtable.PollFd, timeout int) (int, error)
}

func init() {
	for name, c := range map[string]call{
		"getpeername": callGetpeername,
		"disconnect": func(r *runner, a arguments, _ string) string {
			return errorOf(r.sockets.Connect(a.fd(), netip.AddrPort{}))
		},
		"dup": func(r *runner, a arguments, _ string) string { return resultOf(r.sockets.Dup(a.fd())) },
		"ioctl": func(r *runner, a arguments, _ string) string {
			return resultOf(r.sockets.IoctlInt(a.fd(), a.int(1), 0))
		},
		"sendto":       callSendto,
		"writev":       callWritev,
		"epoll_create": func(r *runner, a arguments, _ string) string { return resultOf(r.sockets.EpollCreate1(0)) },
		"epoll_ctl":    callEpollCtl,
		"epoll_wait":   callEpollWait,
	} {
		calls[name] = c
	}
	for name, value := range map[string]int{
		"MSG_MORE": fdtable.MSG_MORE, "MSG_EOR": fdtable.MSG_EOR, "MSG_TRUNC": fdtable.MSG_TRUNC, "MSG_WAITALL": fdtable.MSG_WAITALL,
		"MSG_FASTOPEN": fdtable.MSG_FASTOPEN, "SIOCINQ": fdtable.SIOCINQ, "SIOCOUTQ": fdtable.SIOCOUTQ, "SIOCOUTQNSD": fdtable.SIOCOUTQNSD,
		"SIOCATMARK": fdtable.SIOCATMARK, "SO_RCVLOWAT": fdtable.SO_RCVLOWAT, "SO_ACCEPTCONN": fdtable.SO_ACCEPTCONN, "SO_TYPE": fdtable.SO_TYPE,
		"TCP_DEFER_ACCEPT": fdtable.TCP_DEFER_ACCEPT, "TCP_LINGER2": fdtable.TCP_LINGER2, "TCP_SYNCNT": fdtable.TCP_SYNCNT,
		"TCP_NOTSENT_LOWAT": fdtable.TCP_NOTSENT_LOWAT, "TCP_WINDOW_CLAMP": fdtable.TCP_WINDOW_CLAMP,
		"ADD": fdtable.EPOLL_CTL_ADD, "MOD": fdtable.EPOLL_CTL_MOD, "DEL": fdtable.EPOLL_CTL_DEL,
		"EPOLLET": fdtable.EPOLLET, "EPOLLONESHOT": fdtable.EPOLLONESHOT,
	} {
		constants[name] = value
	}
	for _, name := range eventNames {
		constants["E"+name] = constants[name]
	}
}

var eventNames = []string{"POLLIN", "POLLPRI", "POLLOUT", "POLLERR", "POLLHUP", "POLLRDHUP"}

// events spells events, each with a prefix before its name; 0 is none.
func events(prefix string, bits int) string {
	var names []string
	for _, name := range eventNames {
		if bits&constants[name] != 0 {
			names = append(names, prefix+name)
		}
	}
	if names == nil {
		return "0"
	}
	return strings.Join(names, "|")
}

func callGetpeername(r *runner, a arguments, _ string) string {
	name, err := r.sockets.Getpeername(a.fd())
	if err != nil {
		return errorOf(err)
	}
	return name.String()
}

// callSendto is sendto(FD, N or "TEXT", FLAGS, ADDRESS).
func callSendto(r *runner, a arguments, _ string) string {
	return r.sendText(a, func(text []byte) (int, error) {
		return r.sockets.Sendto(a.fd(), text, a.int(2), r.destination(a, 3))
	})
}

// callWritev is writev(FD, N, N...), the next octets of the pattern in so many pieces.
func callWritev(r *runner, a arguments, _ string) string {
	at := r.advance("write "+a.at(0), 0)
	var iov [][]byte
	for i := range a[1:] {
		iov = append(iov, pattern(at, a.int(i+1)))
		at += uint32(a.int(i + 1))
	}
	n, err := r.sockets.Writev(a.fd(), iov)
	r.advance("write "+a.at(0), max(n, 0))
	return resultOf(n, err)
}

// callEpollCtl is epoll_ctl(EPFD, ADD or MOD or DEL, FD, EVENTS).
func callEpollCtl(r *runner, a arguments, _ string) string {
	ev := &fdtable.EpollEvent{Fd: int32(a.int(2))}
	if len(a) > 3 {
		ev.Events = uint32(a.int(3))
	}
	return errorOf(r.sockets.EpollCtl(a.fd(), a.int(1), a.int(2), ev))
}

// callEpollWait is epoll_wait(EPFD, MILLISECONDS). The result is 0, or FD:EVENTS of each descriptor, with commas between.
func callEpollWait(r *runner, a arguments, _ string) string {
	list := make([]fdtable.EpollEvent, 8)
	n, err := r.sockets.EpollWait(a.fd(), list, a.int(1))
	if err != nil || n == 0 {
		return resultOf(n, err)
	}
	var told []string
	for _, ev := range list[:n] {
		told = append(told, strconv.Itoa(int(ev.Fd))+":"+events("E", int(ev.Events)))
	}
	return strings.Join(told, ",")
}

// destination is an address that a connect or a sendto goes to.
func (r *runner) destination(a arguments, i int) netip.AddrPort {
	if f := r.flows[a.at(i)]; f != nil && !f.issKnown && f.host.Port() == hostPort {
		f.host = netip.AddrPortFrom(f.host.Addr(), 0)
	}
	return r.address(a, i)
}
