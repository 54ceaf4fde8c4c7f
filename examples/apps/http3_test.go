package apps

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// TestHTTP3 has quic-go's server and client on UDP sockets.
func TestHTTP3(t *testing.T) {
	t.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) { testHTTP3(t, w.open(t)) })
	}
}

func testHTTP3(t *testing.T, w *world) {
	accept, trust := identity()
	at, err := w.packet("udp", net.JoinHostPort(w.server, "0"))
	if err != nil {
		t.Fatal(err)
	}
	page := text(1 << 20)
	srv := &http3.Server{Handler: pages(page), TLSConfig: http3.ConfigureTLSConfig(accept.Clone())}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(at) }()
	defer func() {
		if err := errors.Join(srv.Close(), is(<-served, http.ErrServerClosed), at.Close()); err != nil {
			t.Error(err)
		}
	}()

	from, err := w.outgoing("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	below := &quic.Transport{Conn: from}
	tr := &http3.Transport{TLSClientConfig: trust.Clone(), Dial: func(ctx context.Context, _ string, config *tls.Config, q *quic.Config) (*quic.Conn, error) {
		return below.DialEarly(ctx, at.LocalAddr(), config, q)
	}}
	defer func() {
		if err := errors.Join(tr.Close(), below.Close(), from.Close()); err != nil {
			t.Error(err)
		}
	}()
	c := &http.Client{Transport: tr}
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() { getAndEcho(t, c, "https://"+serverName, "HTTP/3.0", page, i) })
	}
	group.Wait()
	duplex(t, c, "https://"+serverName)
}
