package tap_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

// neighbour makes addr a permanent neighbour on the interface.
func neighbour(name string, addr netip.Addr, mac net.HardwareAddr) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.NeighSet(&netlink.Neigh{
		LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT, IP: addr.AsSlice(), HardwareAddr: mac,
	})
}

func TestPeerAddrs(t *testing.T) {
	forBackends(t, func(t *testing.T, cfg tap.Config) {
		for _, s := range []string{"10.8.0.1/24", "10.8.1.1/30", "10.8.2.1/32", "fd00:8::1/64"} {
			cfg.PeerAddrs = append(cfg.PeerAddrs, netip.MustParsePrefix(s))
		}
		dev := taptest.Open(t, cfg)
		ifc, err := net.InterfaceByName(dev.Info().Name)
		if err != nil {
			t.Fatal(err)
		}
		addrs, err := ifc.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		have := fmt.Sprint(addrs)
		for _, p := range cfg.PeerAddrs {
			if !strings.Contains(have, p.String()) {
				t.Errorf("the kernel's side has %v, not %v", have, p)
			}
			// An IPv6 address that is still tentative could not be bound to.
			c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.Addr(), 0)))
			if err != nil {
				t.Error(err)
				continue
			}
			c.Close()
		}
	})
}

// A network of two addresses, or of one, has no broadcast address (RFC 3021): the other one is a host's.
func TestPeerBroadcast(t *testing.T) {
	for _, c := range []struct{ peer, want string }{
		{"10.8.0.1/24", "10.8.0.255"}, {"10.8.1.1/30", "10.8.1.3"}, {"10.8.2.0/31", "<nil>"}, {"10.8.3.1/32", "<nil>"},
	} {
		dev := taptest.Open(t, tap.Config{PeerAddrs: []netip.Prefix{netip.MustParsePrefix(c.peer)}})
		l, err := netlink.LinkByName(dev.Info().Name)
		if err != nil {
			t.Fatal(err)
		}
		addrs, err := netlink.AddrList(l, unix.AF_INET)
		if err != nil || len(addrs) != 1 {
			t.Fatalf("%s: addresses %v, %v", c.peer, addrs, err)
		}
		if got := addrs[0].Broadcast.String(); addrs[0].IPNet.String() != c.peer || got != c.want {
			t.Errorf("%s: the kernel has %v with the broadcast address %s, want %s", c.peer, addrs[0].IPNet, got, c.want)
		}
	}
}

func TestQueueLen(t *testing.T) {
	for _, c := range []struct{ config, want int }{{0, 4096}, {77, 77}} {
		dev := taptest.Open(t, tap.Config{QueueLen: c.config})
		l, err := netlink.LinkByName(dev.Info().Name)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Attrs().TxQLen; got != c.want {
			t.Errorf("QueueLen %d: the kernel holds %d frames, want %d", c.config, got, c.want)
		}
	}
}

func TestLeastMTU(t *testing.T) {
	forBackends(t, func(t *testing.T, cfg tap.Config) {
		cfg.MTU = 68
		if dev := taptest.Open(t, cfg); dev.Info().MTU != 68 {
			t.Errorf("the MTU is %d, want 68", dev.Info().MTU)
		}
	})
}

func TestOpenErrors(t *testing.T) {
	taptest.Need(t)
	busy := taptest.Open(t, tap.Config{Name: "unet-busy"})
	prefix := netip.MustParsePrefix
	for _, c := range []struct {
		name string
		cfg  tap.Config
		want error
		says string
	}{
		{"a name of 16 octets", tap.Config{Name: "sixteen-octets-x"}, unix.EINVAL, `"sixteen-octets-x"`},
		{"a name with a slash", tap.Config{Name: "a/b"}, unix.EINVAL, `"a/b"`},
		{"a name with a space", tap.Config{Name: "a b"}, unix.EINVAL, `"a b"`},
		{"an alias", tap.Config{Name: "a:1"}, unix.EINVAL, `"a:1"`},
		{"a dot", tap.Config{Name: ".."}, unix.EINVAL, `".."`},
		{"an interface of another kind", tap.Config{Name: "lo"}, unix.EINVAL, "another kind"},
		{"a busy interface", tap.Config{Name: "unet-busy"}, unix.EBUSY, "holds the interface"},
		{"MTU too small", tap.Config{MTU: 67}, unix.EINVAL, "67"},
		{"MTU too large", tap.Config{MTU: 65536}, unix.EINVAL, "65536"},
		{"an MTU that only the kernel refuses", tap.Config{MTU: 65535}, unix.EINVAL, "set MTU 65535"},
		{"a group address", tap.Config{MAC: link.MAC{1}}, unix.EINVAL, "group"},
		{"no address", tap.Config{PeerAddrs: []netip.Prefix{{}}}, unix.EINVAL, "subnet"},
		{"a mapped address", tap.Config{PeerAddrs: []netip.Prefix{prefix("::ffff:10.0.0.1/120")}}, unix.EINVAL, "subnet"},
		{"an address that no host can have", tap.Config{PeerAddrs: []netip.Prefix{prefix("ff02::1/64")}}, unix.EADDRNOTAVAIL, "add address ff02::1/64"},
		{"fewer than no queues", tap.Config{Queues: -1}, unix.EINVAL, "negative"},
	} {
		for _, portable := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, portable %t", c.name, portable), func(t *testing.T) {
				c.cfg.Portable = portable
				d, err := tap.Open(c.cfg)
				if d != nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("Open = %v, %v, want %v with %q", d, err, c.want, c.says)
				}
			})
		}
	}
	if _, err := net.InterfaceByName(busy.Info().Name); err != nil {
		t.Errorf("the busy interface: %v", err)
	}
}

