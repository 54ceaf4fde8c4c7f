package fdtable

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/tap/taptest"
)

// bsd is the calls of a scenario: the kernel's and a Table's answer the same ones.
type bsd interface {
	socket(domain, typ int) (int, error)
	bind(fd int, a netip.AddrPort) error
	listen(fd, backlog int) error
	accept(fd, flags int) (int, error)
	connect(fd int, a netip.AddrPort) error
	disconnect(fd int) error
	send(fd int, iov [][]byte, flags int) (int, error)
	sendto(fd int, p []byte, flags int, a netip.AddrPort) (int, error)
	recv(fd int, iov [][]byte, flags int) (n, got int, err error)
	recvfrom(fd int, p []byte) (int, netip.AddrPort, error)
	sendmsg(fd int, p, control []byte, a netip.AddrPort) (int, error)
	recvmsg(fd int, p, control []byte, flags int) (n, controllen, got int, from netip.AddrPort, err error)
	read(fd int, p []byte) (int, error)
	write(fd int, p []byte) (int, error)
	readv(fd int, iov [][]byte) (int, error)
	writev(fd int, iov [][]byte) (int, error)
	shutdown(fd, how int) error
	close(fd int) error
	get(fd, level, opt int) (int, error)
	set(fd, level, opt, value int) error
	linger(fd, on, seconds int) error
	getLinger(fd int) (int, int, error)
	timeval(fd, opt int, d time.Duration) error
	congestion(fd int, name string) error
	state(fd int) (uint8, error)
	name(fd int) (netip.AddrPort, error)
	peer(fd int) (netip.AddrPort, error)
	poll(fd, events, timeout int) (int, uint32, error)
	dup(fd int) (int, error)
	dup3(fd, to, flags int) (int, error)
	fcntl(fd, cmd, arg int) (int, error)
	ioctl(fd, request int) (int, error)
	epoll(flags int) (int, error)
	ctl(ep, op, fd int, events uint32, data int32) error
	wait(ep, room, timeout int) ([]EpollEvent, error)
}

// run is one run of a scenario, in which words without a family mean what they do in the run's own.
type run struct {
	bsd
	*socketFamily
	fds   map[string]int
	lines []string // what was seen
}

// socketFamily is a domain of sockets, and what words of scenarios mean in it.
type socketFamily struct {
	version   string
	domain    int
	addresses map[string]netip.Addr
	options   map[string][2]int
}

// socketFamilies are the families that all scenarios run in which name none themselves.
var socketFamilies = []*socketFamily{
	{version: "IPv4", domain: AF_INET, addresses: map[string]netip.Addr{"lo": netip.MustParseAddr("127.0.0.1"), "any": netip.IPv4Unspecified(),
		"foreign": netip.MustParseAddr("10.99.99.99")},
		options: map[string][2]int{"ttl": {IPPROTO_IP, IP_TTL}, "tos": {IPPROTO_IP, IP_TOS}, "ipunknown": {IPPROTO_IP, 999},
			"discover": {IPPROTO_IP, IP_MTU_DISCOVER}, "mtu": {IPPROTO_IP, IP_MTU},
			"pktinfo": {IPPROTO_IP, IP_PKTINFO}, "recvttl": {IPPROTO_IP, IP_RECVTTL}, "recvtos": {IPPROTO_IP, IP_RECVTOS},
			"recverr": {IPPROTO_IP, IP_RECVERR}}},
	{version: "IPv6", domain: AF_INET6, addresses: map[string]netip.Addr{"lo": netip.IPv6Loopback(), "any": netip.IPv6Unspecified(),
		"foreign": netip.MustParseAddr("2001:db8:99::99")},
		options: map[string][2]int{"ttl": {IPPROTO_IPV6, IPV6_UNICAST_HOPS}, "tos": {IPPROTO_IPV6, IPV6_TCLASS}, "ipunknown": {IPPROTO_IPV6, 999},
			"discover": {IPPROTO_IPV6, IPV6_MTU_DISCOVER}, "mtu": {IPPROTO_IPV6, IPV6_MTU},
			"pktinfo": {IPPROTO_IPV6, IPV6_RECVPKTINFO}, "recvttl": {IPPROTO_IPV6, IPV6_RECVHOPLIMIT}, "recvtos": {IPPROTO_IPV6, IPV6_RECVTCLASS},
			"recverr": {IPPROTO_IPV6, IPV6_RECVERR}}},
}

