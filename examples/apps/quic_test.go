package apps

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

// quicOctets is how much TestQUIC moves: 1 GB, and with -short 50 MB.
func quicOctets() int64 {
	if testing.Short() {
		return 50e6
	}
	return 1e9
}

// TestQUIC moves 1 GB over one stream of quic-go, which looks for a descriptor to learn of ECN and goes on without one, in
// memory and over TAP, and as much over the kernel's loopback in the same run.
func TestQUIC(t *testing.T) {
	t.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	rate := func(name string, w *world) (mbit float64) {
		t.Run(name, func(t *testing.T) {
			n := quicOctets()
			took := overQUIC(t, w, n)
			mbit = float64(n) * 8 / 1e6 / took.Seconds()
			t.Logf("%d octets in %v: %.0f Mbit/s", n, took.Round(time.Millisecond), mbit)
		})
		return mbit
	}
	kernel := rate("kernel to kernel", &world{server: "127.0.0.1", packet: net.ListenPacket, outgoing: net.ListenPacket})
	for _, w := range worlds {
		if ours := rate(w.name, w.open(t)); kernel > 0 {
			t.Logf("%s: %.2f of the kernel's loopback", w.name, ours/kernel)
		}
	}
}

// overQUIC moves octets from a server to a client.
func overQUIC(t *testing.T, w *world, octets int64) time.Duration {
	t.Helper()
	accept, trust := identity()
	accept, trust = accept.Clone(), trust.Clone()
	accept.NextProtos, trust.NextProtos = []string{"octets"}, []string{"octets"}
	at, err := w.packet("udp", net.JoinHostPort(w.server, "0"))
	if err != nil {
		t.Fatal(err)
	}
	from, err := w.outgoing("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	above, below := &quic.Transport{Conn: at}, &quic.Transport{Conn: from}
	defer func() {
		if err := errors.Join(below.Close(), above.Close(), from.Close(), at.Close()); err != nil {
			t.Error(err)
		}
	}()
	l, err := above.Listen(accept, nil)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- serveOctets(t.Context(), l, octets) }()
	began := time.Now()
	err = readOctets(t.Context(), below, at.LocalAddr(), trust, octets)
	took := time.Since(began)
	if err := errors.Join(err, <-served, l.Close()); err != nil {
		t.Fatal(err)
	}
	return took
}

// serveOctets sends octets to the first client, and waits until it has them.
func serveOctets(ctx context.Context, l *quic.Listener, octets int64) error {
	c, err := l.Accept(ctx)
	if err != nil {
		return err
	}
	s, err := c.OpenUniStreamSync(ctx)
	if err != nil {
		return err
	}
	_, err = io.CopyN(s, endless(text(1<<16)), octets)
	err = errors.Join(err, s.Close())
	<-c.Context().Done()
	return err
}

func readOctets(ctx context.Context, below *quic.Transport, at net.Addr, config *tls.Config, octets int64) error {
	c, err := below.Dial(ctx, at, config, nil)
	if err != nil {
		return err
	}
	defer func() { _ = c.CloseWithError(0, "") }()
	s, err := c.AcceptUniStream(ctx)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, s)
	if err == nil && n != octets {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// endless is a text that repeats.
type endless []byte

func (e endless) Read(b []byte) (int, error) { return copy(b, e), nil }
