package tap_test

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

// overKernel6 attaches a host of its own to a device whose kernel's side is fd66::1.
func overKernel6(t *testing.T, ours string) (h *stack.Host, dev *tap.Device) {
	t.Helper()
	dev = taptest.Open(t, tap.Config{PeerAddrs: []netip.Prefix{netip.MustParsePrefix("fd66::1/64")}})
	h, err := stack.New(stack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	kernelReady(t, dev)
	if err := h.Attach(dev, stack.Interface{Addrs: []netip.Prefix{netip.MustParsePrefix(ours)}}); err != nil {
		t.Fatal(err)
	}
	return h, dev
}

// kernelReady waits until the kernel knows that its addresses are its own alone.
func kernelReady(t *testing.T, dev *tap.Device) {
	t.Helper()
	l, err := netlink.LinkByName(dev.Info().Name)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the kernel has its addresses", func() bool {
		list, err := netlink.AddrList(l, netlink.FAMILY_V6)
		return err == nil && len(list) == 2 && !slices.ContainsFunc(list, func(a netlink.Addr) bool { return a.Flags&syscall.IFA_F_TENTATIVE != 0 })
	})
}

// until waits for something that takes a second or two.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so in 20 s: %s", what)
		}
	}
}

// kernelNeighbor returns the state of a neighbour in the kernel's cache, and its link address.
func kernelNeighbor(t *testing.T, dev *tap.Device, a netip.Addr) (state int, mac net.HardwareAddr) {
	t.Helper()
	l, err := netlink.LinkByName(dev.Info().Name)
	if err != nil {
		t.Fatal(err)
	}
	list, err := netlink.NeighList(l.Attrs().Index, netlink.FAMILY_V6)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		if n.IP.Equal(net.IP(a.AsSlice())) {
			return n.State, n.HardwareAddr
		}
	}
	return 0, nil
}

// asked sends a datagram from the kernel to a port of ours that nobody has, until it is told so.
func asked(t *testing.T, dev *tap.Device, a netip.Addr) {
	t.Helper()
	if a.IsLinkLocalUnicast() {
		// Not by name: package net remembers for a minute which number that had, and a device before had it too.
		l, err := netlink.LinkByName(dev.Info().Name)
		if err != nil {
			t.Fatal(err)
		}
		a = a.WithZone(strconv.Itoa(l.Attrs().Index))
	}
	c, err := net.Dial("udp6", netip.AddrPortFrom(a, 9).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	until(t, a.String()+" refuses", func() bool {
		_ = c.SetDeadline(time.Now().Add(time.Second))
		_, err := c.Write([]byte("x"))
		if err == nil {
			_, err = c.Read(make([]byte, 1))
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}

// Linux's neighbour discovery understands ours: it finds our addresses, and confirms them.
func TestNeighborsOfKernel(t *testing.T) {
	t.Run("B-ND-6 the kernel finds our addresses and they are REACHABLE", func(t *testing.T) {
		h, dev := overKernel6(t, "fd66::2/64")
		for _, p := range h.Addrs() {
			asked(t, dev, p.Addr())
			mac := dev.Info().MAC
			if state, got := kernelNeighbor(t, dev, p.Addr()); state != netlink.NUD_REACHABLE || !bytes.Equal(got, mac[:]) {
				t.Errorf("%v is in state %#x at %v, want REACHABLE", p.Addr(), state, got)
			}
		}
		if n := h.Stats().Interfaces[1].Neighbors; n == 0 {
			t.Error("the host has no neighbour")
		}
	})
	t.Run("B-ND-11 the kernel answers our questions", func(t *testing.T) {
		h, dev := overKernel6(t, "fd66::2/64")
		s, err := h.ListenUDP(netip.MustParseAddrPort("[fd66::2]:7"), stack.BindOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.ParseIP("fd66::1")})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		to := c.LocalAddr().(*net.UDPAddr).AddrPort()
		if _, err := s.WriteTo([]byte("x"), to); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.ReadFrom(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if drops := h.Stats().Dropped; drops[stack.DropNeighborFailed] != 0 {
			t.Error("the kernel was not found")
		}
		_ = dev
	})
	t.Run("B-SLA-2 the kernel defends its address, and ours is withdrawn", func(t *testing.T) {
		h, dev := overKernel6(t, "fd66::1/64")
		until(t, "the address is withdrawn", func() bool { return len(h.Addrs()) == 1 })
		if got := h.Addrs()[0].Addr(); !got.IsLinkLocalUnicast() {
			t.Errorf("%v is left", got)
		}
		if n := h.Stats().Dropped[stack.DropNDConflict]; n == 0 {
			t.Error("no conflict is counted")
		}
		_ = dev
	})
	t.Run("B-SLA-2 the kernel does not take an address of ours", func(t *testing.T) {
		h, dev := overKernel6(t, "fd66::2/64")
		asked(t, dev, netip.MustParseAddr("fd66::2"))
		time.Sleep(3 * time.Second) // nothing tells when it is known to be unique, a second after it was attached
		l, err := netlink.LinkByName(dev.Info().Name)
		if err != nil {
			t.Fatal(err)
		}
		addr, err := netlink.ParseAddr("fd66::2/64")
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.AddrAdd(l, addr); err != nil {
			t.Fatal(err)
		}
		until(t, "the kernel sees that the address is not its own alone", func() bool {
			list, err := netlink.AddrList(l, netlink.FAMILY_V6)
			return err == nil && slices.ContainsFunc(list, func(a netlink.Addr) bool {
				return a.IP.Equal(addr.IP) && a.Flags&syscall.IFA_F_DADFAILED != 0
			})
		})
		if len(h.Addrs()) != 2 {
			t.Errorf("ours are %v", h.Addrs())
		}
	})
}
