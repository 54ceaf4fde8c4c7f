package ip

import (
	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/wire"
)

// neighborDiscovery takes a message of neighbour discovery (RFC 4861).
func (in *Input) neighborDiscovery(p *Packet, m *wire.ICMPv6, body []byte) Outcome {
	return in.drop(drop.ICMPType)
}

// mld takes a message of multicast listener discovery (RFC 3810).
func (in *Input) mld(p *Packet, m *wire.ICMPv6, body []byte) Outcome { return in.drop(drop.ICMPType) }
