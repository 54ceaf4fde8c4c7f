package stack

import (
	"sync/atomic"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp"
)

// resetPending is how long a Fast Open connection counts as pending that was reset before its handshake was over. Such a
// reset comes from the host whose address an attacker has used for a SYN (RFC 7413 5.1).
const resetPending = time.Minute

// fastOpenCount counts the Fast Open connections of a listener whose handshake is not over. The listener's lock
// guards all but limit.
type fastOpenCount struct {
	limit   atomic.Int32
	pending int
	resets  []mono.Time // until when each connection that was reset counts, the earliest first
}

// SetFastOpen accepts text on SYNs (RFC 7413) while fewer than pending connections are pending: those whose handshake is
// not over, or was reset within the last minute. Zero, the default, turns it off. Such text may come twice, and the server
// must be able to bear that (RFC 7413 2.1). A SYN without a valid cookie is answered as usual, with a cookie for the next
// time if it asks for one. A SYN above the limit is answered as usual without a cookie.
func (l *Listener) SetFastOpen(pending int) {
	l.fastOpen.limit.Store(int32(min(max(pending, 0), maxBacklog)))
}

// FastOpen returns the limit of SetFastOpen.
func (l *Listener) FastOpen() int { return int(l.fastOpen.limit.Load()) }

// reserveFastOpen is reserve for a Fast Open connection, which counts as pending from then on.
func (l *Listener) reserveFastOpen(now mono.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := &l.fastOpen
	for len(q.resets) > 0 && q.resets[0] <= now {
		q.resets = q.resets[1:]
	}
	if l.closed || l.down || l.queue.Len()+l.reserved > l.backlog || q.pending+len(q.resets) >= l.FastOpen() {
		return false
	}
	l.reserved++
	q.pending++
	return true
}

// endFastOpen counts a connection as pending no longer, or if it was reset for a minute more.
func (l *Listener) endFastOpen(reset bool, now mono.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fastOpen.pending--
	if reset && len(l.fastOpen.resets) < l.FastOpen() {
		l.fastOpen.resets = append(l.fastOpen.resets, now.Add(resetPending))
	}
}

// fastOpenSYNLocked answers a SYN with the Fast Open option, as usual or with a connection. The SYN-ACK carries a
// cookie unless the client has a fresh one.
func (s *shard) fastOpenSYNLocked(syn *arrivedSYN, synAck *tcp.Segment, now mono.Time) {
	valid, fresh := s.env.CheckFastOpen(syn.tuple, &syn.in.seg.FastOpen, now)
	var cookie tcp.FastOpenCookie
	if !fresh {
		cookie = s.env.FastOpenCookie(syn.tuple, now)
	}
	switch {
	case !valid:
		s.events.fastOpenCookies++
	case syn.in.seg.TextLen == 0:
	case !syn.listener.reserveFastOpen(now):
		s.events.fastOpenOverflows++
		cookie = tcp.FastOpenCookie{}
	default:
		s.acceptFastOpenLocked(syn, cookie, now)
		return
	}
	s.keepSYNLocked(syn, synAck, now)
	if synAck.Flags != 0 && cookie.Len > 0 {
		synAck.SetFastOpenCookie(cookie, pathOf(syn.route))
	}
}

// acceptFastOpenLocked makes a connection of a SYN with a valid cookie, for which its listener has reserved a place.
func (s *shard) acceptFastOpenLocked(syn *arrivedSYN, cookie tcp.FastOpenCookie, now mono.Time) {
	c := newConnLocked(s, syn.route, now)
	if !s.insertLocked(&c.flow, &syn.in.key, syn.in.hash) {
		syn.listener.cancel()
		syn.listener.endFastOpen(false, now)
		return
	}
	s.events.fastOpens++
	c.rare = &rareFields{pendingAt: syn.listener}
	c.bits |= inTable | connected
	c.recountLocked(false)
	s.states[tcp.SynReceived]++
	c.state = tcp.SynReceived
	var half tcp.HalfOpen
	half.Init(&s.env, syn.tuple, pathOf(syn.route), syn.options, &syn.in.seg, syn.floor, now)
	c.tcp.AcceptFastOpen(&s.env, (*connSink)(c), &half, pathOf(syn.route), syn.options, &syn.in.seg, cookie, now)
	c.touchLocked(now)
	c.queueLocked(syn.listener, now)
}

// endPendingLocked counts c as pending no longer if its handshake is over or it has ended.
func (c *TCPConn) endPendingLocked(now mono.Time) {
	if c.tcp.State() != tcp.SynReceived {
		c.rare.pendingAt.endFastOpen(c.tcp.Err() == errReset, now)
		c.rare.pendingAt = nil
		c.dropRareLocked()
	}
}
