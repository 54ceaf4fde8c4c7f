package stack

import (
	"syscall"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// The ends of a connection as its owner brings them about.

// Forget says that the owner of c can no longer reach it. The host then closes c as Close does, without waiting
// where it lingers. Forget may be called by a finalizer or a cleanup of the runtime, whether the host is in a
// testing/synctest bubble or not.
func (c *TCPConn) Forget() { c.shard.layer.core.forget(c) }

func (c *TCPConn) closeForgotten() { _ = c.close(false) } // EBADF: it is closed already

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

// CloseRead ends the receive side as shutdown(SHUT_RD) does: what is queued stays readable, then reads return
// the end of the stream. ENOTCONN when the connection is not established.
func (c *TCPConn) CloseRead() error {
	c.lock()
	defer c.unlock()
	now := c.now()
	if done, err := c.shutdownLocked(now); done {
		return err
	}
	c.bits |= readShut
	c.tcp.CloseRead(now)
	c.afterLocked(now)
	c.wakeLocked(true, false)
	c.notifyLocked(ReadyAll)
	return nil
}

// shutdownLocked is how CloseRead and CloseWrite begin. done says that they have nothing else to do: the connection has
// ended, or it is an active open that is not complete, which this ends (ledger E-CON-10).
func (c *TCPConn) shutdownLocked(now mono.Time) (done bool, err error) {
	switch {
	case c.bits&closed != 0:
		return true, syscall.EBADF
	case c.bits&inTable == 0:
		return true, syscall.ENOTCONN
	case c.bits&connected == 0:
		c.setErrorLocked(syscall.ECONNRESET)
		c.tcp.Abort(now)
		c.afterLocked(now)
		return true, nil
	}
	return false, nil
}
