package ip

import (
	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/wire"
)

// mld takes a message of multicast listener discovery (RFC 3810 6.2). Only queries concern a host; a report of another host
// for a group of ours does not keep ours back, so that a switch that passes groups on to their members only hears of us
// (RFC 4541 3), whoever else claims to be one.
func (in *Input) mld(p *Packet, m *wire.ICMPv6, body []byte) Outcome {
	if m.Type != wire.ICMPv6MLDQuery || in.iface.groups == nil {
		return in.drop(drop.ICMPType)
	}
	var q wire.MLDQuery
	if p.TTL != mldHopLimit || !p.routerAlert || p.fragmented || !p.Src.IsLinkLocalUnicast() || q.Parse(m, body) != nil {
		return in.drop(drop.MLDMalformed)
	}
	in.iface.groups.query(&q)
	return Taken
}
