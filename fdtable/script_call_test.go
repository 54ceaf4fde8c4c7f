package fdtable_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/unet-go/unet/fdtable"
)

// arguments are the arguments of a call, as the script has them.
type arguments []string

// call runs a call and returns its result as a script writes it. want is the result that is expected.
type call func(r *runner, a arguments, want string) string

// calls are the socket calls that a script can make.
var calls map[string]call

func init() { // not an initializer: the functions refer to calls, through the parser
	calls = map[string]call{
		"socket":   callSocket,
		"bind":     func(r *runner, a arguments, _ string) string { return errorOf(r.sockets.Bind(a.fd(), r.address(a, 1))) },
		"listen":   func(r *runner, a arguments, _ string) string { return errorOf(r.sockets.Listen(a.fd(), a.int(1))) },
		"accept":   callAccept,
		"connect":  callConnect,
		"read":     callRead,
		"write":    callWrite,
		"shutdown": func(r *runner, a arguments, _ string) string { return errorOf(r.sockets.Shutdown(a.fd(), a.int(1))) },
		"close":    callClose,
		"nonblock": func(r *runner, a arguments, _ string) string {
			return errorOf(r.sockets.SetNonblock(a.fd(), a.int(1) != 0))
		},
		"setsockopt":  callSetsockopt,
		"getsockopt":  callGetsockopt,
		"getsockname": callGetsockname,
		"send":        callSend,
		"recv":        callRecv,
		"sockatmark":  callSockatmark,
		"poll":        callPoll,
	}
}

// constants are the names that arguments may use.
var constants = map[string]int{
	"SHUT_RD": fdtable.SHUT_RD, "SHUT_WR": fdtable.SHUT_WR, "SHUT_RDWR": fdtable.SHUT_RDWR,
	"SO_REUSEADDR": fdtable.SO_REUSEADDR, "SO_REUSEPORT": fdtable.SO_REUSEPORT, "SO_ERROR": fdtable.SO_ERROR,
	"SO_SNDBUF": fdtable.SO_SNDBUF, "SO_RCVBUF": fdtable.SO_RCVBUF, "SO_KEEPALIVE": fdtable.SO_KEEPALIVE,
	"SO_LINGER": fdtable.SO_LINGER, "SO_RCVTIMEO": fdtable.SO_RCVTIMEO, "SO_SNDTIMEO": fdtable.SO_SNDTIMEO,
	"TCP_NODELAY": fdtable.TCP_NODELAY, "TCP_MAXSEG": fdtable.TCP_MAXSEG, "TCP_CORK": fdtable.TCP_CORK,
	"TCP_KEEPIDLE": fdtable.TCP_KEEPIDLE, "TCP_KEEPINTVL": fdtable.TCP_KEEPINTVL,
	"TCP_KEEPCNT": fdtable.TCP_KEEPCNT, "TCP_QUICKACK": fdtable.TCP_QUICKACK,
	"TCP_USER_TIMEOUT": fdtable.TCP_USER_TIMEOUT, "IP_TOS": fdtable.IP_TOS, "IP_TTL": fdtable.IP_TTL,
	"IP_MTU_DISCOVER": fdtable.IP_MTU_DISCOVER, "IP_MTU": fdtable.IP_MTU,
	"IPV6_TCLASS": fdtable.IPV6_TCLASS, "IPV6_UNICAST_HOPS": fdtable.IPV6_UNICAST_HOPS, "IPV6_MTU_DISCOVER": fdtable.IPV6_MTU_DISCOVER,
	"IPV6_MTU": fdtable.IPV6_MTU, "IPV6_V6ONLY": fdtable.IPV6_V6ONLY,
}

func init() {
	for name, value := range map[string]int{
		"MSG_OOB": fdtable.MSG_OOB, "MSG_PEEK": fdtable.MSG_PEEK, "MSG_DONTWAIT": fdtable.MSG_DONTWAIT, "MSG_MORE": fdtable.MSG_MORE,
		"POLLIN": fdtable.POLLIN, "POLLOUT": fdtable.POLLOUT, "POLLPRI": fdtable.POLLPRI, "POLLERR": fdtable.POLLERR,
		"POLLHUP": fdtable.POLLHUP, "POLLRDHUP": fdtable.POLLRDHUP, "SO_OOBINLINE": fdtable.SO_OOBINLINE, "TCP_FASTOPEN": fdtable.TCP_FASTOPEN,
		"TCP_FASTOPEN_CONNECT": fdtable.TCP_FASTOPEN_CONNECT,
	} {
		constants[name] = value
	}
}

