package tap

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack/link"
)

var (
	_ link.Carrier = (*Device)(nil)
	_ link.Resizer = (*Device)(nil)
)

// WatchCarrier calls f when the kernel's side of the interface is set down, and when it is set up again, as link.Carrier
// says. Where the system gives us no netlink socket f is not called, and frames are dropped while the interface is down.
func (d *Device) WatchCarrier(f func(up bool)) {
	up := true
	d.watchLink(func(now linkState) {
		if now.up != up {
			up = now.up
			f(up)
		}
	})
}

// WatchMTU calls f when the interface's MTU is set on the kernel's side, as link.Resizer says. The portable backend does not
// go beyond the MTU that it began with. Where the system gives us no netlink socket f is not called.
func (d *Device) WatchMTU(f func(mtu int)) {
	mtu := d.info.MTU
	_, fixed := d.queues[0].(*portable)
	d.watchLink(func(now linkState) {
		if fixed {
			now.mtu = min(now.mtu, d.info.MTU)
		}
		if now.mtu != 0 && now.mtu != mtu {
			mtu = now.mtu
			f(mtu)
		}
	})
}

// linkState is what the kernel says of an interface. An MTU of 0 is not known.
type linkState struct {
	up  bool
	mtu int
}

// watchLink calls f with the state of the interface now, and whenever it may have changed.
func (d *Device) watchLink(f func(linkState)) {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return
	}
	index, err := interfaceIndex(d.info.Name)
	if err == nil {
		err = syscall.Bind(s, &syscall.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK})
	}
	if err != nil {
		unix.Close(s)
		return
	}
	w := &linkWatch{name: d.info.Name, index: index, tell: f, file: os.NewFile(uintptr(s), "netlink")}
	w.ask()
	w.ended.Go(w.run)
	d.atClose(func() {
		w.file.Close()
		w.ended.Wait()
	})
}

// linkWatch reads the kernel's messages about interfaces.
type linkWatch struct {
	name  string
	index uint32
	file  *os.File // a netlink socket
	lost  bool     // messages were lost: one that is read later may be older than the state that ask finds
	tell  func(linkState)
	ended sync.WaitGroup
}

// run ends when the socket is closed, or the interface has left the network namespace.
func (w *linkWatch) run() {
	b := make([]byte, 16<<10)
	for {
		n, err := w.file.Read(b)
		switch {
		case errors.Is(err, unix.ENOBUFS): // messages were lost; the kernel says so before it gives us those that it kept
			w.lost = true
			w.ask()
		case err != nil:
			return
		case !w.take(b[:n]):
			// The interface is deleted, which the device's reader finds out, or has moved to another namespace: there
			// frames still pass, but no message about it reaches us.
			w.tell(linkState{up: true})
			return
		}
	}
}

// take looks for messages about the interface. It returns false when the interface has left the namespace.
func (w *linkWatch) take(b []byte) bool {
	messages, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		w.ask()
	}
	for _, m := range messages {
		const index, flags = 4, 8 // in struct ifinfomsg
		if len(m.Data) < unix.SizeofIfInfomsg || binary.NativeEndian.Uint32(m.Data[index:]) != w.index {
			continue
		}
		switch m.Header.Type {
		case unix.RTM_NEWLINK:
			if w.lost {
				w.ask()
				continue
			}
			w.tell(linkState{up: binary.NativeEndian.Uint32(m.Data[flags:])&unix.IFF_UP != 0, mtu: mtuOf(&m)})
		case unix.RTM_DELLINK:
			if m.Data[0] == unix.AF_UNSPEC { // another family means that a bridge has lost the interface as a port
				return false
			}
		}
	}
	return true
}

// mtuOf returns the MTU that a message about an interface names, 0 for none.
func mtuOf(m *syscall.NetlinkMessage) int {
	attrs, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil {
		return 0
	}
	for _, a := range attrs {
		if a.Attr.Type == unix.IFLA_MTU && len(a.Value) == 4 {
			return int(binary.NativeEndian.Uint32(a.Value))
		}
	}
	return 0
}

// ask asks the kernel for the interface's flags and its MTU.
func (w *linkWatch) ask() {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(s)
	req, err := unix.NewIfreq(w.name)
	if err != nil {
		return
	}
	if unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, req) != nil {
		return
	}
	now := linkState{up: req.Uint16()&unix.IFF_UP != 0}
	if unix.IoctlIfreq(s, unix.SIOCGIFMTU, req) == nil {
		now.mtu = int(req.Uint32())
	}
	w.tell(now)
}
