package stack

import (
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/tcp"
)

// connSink is a connection as its TCB's Sink.
type connSink TCPConn

// Transmit sends one segment. The shard's lock is held: the TCB is only called under it.
func (k *connSink) Transmit(seg *tcp.Segment) {
	c := (*TCPConn)(k)
	r := c.route.Load()
	if !r.Usable() {
		if r = c.presentRouteLocked(r); r == nil {
			c.shard.layer.core.drop(drop.NoRoute)
			return
		}
	}
	ttl, tos := c.tcp.TTL()
	c.shard.transmitLocked(r, c.ports, ttl, tos, !c.tcp.MayFragment(), seg)
}

// presentRouteLocked returns the route that leads to c's peer now, since addresses, routes or the state of an interface or of
// a gateway have changed since old was made (RFC 1122 3.3.1); nil for none. A route that works is kept until then. The TCB is in the middle of its output: it
// learns later of another path, by followRouteLocked. As on Linux a connection whose address is gone, or to whose peer there
// is no route, waits for another as long as it waits for its peer.
func (c *TCPConn) presentRouteLocked(old *ip.Route) *ip.Route {
	layer := &c.shard.layer.core.ip
	r, err := layer.HostRoute(old.Local(), old.Remote())
	if err == nil && r.Local() == old.Local() && r.Remote() == old.Remote() {
		c.route.Store(r)
		return r
	}
	if old.V6() {
		if _, err := layer.HostRoute(netip.Addr{}, old.Remote()); err == syscall.ENETUNREACH {
			c.tcp.Unreachable(syscall.ENETUNREACH)
		}
	}
	return nil
}

// pathOf returns what a TCB must know of a route.
func pathOf(r *ip.Route) tcp.Path {
	mtu := r.PathMTU() // before PathTooNarrow
	return tcp.Path{MTU: r.MTU(), PathMTU: mtu, TooNarrow: r.PathTooNarrow(), MaxSuper: r.MaxSuper(), V6: r.V6()}
}

// followRouteLocked tells the TCB of the path to its peer that there is now, before something has to be sent again.
func (c *TCPConn) followRouteLocked(now mono.Time) {
	r := c.route.Load()
	if !r.Current() {
		if r = c.presentRouteLocked(r); r == nil {
			return
		}
	}
	c.followPathLocked(r, now)
}

// followPathLocked lets c go by what is known of its path now: another connection may have found that it is narrower, or
// what was known of it may have grown old, and larger packets are tried again (RFC 1191 6.3).
func (c *TCPConn) followPathLocked(r *ip.Route, now mono.Time) {
	if !c.tcp.Fits(r.PathMTU()) {
		c.tcp.SetPath(pathOf(r), now)
	}
}

// setRouteLocked lets what c sends from now on go over r, in segments that fit there.
func (c *TCPConn) setRouteLocked(r *ip.Route, now mono.Time) {
	c.route.Store(r)
	c.tcp.SetPath(pathOf(r), now) // does nothing before the TCB is opened, which is told of the path then
}

// tellPathLocked lets later connections know what c has learnt of its path.
func (c *TCPConn) tellPathLocked(events tcp.Event) {
	r, mtu := c.route.Load(), c.tcp.PathMTU()
	if events&tcp.PathFound != 0 {
		r.SetPathMTU(mtu)
		return
	}
	if c.tcp.PathTooNarrow() {
		mtu = 0 // less than is believed
	}
	r.LearnPathMTU(mtu)
}

// transmitLocked builds the header of seg and passes the segment to the route. ports is as in flow. df forbids fragments.
func (s *shard) transmitLocked(r *ip.Route, ports uint32, ttl, tos uint8, df bool, seg *tcp.Segment) {
	h := &s.header
	h.SrcPort, h.DstPort = uint16(ports>>16), uint16(ports)
	h.Seq, h.Ack, h.Flags = uint32(seg.Seq), uint32(seg.Ack), uint16(seg.Flags)
	h.Window, h.Urgent = seg.Window, seg.Urgent
	o := &h.Options
	o.Has = uint16(seg.Options)
	o.MSS, o.WScale = seg.MSS, seg.WindowScale
	o.TSVal, o.TSEcr = seg.TSVal, seg.TSEcr
	o.NumSACK = min(seg.NumSACK, uint8(len(o.SACK)))
	for i := range o.NumSACK {
		o.SACK[i] = wire.SACKBlock{Left: uint32(seg.SACK[i].Left), Right: uint32(seg.SACK[i].Right)}
	}
	fillFastOpenCookie(o, seg)
	tos &^= ip.ECNMask
	if seg.ECT {
		tos |= ip.ECT0
	}
	n := h.Marshal(s.octets[:])
	s.out = ip.OutPacket{
		Protocol: wire.ProtocolTCP, TOS: tos, TTL: ttl,
		Header: s.octets[:n], ChecksumOffset: 16,
		Payload: seg.Gather, PayloadLen: int(seg.TextLen), GSOSize: seg.GSOSize,
		DontFragment: df,
	}
	r.Send(&s.out)
	s.unflushed = true
	s.out.Payload = nil
}

// replyLocked sends reply, unless it is empty, with a TTL and a traffic class as in Options.
func (s *shard) replyLocked(reply *tcp.Segment, t tcp.Tuple, ttl, tos uint8) {
	if reply.Flags == 0 {
		return
	}
	r, err := s.layer.core.ip.HostRoute(t.Local.Addr(), t.Remote.Addr())
	if err != nil {
		return
	}
	s.sendReplyLocked(reply, r, t, ttl, tos)
}

// sendReplyLocked sends reply over r.
func (s *shard) sendReplyLocked(reply *tcp.Segment, r *ip.Route, t tcp.Tuple, ttl, tos uint8) {
	s.env.Counters.SegmentsOut++
	s.transmitLocked(r, uint32(t.Local.Port())<<16|uint32(t.Remote.Port()), ttl, tos, true, reply)
}

// refuseLocked answers a segment for which there is no connection and no listener (RFC 9293 3.10.7.1), within a limit.
func (s *shard) refuseLocked(in *inbound) {
	var reply tcp.Segment
	if !tcp.AnswerClosed(&in.seg, &reply) {
		return
	}
	t := s.layer.core.tuple(&in.key)
	if !s.layer.allowReset(t.Remote.Addr()) {
		s.events.resetsHeldBack++
		return
	}
	s.env.Counters.ResetsOut++
	s.replyLocked(&reply, t, 0, 0)
}

// allowReset says whether a reset for no connection may be sent to remote now, within Config.ResetRate.
func (l *tcpLayer) allowReset(remote netip.Addr) bool {
	return l.resetLimit.Allow(l.core.clock.Now(), remote, l.core.ip.IsLocal(remote))
}
