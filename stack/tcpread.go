package stack

import (
	"syscall"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp"
)

// Read waits for text and copies it to p. It returns 0, nil at the end of the stream, or when p is empty. Errors:
// EAGAIN when the read deadline has passed, even when there is text; EBADF after Close; and, after all text that came
// before, once the reason why the connection has ended, for instance ECONNRESET or ETIMEDOUT.
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

// readErrorLocked returns the errors that a read has whatever the peer did.
func (c *TCPConn) readErrorLocked(try bool, now mono.Time) error {
	switch {
	case c.bits&closed != 0:
		return syscall.EBADF
	case !try && passed(c.readDeadline, now):
		return syscall.EAGAIN
	}
	return nil
}

// awaitTextLocked waits until least octets can be read, or no more can come for now, and returns the present moment. When
// nothing can be read and nothing will come it returns 0 and the error for the caller of Read, nil at the end of the
// stream. If there is some text when the stream ends, it is text: the end comes with the next call.
func (c *TCPConn) awaitTextLocked(try bool, least int) (mono.Time, error) {
	for {
		n, now := c.tcp.Readable(), mono.Time(0)
		if n > 0 || c.readDeadline != 0 { // else it is not used
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

// ReadSpan is Read without the copy: it waits for text and passes a reference to a buffer of it to the caller, who must
// call Owner.Release. An empty Data with a nil error is the end of the stream.
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