// badArgument is the value of the panic about an argument that cannot be read; call turns it into an error.
type badArgument string

func (a arguments) at(i int) string {
	if i >= len(a) {
		panic(badArgument(fmt.Sprintf("argument %d is missing", i+1)))
	}
	return a[i]
}

func (a arguments) int(i int) int {
	n, err := number(a.at(i))
	if err != nil {
		panic(badArgument(err.Error()))
	}
	return n
}

func (a arguments) fd() int { return a.int(0) }

// number reads a decimal or hexadecimal number or a constant, or several joined by |.
func number(s string) (int, error) {
	if one, rest, several := strings.Cut(s, "|"); several {
		n, err := number(one)
		if err != nil {
			return 0, err
		}
		m, err := number(rest)
		return n | m, err
	}
	if n, known := constants[s]; known {
		return n, nil
	}
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is neither a number nor a constant", s)
	}
	return int(n), nil
}

// address reads IP:PORT, host:PORT, peer:PORT, any:PORT, or the name of a flow, which stands for the flow's peer.
func (r *runner) address(a arguments, i int) netip.AddrPort {
	text := a.at(i)
	if f := r.flows[text]; f != nil {
		return f.peer
	}
	ends := r.script.family
	for name, addr := range map[string]netip.Addr{"host": ends.host, "peer": ends.peer, "any": ends.any} {
		if port, ok := strings.CutPrefix(text, name+":"); ok {
			text = net.JoinHostPort(addr.String(), port)
		}
	}
	to, err := netip.ParseAddrPort(text)
	if err != nil {
		panic(badArgument(err.Error()))
	}
	return to
}

func errorOf(err error) string {
	if err == nil {
		return "0"
	}
	if errno, ok := err.(syscall.Errno); ok {
		return errnoName(errno)
	}
	return err.Error()
}

func resultOf(n int, err error) string {
	if err != nil {
		return errorOf(err)
	}
	return strconv.Itoa(n)
}

func callSocket(r *runner, a arguments, _ string) string {
	typ := fdtable.SOCK_STREAM
	if slices.Contains(a, "nonblock") {
		typ |= fdtable.SOCK_NONBLOCK
	}
	return resultOf(r.sockets.Socket(r.script.family.domain, typ, 0))
}

func callAccept(r *runner, a arguments, _ string) string {
	fd, _, err := r.sockets.Accept(a.fd())
	return resultOf(fd, err)
}

// callConnect is connect(FD, FLOW or address). The host's port of a flow becomes the one that its SYN has.
func callConnect(r *runner, a arguments, _ string) string {
	return errorOf(r.sockets.Connect(a.fd(), r.destination(a, 1)))
}

// streamMu guards runner.streams, since calls that block run concurrently with the script.
var streamMu sync.Mutex

// advance returns how many octets of the stream named key have been read or written, and adds n to that.
func (r *runner) advance(key string, n int) uint32 {
	streamMu.Lock()
	defer streamMu.Unlock()
	at := r.streams[key]
	r.streams[key] = at + uint32(n)
	return at
}

// callRead is read(FD, N). A result in quotes is the text that was read. A result that is a number is its length, and the
// text must be that of the pattern.
func callRead(r *runner, a arguments, want string) string {
	p := make([]byte, a.int(1))
	n, err := r.sockets.Read(a.fd(), p)
	return r.received(a.at(0), p[:n], err, want)
}

func (r *runner) received(fd string, text []byte, err error, want string) string {
	switch {
	case err != nil:
		return errorOf(err)
	case strings.HasPrefix(want, `"`):
		return strconv.Quote(string(text))
	}
	if at := r.advance("read "+fd, len(text)); !slices.Equal(text, pattern(at, len(text))) {
		return fmt.Sprintf("%d octets that are not those from %d on", len(text), at)
	}
	return strconv.Itoa(len(text))
}

// callWrite is write(FD, N), which writes the next N octets of the pattern, or write(FD, "TEXT").
func callWrite(r *runner, a arguments, _ string) string {
	return r.sendText(a, func(text []byte) (int, error) { return r.sockets.Write(a.fd(), text) })
}