// hosts are addresses that mean the same in all families.
var hosts = map[string]netip.Addr{
	"lo4": netip.MustParseAddr("127.0.0.1"), "any4": netip.IPv4Unspecified(), "foreign4": netip.MustParseAddr("10.99.99.99"),
	"other4": netip.MustParseAddr("127.0.0.2"),
	"lo6":    netip.IPv6Loopback(), "any6": netip.IPv6Unspecified(), "foreign6": netip.MustParseAddr("2001:db8:99::99"),
	"maplo": netip.MustParseAddr("::ffff:127.0.0.1"), "mapany": netip.MustParseAddr("::ffff:0.0.0.0"),
	"mapother": netip.MustParseAddr("::ffff:127.0.0.2"), "mapforeign": netip.MustParseAddr("::ffff:10.99.99.99"),
	"link": netip.MustParseAddr("fe80::99"), "link%1": netip.MustParseAddr("fe80::99%1"), "link%77": netip.MustParseAddr("fe80::99%77"),
	"lo6%1": netip.MustParseAddr("::1%1"), "lo6%77": netip.MustParseAddr("::1%77"), "group": netip.MustParseAddr("ff02::99"),
	"group%1": netip.MustParseAddr("ff02::99%1"), "wide": netip.MustParseAddr("ff0e::99"),
}

var domains = map[string]int{"inet": AF_INET, "inet6": AF_INET6}

var types = map[string]int{"stream": SOCK_STREAM, "dgram": SOCK_DGRAM, "nonblock": SOCK_NONBLOCK, "cloexec": SOCK_CLOEXEC}

var msgFlags = map[string]int{"oob": MSG_OOB, "peek": MSG_PEEK, "trunc": MSG_TRUNC, "errqueue": MSG_ERRQUEUE, "dontwait": MSG_DONTWAIT, "waitall": MSG_WAITALL,
	"nosignal": MSG_NOSIGNAL, "more": MSG_MORE, "eor": MSG_EOR, "fastopen": MSG_FASTOPEN}

var pollBits = map[string]uint32{"in": EPOLLIN, "out": EPOLLOUT, "pri": EPOLLPRI, "rdhup": EPOLLRDHUP, "hup": EPOLLHUP, "err": EPOLLERR,
	"et": EPOLLET, "oneshot": EPOLLONESHOT, "exclusive": EPOLLEXCLUSIVE}

var hows = map[string]int{"rd": SHUT_RD, "wr": SHUT_WR, "rdwr": SHUT_RDWR}

