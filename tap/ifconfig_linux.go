package tap

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// setMTU sets the interface's MTU in octets, unless want is zero or the MTU that the interface has. It returns the MTU.
func setMTU(s int, name string, want int) (int, error) {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(s, unix.SIOCGIFMTU, req); err != nil {
		return 0, err
	}
	if got := int(req.Uint32()); want == 0 || want == got {
		return got, nil
	}
	req.SetUint32(uint32(want))
	return want, unix.IoctlIfreq(s, unix.SIOCSIFMTU, req)
}

// setQueueLen sets the number of frames that the kernel holds for each queue's reader. It asks by netlink:
// SIOCSIFTXQLEN would take the right CAP_NET_ADMIN over the whole machine, and not just over our network namespace.
func setQueueLen(s int, name string, want int) error {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s, unix.SIOCGIFTXQLEN, req); err != nil {
		return err
	}
	if int(req.Uint32()) == want {
		return nil
	}
	index, err := interfaceIndex(name)
	if err != nil {
		return err
	}
	return askNetlink(queueLenRequest(index, want))
}

// setUp brings the interface up unless it is.
func setUp(s int, name string) error {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, req); err != nil {
		return err
	}
	flags := req.Uint16()
	if flags&unix.IFF_UP != 0 {
		return nil
	}
	req.SetUint16(flags | unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, req)
}

// interfaceIndex returns the index of the interface.
func interfaceIndex(name string) (uint32, error) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(s)
	req, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	err = unix.IoctlIfreq(s, unix.SIOCGIFINDEX, req)
	return req.Uint32(), err
}

// hasAddr reports whether the interface has the address with the same length of subnet.
func hasAddr(index uint32, want netip.Prefix) bool {
	addrs, _ := (&net.Interface{Index: int(index)}).Addrs()
	for _, a := range addrs {
		if have, err := netip.ParsePrefix(a.String()); err == nil && have == want {
			return true
		}
	}
	return false
}

// addAddr gives the interface an address. It asks by netlink: the older SIOCSIFADDR holds one IPv4 address
// for an interface, and leaves an IPv6 address unusable for the second that duplicate address detection
// takes. The only neighbour on this link is our own side, so there is nothing to detect.
func addAddr(index uint32, p netip.Prefix) error {
	return askNetlink(newAddrRequest(index, p))
}
