package stack

import (
	"syscall"

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
