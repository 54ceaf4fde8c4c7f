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

// ReadFrom copies from r to the connection until the end of r or an error, and returns the number of octets that the
// connection took. It reads into a pooled buffer; from another *TCPConn it takes the received octets without
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

// copyFrom copies from r, and returns nil at the end of r. For a source that fills the small buffer it uses large
// ones, of the size of the largest segment, and gives them to the send queue without a copy.
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

// give writes the first n octets of *b. If the buffer is full enough to be worth its memory the send queue keeps it, and
// *b becomes a new one.
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

// WriteTo copies from the connection to w until the end of the stream or an error, and returns the number of
// octets that w took. It gives w the receive queue's own buffers, without a copy; w must not keep or change them
// after its Write, as io.Writer says. Another *TCPConn takes ownership of large ones.
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

// passSpan writes a span and releases its reference. If w is another connection, and the span is large and fills its
// buffer, the send queue takes the reference instead of a copy.
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

// Writev writes the buffers in order, as one Write of all of them would, and returns the number of octets that it
// took: small buffers share segments, and no other Write comes between. For package net's own connections
// net.Buffers.WriteTo does the same; for this one it would make one Write for each buffer. The slice bufs is
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

var _ io.WriterTo = (*net.Buffers)(nil) // Writev replaces it here
