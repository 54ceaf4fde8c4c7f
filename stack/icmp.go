package stack

import (
	"net/netip"

	"github.com/unet-go/unet/stack/tcp"
)

// transportError is an ICMP error, or a neighbour that does not answer, about a TCP segment of ours.
type transportError struct {
	// local and remote are the quoted segment's source and destination.
	local, remote netip.AddrPort
	// err is what the message says; err.Seq is the quoted sequence number.
	err tcp.ICMPError
}

// allowReset says whether a reset for no connection may be sent to remote now, within Config.ICMPRate.
func (h *Host) allowReset(remote netip.Addr) bool { return true }
