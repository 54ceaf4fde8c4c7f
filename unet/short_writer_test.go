package unet

import (
	"errors"
	"io"
	"net"
	"testing"

	"github.com/unet-go/unet/stack/sim"
)

// shortWriter takes a few octets of each Write and says nothing about the rest.
type shortWriter struct {
	most int
	got  []byte
}

func (w *shortWriter) Write(p []byte) (int, error) {
	n := min(w.most, len(p))
	w.got = append(w.got, p[:n]...)
	return n, nil
}

// A copy to a Writer that takes less than it is given, against io.Writer's contract, ends there with io.ErrShortWrite: what
// came behind the gap would be another text.
func TestShortWriter(t *testing.T) {
	client, server, _ := pair(t, sim.Config{})
	for _, tt := range []struct {
		name string
		move func(w io.Writer, c *TCPConn) (int64, error)
	}{
		{"WriteTo", func(w io.Writer, c *TCPConn) (int64, error) { return c.WriteTo(w) }},
		{"io.Copy", func(w io.Writer, c *TCPConn) (int64, error) { return io.Copy(w, c) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, s := connection(t, client, server)
			if _, err := c.Write([]byte("first")); err != nil {
				t.Fatal(err)
			}
			go func() { _ = c.CloseWrite() }()
			w := shortWriter{most: 3}
			n, err := tt.move(&w, s)
			var op *net.OpError
			if n != 3 || !errors.As(err, &op) || op.Op != "writeto" || op.Err != io.ErrShortWrite || string(w.got) != "fir" {
				t.Errorf("%d, %v, the writer has %q", n, err, w.got)
			}
		})
	}
}
