package fdtable

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

// bench is a host on a TAP device, with the kernel at its other end.
type bench struct {
	*testing.T
	*worldFamily
	host         *stack.Host
	table        *Table
	ours, kernel netip.Addr
}

func newBench(t *testing.T, f *worldFamily) *bench {
	t.Helper()
	taptest.Need(t)
	var cfg tap.Config
	bits := 24
	if f == world6 {
		bits, cfg.PeerAddrs = 64, []netip.Prefix{netip.MustParsePrefix("fd66::1/64")}
		for _, of := range []string{"all", "default"} { // its address is of use at once
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+of+"/accept_dad", []byte("0"), 0); err != nil {
				t.Skipf("the kernel has no IPv6: %v", err)
			}
		}
	}
	dev := taptest.Open(t, cfg)
	b := &bench{T: t, worldFamily: f, kernel: dev.PeerAddrs()[0].Addr()}
	b.ours = b.kernel.Next()
	b.awaitKernel()
	var err error
	b.host, err = stack.New(stack.Config{})
	b.must(err)
	t.Cleanup(func() {
		for fd := range 50 {
			_ = b.table.Close(fd) // what the test has left open
		}
		if err := b.host.Close(); err != nil {
			t.Error(err)
		}
	})
	b.table = New(b.host)
	b.must(b.host.Attach(dev, stack.Interface{Addrs: []netip.Prefix{netip.PrefixFrom(b.ours, bits)}, DADTransmits: -1}))
	return b
}

// awaitKernel waits until the kernel takes packets to its address, over IPv6 some time after it has it: there is a route
// to the address alone then.
func (b *bench) awaitKernel() {
	b.Helper()
	own := fmt.Sprintf("%x 80 ", b.kernel.AsSlice())
	for range 5000 {
		routes, err := os.ReadFile("/proc/net/ipv6_route")
		if b.kernel.Is4() || err == nil && strings.Contains(string(routes), own) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	b.Fatalf("the kernel has no route to its own address %v", b.kernel)
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// socket returns a socket of ours.
func (b *bench) socket() int {
	b.Helper()
	fd, err := b.table.Socket(b.domain, SOCK_STREAM, 0)
	b.must(err)
	return fd
}

// kernelSocket returns one of the kernel's, on which no call waits longer than it takes to fail.
func (b *bench) kernelSocket() int {
	b.Helper()
	fd, err := unix.Socket(b.domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	b.must(err)
	b.Cleanup(func() { _ = unix.Close(fd) })
	b.impatient(fd)
	return fd
}

func (b *bench) impatient(fd int) {
	b.Helper()
	for _, opt := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		b.must(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, opt, &unix.Timeval{Sec: 10}))
	}
}

func sockaddr(a netip.Addr, port uint16) unix.Sockaddr {
	return sockaddrOf(netip.AddrPortFrom(a, port))
}

// kernelListen returns a listener of the kernel's and its port.
func (b *bench) kernelListen() (fd int, port uint16) {
	b.Helper()
	fd = b.kernelSocket()
	b.must(unix.Bind(fd, sockaddr(b.kernel, 0)))
	b.must(unix.Listen(fd, 16))
	name, err := addrPortOf(unix.Getsockname(fd))
	b.must(err)
	return fd, name.Port()
}

func (b *bench) kernelAccept(listener int) int {
	b.Helper()
	fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	for err == unix.EINTR { // Go's own signals end what waits with SO_RCVTIMEO
		fd, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	}
	b.must(err)
	b.Cleanup(func() { _ = unix.Close(fd) })
	b.impatient(fd)
	return fd
}

// connected returns both ends of a connection that we have opened.
func (b *bench) connected() (ours, kernel int) {
	b.Helper()
	l, port := b.kernelListen()
	ours = b.socket()
	b.must(b.table.Connect(ours, netip.AddrPortFrom(b.kernel, port)))
	return ours, b.kernelAccept(l)
}

// kernelRead demands what one recv of the kernel's returns.
func (b *bench) kernelRead(fd, flags int, want string) {
	b.Helper()
	p := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, p, flags)
	for err == unix.EINTR {
		n, _, err = unix.Recvfrom(fd, p, flags)
	}
	if err != nil || string(p[:n]) != want {
		b.Fatalf("the kernel reads %q, %v; want %q", p[:max(n, 0)], err, want)
	}
}

// read demands what one Recvfrom of ours returns.
func (b *bench) read(fd, flags int, want string) {
	b.Helper()
	p := make([]byte, 4096)
	n, _, err := b.table.Recvfrom(fd, p, flags)
	if err != nil || string(p[:n]) != want {
		b.Fatalf("read %q, %v; want %q", p[:n], err, want)
	}
}

func (b *bench) write(fd, flags int, text string) {
	b.Helper()
	if n, err := b.table.Sendto(fd, []byte(text), flags, netip.AddrPort{}); n != len(text) || err != nil {
		b.Fatalf("wrote %d of %d octets, %v", n, len(text), err)
	}
}

// inBench runs test on a bench of each family.
func inBench(t *testing.T, name string, test func(b *bench)) {
	t.Run(name, func(t *testing.T) { test(newBench(t, world4)) })
	t.Run(name+" over IPv6", func(t *testing.T) { test(newBench(t, world6)) })
}

