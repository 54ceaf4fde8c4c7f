package stack

import (
	"bytes"
	"io"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// lentText is storage that counts the references to it.
type lentText struct {
	size int
	refs atomic.Int32
}

func (l *lentText) Retain()  { l.refs.Add(1) }
func (l *lentText) Release() { l.refs.Add(-1) }
func (l *lentText) Cap() int { return l.size }

func span(text []byte) (tcp.Span, *lentText) {
	l := &lentText{size: len(text)}
	l.Retain()
	return tcp.Span{Data: text, Owner: l}, l
}

// numbered returns n octets of a stream from a place on.
func numbered(from, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte((from+i)*7 + (from+i)>>8)
	}
	return p
}

// connReader reads a connection to its end.
type connReader struct{ *TCPConn }

func (r connReader) Read(p []byte) (int, error) {
	n, err := r.TCPConn.Read(p)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

func TestWriteSpan(t *testing.T) {
	wire := sim.Config{Delay: time.Millisecond}
	small := Config{TCP: tcp.Config{SendBuffer: 4608, MaxSendBuffer: 4608, RecvBuffer: 4608, MaxRecvBuffer: 4608}}
	inHosts(t, "all spans arrive in their order, however full the send buffer is, and are given back", wire, small, func(n *network) {
		const spans, size = 100, 1500
		client, server := n.connect()
		var lent []*lentText
		go func() {
			for i := range spans {
				s, l := span(numbered(i*size, size))
				lent = append(lent, l)
				n.must(client.WriteSpan(s))
			}
			n.must(client.CloseWrite())
		}()
		got, err := io.ReadAll(connReader{server})
		n.must(err)
		if want := numbered(0, spans*size); !bytes.Equal(got, want) {
			n.Errorf("%d octets arrived of %d, or others", len(got), len(want))
		}
		n.must(server.Close())
		time.Sleep(time.Second)
		for i, l := range lent {
			if k := l.refs.Load(); k != 0 {
				n.Errorf("span %d: %d references are left", i, k)
			}
		}
		n.must(client.Close())
	})
	inHosts(t, "a span does not come amid the octets of a Write that waits", wire, small, func(n *network) {
		client, server := n.connect()
		const first = 50_000
		go func() {
			if k, err := client.Write(numbered(0, first)); k != first || err != nil {
				n.Errorf("Write: %d, %v", k, err)
			}
		}()
		settle() // it waits for room
		go func() {
			s, _ := span(numbered(first, 1000))
			n.must(client.WriteSpan(s))
			n.must(client.CloseWrite())
		}()
		got, err := io.ReadAll(connReader{server})
		n.must(err)
		if !bytes.Equal(got, numbered(0, first+1000)) {
			n.Errorf("%d octets arrived of %d, or others", len(got), first+1000)
		}
		n.must(client.Close())
		n.must(server.Close())
	})
	inHosts(t, "after an error the span is the caller's still", wire, small, func(n *network) {
		client, server := n.connect()
		n.must(client.SetWriteDeadline(time.Now().Add(time.Second)))
		written := 0
		for {
			if written > 1<<20 {
				n.Fatal("there is always room")
			}
			s, l := span(numbered(written, 1500))
			if err := client.WriteSpan(s); err != nil {
				n.want("WriteSpan", err, syscall.EAGAIN)
				if k := l.refs.Load(); k != 1 {
					n.Errorf("%d references", k)
				}
				break
			}
			written += 1500
		}
		n.must(client.CloseWrite())
		s, l := span(numbered(written, 1500))
		if err := client.WriteSpan(s); l.refs.Load() != 1 || err != syscall.EAGAIN && err != syscall.EPIPE {
			n.Errorf("after CloseWrite: %v, %d references", err, l.refs.Load())
		}
		got, err := io.ReadAll(connReader{server})
		n.must(err)
		if written == 0 || !bytes.Equal(got, numbered(0, written)) {
			n.Errorf("%d octets arrived of %d", len(got), written)
		}
		n.must(client.Close())
		n.must(server.Close())
	})
	inNetwork(t, "a span that the SYN waits for opens the connection", wire, func(n *network) {
		l := n.listen(n.b, 80, 4)
		l.SetFastOpen(4)
		n.must(l.SetDeadline(time.Now().Add(time.Minute)))
		for i := range 2 { // the first gets the cookie
			c, err := n.a.ConnectTCPFastOpen(nil, netip.AddrPortFrom(n.addrB, 80), tcp.DefaultOptions())
			n.must(err)
			if c.Waits() != (i == 1) {
				n.Errorf("open %d: Waits %v", i, c.Waits())
			}
			s, _ := span(numbered(0, 1000))
			n.must(c.WriteSpan(s))
			n.must(c.CloseWrite())
			server, err := l.Accept()
			n.must(err)
			got, err := io.ReadAll(connReader{server})
			n.must(err)
			if !bytes.Equal(got, numbered(0, 1000)) {
				n.Errorf("open %d: %d octets arrived", i, len(got))
			}
			n.must(server.Close())
			n.must(c.Close())
		}
		n.must(l.Close())
	})
}
