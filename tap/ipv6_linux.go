package tap

import (
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// KernelIPv6 says whether new interfaces of this network namespace may have IPv6 addresses. In many containers they may not.
// Open with an IPv6 address in Config.PeerAddrs fails there.
func KernelIPv6() bool {
	for _, of := range []string{"all", "default"} {
		disabled, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + of + "/disable_ipv6")
		if err != nil || strings.TrimSpace(string(disabled)) != "0" {
			return false
		}
	}
	return true
}

// awaitAddr waits until the kernel takes packets to an IPv6 address that it was given: it does so only a little later,
// although its detection of duplicates is off.
func awaitAddr(addr netip.Addr) {
	for range 1000 {
		if typ, err := routeType(addr); err != nil || typ == unix.RTN_LOCAL {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// routeType returns the type of the kernel's route to an IPv6 address: RTN_LOCAL, RTN_UNICAST.
func routeType(addr netip.Addr) (typ uint8, err error) {
	const sizeofRtMsg, typeAt = 12, 7 // struct rtmsg
	body := make([]byte, sizeofRtMsg)
	body[0], body[1] = unix.AF_INET6, 128
	messages, err := talkNetlink(newNetlinkRequest(unix.RTM_GETROUTE, 0, body...).add(unix.RTA_DST, addr.AsSlice()).done())
	if err != nil {
		return 0, err
	}
	for _, m := range messages {
		if m.Header.Type == unix.RTM_NEWROUTE && len(m.Data) >= sizeofRtMsg {
			return m.Data[typeAt], nil
		}
	}
	return 0, syscall.ENETUNREACH
}
