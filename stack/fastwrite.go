package stack

import (
	"syscall"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp"
)

// The active open of TCP Fast Open (RFC 7413): the SYN that waits for the first Write.

// Waits says whether the SYN waits for the first Write.
func (c *TCPConn) Waits() bool {
	c.lock()
	defer c.unlock()
	return c.bits&synWaits != 0
}

// connectFastOpenLocked opens c, which lockNewConn has made, as far as ConnectTCPFastOpen does.
func (c *TCPConn) connectFastOpenLocked(o *tcp.Options, now mono.Time) {
	s := c.shard
	known, usable := s.layer.fastOpen.find(c.fastOpenPath(), now)
	if !usable {
		c.connectLocked(o, tcp.ISSFloor{}, now)
		return
	}
	c.tcp.ConnectLater(&s.env, (*connSink)(c), s.tupleLocked(&c.flow), pathOf(c.route.Load()), o, now)
	c.bits |= fastOpenAsked
	if known.cookie.Len > 0 {
		c.bits |= synWaits
	} else {
		c.tcp.OpenWith(tcp.FastOpenCookie{}, 0, nil, now)
	}
	c.afterLocked(now)
}

// sendSYNLocked sends the SYN that has waited for a Write, and returns how many octets of p it carries. EINPROGRESS when
// it carries none and try is set.
func (c *TCPConn) sendSYNLocked(p []byte, try bool) (int, error) {
	now := c.now()
	if err := c.writeErrorLocked(try, now); err != nil {
		return 0, err
	}
	c.bits &^= synWaits
	known, usable := c.shard.layer.fastOpen.find(c.fastOpenPath(), now)
	if !usable { // another connection has found out meanwhile
		known = fastOpenRecord{}
	}
	n := c.tcp.OpenWith(known.cookie, known.mss, p, now)
	c.afterLocked(now)
	if n == 0 && try {
		return 0, syscall.EINPROGRESS
	}
	return n, nil
}

// writeFirstLocked is writeLocked for a connection whose SYN waits for it: the SYN carries what it can, and the rest
// follows once the handshake is over. Where that fails, what the SYN carried counts as not written.
func (c *TCPConn) writeFirstLocked(p []byte, rest [][]byte, total int, m WriteMode) (n int, err error) {
	first := p
	if m.Urgent {
		first = nil // a SYN has no urgent data
	}
	if n, err = c.sendSYNLocked(first, m.Try); m.Try || err != nil {
		return n, err
	}
	c.bits |= writing
	for c.bits&connected == 0 {
		now := c.now()
		if err = c.writeErrorLocked(false, now); err != nil {
			c.doneWritingLocked()
			if err != syscall.EAGAIN {
				n = 0
			}
			return n, err
		}
		c.waitWriteLocked(now)
	}
	p, rest = advance(p, rest, n)
	more, err := c.writeLocked(p, rest, total-n, m, true)
	return n + more, err
}
