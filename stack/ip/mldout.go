package ip

import (
	"net/netip"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/wire"
)

var (
	allRouters    = netip.MustParseAddr("ff02::2")
	allMLDRouters = netip.MustParseAddr("ff02::16") // all that understand MLDv2 (RFC 3810 5.2.14)
)

// mldHopLimit is the hop limit of all messages of MLD (RFC 3810 5).
const mldHopLimit = 1

// routerAlert is a hop-by-hop header by which routers look at a message of MLD although it is not for them (RFC 2711).
var routerAlert = [8]byte{wire.ProtocolICMPv6, 0, wire.IPv6OptRouterAlert, 2, 0, 0, wire.IPv6OptPadN, 0}

// maxMLDRecords is how many records a report has at most: as many as each link carries.
const maxMLDRecords = (leastMTU6 - wire.IPv6Len - len(routerAlert) - wire.MLDReportLen) / wire.MLDRecordLen

// sendLocked reports groups, in one packet where that is possible; to a router of version 1 each group by itself.
func (s *membership) sendLocked(records []wire.MLDRecord, now mono.Time) {
	if s.oldLocked(now) {
		for _, r := range records {
			s.sendOld(&r)
		}
		return
	}
	for len(records) > 0 {
		n := min(len(records), maxMLDRecords)
		b := make([]byte, len(routerAlert)+wire.MLDReportLen+n*wire.MLDRecordLen)
		at := copy(b, routerAlert[:])
		at += wire.PutMLDReport(b[at:], n)
		for i := range records[:n] {
			at += records[i].Marshal(b[at:])
		}
		s.send(allMLDRouters, b)
		records = records[n:]
	}
}

// sendOld reports a group as version 1 does: to the group itself, and its end to all routers (RFC 2710 4).
func (s *membership) sendOld(r *wire.MLDRecord) {
	var b [len(routerAlert) + wire.MLDLen]byte
	copy(b[:], routerAlert[:])
	m := wire.MLDGroup{Group: r.Group}
	typ, dst := uint8(wire.ICMPv6MLDv1Report), netip.AddrFrom16(r.Group)
	if r.Type == wire.MLDToInclude {
		typ, dst = wire.ICMPv6MLDv1Done, allRouters
	}
	m.Marshal(b[len(routerAlert):], typ)
	s.send(dst, b[:])
}

// send sends a hop-by-hop header and the message behind it, whose checksum it completes.
func (s *membership) send(dst netip.Addr, b []byte) {
	h := wire.IPv6{NextHeader: wire.IPv6HopByHop, HopLimit: mldHopLimit, Src: s.source().As16(), Dst: dst.As16()}
	wire.PutICMPv6Checksum(b[len(routerAlert):], h.Src, h.Dst)
	s.nd.send(groupMAC6(dst), &h, b)
}
