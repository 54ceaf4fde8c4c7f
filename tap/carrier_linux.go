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

var _ link.Carrier = (*Device)(nil)

// WatchCarrier calls f when the kernel's side of the interface is set down, and when it is set up again, as link.Carrier
// says. Where the system gives us no netlink socket f is not called, and frames are dropped while the interface is down.
func (d *Device) WatchCarrier(f func(up bool)) {
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
	w := &carrierWatch{name: d.info.Name, index: index, up: true, tell: f, file: os.NewFile(uintptr(s), "netlink")}
	w.ask()
	w.ended.Go(w.run)
	d.atClose(func() {
		w.file.Close()
		w.ended.Wait()
	})
}

// carrierWatch reads the kernel's messages about interfaces.
type carrierWatch struct {
	name  string
	index uint32
	file  *os.File // a netlink socket
	up    bool
	lost  bool // messages were lost: one that is read later may be older than the state that ask finds
	tell  func(up bool)
	ended sync.WaitGroup
}

func (w *carrierWatch) set(up bool) {
	if up != w.up {
		w.up = up
		w.tell(up)
	}
}

// run ends when the socket is closed, or the interface has left the network namespace.
func (w *carrierWatch) run() {
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
			w.set(true)
			return
		}
	}
}

// take looks for messages about the interface. It returns false when the interface has left the namespace.
func (w *carrierWatch) take(b []byte) bool {
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
			w.set(binary.NativeEndian.Uint32(m.Data[flags:])&unix.IFF_UP != 0)
		case unix.RTM_DELLINK:
			if m.Data[0] == unix.AF_UNSPEC { // another family means that a bridge has lost the interface as a port
				return false
			}
		}
	}
	return true
}

// ask asks the kernel for the interface's flags.
func (w *carrierWatch) ask() {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(s)
	req, err := unix.NewIfreq(w.name)
	if err != nil {
		return
	}
	if unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, req) == nil {
		w.set(req.Uint16()&unix.IFF_UP != 0)
	}
}