var options = map[string][2]int{
	"reuseaddr": {SOL_SOCKET, SO_REUSEADDR}, "reuseport": {SOL_SOCKET, SO_REUSEPORT}, "keepalive": {SOL_SOCKET, SO_KEEPALIVE},
	"type": {SOL_SOCKET, SO_TYPE}, "error": {SOL_SOCKET, SO_ERROR}, "broadcast": {SOL_SOCKET, SO_BROADCAST}, "domain": {SOL_SOCKET, SO_DOMAIN},
	"protocol": {SOL_SOCKET, SO_PROTOCOL}, "acceptconn": {SOL_SOCKET, SO_ACCEPTCONN}, "rcvlowat": {SOL_SOCKET, SO_RCVLOWAT},
	"sndlowat": {SOL_SOCKET, SO_SNDLOWAT}, "sndbuf": {SOL_SOCKET, SO_SNDBUF}, "rcvbuf": {SOL_SOCKET, SO_RCVBUF},
	"oobinline": {SOL_SOCKET, SO_OOBINLINE}, "unknown": {SOL_SOCKET, 999}, "nolevel": {999, 1},
	"nodelay": {IPPROTO_TCP, TCP_NODELAY}, "maxseg": {IPPROTO_TCP, TCP_MAXSEG}, "cork": {IPPROTO_TCP, TCP_CORK},
	"keepidle": {IPPROTO_TCP, TCP_KEEPIDLE}, "keepintvl": {IPPROTO_TCP, TCP_KEEPINTVL}, "keepcnt": {IPPROTO_TCP, TCP_KEEPCNT},
	"syncnt": {IPPROTO_TCP, TCP_SYNCNT}, "linger2": {IPPROTO_TCP, TCP_LINGER2}, "defer": {IPPROTO_TCP, TCP_DEFER_ACCEPT},
	"clamp": {IPPROTO_TCP, TCP_WINDOW_CLAMP}, "quickack": {IPPROTO_TCP, TCP_QUICKACK}, "usertimeout": {IPPROTO_TCP, TCP_USER_TIMEOUT},
	"notsent": {IPPROTO_TCP, TCP_NOTSENT_LOWAT}, "tcpunknown": {IPPROTO_TCP, 999}, "fastopen": {IPPROTO_TCP, TCP_FASTOPEN},
	"segment": {IPPROTO_UDP, UDP_SEGMENT}, "gro": {IPPROTO_UDP, UDP_GRO}, "udpunknown": {IPPROTO_UDP, 999},
	"pktinfo4": {IPPROTO_IP, IP_PKTINFO}, "recvttl4": {IPPROTO_IP, IP_RECVTTL}, "recvtos4": {IPPROTO_IP, IP_RECVTOS},
	"pktinfo6": {IPPROTO_IPV6, IPV6_RECVPKTINFO}, "recvhops6": {IPPROTO_IPV6, IPV6_RECVHOPLIMIT}, "recvclass6": {IPPROTO_IPV6, IPV6_RECVTCLASS},
	"v6only": {IPPROTO_IPV6, IPV6_V6ONLY}, "ttl4": {IPPROTO_IP, IP_TTL}, "tos4": {IPPROTO_IP, IP_TOS}, "mtu4": {IPPROTO_IP, IP_MTU},
	"discover4": {IPPROTO_IP, IP_MTU_DISCOVER}, "hops6": {IPPROTO_IPV6, IPV6_UNICAST_HOPS}, "class6": {IPPROTO_IPV6, IPV6_TCLASS},
	"mtu6": {IPPROTO_IPV6, IPV6_MTU}, "discover6": {IPPROTO_IPV6, IPV6_MTU_DISCOVER}, "dontfrag6": {IPPROTO_IPV6, IPV6_DONTFRAG},
	"recverr4": {IPPROTO_IP, IP_RECVERR}, "recverr6": {IPPROTO_IPV6, IPV6_RECVERR}, "addrform": {IPPROTO_IPV6, IPV6_ADDRFORM}, "autoflow": {IPPROTO_IPV6, IPV6_AUTOFLOWLABEL},
}

// option returns the level and the number of an option.
func (r *run) option(word string) [2]int {
	o, known := r.options[word]
	if !known {
		if o, known = options[word]; !known {
			panic("no such option: " + word)
		}
	}
	return o
}

// flagsOf adds up what words mean.
func flagsOf[T int | uint32](meaning map[string]T, words []string) (sum T) {
	for _, w := range words {
		m, ok := meaning[w]
		if !ok {
			panic("no such word: " + w)
		}
		sum |= m
	}
	return sum
}

func errnoName(err error) string {
	if err == nil {
		return "ok"
	}
	return unix.ErrnoName(err.(syscall.Errno))
}

func valueOr(n int, err error) string {
	if err != nil {
		return errnoName(err)
	}
	return strconv.Itoa(n)
}

// address returns what a scenario means: a word for an address, with the port of a socket behind a colon or none; or a
// socket alone, for its port on the loopback address.
func (r *run) address(word string) netip.AddrPort {
	if word == "nobody" {
		return netip.AddrPortFrom(r.addresses["lo"], 1)
	}
	host, at, ported := strings.Cut(word, ":")
	addr, known := r.addresses[host]
	if !known {
		addr, known = hosts[host]
	}
	switch {
	case !known && ported:
		panic("no such address: " + word)
	case !known:
		addr, at = r.addresses["lo"], host
	case !ported:
		return netip.AddrPortFrom(addr, 0)
	}
	if n, err := strconv.ParseUint(at, 10, 16); err == nil {
		return netip.AddrPortFrom(addr, uint16(n))
	}
	a, err := r.name(r.fds[at])
	if err != nil {
		panic(err)
	}
	return netip.AddrPortFrom(addr, a.Port())
}

