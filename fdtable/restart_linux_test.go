package fdtable

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestRestartOfKernel checks that a kernel whose timestamps have begun again, as after a restart, can dial from the ports
// of connections that we have in TIME-WAIT: about half of its SYNs look older than those connections.
func TestRestartOfKernel(t *testing.T) {
	b := newBench(t, world4)
	const ports, port = 24, 80
	listener := b.socket()
	b.must(b.table.Bind(listener, netip.AddrPortFrom(b.ours, port)))
	b.must(b.table.Listen(listener, ports))
	timestamps := func(mode string) {
		b.must(os.WriteFile("/proc/sys/net/ipv4/tcp_timestamps", []byte(mode), 0))
	}
	t.Cleanup(func() { timestamps("1") })
	// dial begins a connection from each of the ports, and returns the sockets once all are connected.
	dial := func() (kernel []int) {
		for i := range ports {
			fd, err := unix.Socket(b.domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			b.must(err)
			b.Cleanup(func() { _ = unix.Close(fd) })
			b.must(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
			b.must(unix.Bind(fd, sockaddr(b.kernel, uint16(5000+i))))
			err = unix.Connect(fd, sockaddr(b.ours, port))
			for tries := 0; err == unix.EADDRNOTAVAIL && tries < 5000; tries++ { // our last ACK is on its way
				time.Sleep(time.Millisecond)
				err = unix.Connect(fd, sockaddr(b.ours, port))
			}
			if err != unix.EINPROGRESS {
				b.Fatalf("connect: %v", err)
			}
			kernel = append(kernel, fd)
		}
		return kernel
	}
	accept := func() (ours []int) {
		late := time.AfterFunc(40*time.Second, func() { _ = b.table.Close(listener) }) // before any TIME-WAIT ends by itself
		defer late.Stop()
		for range ports {
			fd, _, err := b.table.Accept(listener)
			if err != nil {
				b.Fatalf("%d of %d connections, %v", len(ours), ports, err)
			}
			ours = append(ours, fd)
		}
		return ours
	}
	timestamps("1") // with an offset of its own for each connection
	kernel, ours := dial(), accept()
	for _, fd := range ours {
		b.must(b.table.Close(fd))
	}
	for _, fd := range kernel {
		b.impatient(fd)
		b.must(unix.SetNonblock(fd, false))
		b.kernelRead(fd, 0, "")
		b.must(unix.Close(fd))
	}
	waiting := func() int { return b.host.Stats().TCPGauges.States[10] }
	for limit := time.Now().Add(10 * time.Second); waiting() != ports; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			b.Fatalf("%d in TIME-WAIT", waiting())
		}
	}
	timestamps("2") // without
	dial()
	accept()
	t.Logf("%d resets ended TIME-WAIT", b.host.Stats().TCP.ResetsIn)
}
