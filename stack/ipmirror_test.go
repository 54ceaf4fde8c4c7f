package stack

import (
	"net/netip"
	"time"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// Constants of package ip that tests of a whole host go by, written out: a change there is seen here.
const (
	deviceTries     = 10
	lastWrites      = time.Second
	resolveTries    = 3
	retransInterval = time.Second
	delayFirstProbe = 5 * time.Second
	staleLifetime   = 5 * time.Minute
	contestTime     = 250 * time.Millisecond
	heardLately     = 2 * time.Second
	heldPerNeighbor = 64
	heldTotal       = 1024
	leastPathMTU    = 552
	datagramCost    = 256
	maxICMPError    = 576
)

// The codepoints of the traffic class (RFC 3168 5).
const (
	notECT = 0
	ect0   = 2
	ce     = 3
)

var (
	limitedBroadcast = netip.MustParseAddr("255.255.255.255")
	loopback4        = netip.MustParseAddr("127.0.0.1")
)

var (
	allHosts    = netip.MustParseAddr("224.0.0.1")
	allHostsMAC = link.MAC{0x01, 0x00, 0x5e, 0, 0, 1}
)

// groupMAC returns the Ethernet address of a broadcast address or of allHosts.
func groupMAC(a netip.Addr) link.MAC {
	if a.IsMulticast() {
		return allHostsMAC
	}
	return wire.BroadcastMAC
}
