package unet

import (
	"io"
	"net"
	"syscall"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

const (
	smallCopy = 16384          // octets: the first buffer of a ReadFrom
	largeCopy = link.MaxBuffer // octets: the buffer of a ReadFrom that fills the first one
)

// ReadFrom copies from r to the connection until r ends or an error, and returns how many octets the
// connection took. It reads into a pooled buffer; from another *TCPConn it takes what was received without
// a buffer between.
func (c *TCPConn) ReadFrom(r io.Reader) (int64, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	var n int64
	var err error
	if src, ok := r.(*TCPConn); ok && src.ok() {
		n, err = src.spansTo(c)
	} else {
		n, err = c.copyFrom(r)
	}
	if err != nil {
		err = c.opError("readfrom", "", err)
	}
	return n, err
}

// copyFrom copies from r, and returns nil where r ended. A source that fills the small buffer gets a large
// one, of the size of the largest segment, and what it fills is given to the send queue without a copy.
func (c *TCPConn) copyFrom(r io.Reader) (total int64, err error) {
	size := smallCopy
	b := link.NewBuffer(size)
	defer func() { b.Release() }()
	for {
		n, rerr := r.Read(b.Bytes()[:size])
		if n > 0 {
			m, werr := c.give(&b, n)
			total += int64(m)
			if werr != nil {
				return total, werr
			}
		}
		if rerr == io.EOF {
			return total, nil
		}
		if rerr != nil {
			return total, rerr
		}
		if n == smallCopy && size == smallCopy {
			size = min(max(c.conn.WriteSize(), smallCopy), largeCopy)
			b.Release()
			b = link.NewBuffer(size)
		}
	}
}

// give writes the first n octets of *b, and replaces *b where the send queue keeps it: when it is full enough
// to be worth its memory.
func (c *TCPConn) give(b **link.Buffer, n int) (int, error) {
	if 2*n < (*b).Cap() {
		return c.Write((*b).Bytes()[:n])
	}
	if err := c.conn.WriteSpan(tcp.Span{Data: (*b).Bytes()[:n], Owner: *b}); err != nil {
		return 0, c.opError("write", "write", err)
	}
	*b = link.NewBuffer((*b).Cap())
	return n, nil
}

// WriteTo copies from the connection to w until the end of the stream or an error, and returns how many
// octets w took. It hands w the receive queue's own buffers, without a copy; w must not keep or change them
// beyond its Write, as io.Writer says. Another *TCPConn takes large ones over as they are.
func (c *TCPConn) WriteTo(w io.Writer) (int64, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	n, err := c.spansTo(w)
	if err != nil {
		err = c.opError("writeto", "", err)
	}
	return n, err
}

// spansTo moves the receive queue to w run by run, and returns nil at the end of the stream.
func (c *TCPConn) spansTo(w io.Writer) (total int64, err error) {
	for {
		span, err := c.conn.ReadSpan()
		if err != nil {
			return total, c.opError("read", "read", err)
		}
		if len(span.Data) == 0 {
			return total, nil
		}
		n, err := passSpan(w, span)
		short := n < len(span.Data)
		total += int64(n)
		if err != nil {
			return total, err
		}
		if short {
			return total, io.ErrShortWrite
		}
	}
}

// passSpan writes a span and gives its reference away: to the send queue of another connection, where the span
// is a large one and fills its storage.
func passSpan(w io.Writer, span tcp.Span) (int, error) {
	if dst, ok := w.(*TCPConn); ok && dst.ok() && span.Owner != nil && len(span.Data) > smallCopy && 2*len(span.Data) >= span.Owner.Cap() {
		err := dst.conn.WriteSpan(span)
		if err == nil {
			return len(span.Data), nil
		}
		span.Owner.Release()
		return 0, dst.opError("write", "write", err)
	}
	n, err := w.Write(span.Data)
	if span.Owner != nil {
		span.Owner.Release()
	}
	return n, err
}

// Writev writes the buffers in order, as one Write of all of them would, and returns how many octets it
// took: small ones share segments, and no other Write comes between. It is what net.Buffers does for package
// net's own connections; through net.Buffers.WriteTo this connection gets one Write for each buffer. bufs is
// not changed.
func (c *TCPConn) Writev(bufs [][]byte) (int64, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	n, err := c.conn.WriteMsg(bufs, stack.WriteMode{})
	if err != nil {
		err = c.opError("writev", "writev", err)
	}
	return int64(n), err
}

var _ io.WriterTo = (*net.Buffers)(nil) // which Writev stands in for