// TestOpenLeavesNothing checks that an Open that fails half-way removes what it made, descriptors included.
func TestOpenLeavesNothing(t *testing.T) {
	taptest.Need(t)
	before := descriptors(t)
	for _, portable := range []bool{false, true} {
		for _, queues := range []int{1, 3} {
			_, err := tap.Open(tap.Config{Name: "unet-half", MTU: 65535, Queues: queues, Portable: portable})
			if err == nil {
				t.Error("Open succeeded with an impossible MTU")
			}
			if _, err := net.InterfaceByName("unet-half"); err == nil {
				t.Error("the interface is left over")
			}
		}
	}
	// More queues than an interface can have: those that it got are given back.
	if _, err := tap.Open(tap.Config{Name: "unet-half", Queues: 257}); !errors.Is(err, unix.E2BIG) {
		t.Errorf("Open of 257 queues: %v, want %v", err, unix.E2BIG)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors of %s, %d before", after, "/dev/net/tun", before)
	}
}

// descriptors returns the number of descriptors of the TUN driver that the process has.
func descriptors(t *testing.T) int {
	t.Helper()
	n := 0
	for fd := range 256 {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(10, 200) {
			n++
		}
	}
	return n
}

func TestMissingRight(t *testing.T) {
	taptest.Need(t)
	for _, portable := range []bool{false, true} {
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread goes, and the lack of rights with it
			header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			var none [2]unix.CapUserData
			if err := unix.Capset(&header, &none[0]); err != nil {
				done <- err
				return
			}
			d, err := tap.Open(tap.Config{Portable: portable})
			if err == nil {
				d.Close()
			}
			done <- err
		}()
		err := <-done
		if !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EACCES) {
			t.Fatalf("Open without rights = %v, want EPERM or EACCES", err)
		}
		for _, says := range []string{"CAP_NET_ADMIN", "root", "setcap cap_net_admin+ep", "unshare -rn"} {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%v does not say %q", err, says)
			}
		}
	}
}

// TestPersist makes an interface that stays, and opens it again with each backend, which must not remove it.
func TestPersist(t *testing.T) {
	taptest.Need(t)
	dev := taptest.Open(t, tap.Config{Name: "unet-stays", Persist: true, MTU: 1300, QueueLen: 123})
	t.Cleanup(func() {
		if l, err := netlink.LinkByName("unet-stays"); err != nil {
			t.Error(err)
		} else if err := netlink.LinkDel(l); err != nil {
			t.Error(err)
		}
	})
	addrs := dev.PeerAddrs()
	if err := dev.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := netlink.LinkByName("unet-stays")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetARPOff(l); err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []tap.Config{{}, {Portable: true}, {NoOffload: true}} {
		cfg.Name, cfg.PeerAddrs = "unet-stays", addrs
		if err := netlink.LinkSetDown(l); err != nil {
			t.Fatal(err)
		}
		again, err := tap.Open(cfg)
		if err != nil {
			t.Fatalf("%+v: %v", cfg, err)
		}
		if got := again.Info().MTU; got != 1300 {
			t.Errorf("%+v: MTU %d, want the interface's 1300", cfg, got)
		}
		if l, err = netlink.LinkByName("unet-stays"); err != nil {
			t.Fatal(err)
		}
		if a := l.Attrs(); a.TxQLen != 123 || a.RawFlags&(unix.IFF_UP|unix.IFF_NOARP) != unix.IFF_UP|unix.IFF_NOARP {
			t.Errorf("%+v: queue length %d, flags %#x, want the interface's 123, and that it is up, still without ARP",
				cfg, a.TxQLen, a.RawFlags)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
		if _, err := net.InterfaceByName("unet-stays"); err != nil {
			t.Fatalf("%+v: the interface is gone: %v", cfg, err)
		}
	}
}

// TestInterfaceDown checks that frames for a kernel's side that is down are drops, which end when it is up again.
func TestInterfaceDown(t *testing.T) {
	forBackends(t, func(t *testing.T, cfg tap.Config) {
		p := newPeer(t, cfg)
		c, port := p.socket()
		l, err := netlink.LinkByName(p.dev.Info().Name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetDown(l); err != nil {
			t.Fatal(err)
		}
		p.write(p.udp(port, []byte("lost")), link.Meta{})
		if err := netlink.LinkSetUp(l); err != nil {
			t.Fatal(err)
		}
		p.write(p.udp(port, []byte("found")), link.Meta{})
		if got := string(p.next(c)); got != "found" {
			t.Errorf("the kernel received %q", got)
		}
		if s := p.dev.Stats(); s.OutDown != 1 || s.FramesOut != 1 {
			t.Errorf("Stats = %+v, want one frame out and one lost because the interface was down", s)
		}
	})
}

// TestInterfaceDeleted checks that a blocked reader gets an error when the device's interface is deleted.
func TestInterfaceDeleted(t *testing.T) {
	forBackends(t, func(t *testing.T, cfg tap.Config) {
		dev := taptest.Open(t, cfg)
		done := make(chan error)
		go func() {
			frames := make([]link.Frame, 8)
			for {
				n, err := dev.Read(frames)
				if err != nil {
					done <- err
					return
				}
				for i := range frames[:n] {
					frames[i].Release()
				}
			}
		}()
		l, err := netlink.LinkByName(dev.Info().Name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkDel(l); err != nil {
			t.Fatal(err)
		}
		if err := <-done; errors.Is(err, link.ErrClosed) || !strings.Contains(err.Error(), "is gone") {
			t.Errorf("Read = %v, want that the interface is gone", err)
		}
		if n, err := dev.Write([]link.Frame{{Header: make([]byte, 60)}}); n != 0 || !strings.Contains(fmt.Sprint(err), "is gone") {
			t.Errorf("Write = %d, %v, want that the interface is gone", n, err)
		}
	})
}
