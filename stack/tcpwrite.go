package stack

import (
	"syscall"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp"
)

// Write waits until all of p is in the send queue, and returns how many octets of it are. The octets of one Write are
// contiguous in the stream. On a connection that Waits it sends the SYN, waits until the handshake is over too, and
// returns the error with which that fails. Errors: EPIPE after CloseWrite, or when the connection has ended and the reason
// for that has been returned once; EAGAIN when the write deadline has passed; EBADF after Close.
func (c *TCPConn) Write(p []byte) (int, error) { return c.write(p, nil, WriteMode{}) }

// TryWrite is Write that takes as many octets as there is room for, and returns EAGAIN when there is none. On a connection
// that Waits it returns how many octets the SYN carries, or EINPROGRESS when it carries none.
func (c *TCPConn) TryWrite(p []byte) (int, error) { return c.write(p, nil, WriteMode{Try: true}) }

// WriteSpan is Write without a copy: the caller fills a span and gives it away. On success the connection owns the
// reference; on an error the caller still owns it.
func (c *TCPConn) WriteSpan(span tcp.Span) error {
	if len(span.Data) == 0 {
		_, err := c.write(nil, nil, WriteMode{})
		if err == nil && span.Owner != nil {
			span.Owner.Release()
		}
		return err
	}
	c.lock()
	defer c.unlock()
	if c.bits&synWaits != 0 {
		if _, err := c.sendSYNLocked(nil, false); err != nil {
			return err
		}
	}
	for {
		now := c.now()
		if err := c.writeErrorLocked(false, now); err != nil {
			return err
		}
		if c.bits&(connected|writing) == connected && c.tcp.SendSpan(span, now) {
			c.afterLocked(now)
			return nil
		}
		c.waitWriteLocked(now)
	}
}

// WriteSize returns how many octets the largest segment has that leaves in one piece. It is the best size for a span.
func (c *TCPConn) WriteSize() int {
	c.lock()
	defer c.unlock()
	return c.tcp.SendSize()
}

// WriteMode says how WriteMsg writes.
type WriteMode struct {
	// Try takes as many octets as there is room for, and returns EAGAIN when there is none, instead of waiting.
	Try bool
	// Urgent makes the last octet urgent data: see WriteUrgent.
	Urgent bool
	// More says that more will follow: a partial segment at the end waits for it, 200 ms at most. MSG_MORE.
	More bool
}

// WriteMsg is one Write of the octets of all bufs, so that they are contiguous in the stream.
func (c *TCPConn) WriteMsg(bufs [][]byte, m WriteMode) (int, error) {
	for len(bufs) > 1 && len(bufs[len(bufs)-1]) == 0 {
		bufs = bufs[:len(bufs)-1] // so that the last octet is in the last one
	}
	if len(bufs) == 0 {
		return c.write(nil, nil, m)
	}
	return c.write(bufs[0], bufs[1:], m)
}

// write writes p and then rest.
func (c *TCPConn) write(p []byte, rest [][]byte, m WriteMode) (int, error) {
	total := len(p)
	for _, b := range rest {
		total += len(b)
	}
	if !m.Try && total >= lendLeast {
		bulk := &c.shard.layer.largeWrites
		bulk.Add(1)
		defer bulk.Add(-1)
	}
	c.lock()
	defer c.unlock()
	if c.bits&synWaits != 0 {
		return c.writeFirstLocked(p, rest, total, m)
	}
	return c.writeLocked(p, rest, total, m, false)
}

// writeLocked writes the total octets of p and then rest. It gives the lock back while it waits. mine says that the
// bit writing is this call's, as it is once others must not come between its octets.
func (c *TCPConn) writeLocked(p []byte, rest [][]byte, total int, m WriteMode, mine bool) (n int, err error) {
	for {
		hold, now := c.writeTimeLocked(total-n, m)
		if err = c.writeErrorLocked(m.Try, now); err != nil || n == total {
			break
		}
		if c.bits&connected != 0 && (mine || c.bits&writing == 0) {
			if !m.Try && !m.Urgent && len(p) >= lendLeast {
				if k := c.lendLocked(p, m.More || len(rest) > 0, now); k > 0 {
					mine = true
					if n += k; n == total {
						break
					}
					p, rest = advance(p, rest, k)
					continue
				}
			}
			k := c.sendLocked(p, rest, m, hold, now)
			c.afterLocked(now)
			n += k
			if n == total {
				break
			}
			p, rest = advance(p, rest, k)
			if !m.Try {
				mine, c.bits = true, c.bits|writing
			}
		}
		if m.Try {
			if n == 0 {
				err = syscall.EAGAIN
			}
			break
		}
		c.waitWriteLocked(now)
	}
	if mine {
		c.doneWritingLocked()
	}
	return n, err
}

