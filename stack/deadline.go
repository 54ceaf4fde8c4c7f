package stack

import (
	"syscall"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// SetReadDeadline sets when reads give up; the zero time means never. It holds for blocked reads too. EBADF after Close.
func (c *TCPConn) SetReadDeadline(t time.Time) error {
	at := c.shard.layer.core.clock.Moment(t)
	c.lock()
	defer c.unlock()
	if c.bits&closed != 0 {
		return syscall.EBADF
	}
	c.readDeadline = at
	if w := c.waiters; w != nil && w.readers > 0 {
		c.wakeLocked(true, false)
	}
	return nil
}

// SetWriteDeadline sets when writes and WaitConnect give up; the zero time means never. EBADF after Close.
func (c *TCPConn) SetWriteDeadline(t time.Time) error {
	at := c.shard.layer.core.clock.Moment(t)
	c.lock()
	defer c.unlock()
	if c.bits&closed != 0 {
		return syscall.EBADF
	}
	c.writeDeadline = at
	if w := c.waiters; w != nil && w.writers > 0 {
		c.wakeLocked(false, true)
	}
	return nil
}

// timelyLocked says whether the node of c is armed early enough for its deadlines, as it nearly always is. It needs no
// clock.
func (c *TCPConn) timelyLocked() bool {
	var at mono.Time
	if c.bits&inTable != 0 {
		at = c.tcp.Deadline()
	}
	at = c.userDeadlineLocked(at, 0)
	return at == 0 || c.timer.Armed() && c.timer.Deadline() <= int64(at)
}

// armLocked arms the node of c for its earliest deadline. A node that is armed for an earlier moment stays so: to fire in
// vain once is cheaper than to move the node with every segment. The user's deadlines count only while a call waits.
func (c *TCPConn) armLocked(now mono.Time) {
	if c.timelyLocked() {
		return
	}
	var at mono.Time
	if c.bits&inTable != 0 {
		// A deadline that has passed is put off by a millisecond, so that the clock's goroutine cannot spin.
		if at = c.tcp.Deadline(); passed(at, now) {
			at = now.Add(time.Millisecond)
		}
	}
	at = c.userDeadlineLocked(at, now)
	if at != 0 && (!c.timer.Armed() || c.timer.Deadline() > int64(at)) {
		c.shard.timers.Arm(&c.timer, int64(at))
	}
}

// userDeadlineLocked returns the earliest of at and those of the user's deadlines that are later than after and that a
// waiting call has. 0 stands for none.
func (c *TCPConn) userDeadlineLocked(at, after mono.Time) mono.Time {
	if w := c.waiters; w != nil {
		if d := c.readDeadline; w.readers > 0 && d > after && (at == 0 || d < at) {
			at = d
		}
		if d := c.writeDeadline; w.writers > 0 && d > after && (at == 0 || d < at) {
			at = d
		}
	}
	return at
}

// fireConnLocked acts on the deadlines of c up to now.
func (c *TCPConn) fireConnLocked(now mono.Time) {
	if at := c.tcp.Deadline(); c.bits&inTable != 0 && passed(at, now) {
		c.followRouteLocked(now)
		c.tcp.Timeout(now)
	}
	if w := c.waiters; w != nil {
		read := w.readers > 0 && passed(c.readDeadline, now)
		write := w.writers > 0 && (passed(c.writeDeadline, now) || c.bits&awaitsAck != 0)
		if read || write {
			c.wakeLocked(read, write)
		}
	}
	c.afterLocked(now)
}
