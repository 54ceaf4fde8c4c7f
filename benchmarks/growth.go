//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
)

// grown measures the cost of idle connections for the busy ones, in one process, where no limit of descriptors applies.
var grown = part{
	name: "growth", title: "Requests in one process over 64 connections beside idle ones, two hosts of unet over sim", rows: "idle connections",
	unit: "requests/s", scale: 1, per: "request",
	about:       "Idle connections are accepted, have sent nothing and send no keepalive; both their ends are in the process.",
	contestants: []string{unetName, baseName},
	points:      byEnds,
	rounds:      fewOfMany,
	measure:     func(ctx context.Context, t *turn) (Sample, error) { return t.process(ctx, atOnce, t.at.Conns) },
}

func byEnds(o *options) (points []point) {
	for _, n := range o.Ends {
		points = append(points, point{Name: strconv.Itoa(n), Conns: n})
	}
	return points
}

// fewOfMany returns the number of rounds for points that take long to set up and hardly vary.
func fewOfMany(o *options, at point) int {
	if at.Conns >= 1_000_000 {
		return min(o.Rounds, 3)
	}
	return o.Rounds
}

// held are idle connections, both ends of each, and their listeners.
type held struct {
	conns     []net.Conn
	listeners []net.Listener
}

// perPort is the number of connections to one port, so that the ports of one client address are enough.
const perPort = 20_000

// hold makes n connections.
func (w *wire) hold(ctx context.Context, n int) (*held, error) {
	h := &held{conns: make([]net.Conn, 0, 2*n)}
	for at := range n {
		if at%perPort == 0 {
			ln, err := w.listen(ctx)
			if err != nil {
				h.close()
				return nil, err
			}
			h.listeners = append(h.listeners, ln)
		}
		ln := h.listeners[len(h.listeners)-1]
		c, err := w.dial(ctx, "tcp", ln.Addr().String())
		if err != nil {
			h.close()
			return nil, fmt.Errorf("connection %d: %w", at+1, err)
		}
		h.conns = append(h.conns, c)
		if c, err = ln.Accept(); err != nil {
			h.close()
			return nil, fmt.Errorf("connection %d: %w", at+1, err)
		}
		h.conns = append(h.conns, c)
	}
	return h, nil
}

func (h *held) close() {
	for _, c := range h.conns {
		_ = c.Close()
	}
	for _, ln := range h.listeners {
		_ = ln.Close()
	}
}
