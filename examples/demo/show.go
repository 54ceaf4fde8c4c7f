package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/unet-go/unet/examples/internal/hello"
	"github.com/unet-go/unet/stack/tcp"
)

// sites are the servers and their ports.
var sites = []struct {
	server string
	port   uint16
}{
	{"nethttp", 8080},
	{"fasthttp", 8081},
}

// show serves with each server in turn, fetches pages from it, prints what happens, and ends the world. It returns an
// error if anything went wrong.
func (w *world) show(ctx context.Context, l load, out io.Writer) (err error) {
	defer func() { err = errors.Join(err, w.close()) }()
	fmt.Fprintln(out, w.about)
	for _, s := range sites {
		if err := w.showSite(ctx, s.server, s.port, l, out); err != nil {
			return fmt.Errorf("%s: %w", s.server, err)
		}
	}
	return w.showRest(ctx, out)
}

// showSite serves with one server over both families until its clients have ended.
func (w *world) showSite(ctx context.Context, name string, port uint16, l load, out io.Writer) (err error) {
	ln, err := w.host.Listen("tcp", ":"+strconv.Itoa(int(port)))
	if err != nil {
		return err
	}
	server := hello.Servers[name]()
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	defer func() {
		bounded, cancel := context.WithTimeout(context.Background(), grace) // ctx may have ended
		defer cancel()
		err = errors.Join(err, server.Shutdown(bounded), <-served)
	}()

	for i, own := range ours {
		if i > 0 && !w.v6 {
			break
		}
		if err := w.showFamily(ctx, name, netip.AddrPortFrom(own.Addr(), port), l, out); err != nil {
			return err
		}
	}
	return nil
}

// showFamily is a client of a server at one of its addresses.
func (w *world) showFamily(ctx context.Context, name string, at netip.AddrPort, l load, out io.Writer) error {
	fmt.Fprintf(out, "\n%s serves http://%v/\n\n", name, at)
	if err := w.showConnection(ctx, at, out); err != nil {
		return err
	}
	for _, p := range pages {
		n, err := p.fetch(ctx, w.dial, at)
		if err != nil {
			return fmt.Errorf("%s %s: %w", p.method, p.path, err)
		}
		fmt.Fprintf(out, "  %-4s %-20s 200, %s octets, every one right\n", p.method, p.path, thousands(n))
	}
	r := l.run(ctx, w.dial, at)
	fmt.Fprintf(out, "  %s\n", &r)
	return r.err()
}

// showConnection fetches a page over a connection of its own and prints its segments, from the SYN to the
// acknowledgment of the last FIN.
func (w *world) showConnection(ctx context.Context, at netip.AddrPort, out io.Writer) error {
	w.record.on.Store(true)
	_, err := pages[0].fetch(ctx, w.dial, at)
	err = errors.Join(err, w.quiet(ctx))
	w.record.on.Store(false)
	lines := w.record.take(at)
	for _, line := range lines {
		fmt.Fprintln(out, "   ", line)
	}
	fmt.Fprintln(out)
	return err
}

// showRest checks that the servers and their clients have left no connection behind, and prints that.
func (w *world) showRest(ctx context.Context, out io.Writer) error {
	err := w.quiet(ctx)
	s := w.host.Stats()
	fmt.Fprintf(out, "\nleft over: %d connections, %d in TIME-WAIT; retransmitted segments: %d; wrong checksums: %d\n",
		s.TCPGauges.Connections(), s.TCPGauges.States[tcp.TimeWaitState], s.TCP.Retransmitted, s.TCPGauges.BadChecksum)
	return err
}

// quiet waits until the host has no connection.
func (w *world) quiet(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		s := w.host.Stats()
		n := s.TCPGauges.Connections()
		if n == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d connections are left over", n)
		}
	}
}

// dialer makes a client's connection.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)
