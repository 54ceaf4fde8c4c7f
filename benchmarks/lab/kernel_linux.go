package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

// kernel is a network namespace with one TAP device: a Linux host whose frames the lab carries. It has a thread in the
// namespace.
type kernel struct {
	calls  chan func()
	done   chan struct{}
	device *tap.Device
}

// newKernel makes a namespace, and in it a device whose kernel side has the address.
func newKernel(address netip.Prefix) (*kernel, error) {
	k := &kernel{calls: make(chan func()), done: make(chan struct{})}
	go k.run()
	err := k.do(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("a network namespace: %w", err)
		}
		for file, text := range map[string]string{
			"ipv4/tcp_rmem":                  fmt.Sprintf("4096 131072 %d", buffers),
			"ipv4/tcp_wmem":                  fmt.Sprintf("4096 131072 %d", buffers),
			"ipv4/tcp_no_metrics_save":       "1",
			"ipv6/conf/default/disable_ipv6": "1",
		} {
			if err := os.WriteFile("/proc/sys/net/"+file, []byte(text), 0); err != nil && !strings.HasPrefix(file, "ipv6/") {
				return err
			}
		}
		// Without offloads, as for unet: a loss is the loss of one frame, and not of a super-segment.
		k.device, err = tap.Open(tap.Config{PeerAddrs: []netip.Prefix{address}, NoOffload: true, MTU: mtu})
		return err
	})
	if err != nil {
		return nil, errors.Join(err, k.close())
	}
	return k, nil
}

// run is the namespace's thread. The namespace ends when it does.
func (k *kernel) run() {
	runtime.LockOSThread() // and never unlocked: no other goroutine may run on a thread in this namespace
	defer close(k.done)
	for call := range k.calls {
		call()
	}
}

// do runs f in the namespace.
func (k *kernel) do(f func() error) (err error) {
	ran := make(chan struct{})
	k.calls <- func() {
		defer close(ran)
		err = f()
	}
	<-ran
	return err
}

func (k *kernel) close() (err error) {
	if k.device != nil {
		err = k.device.Close()
	}
	close(k.calls)
	<-k.done
	return err
}

// bridge moves frames from one device to another until one of them is closed.
func bridge(from, to link.Device) {
	frames := make([]link.Frame, 64)
	for {
		n, err := from.Read(frames)
		if err != nil {
			return
		}
		_, err = to.Write(frames[:n])
		for i := range n {
			frames[i].Release()
		}
		if err != nil {
			return
		}
	}
}

// RunLinux measures a cell between two kernels, in real time.
func RunLinux(c Cell, seed int64, warmup, measured time.Duration) (result Result, err error) {
	addresses := [2]netip.Prefix{netip.MustParsePrefix("10.77.0.1/24"), netip.MustParsePrefix("10.77.0.2/24")}
	segment := sim.NewSegment(c.path(seed))
	var bridges sync.WaitGroup
	var kernels []*kernel
	defer func() {
		err = errors.Join(err, segment.Close())
		for _, k := range kernels {
			err = errors.Join(err, k.close())
		}
		bridges.Wait()
	}()
	for _, a := range addresses {
		k, err := newKernel(a)
		if err != nil {
			return result, err
		}
		kernels = append(kernels, k)
		port := segment.NewPort(sim.PortConfig{Queue: 1 << 16})
		bridges.Go(func() { bridge(k.device, port) })
		bridges.Go(func() { bridge(port, k.device) })
	}
	client, server, err := connection(kernels[0], kernels[1], addresses[1].Addr(), c.Control)
	if err != nil {
		return result, err
	}
	var received atomic.Uint64
	var ends sync.WaitGroup
	ends.Go(func() { write(client) })
	ends.Go(func() { read(server, &received) })
	defer ends.Wait()
	defer client.Close()
	defer server.Close()
	time.Sleep(warmup)
	before, start := received.Load(), time.Now()
	time.Sleep(measured)
	octets, took := received.Load()-before, time.Since(start)
	result.Goodput = bitRate(octets, took)
	result.Resent, err = retransmitted(client)
	return result, err
}

// connection opens a connection between two kernels, the first of which has the congestion control.
func connection(from, to *kernel, address netip.Addr, control string) (client, server net.Conn, err error) {
	var l net.Listener
	if err := to.do(func() (err error) {
		l, err = net.Listen("tcp4", netip.AddrPortFrom(address, 80).String())
		return err
	}); err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if err := from.do(func() (err error) {
		// The default congestion control of a namespace cannot be any that the machine does not allow; the root of the
		// namespace may choose another one for a socket.
		d := net.Dialer{Timeout: time.Minute, Control: func(_, _ string, raw syscall.RawConn) (err error) {
			refused := raw.Control(func(fd uintptr) {
				err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, control)
			})
			return errors.Join(refused, err)
		}}
		client, err = d.Dial("tcp4", l.Addr().String())
		return err
	}); err != nil {
		return nil, nil, err
	}
	if server, err = l.Accept(); err != nil {
		_ = client.Close()
	}
	return client, server, err
}

// read counts what arrives until the connection is closed.
func read(c net.Conn, received *atomic.Uint64) {
	buf := make([]byte, 1<<18)
	for {
		n, err := c.Read(buf)
		received.Add(uint64(n))
		if err != nil && !errors.Is(err, io.ErrNoProgress) {
			return
		}
	}
}

// retransmitted returns the number of segments that the kernel has sent again.
func retransmitted(c net.Conn) (n uint64, err error) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	control := raw.Control(func(fd uintptr) {
		var info *unix.TCPInfo
		if info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = uint64(info.Total_retrans)
		}
	})
	return n, errors.Join(control, err)
}

// enterNamespace starts the program again in a namespace in which it may make further namespaces and devices. It returns
// in that process only.
func enterNamespace() error { return taptest.Reexec() }

// kernelVersion returns the release of the system's kernel.
func kernelVersion() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(name.Release[:])
}