// place spells an address without its port's number.
func place(a netip.AddrPort, err error) string {
	switch {
	case err != nil:
		return errnoName(err)
	case a.Port() == 0:
		return a.Addr().String() + ":0"
	}
	return a.Addr().String() + ":port"
}

// fd returns a descriptor by its name, or the number that stands there.
func (r *run) fd(word string) int {
	if fd, ok := r.fds[word]; ok {
		return fd
	}
	n, err := strconv.Atoi(word)
	if err != nil {
		panic("no such descriptor: " + word)
	}
	return n
}

func integer(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		panic(err)
	}
	return n
}

// texts makes buffers of words: their letters, or so many octets.
func texts(word string) (iov [][]byte) {
	for _, w := range strings.Split(word, ",") {
		if n, err := strconv.Atoi(w); err == nil {
			iov = append(iov, make([]byte, n))
		} else {
			iov = append(iov, []byte(w))
		}
	}
	return iov
}

// do runs a scenario, a call to a line.
func (r *run) do(scenario string) {
	for line := range strings.SplitSeq(scenario, ";") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if words[0] == "pair" { // a connection from c to s, through listener l
			r.do("l = socket; bind l lo; listen l 5; c = socket; connect c l; s = accept l")
			continue
		}
		var seen string
		if len(words) > 2 && words[1] == "=" {
			fd, err := r.open(words[2], words[3:])
			if seen = errnoName(err); err == nil {
				r.fds[words[0]] = fd
			}
		} else {
			seen = r.call(words[0], words[1:])
		}
		r.lines = append(r.lines, strings.Join(words, " ")+" -> "+seen)
	}
}

// open is a call that makes a descriptor.
func (r *run) open(call string, args []string) (int, error) {
	switch call {
	case "socket":
		domain := r.domain
		if len(args) > 0 && domains[args[0]] != 0 {
			domain, args = domains[args[0]], args[1:]
		}
		typ := flagsOf(types, args)
		if typ&15 == 0 {
			typ |= SOCK_STREAM
		}
		return r.socket(domain, typ)
	case "accept":
		return r.accept(r.fd(args[0]), flagsOf(types, args[1:]))
	case "dup":
		return r.dup(r.fd(args[0]))
	case "dupfd":
		return r.fcntl(r.fd(args[0]), F_DUPFD, integer(args[1]))
	case "epoll":
		return r.epoll(0)
	}
	panic("no such call: " + call)
}

func (r *run) call(call string, args []string) string {
	fd := r.fd(args[0])
	switch args = args[1:]; call {
	case "bind":
		return errnoName(r.bind(fd, r.address(args[0])))
	case "listen":
		return errnoName(r.listen(fd, integer(args[0])))
	case "connect":
		return errnoName(r.connect(fd, r.address(args[0])))
	case "disconnect":
		return errnoName(r.disconnect(fd))
	case "send":
		n, err := r.send(fd, texts(args[0]), flagsOf(msgFlags, args[1:]))
		return valueOr(n, err)
	case "sendto":
		n, err := r.sendto(fd, []byte(args[0]), flagsOf(msgFlags, args[2:]), r.address(args[1]))
		return valueOr(n, err)
	case "recv":
		return r.received(fd, args)
	case "try": // to receive what there is, after a while
		_, _, _ = r.poll(-1, 0, 1)
		return r.received(fd, append(args, "dontwait"))
	case "recvfrom":
		p := make([]byte, integer(args[0]))
		n, from, err := r.recvfrom(fd, p)
		return fmt.Sprintf("%s %q from %s", valueOr(n, err), p[:max(n, 0)], place(from, err))
	case "sendmsg", "recvmsg":
		return r.controlled(call, fd, args)
	case "read":
		p := make([]byte, integer(args[0]))
		n, err := r.read(fd, p)
		return fmt.Sprintf("%s %q", valueOr(n, err), p[:max(n, 0)])
	case "write":
		n, err := r.write(fd, texts(args[0])[0])
		return valueOr(n, err)
	case "readv":
		iov := texts(args[0])
		n, err := r.readv(fd, iov)
		return fmt.Sprintf("%s %q", valueOr(n, err), iov)
	case "writev":
		n, err := r.writev(fd, texts(args[0]))
		return valueOr(n, err)
	case "shutdown":
		how, ok := hows[args[0]]
		if !ok {
			how = integer(args[0])
		}
		return errnoName(r.shutdown(fd, how))
	case "close":
		return errnoName(r.close(fd))
	case "fill": // until the peer takes no more either
		for {
			taken := 0
			var err error
			for _, size := range []int{1 << 16, 1} {
				for n := 1; n > 0; taken += max(n, 0) {
					n, err = r.send(fd, [][]byte{make([]byte, size)}, MSG_DONTWAIT)
				}
			}
			if ready, _, _ := r.poll(fd, POLLOUT, 30); ready == 0 && taken == 0 {
				return errnoName(err)
			}
		}
	case "drain": // until the peer may write again
		for {
			n, _, err := r.recv(fd, [][]byte{make([]byte, 1<<16)}, MSG_DONTWAIT)
			if n > 0 {
				continue
			}
			if ready, _, _ := r.poll(r.fd(args[0]), POLLOUT, 1); ready > 0 || err != syscall.EAGAIN {
				return errnoName(err)
			}
		}
	}
	return r.inquire(call, fd, args)
}

