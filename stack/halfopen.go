package stack

import (
	"unsafe"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/wheel"
	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/tcp"
)

// halfOpen is the record of a passive open whose handshake is not complete. It has 128 octets, and neither a socket nor a
// goroutine nor a timer of the runtime. Its listener is found by the local address.
type halfOpen struct {
	flow
	timer wheel.Node[*flow]
	tcp   tcp.HalfOpen
}

// arrivedSYN is a SYN for a listener, and what its answer depends on.
type arrivedSYN struct {
	in       *inbound
	tuple    tcp.Tuple
	listener *Listener
	options  *tcp.Options // the listener's
	route    *ip.Route
	floor    tcp.ISSFloor
}

// synLocked answers a SYN for group g (RFC 9293 3.10.7.2). It ignores the SYN while the accept queue is full: the peer
// will send it again (ledger E-LIS-3). When there are too many half-open records, a SYN cookie answers and no record is
// made (RFC 4987 3.6).
func (s *shard) synLocked(in *inbound, g *listenGroup, floor tcp.ISSFloor, now mono.Time) {
	listener := g.pick(in.hash)
	if listener == nil {
		return
	}
	if listener.full() {
		s.events.listenOverflows++
		return
	}
	t := s.layer.core.tuple(&in.key)
	r, err := s.layer.core.ip.HostRoute(t.Local.Addr(), t.Remote.Addr())
	if err != nil {
		return
	}
	syn := arrivedSYN{in: in, tuple: t, listener: listener, options: listener.options.Load(), route: r, floor: floor}
	var synAck tcp.Segment
	switch {
	case s.synQueueFull(&syn):
		s.events.synCookies++
		g.lastSYNCookie.Store(int64(now))
		var half tcp.HalfOpen
		half.InitSYNCookie(&s.env, t, pathOf(r), syn.options, &in.seg, now)
		half.SynAck(&s.env, &synAck, now)
	case in.seg.Options&tcp.OptFastOpen != 0 && listener.FastOpen() > 0:
		s.fastOpenSYNLocked(&syn, &synAck, now)
	default:
		s.keepSYNLocked(&syn, &synAck, now)
	}
	if synAck.Flags != 0 {
		s.sendReplyLocked(&synAck, r, t, syn.options.TTL, syn.options.TOS)
	}
}

// synQueueFull says whether the listener or the host has as many half-open records as it may.
func (s *shard) synQueueFull(syn *arrivedSYN) bool {
	l := s.layer
	n := l.ports.halfOpens.of(syn.tuple.Local.Port()).Load()
	return int(n) >= syn.listener.synLimit() || l.halfOpens.Load() >= int64(l.limits.halfOpen)
}

// keepSYNLocked makes a half-open record of a SYN, and its SYN-ACK. It makes neither when the host has had too many
// local addresses.
func (s *shard) keepSYNLocked(syn *arrivedSYN, synAck *tcp.Segment, now mono.Time) {
	half := &halfOpen{}
	half.kind = halfOpenFlow
	half.timer.Owner = &half.flow
	if !s.insertLocked(&half.flow, &syn.in.key, syn.in.hash) {
		return
	}
	s.layer.ports.halfOpens.of(syn.tuple.Local.Port()).Add(1)
	s.layer.halfOpens.Add(1)
	s.states[tcp.SynReceived]++
	half.tcp.Init(&s.env, syn.tuple, pathOf(syn.route), syn.options, &syn.in.seg, syn.floor, now)
	half.tcp.SynAck(&s.env, synAck, now)
	s.armHalfOpenLocked(half)
}

// synCookieLifetime is how long after the last SYN cookie an ACK may be the answer to one.
const synCookieLifetime = 4 * 60 * 1e9

// synCookieACKLocked opens a connection by an ACK for a listener that completes a handshake with a SYN cookie. It answers
// any other ACK with a reset.
func (s *shard) synCookieACKLocked(in *inbound, g *listenGroup, now mono.Time) {
	last := mono.Time(g.lastSYNCookie.Load())
	listener := g.pick(in.hash)
	if listener == nil || last == 0 || now-last > synCookieLifetime {
		s.refuseLocked(in)
		return
	}
	t := s.layer.core.tuple(&in.key)
	r, err := s.layer.core.ip.HostRoute(t.Local.Addr(), t.Remote.Addr())
	if err != nil {
		return
	}
	var half tcp.HalfOpen
	if !half.FromSYNCookie(&s.env, t, pathOf(r), listener.options.Load(), &in.seg, now) {
		s.refuseLocked(in)
		return
	}
	if !listener.reserve() {
		s.events.listenOverflows++
		return
	}
	c := newConnLocked(s, r, now)
	if !s.insertLocked(&c.flow, &in.key, in.hash) {
		listener.cancel()
		return
	}
	s.events.synCookiesOK++
	c.acceptLocked(listener, &half, in, now)
}

// halfOpenLocked passes a segment to a half-open record.
func (s *shard) halfOpenLocked(half *halfOpen, in *inbound, now mono.Time) {
	var reply tcp.Segment
	switch half.tcp.SegmentArrives(&s.env, &in.seg, &reply, now) {
	case tcp.Drop, tcp.Reopen:
	case tcp.Reply:
		s.replyHalfOpenLocked(half, &reply, s.layer.core.tuple(&in.key))
	case tcp.Remove:
		s.removeHalfOpenLocked(half)
		s.replyHalfOpenLocked(half, &reply, s.layer.core.tuple(&in.key))
		return
	case tcp.Complete:
		s.completeLocked(half, in, now)
		return
	}
	s.armHalfOpenLocked(half)
}

