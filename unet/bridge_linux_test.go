package unet

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

// bridge is a bridge of the kernel's, on which the kernel has the first address of a network.
type bridge struct {
	testing.TB // which runs now
	whole      testing.TB
	name       string
	net        netip.Prefix
}

// newBridge makes the bridge, in the namespace of the tests.
func newBridge(tb testing.TB, name string, first netip.Prefix) *bridge {
	taptest.Need(tb)
	b := &bridge{TB: tb, whole: tb, name: name, net: first}
	s := b.socket()
	arg := append([]byte(name), 0)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s), unix.SIOCBRADDBR, uintptr(unsafe.Pointer(&arg[0]))); errno != 0 {
		taptest.Lacking(tb, "bridge", errno, unix.ENOPKG)
	}
	tb.Cleanup(func() {
		s := b.socket()
		b.flags(s, 0)
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s), unix.SIOCBRDELBR, uintptr(unsafe.Pointer(&arg[0]))); errno != 0 {
			tb.Errorf("removing the bridge: %v", errno)
		}
	})
	mask := net.CIDRMask(first.Bits(), 32)
	for _, a := range []struct {
		call uint
		addr []byte
	}{{unix.SIOCSIFADDR, first.Addr().AsSlice()}, {unix.SIOCSIFNETMASK, mask}} {
		req := b.request(name)
		if err := req.SetInet4Addr(a.addr); err != nil {
			tb.Fatal(err)
		}
		b.must(unix.IoctlIfreq(s, a.call, req))
	}
	b.flags(s, unix.IFF_UP)
	return b
}

// Cleanup is that of the whole test: what one part of it opens is there for the next.
func (b *bridge) Cleanup(f func()) { b.whole.Cleanup(f) }

func (b *bridge) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bridge) socket() int {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	b.must(err)
	b.Cleanup(func() { _ = unix.Close(s) })
	return s
}

func (b *bridge) request(name string) *unix.Ifreq {
	req, err := unix.NewIfreq(name)
	b.must(err)
	return req
}

func (b *bridge) flags(s int, flags uint16) {
	req := b.request(b.name)
	req.SetUint16(flags)
	b.must(unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, req))
}

// port makes a TAP device that outlives its users, and adds it to the bridge.
func (b *bridge) port(name string) {
	b.Helper()
	dev, err := tap.Open(tap.Config{Name: name, Persist: true})
	b.must(err)
	b.must(dev.Close())
	ifc, err := net.InterfaceByName(name)
	b.must(err)
	req := b.request(b.name)
	req.SetUint32(uint32(ifc.Index))
	b.must(unix.IoctlIfreq(b.socket(), unix.SIOCBRADDIF, req))
}

// neighbor is the Ethernet address that the kernel knows for an address on the bridge; zero for none.
func (b *bridge) neighbor(a netip.Addr) (mac link.MAC) {
	table, err := os.ReadFile("/proc/thread-self/net/arp")
	b.must(err)
	for _, line := range strings.Split(string(table), "\n") {
		f := strings.Fields(line)
		if len(f) == 6 && f[0] == a.String() && f[5] == b.name {
			hw, err := net.ParseMAC(f[3])
			b.must(err)
			copy(mac[:], hw)
		}
	}
	return mac
}

// await calls is until it returns true, and fails the test after a very long time.
func (b *bridge) await(what string, is func() bool) {
	b.Helper()
	for limit := time.Now().Add(hang); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			b.Fatalf("never: %s", what)
		}
	}
}

// server opens a host on a port of the bridge, with a listener that answers.
func (b *bridge) server(device string, addr netip.Addr, cfg Config) *Host {
	b.Helper()
	cfg.Device, cfg.Addrs = device, []netip.Prefix{netip.PrefixFrom(addr, b.net.Bits())}
	h, err := Open(cfg)
	b.must(err)
	b.Cleanup(func() { _ = h.Close() })
	l, err := h.Listen("tcp", addr.String()+":80")
	b.must(err)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("hello"))
			_ = c.Close()
		}
	}()
	return h
}

// reached has a client ask the server.
func (b *bridge) reached(who string, dial func(network, address string) (net.Conn, error), server netip.Addr) {
	b.Helper()
	c, err := dial("tcp", server.String()+":80")
	if err != nil {
		b.Fatalf("%s: %v", who, err)
	}
	defer c.Close()
	b.must(c.SetDeadline(time.Now().Add(hang)))
	got := make([]byte, 5)
	if n, err := c.Read(got); err != nil || string(got[:n]) != "hello" {
		b.Fatalf("%s: read %q, %v", who, got[:n], err)
	}
}

// macOf is the Ethernet address of a host.
func macOf(h *Host) link.MAC { return h.Stats().Interfaces[1].MAC }