func (r *run) received(fd int, args []string) string {
	iov := texts(args[0])
	n, got, err := r.recv(fd, iov, flagsOf(msgFlags, args[1:]))
	if err != nil {
		return errnoName(err)
	}
	stored := n
	if slices.Contains(args, "trunc") {
		stored = 0 // what the buffers hold is not said
	}
	all := slices.Concat(iov...)
	return fmt.Sprintf("%d %q %#x", n, all[:min(stored, len(all))], got)
}

// inquire is the calls that look at a descriptor or set something.
func (r *run) inquire(call string, fd int, args []string) string {
	switch call {
	case "get":
		o := r.option(args[0])
		n, err := r.get(fd, o[0], o[1])
		if args[0] == "error" && err == nil && n != 0 {
			return errnoName(syscall.Errno(n))
		}
		if strings.HasPrefix(args[0], "mtu") && n > 1280 { // that of the kernel's loopback is no packet's length
			return "large"
		}
		return valueOr(n, err)
	case "set":
		o := r.option(args[0])
		return errnoName(r.set(fd, o[0], o[1], integer(args[1])))
	case "linger":
		return errnoName(r.linger(fd, integer(args[0]), integer(args[1])))
	case "getlinger":
		on, seconds, err := r.getLinger(fd)
		return fmt.Sprint(on, seconds, errnoName(err))
	case "rcvtimeo":
		return errnoName(r.timeval(fd, SO_RCVTIMEO, time.Duration(integer(args[0]))*time.Millisecond))
	case "sndtimeo":
		return errnoName(r.timeval(fd, SO_SNDTIMEO, time.Duration(integer(args[0]))*time.Millisecond))
	case "congestion":
		return errnoName(r.congestion(fd, args[0]))
	case "state":
		state, err := r.state(fd)
		return valueOr(int(state), err)
	case "reach": // until TCP_INFO says so
		for range 2000 {
			if state, err := r.state(fd); err != nil || int(state) == integer(args[0]) {
				return errnoName(err)
			}
			_, _, _ = r.poll(-1, 0, 1)
		}
		return "never"
	case "acked": // until the peer has acknowledged everything
		for range 2000 {
			if n, err := r.ioctl(fd, SIOCOUTQ); n == 0 || err != nil {
				return errnoName(err)
			}
			_, _, _ = r.poll(-1, 0, 1)
		}
		return "never"
	case "name":
		return place(r.name(fd))
	case "peer":
		return place(r.peer(fd))
	case "poll":
		_, bits, err := r.poll(fd, all, 0)
		return bitNames(bits) + " " + errnoName(err)
	case "await": // until there is all of that
		want := flagsOf(pollBits, args)
		for range 2000 {
			if _, bits, err := r.poll(fd, int(want), 1); err != nil || bits&want == want {
				_, _, _ = r.poll(-1, 0, 1) // what is there for one call may still be on its way to another, to epoll
				return errnoName(err)
			}
			_, _, _ = r.poll(-1, 0, 1)
		}
		return "never"
	case "dup3":
		_, err := r.dup3(fd, r.fd(args[0]), integer(args[1]))
		return errnoName(err)
	case "fcntl":
		commands := map[string]int{"getfd": F_GETFD, "setfd": F_SETFD, "getfl": F_GETFL, "setfl": F_SETFL, "dupfd": F_DUPFD, "none": 9999}
		n, err := r.fcntl(fd, commands[args[0]], integer(args[1]))
		return valueOr(n, err)
	case "ioctl":
		n, err := r.ioctl(fd, map[string]int{"inq": SIOCINQ, "outq": SIOCOUTQ, "atmark": SIOCATMARK, "none": 0x1234}[args[0]])
		return valueOr(n, err)
	case "add", "mod", "del": // of instance fd: descriptor args[0], events
		op := map[string]int{"add": EPOLL_CTL_ADD, "mod": EPOLL_CTL_MOD, "del": EPOLL_CTL_DEL}[call]
		return errnoName(r.ctl(fd, op, r.fd(args[0]), flagsOf(pollBits, args[1:]), int32(args[0][0])))
	case "wait":
		events, err := r.wait(fd, integer(args[0]), 0)
		var list []string
		for _, e := range events {
			list = append(list, fmt.Sprintf("%c(%s)", e.Fd, bitNames(e.Events)))
		}
		return strings.Join(list, " ") + " " + errnoName(err)
	}
	panic("no such call: " + call)
}