// Urgent data between us and the kernel, both ways: each has the octet that the other one sent out of band,
// and the mark where the other one has put it.
func TestUrgentWithKernel(t *testing.T) {
	atMark := func(b *bench, fd int, want int) {
		b.Helper()
		if got, err := unix.IoctlGetInt(fd, unix.SIOCATMARK); got != want || err != nil {
			b.Fatalf("the kernel is at the mark: %d, %v; want %d", got, err, want)
		}
	}
	inBench(t, "MUST-30 MUST-62 to the kernel", func(b *bench) {
		ours, kernel := b.connected()
		for _, inline := range []int{0, 1} {
			b.must(unix.SetsockoptInt(kernel, unix.SOL_SOCKET, unix.SO_OOBINLINE, inline))
			b.write(ours, MSG_OOB, "abc!")
			ready := []unix.PollFd{{Fd: int32(kernel), Events: unix.POLLPRI}}
			n, err := unix.Poll(ready, 10_000)
			for err == unix.EINTR {
				n, err = unix.Poll(ready, 10_000)
			}
			if n != 1 || err != nil {
				b.Fatalf("no urgent data: %d, %v", n, err)
			}
			atMark(b, kernel, 0)
			if inline == 0 {
				b.kernelRead(kernel, unix.MSG_OOB, "!")
			}
			b.kernelRead(kernel, 0, "abc")
			atMark(b, kernel, 1)
			if inline == 1 {
				b.kernelRead(kernel, 0, "!")
			}
			b.write(ours, 0, "def")
			b.kernelRead(kernel, 0, "def")
			atMark(b, kernel, 0)
		}
	})
	inBench(t, "MUST-30 MUST-33 from the kernel", func(b *bench) {
		ours, kernel := b.connected()
		for _, inline := range []int{0, 1} {
			b.must(b.table.SetsockoptInt(ours, SOL_SOCKET, SO_OOBINLINE, inline))
			b.must(unix.Sendto(kernel, []byte("abc!"), unix.MSG_OOB, nil))
			b.read(ours, 0, "abc")
			if at, err := b.table.Sockatmark(ours); !at || err != nil {
				b.Fatalf("at the mark: %v, %v", at, err)
			}
			if inline == 0 {
				b.read(ours, MSG_OOB, "!")
			} else {
				_, _, err := b.table.Recvfrom(ours, make([]byte, 1), MSG_OOB)
				if err != syscall.EINVAL {
					b.Fatalf("MSG_OOB: %v", err)
				}
				b.read(ours, 0, "!")
			}
			b.must(unix.Sendto(kernel, []byte("def"), 0, nil))
			b.read(ours, 0, "def")
			if at, err := b.table.Sockatmark(ours); at || err != nil {
				b.Fatalf("at the mark: %v, %v", at, err)
			}
		}
	})
}

// Fast Open between us and the kernel: each side gets its cookie from the other one, and the second
// connection brings text with its SYN.
func TestFastOpenWithKernel(t *testing.T) {
	allow := func(b *bench) {
		b.Helper()
		const client, server = 1, 2
		b.must(os.WriteFile("/proc/sys/net/ipv4/tcp_fastopen", []byte(strconv.Itoa(client|server)), 0))
	}
	synData := func(b *bench, fd int, want bool) {
		b.Helper()
		const optSYNData = 32
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		b.must(err)
		if got := info.Options&optSYNData != 0; got != want {
			b.Errorf("the kernel says that text on the SYN was taken: %v, want %v", got, want)
		}
	}
	ourSYNData := func(b *bench, fd int, want bool) {
		b.Helper()
		info, err := b.table.TCPInfo(fd)
		b.must(err)
		if info.SYNData != want {
			b.Errorf("SYNData %v, want %v", info.SYNData, want)
		}
	}
	inBench(t, "C-TFO-5 to the kernel", func(b *bench) {
		allow(b)
		l, port := b.kernelListen()
		b.must(unix.SetsockoptInt(l, unix.IPPROTO_TCP, unix.TCP_FASTOPEN, 5))
		for _, fast := range []bool{false, true, true} {
			ours := b.socket()
			n, err := b.table.Sendto(ours, []byte("ask"), MSG_FASTOPEN, netip.AddrPortFrom(b.kernel, port))
			if n != 3 || err != nil {
				b.Fatalf("sent %d, %v", n, err)
			}
			kernel := b.kernelAccept(l)
			b.kernelRead(kernel, 0, "ask")
			b.must(unix.Sendto(kernel, []byte("answer"), 0, nil))
			b.read(ours, 0, "answer")
			ourSYNData(b, ours, fast)
			synData(b, kernel, fast)
		}
	})
	inBench(t, "C-TFO-2 from the kernel", func(b *bench) {
		allow(b)
		l := b.socket()
		b.must(b.table.Bind(l, netip.AddrPortFrom(b.ours, 0)))
		b.must(b.table.SetsockoptInt(l, IPPROTO_TCP, TCP_FASTOPEN, 5))
		b.must(b.table.Listen(l, 5))
		name, err := b.table.Getsockname(l)
		b.must(err)
		for _, fast := range []bool{false, true, true} {
			kernel := b.kernelSocket()
			// To wait would be to be interrupted, with the text on its way or not.
			err := unix.Sendto(kernel, []byte("ask"), unix.MSG_FASTOPEN|unix.MSG_DONTWAIT, sockaddr(b.ours, name.Port()))
			if want := map[bool]error{false: unix.EINPROGRESS, true: nil}[fast]; err != want {
				b.Fatalf("the kernel opens with text: %v, want %v", err, want)
			}
			ours, _, err := b.table.Accept(l)
			b.must(err)
			if !fast {
				b.must(unix.Sendto(kernel, []byte("ask"), 0, nil))
			}
			b.read(ours, 0, "ask")
			b.write(ours, 0, "answer")
			b.kernelRead(kernel, 0, "answer")
			ourSYNData(b, ours, fast)
			synData(b, kernel, fast)
		}
	})
}
