package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
	"github.com/unet-go/unet/unet"
)

// plan has the values of the flags.
type plan struct {
	conns, workers, busy int
	load, msl            time.Duration
	keepAlive            bool
	v6                   bool
	profile              string
}

// The ephemeral ports of one address: no two connections to one server can have the same.
const (
	firstPort = 32768
	ports     = 60999 - firstPort + 1
	// perAddress leaves some free, so that no dial has to look for the last one.
	perAddress = ports - 232
)

// maxConns is the number of connections for which there are addresses. Memory is the limit before that.
const maxConns = 2000 * perAddress

// network is the addresses of a family: the server's, and the client's first with the length of their network.
type network struct {
	server netip.AddrPort
	client netip.Prefix
}

var (
	ipv4 = network{netip.MustParseAddrPort("10.255.0.1:80"), netip.MustParsePrefix("10.0.0.1/8")}
	ipv6 = network{netip.MustParseAddrPort("[fd00::ff:1]:80"), netip.MustParsePrefix("fd00::1/64")}
)

// network returns the addresses of the plan.
func (p *plan) network() network {
	if p.v6 {
		return ipv6
	}
	return ipv4
}

// world is the network: a segment with two hosts.
type world struct {
	segment *sim.Segment
	client  *unet.Host
	server  *unet.Host
	addrs   []netip.Addr // the client's
	ln      *unet.TCPListener
	dialer  unet.Dialer
}

// open makes the world of a plan.
func (p *plan) open() (w *world, err error) {
	w = &world{segment: sim.NewSegment(sim.Config{Offload: true})}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	total := p.conns + p.busy
	var prefixes []netip.Prefix
	of := p.network()
	a, bits, server := of.client.Addr(), of.client.Bits(), of.server
	for range (total + perAddress - 1) / perAddress {
		w.addrs = append(w.addrs, a)
		prefixes = append(prefixes, netip.PrefixFrom(a, bits))
		a = a.Next()
	}
	// The limits leave room for all connections at once, so that the counts of the program are not bounded by them.
	cfg := stack.Config{MaxTimeWait: 2 * total, MaxOrphans: total, TCP: tcp.Config{MSL: p.msl}}
	// The ports have room for all frames that the workers can have in flight.
	port := sim.PortConfig{Queue: 64 * p.workers * turn}
	if w.client, err = unet.Open(unet.Config{Link: w.segment.NewPort(port), Addrs: prefixes, Stack: cfg}); err != nil {
		return nil, err
	}
	at := netip.PrefixFrom(server.Addr(), bits)
	if w.server, err = unet.Open(unet.Config{Link: w.segment.NewPort(port), Addrs: []netip.Prefix{at}, Stack: cfg}); err != nil {
		return nil, err
	}
	keepAlive := time.Duration(-1)
	if p.keepAlive {
		keepAlive = 15 * time.Second
	}
	lc := unet.ListenConfig{Host: w.server, KeepAlive: keepAlive}
	ln, err := lc.Listen(context.Background(), "tcp", server.String())
	if err != nil {
		return nil, err
	}
	w.ln = ln.(*unet.TCPListener)
	w.dialer = unet.Dialer{Host: w.client, KeepAlive: keepAlive}
	return w, nil
}

// close ends the world.
func (w *world) close() {
	if w.ln != nil {
		_ = w.ln.Close()
	}
	for _, h := range []*unet.Host{w.client, w.server} {
		if h != nil {
			_ = h.Close()
		}
	}
	_ = w.segment.Close()
}

// left lists what is left in the two hosts: nothing, if the program is right.
func (w *world) left() (found []string) {
	for _, h := range []struct {
		name string
		host *unet.Host
	}{{"client", w.client}, {"server", w.server}} {
		g := h.host.Stats().TCPGauges
		for _, x := range []struct {
			name string
			n    int
		}{
			{"connections", g.Connections()}, {"half-open records", g.HalfOpen}, {"orphans", g.Orphans},
			{"TIME-WAIT records", g.States[tcp.TimeWaitState]}, {"connections to accept", g.AcceptQueue},
			{"bindings", g.Bindings},
		} {
			if x.n != 0 {
				found = append(found, fmt.Sprintf("%d %s of the %s", x.n, x.name, h.name))
			}
		}
	}
	return found
}