// completeLocked makes a connection of a half-open record and gives it to the listener. While the accept queue is full it
// ignores the ACK and keeps the record: the peer answers the SYN-ACK with another ACK when it is sent again.
func (s *shard) completeLocked(half *halfOpen, in *inbound, now mono.Time) {
	g := s.layer.listen.find(s.layer.core.local(&in.key))
	if g == nil { // closed, and about to reset its half-open connections
		s.removeHalfOpenLocked(half)
		s.refuseLocked(in)
		return
	}
	listener := g.pick(in.hash)
	if listener != nil && half.tcp.Defer(listener.options.Load(), &in.seg) {
		s.armHalfOpenLocked(half)
		return
	}
	if listener == nil || !listener.reserve() {
		s.events.listenOverflows++
		if s.layer.abort {
			s.resetHalfOpenLocked(half, now)
			return
		}
		s.armHalfOpenLocked(half)
		return
	}
	t := s.layer.core.tuple(&in.key)
	r, err := s.layer.core.ip.HostRoute(t.Local.Addr(), t.Remote.Addr())
	if err != nil {
		listener.cancel()
		s.armHalfOpenLocked(half)
		return
	}
	c := newConnLocked(s, r, now)
	s.flows.replace(&half.flow, &c.flow)
	s.dropHalfOpenLocked(half)
	c.acceptLocked(listener, &half.tcp, in, now)
}

// acceptLocked opens c, which is in the table, from a completed record, and puts it into the place that is reserved for it
// in the listener's queue.
func (c *TCPConn) acceptLocked(listener *Listener, half *tcp.HalfOpen, in *inbound, now mono.Time) {
	s := c.shard
	options := listener.options.Load()
	c.bits |= inTable | connected
	c.recountLocked(false)
	c.tcp.Accept(&s.env, (*connSink)(c), half, s.layer.core.tuple(&in.key), pathOf(c.route.Load()), options, now)
	s.states[tcp.Established]++
	c.state = tcp.Established
	c.tcp.SegmentArrives(&in.seg, now)
	c.touchLocked(now)
	c.queueLocked(listener, now)
}

// queueLocked puts c into its reserved place in the accept queue, or resets it if the listener has been closed.
func (c *TCPConn) queueLocked(listener *Listener, now mono.Time) {
	if !listener.push(c) {
		c.bits |= closed
		c.tcp.Abort(now)
		c.eventsLocked(now)
		return
	}
	c.shard.wakeListLocked().listener(listener)
}

// resetHalfOpenLocked removes a record and resets its peer: the listener was closed, or has no room while
// Config.AbortOnOverflow is set.
func (s *shard) resetHalfOpenLocked(half *halfOpen, now mono.Time) {
	t := s.tupleLocked(&half.flow)
	var reset tcp.Segment
	half.tcp.Reset(&s.env, &reset, now)
	s.removeHalfOpenLocked(half)
	s.replyHalfOpenLocked(half, &reset, t)
}

// replyHalfOpenLocked sends reply with the TTL and the traffic class of the listener's options (MUST-48, MUST-49).
func (s *shard) replyHalfOpenLocked(half *halfOpen, reply *tcp.Segment, t tcp.Tuple) {
	ttl, tos := half.tcp.TTL()
	s.replyLocked(reply, t, ttl, tos)
}

func (s *shard) removeHalfOpenLocked(half *halfOpen) {
	s.removeLocked(&half.flow)
	s.dropHalfOpenLocked(half)
}

// dropHalfOpenLocked stops the timer of a record that is out of the table, and counts it no longer.
func (s *shard) dropHalfOpenLocked(half *halfOpen) {
	s.timers.Disarm(&half.timer)
	s.layer.ports.halfOpens.of(half.localPort()).Add(-1)
	s.layer.halfOpens.Add(-1)
	s.states[tcp.SynReceived]--
}

func (s *shard) armHalfOpenLocked(half *halfOpen) {
	at := int64(half.tcp.Deadline())
	if at != 0 && (!half.timer.Armed() || half.timer.Deadline() > at) {
		s.timers.Arm(&half.timer, at)
	}
}

// fireHalfOpenLocked acts on the record's deadline: it sends the SYN-ACK again or gives up.
func (s *shard) fireHalfOpenLocked(half *halfOpen, now mono.Time) {
	if at := half.tcp.Deadline(); at == 0 || at > now {
		s.armHalfOpenLocked(half)
		return
	}
	var reply tcp.Segment
	switch half.tcp.Timeout(&s.env, &reply, now) {
	case tcp.Drop, tcp.Complete, tcp.Reopen:
	case tcp.Reply:
		s.replyHalfOpenLocked(half, &reply, s.tupleLocked(&half.flow))
	case tcp.Remove:
		t := s.tupleLocked(&half.flow)
		s.removeHalfOpenLocked(half)
		s.replyHalfOpenLocked(half, &reply, t)
		return
	}
	s.armHalfOpenLocked(half)
}

func (f *flow) halfOpen() *halfOpen { return (*halfOpen)(unsafe.Pointer(f)) }
