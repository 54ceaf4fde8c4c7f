package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/unet"
)

// The addresses of the two sides.
var (
	ours   = []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24"), netip.MustParsePrefix("fd75:6e65:7400::2/64")}
	theirs = []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("fd75:6e65:7400::1/64")}
)

// grace is the time that answers have at the end to arrive.
const grace = 5 * time.Second

// world is a host to serve on, and a way to be its client.
type world struct {
	about  string // one line for people
	v6     bool   // the client has IPv6
	host   *unet.Host
	record *recorder
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	end    []func() error // called at the end, the last one first
}

// overTAP returns a world whose client is the kernel.
func overTAP() (*world, error) {
	peers, v6 := theirs, tap.KernelIPv6()
	if !v6 {
		peers = theirs[:1]
	}
	dev, err := tap.Open(tap.Config{Name: "unet0", PeerAddrs: peers})
	if err != nil {
		return nil, err
	}
	w := &world{about: "TAP device unet0 in a network namespace of its own. unet is 10.0.0.2, the client is the kernel, 10.0.0.1.",
		v6: v6, dial: new(net.Dialer).DialContext}
	if !v6 {
		w.about += "\nThis kernel has no IPv6 to show."
	}
	if err := w.open(dev); err != nil {
		return nil, err
	}
	return w, nil
}

// overSegment returns a world whose client is another host of ours.
func overSegment() (*world, error) {
	segment := sim.NewSegment(sim.Config{Offload: true})
	w := &world{about: "Segment in memory. unet is 10.0.0.2, the client is another host of unet, 10.0.0.1.", v6: true, end: []func() error{segment.Close}}
	client, err := unet.Open(unet.Config{Link: segment.Port(), Addrs: theirs})
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	w.dial, w.end = client.DialContext, append(w.end, func() error { return shutdown(client) })
	if err := w.open(segment.Port()); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// open opens the host to serve on, and takes ownership of dev.
func (w *world) open(dev link.Device) error {
	w.record = newRecorder(dev)
	host, err := unet.Open(unet.Config{Link: w.record, Addrs: ours})
	if err != nil {
		return err
	}
	w.host, w.end = host, append(w.end, func() error { return shutdown(host) })
	return nil
}

// shutdown ends a host, which has the time grace to send the rest.
func shutdown(h *unet.Host) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return h.Shutdown(ctx)
}

func (w *world) close() error {
	var errs []error
	for i := len(w.end) - 1; i >= 0; i-- {
		errs = append(errs, w.end[i]())
	}
	w.end = nil
	return errors.Join(errs...)
}
