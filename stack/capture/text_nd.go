package capture

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/unet-go/unet/internal/wire"
)

// cut6 is printed where a message of ICMPv6 is cut off.
const cut6 = " [|icmp6]"

// neighbor6 prints a message of neighbour discovery (RFC 4861 4) as message6 does: behind its length stand its flags and
// numbers, and the options.
func neighbor6(h *wire.ICMPv6, body []byte) (what, behind string, whole bool) {
	options := body
	switch h.Type {
	case wire.ICMPv6NeighborSolicitation, wire.ICMPv6NeighborAdvertisement:
		var n wire.NDNeighbor
		rest, err := n.Parse(h, body)
		if err != nil {
			return cut6, "", false
		}
		options = rest
		what = fmt.Sprintf(", who has %v", netip.AddrFrom16(n.Target))
		if h.Type == wire.ICMPv6NeighborAdvertisement {
			what = fmt.Sprintf(", tgt is %v", netip.AddrFrom16(n.Target))
			behind = fmt.Sprintf(", Flags [%s]", bits(n.Router, "router", n.Solicited, "solicited", n.Override, "override"))
		}
	case wire.ICMPv6Redirect:
		var r wire.NDRedirect
		rest, err := r.Parse(body)
		if err != nil {
			return cut6, "", false
		}
		options = rest
		what = fmt.Sprintf(", %v to %v", netip.AddrFrom16(r.Dst), netip.AddrFrom16(r.Target))
	case wire.ICMPv6RouterAdvertisement:
		var r wire.NDRouterAdvertisement
		rest, err := r.Parse(h, body)
		if err != nil {
			return "", cut6, true
		}
		options = rest
		preference := []string{"medium", "high", "reserved", "low"}[h.Rest[1]>>3&3] // RFC 4191 2.2
		behind = fmt.Sprintf(", hop limit %d, Flags [%s], pref %s, router lifetime %ds, reachable time %dms, retrans timer %dms", r.HopLimit,
			bits(r.Managed, "managed", r.Other, "other stateful", h.Rest[1]&0x20 != 0, "home agent"), preference, r.Lifetime, r.Reachable, r.Retransmit)
	}
	return what, behind + optionLines(options), true
}

// bits joins the names of the flags that are set, given as pairs.
func bits(first bool, one string, second bool, two string, third bool, three string) string {
	var names []string
	for _, f := range []struct {
		set  bool
		name string
	}{{first, one}, {second, two}, {third, three}} {
		if f.set {
			names = append(names, f.name)
		}
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ", ")
}

// optionLines prints the options of a message of neighbour discovery, up to the first one with a wrong length.
func optionLines(b []byte) string {
	var s strings.Builder
	var o wire.NDOption
	for r := wire.ReadNDOptions(b); ; {
		ok, err := r.Next(&o)
		if err != nil {
			return s.String() + cut6
		}
		if !ok {
			return s.String()
		}
		s.WriteString(", " + optionLine(&o))
	}
}

// optionLine prints one option. Its contents, where tcpdump prints them as octets, are left out.
func optionLine(o *wire.NDOption) string {
	name, what := "unknown", ""
	switch o.Type {
	case wire.NDOptSourceLinkAddr:
		name, what = "source link-address", " "+net.HardwareAddr(o.Data).String()
	case wire.NDOptTargetLinkAddr:
		name, what = "destination link-address", " "+net.HardwareAddr(o.Data).String()
	case wire.NDOptPrefixInformation:
		name = "prefix info"
		var p wire.NDPrefix
		if p.Parse(o) == nil {
			what = fmt.Sprintf(" %v/%d, Flags [%s], valid time %s, pref. time %s", netip.AddrFrom16(p.Prefix), p.Bits,
				bits(p.OnLink, "onlink", p.Autonomous, "auto", o.Data[1]&0x20 != 0, "router"), lifetime(p.Valid), lifetime(p.Preferred))
		}
	case wire.NDOptRedirectedHeader:
		name = "redirected header"
	case wire.NDOptMTU:
		name = "mtu"
		if mtu, ok := o.MTU(); ok {
			what = fmt.Sprintf(" %d", mtu)
		}
	case optRDNSS:
		name = "rdnss"
		if addrs := o.Data[6:]; len(addrs)%16 == 0 {
			what = fmt.Sprintf(" lifetime %ds, addr:", binary.BigEndian.Uint32(o.Data[2:]))
			for ; len(addrs) > 0; addrs = addrs[16:] {
				what += fmt.Sprintf(" %v", netip.AddrFrom16([16]byte(addrs)))
			}
		}
	}
	return fmt.Sprintf("%s option (%d), length %d (%d):%s", name, o.Type, 2+len(o.Data), (2+len(o.Data))/8, what)
}

// optRDNSS is the option with the addresses of name servers (RFC 8106 5.1).
const optRDNSS = 25

func lifetime(seconds uint32) string {
	if seconds == 0xffffffff {
		return "infinity"
	}
	return fmt.Sprintf("%ds", seconds)
}