// TestBridge restarts a server that clients on its bridge know.
func TestBridge(t *testing.T) {
	b := newBridge(t, "unet-br0", netip.MustParsePrefix("10.77.0.1/24"))
	addr, other := netip.MustParseAddr("10.77.0.2"), netip.MustParseAddr("10.77.0.3")
	b.port("unet-bp0")
	b.port("unet-bp1")
	client := b.server("unet-bp1", other, Config{})
	frames := b.sniff()
	h := b.server("unet-bp0", addr, Config{})
	first := macOf(h)
	frames.announcement(addr, first)
	b.reached("the kernel", net.Dial, addr)
	b.reached("unet", client.Dial, addr)
	if got := b.neighbor(addr); got != first || first[0]&3 != 2 {
		t.Fatalf("the kernel knows % x for the server, which is % x", got, first)
	}

	t.Run("B-ARP-9 a restart with the default configuration: clients need learn nothing", func(t *testing.T) {
		b.TB = t
		b.must(h.Close())
		h = b.server("unet-bp0", addr, Config{})
		if got := macOf(h); got != first {
			t.Errorf("the server is % x now, it was % x", got, first)
		}
		if got := b.neighbor(addr); got != first {
			t.Errorf("the kernel knows % x for the server, which is % x", got, first)
		}
		frames.announcement(addr, first)
		b.reached("the kernel", net.Dial, addr)
		b.reached("unet", client.Dial, addr)
	})
	t.Run("B-ARP-9 a restart with another MAC: clients learn it from the announcement", func(t *testing.T) {
		b.TB = t
		b.must(h.Close())
		moved := link.MAC{2, 0, 0, 0, 7, 7}
		h = b.server("unet-bp0", addr, Config{MAC: moved})
		frames.announcement(addr, moved)
		// Nobody has asked it anything.
		b.await("the kernel knows the new MAC", func() bool { return b.neighbor(addr) == moved })
		b.reached("the kernel", net.Dial, addr)
		b.reached("unet", client.Dial, addr)
		b.must(h.Close())
	})
	t.Run("B-ARP-9 the link of the server goes down and comes up: the address is announced", func(t *testing.T) {
		b.TB = t
		mac := link.MAC{2, 0, 0, 0, 7, 8}
		h = b.server("unet-bp0", addr, Config{MAC: mac})
		for range 2 { // those of the beginning
			frames.announcement(addr, mac)
		}
		b.must(netlink.LinkSetDown(theLink(t, h)))
		hasState(h, stack.InterfaceDown)
		b.must(netlink.LinkSetUp(theLink(t, h)))
		frames.announcement(addr, mac) // the second one, where the bridge does not let the first one pass yet
		b.reached("the kernel", net.Dial, addr)
		b.reached("unet", client.Dial, addr)
		b.must(h.Close())
	})
	t.Run("B-ARP-9 a second host with the address of the server: both count, and the server stays in reach", func(t *testing.T) {
		b.TB = t
		b.must(client.Close())
		h = b.server("unet-bp0", addr, Config{})
		b.reached("the kernel", net.Dial, addr)
		second := b.server("unet-bp1", addr, Config{})
		conflicts := func(h *Host) uint64 { return h.Stats().Dropped[stack.DropARPConflict] }
		// The second one's announcement is the first one's conflict, and its defence the second one's.
		b.await("both know", func() bool { return conflicts(h) > 0 && conflicts(second) > 0 })
		b.must(second.Close())
		frames.announcement(addr, macOf(h))
	})
	b.TB = t
}

// sniffer sees what passes the bridge.
type sniffer struct {
	b  *bridge
	fd int
}

func (b *bridge) sniff() *sniffer {
	b.Helper()
	ifc, err := net.InterfaceByName(b.name)
	b.must(err)
	const all = unix.ETH_P_ARP>>8 | unix.ETH_P_ARP&0xff<<8 // in network byte order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all)
	b.must(err)
	b.Cleanup(func() { _ = unix.Close(fd) })
	b.must(unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifc.Index}))
	b.must(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(hang / time.Second)}))
	return &sniffer{b, fd}
}

// announcement waits for the announcement of an address by the host at mac, octet for octet.
func (s *sniffer) announcement(addr netip.Addr, mac link.MAC) {
	s.b.Helper()
	ip := addr.As4()
	var want bytes.Buffer
	fmt.Fprintf(&want, "\xff\xff\xff\xff\xff\xff%s\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01%s%s\x00\x00\x00\x00\x00\x00%s", mac[:], mac[:], ip[:], ip[:])
	f := make([]byte, 2000)
	for {
		n, _, err := unix.Recvfrom(s.fd, f, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			s.b.Fatalf("no announcement of %v: %v", addr, err)
		}
		if bytes.HasPrefix(f[:n], want.Bytes()) {
			return
		}
	}
}
