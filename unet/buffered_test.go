package unet

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
)

// buffered is one answer of Buffered, with what its error is.
type buffered struct {
	n  int
	is error
}

func (want buffered) check(t *testing.T, step string, c *TCPConn) {
	t.Helper()
	n, err := c.Buffered()
	if n != want.n || !errors.Is(err, want.is) || (err == nil) != (want.is == nil) {
		t.Errorf("%s: %d, %v; want %d, %v", step, n, err, want.n, want.is)
	}
	var op *net.OpError
	if err != nil && err != io.EOF && (!errors.As(err, &op) || op.Op != "read" || op.Addr != c.RemoteAddr()) {
		t.Errorf("%s: %#v", step, err)
	}
}

func TestBuffered(t *testing.T) {
	b := make([]byte, 16)
	settle := func() { time.Sleep(4 * oneWay) }
	for _, test := range []struct {
		name string
		run  func(t *testing.T, c, p *TCPConn)
	}{
		{"text, then the end", func(t *testing.T, c, p *TCPConn) {
			buffered{0, nil}.check(t, "at rest", c)
			_, _ = p.Write([]byte("hello"))
			settle()
			buffered{5, nil}.check(t, "text", c)
			buffered{5, nil}.check(t, "which it leaves", c)
			_ = p.Close()
			settle()
			buffered{5, io.EOF}.check(t, "text and the end", c)
			if n, err := c.Read(b[:3]); n != 3 || err != nil {
				t.Error(n, err)
			}
			buffered{2, io.EOF}.check(t, "less text and the end", c)
			if n, err := c.Read(b); n != 2 || err != nil {
				t.Error(n, err)
			}
			buffered{0, io.EOF}.check(t, "the end", c)
			if _, err := c.Read(b); err != io.EOF {
				t.Error(err)
			}
			buffered{0, io.EOF}.check(t, "the end that was read", c)
		}},
		{"a reset is left for Read", func(t *testing.T, c, p *TCPConn) {
			_, _ = p.Write([]byte("hello"))
			settle()
			_ = p.SetLinger(0)
			_ = p.Close()
			settle()
			buffered{5, syscall.ECONNRESET}.check(t, "text and a reset", c)
			_, _ = c.Read(b)
			buffered{0, syscall.ECONNRESET}.check(t, "a reset", c)
			if _, err := c.Read(b); !errors.Is(err, syscall.ECONNRESET) {
				t.Error(err)
			}
			buffered{0, io.EOF}.check(t, "a reset that was told", c)
			if _, err := c.Read(b); err != io.EOF {
				t.Error(err)
			}
		}},
		{"a deadline is none of its business", func(t *testing.T, c, p *TCPConn) {
			_ = c.SetDeadline(past)
			buffered{0, nil}.check(t, "at rest", c)
			if _, err := c.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
		}},
		{"half-close", func(t *testing.T, c, p *TCPConn) {
			_ = c.CloseWrite()
			buffered{0, nil}.check(t, "after CloseWrite", c)
			buffered{0, nil}.check(t, "the peer, before it knows", p)
			settle()
			buffered{0, io.EOF}.check(t, "the peer", p)
			_ = c.CloseRead()
			buffered{0, io.EOF}.check(t, "after CloseRead", c)
		}},
		{"after Close", func(t *testing.T, c, p *TCPConn) {
			_, _ = p.Write([]byte("hello"))
			settle()
			_ = c.Close()
			buffered{0, net.ErrClosed}.check(t, "after Close", c)
			if _, err := new(TCPConn).Buffered(); err != syscall.EINVAL {
				t.Error(err)
			}
		}},
		{"it wakes and disturbs nobody", func(t *testing.T, c, p *TCPConn) {
			read := make(chan error)
			go func() { _, err := c.Read(b); read <- err }()
			settle()
			buffered{0, nil}.check(t, "while somebody reads", c)
			_, _ = p.Write([]byte("x"))
			if err := <-read; err != nil {
				t.Error(err)
			}
		}},
	} {
		bubble(t, "E-GO-19 "+test.name, sim.Config{Delay: oneWay}, func(t *testing.T, client, server *Host, _ *sim.Segment) {
			c, p := connection(t, client, server)
			test.run(t, c, p)
		})
	}
}
