package stack

import (
	"sync/atomic"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp"
)

// resetPending is how long a Fast Open connection that was reset before its handshake was over counts as
// pending: who spoofs the address of a host gets a RST from it (RFC 7413 5.1).
const resetPending = time.Minute

// fastQueue counts the Fast Open connections of a listener whose handshake is not over. The listener's lock
// guards all but limit.
type fastQueue struct {
	limit   atomic.Int32
	pending int
	resets  []mono.Time // until when those that were reset count, the earliest first
}

// SetFastOpen lets at most pending connections at a time begin with text on their SYN (RFC 7413): whose
// handshake is not over, or was reset within the last minute. Zero, the default, is off. Such text may come
// twice, so a server must do with that (RFC 7413 2.1). A SYN without a good cookie is answered as usual, with
// a cookie for the next time if it asked; a SYN beyond the limit without.
func (l *Listener) SetFastOpen(pending int) {
	l.fast.limit.Store(int32(min(max(pending, 0), maxBacklog)))
}

// FastOpen returns the limit of SetFastOpen.
func (l *Listener) FastOpen() int { return int(l.fast.limit.Load()) }

// reserveFast is reserve for a Fast Open connection, which is pending from then on.
func (l *Listener) reserveFast(now mono.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := &l.fast
	for len(q.resets) > 0 && q.resets[0] <= now {
		q.resets = q.resets[1:]
	}
	if l.closed || l.down || l.count+l.reserved > l.backlog || q.pending+len(q.resets) >= l.FastOpen() {
		return false
	}
	l.reserved++
	q.pending++
	return true
}

// endFast ends the pending of a connection.
func (l *Listener) endFast(reset bool, now mono.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fast.pending--
	if reset && len(l.fast.resets) < l.FastOpen() {
		l.fast.resets = append(l.fast.resets, now.Add(resetPending))
	}
}

// fastOpenLocked answers a SYN with the Fast Open option. It returns false when the SYN is to be answered as
// usual, and the cookie that its SYN-ACK should carry then.
func (s *shard) fastOpenLocked(in *inbound, listener *Listener, r *route, floor tcp.ISSFloor, now mono.Time) (cookie tcp.Cookie, done bool) {
	t := in.tuple()
	valid, fresh := s.env.CheckFastOpen(t, &in.seg.Cookie, now)
	if !fresh {
		cookie = s.env.FastOpenCookie(t, now)
	}
	switch {
	case !valid:
		s.events.fastOpenCookies++
		return cookie, false
	case in.seg.TextLen == 0:
		return cookie, false
	case !listener.reserveFast(now):
		s.events.fastOpenOverflows++
		return tcp.Cookie{}, false
	}
	c := newConn(s, r)
	if !s.insertLocked(&c.flow, &in.key, in.hash) {
		listener.cancel()
		listener.endFast(false, now)
		return tcp.Cookie{}, true
	}
	s.events.fastOpens++
	options := listener.options.Load()
	c.extra = &extra{pendingAt: listener}
	c.bits |= inTable | connected
	c.recountLocked(false)
	s.states[tcp.SynReceived]++
	c.state = tcp.SynReceived
	var half tcp.HalfOpen
	half.Init(&s.env, t, r.path, options, &in.seg, floor, now)
	c.tcp.AcceptFastOpen(&s.env, (*connSink)(c), &half, r.path, options, &in.seg, cookie, now)
	c.touchLocked(now)
	c.queueLocked(listener, now)
	return tcp.Cookie{}, true
}

// fastEndLocked ends the pending of c once its handshake is over, or it has ended.
func (c *TCPConn) fastEndLocked(now mono.Time) {
	if c.tcp.State() != tcp.SynReceived {
		c.extra.pendingAt.endFast(c.tcp.Err() == errReset, now)
		c.extra.pendingAt = nil
		c.dropExtra()
	}
}
