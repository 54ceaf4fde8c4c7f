package ip

import (
	"net/netip"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// solicitedNodes has the groups in which hosts hear questions for their addresses (RFC 4291 2.7.1).
var solicitedNodes = netip.MustParsePrefix("ff02::1:ff00:0/104")

// ndOptions are what the host needs of the options of a message. Others are skipped (RFC 4861 4.6).
type ndOptions struct {
	source, target       link.MAC
	hasSource, hasTarget bool
}

// readNDOptions is false where the length of an option is 0 or too much, or that of a link address is not Ethernet's: the
// whole message is then dropped (RFC 4861 7.1).
func readNDOptions(b []byte) (o ndOptions, ok bool) {
	r := wire.ReadNDOptions(b)
	var option wire.NDOption
	for {
		more, err := r.Next(&option)
		if err != nil || !more {
			return o, err == nil
		}
		switch option.Type {
		case wire.NDOptSourceLinkAddr:
			o.source, o.hasSource = option.LinkAddr()
			ok = o.hasSource
		case wire.NDOptTargetLinkAddr:
			o.target, o.hasTarget = option.LinkAddr()
			ok = o.hasTarget
		default:
			ok = true
		}
		if !ok {
			return o, false
		}
	}
}

// startND gives the interface its cache of IPv6 neighbours.
func (ifc *Interface) startND(b *base) {
	c := newNeighborCache(b, &ifc.info, ifc.solicitND)
	c.gateway, c.advised = ifc.gatewayAnswers, &ifc.advised
	ifc.neighbors[family6.index] = c
}

// solicitND is the solicitor of IPv6: it sends a solicitation for target to the group of those that may have it, or to the
// host that had it last. While the address that it comes from is not known to be unique, it does not say the host's MAC,
// which would replace that of the address's owner in others' caches (RFC 4429 3.2). Linux does not answer such a question
// to a group. Therefore it is soon asked again with the MAC: an owner would have objected by then.
func (ifc *Interface) solicitND(target netip.Addr, unicast *link.MAC, first bool) (soon bool) {
	t := ifc.core.topology.Load()
	src := t.source(ifc, target, target)
	if !src.IsValid() {
		return false
	}
	if t.stateOf(ifc, src) == AddrOptimistic { // another one of ours is as good to be answered at (RFC 4429 3.3)
		if other := t.reportSource(ifc); !other.IsUnspecified() {
			src = other
		}
	}
	dst := target
	var mac link.MAC
	if unicast != nil {
		mac = *unicast
	} else {
		dst = solicitedNode(target)
		mac = groupMAC6(dst)
	}
	unique := t.stateOf(ifc, src) != AddrOptimistic
	ifc.nd.solicit(mac, src, dst, target, unique || unicast == nil && !first)
	return first && !unique
}
