package stack

import (
	"syscall"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp"
)

// Read waits for text and copies it to p. It returns 0, nil at the end of the stream, or when p is empty.
// EAGAIN when the read deadline has passed, even when text is there; EBADF after Close; once the reason for
// which the connection ended, ECONNRESET or ETIMEDOUT for instance, after all text that came before.
func (c *TCPConn) Read(p []byte) (int, error) { return c.read(p, false) }

// TryRead is Read that returns EAGAIN instead of waiting and ignores the deadline.
func (c *TCPConn) TryRead(p []byte) (int, error) { return c.read(p, true) }

func (c *TCPConn) read(p []byte, try bool) (int, error) {
	c.lock()
	defer c.unlock()
	if len(p) == 0 {
		return 0, c.readErrorLocked(try, c.now())
	}
	if c.tcp.RecvLowat() > 1 {
		return c.readMsgLocked([][]byte{p}, len(p), ReadMode{Try: try})
	}
	now, err := c.awaitTextLocked(try, 1)
	if now == 0 {
		return 0, err
	}
	n := c.tcp.Receive(p, now)
	c.afterLocked(now)
	return n, nil
}

// readErrorLocked is the part of a read that looks at nothing but its own side.
func (c *TCPConn) readErrorLocked(try bool, now mono.Time) error {
	switch {
	case c.bits&closed != 0:
		return syscall.EBADF
	case !try && passed(c.readDeadline, now):
		return syscall.EAGAIN
	}
	return nil
}

// awaitTextLocked waits until there is text to read, least octets or as many as the peer may send, and returns
// the present moment; or 0, with the error that the read ends with, which is nil at the end of the stream. What
// ends the wait early is no reason to return 0 where there is any text.
func (c *TCPConn) awaitTextLocked(try bool, least int) (mono.Time, error) {
	for {
		n, now := c.tcp.Readable(), mono.Time(0)
		if n > 0 || c.readDeadline != 0 { // else nobody asks for it
			now = c.now()
		}
		if err := c.readErrorLocked(try, now); err != nil {
			return 0, err
		}
		switch {
		case n >= least || n > 0 && c.readEndsLocked(try):
			return now, nil
		case c.tcp.EOF() || c.bits&readShut != 0:
			return 0, nil
		case c.err != 0:
			return 0, c.takeErrorLocked()
		case c.bits&inTable == 0:
			return 0, c.endErrorLocked(nil)
		case try:
			return 0, syscall.EAGAIN
		}
		c.waitReadLocked()
	}
}

// ReadSpan is Read without the copy: it waits for a run of text and passes its reference to the caller, who
// calls Owner.Release. An empty Data with a nil error is the end of the stream.
func (c *TCPConn) ReadSpan() (tcp.Span, error) {
	c.lock()
	defer c.unlock()
	now, err := c.awaitTextLocked(false, 1)
	if now == 0 {
		return tcp.Span{}, err
	}
	span := c.tcp.ReceiveSpan(now)
	c.afterLocked(now)
	return span, nil
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

// shutdownLocked is what CloseRead and CloseWrite begin with; done says that nothing else is left to do. An
// active open that is not complete ends (ledger E-CON-10).
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