// scenario is a sequence of calls. differs says why the results are not the kernel's, as docs/differences.md does, and
// differs6 why they are not over IPv6 alone.
type scenario struct{ name, calls, differs, differs6 string }

// difference says why a scenario has other results in a family; "" if it has not.
func (sc *scenario) difference(f *socketFamily) string {
	if f.domain == AF_INET6 && sc.differs6 != "" {
		return sc.differs6
	}
	return sc.differs
}

// TestDifferential runs call sequences on the kernel's sockets and on a Table, both over their loopback
// interfaces, and compares all results and errnos. The Table's time is a bubble's: where a call waits, all that goes
// on in the host comes to its end.
func TestDifferential(t *testing.T) {
	taptest.Need(t)
	for _, f := range socketFamilies {
		if err := f.onKernel(); err != nil {
			t.Logf("not over %s, which the kernel does not have: %v", f.version, err)
			continue
		}
		list := scenarios()
		if f.domain == AF_INET6 {
			for i := range list {
				list[i].name += " over IPv6"
			}
			list = slices.Concat(list, familySequences, control6Sequences, errqueue6Sequences)
		} else {
			list = slices.Concat(list, control4Sequences, errqueue4Sequences)
		}
		differ := 0
		for _, sc := range list {
			t.Run(sc.name, func(t *testing.T) {
				if sc.difference(f) != "" {
					differ++
				}
				sc.compare(t, f)
			})
		}
		t.Logf("over %s %d call sequences, of which %d differ and are listed in docs/differences.md", f.version, len(list), differ)
		if len(list) < 150 {
			t.Errorf("%d sequences only", len(list))
		}
	}
}

// onKernel returns the error of a kernel that does not have the family.
func (f *socketFamily) onKernel() error {
	fd, err := unix.Socket(f.domain, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Bind(fd, sockaddrOf(netip.AddrPortFrom(f.addresses["lo"], 0)))
}

// compare runs a scenario on the kernel's sockets and on a Table.
func (sc *scenario) compare(t *testing.T, f *socketFamily) {
	kernel := &run{bsd: kernelCalls{}, socketFamily: f, fds: map[string]int{}}
	kernel.do(sc.calls)
	for _, fd := range kernel.fds {
		_ = unix.Close(fd)
	}
	ours := &run{socketFamily: f, fds: map[string]int{}}
	synctest.Test(t, func(t *testing.T) {
		h, err := stack.New(stack.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		table := New(h)
		ours.bsd = tableCalls{table}
		ours.do(sc.calls)
		for fd := range 100 {
			_ = table.Close(fd)
		}
	})
	same, differs := slices.Equal(kernel.lines, ours.lines), sc.difference(f)
	switch {
	case differs != "" && same:
		t.Errorf("does not differ any longer: %s", differs)
	case differs == "" && !same:
		for i := range kernel.lines {
			if kernel.lines[i] != ours.lines[i] {
				t.Errorf("%-60s ours: %s", kernel.lines[i], ours.lines[i][strings.Index(ours.lines[i], " -> ")+4:])
			}
		}
	}
}