// callSend is send(FD, N or "TEXT", FLAGS).
func callSend(r *runner, a arguments, _ string) string {
	return r.sendText(a, func(text []byte) (int, error) {
		return r.sockets.Sendto(a.fd(), text, a.int(2), netip.AddrPort{})
	})
}

// sendText makes a call that sends the text of argument 1, and advances the descriptor's stream by the octets sent.
func (r *runner) sendText(a arguments, send func(text []byte) (int, error)) string {
	text := []byte(strings.Trim(a.at(1), `"`))
	if !strings.HasPrefix(a.at(1), `"`) {
		text = pattern(r.advance("write "+a.at(0), 0), a.int(1))
	}
	n, err := send(text)
	if n > 0 {
		r.advance("write "+a.at(0), n)
	}
	return resultOf(n, err)
}

// callRecv is recv(FD, N, FLAGS). Its result is written as that of read.
func callRecv(r *runner, a arguments, want string) string {
	p := make([]byte, a.int(1))
	n, _, err := r.sockets.Recvfrom(a.fd(), p, a.int(2))
	return r.received(a.at(0), p[:n], err, want)
}

func callSockatmark(r *runner, a arguments, _ string) string {
	at, err := r.sockets.Sockatmark(a.fd())
	if err != nil {
		return errorOf(err)
	}
	return strconv.FormatBool(at)
}

// callPoll is poll(FD, EVENTS, MILLISECONDS) of one descriptor. The result is 0 or the events.
func callPoll(r *runner, a arguments, _ string) string {
	fds := []fdtable.PollFd{{Fd: int32(a.fd()), Events: int16(a.int(1))}}
	if _, err := r.sockets.Poll(fds, a.int(2)); err != nil {
		return errorOf(err)
	}
	return events("", int(fds[0].Revents))
}

// callClose is close(FD). It resets the descriptor's streams, since its number may be used again.
func callClose(r *runner, a arguments, _ string) string {
	streamMu.Lock()
	delete(r.streams, "read "+a.at(0))
	delete(r.streams, "write "+a.at(0))
	streamMu.Unlock()
	return errorOf(r.sockets.Close(a.fd()))
}

// callSetsockopt is setsockopt(FD, OPTION, VALUE); SO_LINGER takes seconds or off, a timeout takes seconds.
func callSetsockopt(r *runner, a arguments, _ string) string {
	opt := a.int(1)
	switch name := a.at(1); {
	case name == "SO_LINGER":
		l := fdtable.Linger{}
		if a.at(2) != "off" {
			l = fdtable.Linger{Onoff: 1, Linger: int32(a.int(2))}
		}
		return errorOf(r.sockets.SetsockoptLinger(a.fd(), fdtable.SOL_SOCKET, opt, &l))
	case name == "SO_RCVTIMEO" || name == "SO_SNDTIMEO":
		tv := fdtable.Timeval{Sec: int64(a.int(2))}
		return errorOf(r.sockets.SetsockoptTimeval(a.fd(), fdtable.SOL_SOCKET, opt, &tv))
	}
	return errorOf(r.sockets.SetsockoptInt(a.fd(), level(a.at(1)), opt, a.int(2)))
}

// level is the level of an option, by its name.
func level(option string) int {
	switch {
	case strings.HasPrefix(option, "TCP_"):
		return fdtable.IPPROTO_TCP
	case strings.HasPrefix(option, "IP_"):
		return fdtable.IPPROTO_IP
	case strings.HasPrefix(option, "IPV6_"):
		return fdtable.IPPROTO_IPV6
	}
	return fdtable.SOL_SOCKET
}

func callGetsockopt(r *runner, a arguments, _ string) string {
	n, err := r.sockets.GetsockoptInt(a.fd(), level(a.at(1)), a.int(1))
	if err == nil && a.at(1) == "SO_ERROR" {
		return errnoName(syscall.Errno(n))
	}
	if err == nil && a.at(1) == "IPV6_MTU" {
		n -= r.script.family.wider
	}
	return resultOf(n, err)
}

func callGetsockname(r *runner, a arguments, _ string) string {
	name, err := r.sockets.Getsockname(a.fd())
	if err != nil {
		return errorOf(err)
	}
	return name.String()
}