// doneWritingLocked lets the next writer of c write.
func (c *TCPConn) doneWritingLocked() {
	c.bits &^= writing
	c.wakeLocked(false, true)
	c.notifyLocked(ReadyOut)
}

// advance takes n octets from the beginning of p and rest.
func advance(p []byte, rest [][]byte, n int) ([]byte, [][]byte) {
	for n >= len(p) && len(rest) > 0 {
		n -= len(p)
		p, rest = rest[0], rest[1:]
	}
	return p[n:], rest
}

// writeErrorLocked returns the error because of which a write cannot go on, nil if it can.
func (c *TCPConn) writeErrorLocked(try bool, now mono.Time) error {
	switch {
	case c.bits&closed != 0:
		return syscall.EBADF
	case !try && passed(c.writeDeadline, now):
		return syscall.EAGAIN
	case c.err != 0:
		return c.takeErrorLocked()
	case c.bits&writeShut != 0:
		return syscall.EPIPE
	case c.bits&inTable == 0:
		return c.endErrorLocked(syscall.EPIPE)
	}
	return nil
}

// CloseWrite sends a FIN after all that was written. ENOTCONN when the connection is not established.
func (c *TCPConn) CloseWrite() error {
	c.lock()
	defer c.unlock()
	now := c.now()
	if done, err := c.shutdownLocked(now); done {
		return err
	}
	c.bits |= writeShut
	c.tcp.CloseWrite(now)
	c.afterLocked(now)
	c.wakeLocked(false, true)
	c.notifyLocked(ReadyAll)
	return nil
}

// Close ends the connection for its user and wakes all blocked calls, which return EBADF. What was written is
// sent in the background, unless text is unread or Options.Linger is 0: then the connection is reset. With a positive
// Linger Close waits, at most for so many seconds, until the peer has acknowledged everything. EBADF the second time.
func (c *TCPConn) Close() error { return c.close(true) }

// close is Close. Without wait it does not linger.
func (c *TCPConn) close(wait bool) error {
	c.lock()
	defer c.unlock()
	if c.bits&closed != 0 {
		return syscall.EBADF
	}
	now := c.now()
	linger := c.tcp.Options().Linger
	c.closeLocked(now)
	if c.bits&inTable != 0 {
		c.tcp.Close(now)
		c.afterLocked(now)
	}
	if wait && linger > 0 {
		c.lingerLocked(now.Add(time.Duration(linger) * time.Second))
	}
	if c.bits&inTable != 0 {
		c.orphanLocked(c.now())
	}
	return nil
}

// closeLocked takes c from its owner and wakes all goroutines that wait for it.
func (c *TCPConn) closeLocked(now mono.Time) {
	was := c.awaitedLocked()
	c.bits |= closed | writeShut
	c.recountLocked(was)
	c.wakeLocked(true, true)
	c.notifyLocked(ReadyAll)
	c.releaseBindingLocked()
	if c.rare != nil {
		c.rare.watcher = nil
		c.dropRareLocked()
	}
	if c.bits&inTable == 0 {
		c.afterLocked(now)
	}
}

// releaseBindingLocked gives the local address back, if the connection was bound to one.
func (c *TCPConn) releaseBindingLocked() {
	if c.rare != nil && c.rare.binding != nil {
		c.rare.binding.release()
		c.rare.binding = nil
	}
}

// lingerLocked waits until everything is acknowledged, the connection has ended or the moment until has come.
func (c *TCPConn) lingerLocked(until mono.Time) {
	c.writeDeadline = until // no other call uses it after Close
	for c.bits&(inTable|drained) == inTable {
		now := c.now()
		if now >= until {
			return
		}
		c.waitWriteLocked(now)
	}
}

// orphanLocked lets c live on without an owner, or resets it where there are too many such connections (ledger D-STK-2).
func (c *TCPConn) orphanLocked(now mono.Time) {
	s := c.shard
	c.bits |= orphan
	if s.layer.orphans.Add(1) <= int64(s.layer.limits.orphans) {
		return
	}
	s.events.orphansReset++
	c.tcp.Abort(now)
	c.afterLocked(now)
}

// Abort resets the connection, and is Close otherwise (RFC 9293 3.10.5).
func (c *TCPConn) Abort() {
	c.lock()
	defer c.unlock()
	if c.bits&closed != 0 {
		return
	}
	now := c.now()
	c.closeLocked(now)
	if c.bits&inTable != 0 {
		c.tcp.Abort(now)
		c.afterLocked(now)
	}
}
