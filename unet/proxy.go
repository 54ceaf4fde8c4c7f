package unet

import (
	"errors"
	"io"
	"net"
)

// Proxy relays a and b to one another until both directions have ended, and closes them. It works with
// connections of any kind; between two of this package large runs of text pass without a copy.
//
// When one stream ends, Proxy ends the stream to the other side with CloseWrite, and the other direction continues: a
// client that closes its side gets its answer. A connection without CloseWrite can only be closed in both directions at
// once. Any error, a reset for instance or a deadline, resets both connections, if they have SetLinger, so that neither
// peer takes a stream that was cut off for a complete one; Proxy notices it when it next reads or writes. To end a Proxy
// close a or b.
//
// It returns nil if both streams have come to their ends, and otherwise the first error.
func Proxy(a, b net.Conn) error {
	ended := make(chan error, 2)
	go func() { ended <- relay(b, a) }()
	go func() { ended <- relay(a, b) }()
	err := <-ended
	if err == nil {
		err = <-ended
	} else {
		finish(err, a, b) // ends the other direction
		<-ended
	}
	finish(err, a, b)
	if err == errWhole {
		return nil
	}
	return err
}

// errWhole ends a Proxy when a stream has ended and the other connection has no CloseWrite.
var errWhole = errors.New("no half-close")

// relay copies one direction and passes its end on.
func relay(dst, src net.Conn) error {
	if _, err := io.Copy(dst, src); err != nil {
		return err
	}
	half, ok := dst.(interface{ CloseWrite() error })
	if !ok {
		return errWhole
	}
	return half.CloseWrite()
}

// finish closes the connections of a Proxy that has ended with err: their peers get the end of the stream if err is nil or
// errWhole, and otherwise a reset.
func finish(err error, conns ...net.Conn) {
	for _, c := range conns {
		if c, ok := c.(interface{ SetLinger(sec int) error }); ok && err != nil && err != errWhole {
			_ = c.SetLinger(0)
		}
		_ = c.Close() // closed already, or the error would say nothing new
	}
}
