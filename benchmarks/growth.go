//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

// grown is what idle connections cost those that are busy, without bounds of descriptors.
var grown = part{
	name: "growth", title: "Requests in one process over 64 connections beside idle ones, two hosts of unet over sim", rows: "idle connections",
	unit: "requests/s", scale: 1, per: "request",
	about: "Idle connections are accepted, have sent nothing and send no keepalive; both their ends are in the process. " +
		"The processes of all rows live at the same time.",
	contestants: []string{unetName},
	points:      byEnds,
	measure: func(ctx context.Context, t *turn) (Sample, error) {
		s, err := t.lab.session(ctx, "growth "+t.at.Name, self, t.procs, "growth", "-idle", t.at.Name, "-duration", t.options.Duration.String())
		if err != nil {
			return Sample{}, err
		}
		var r processResult
		if err := s.ask(&r); err != nil {
			return Sample{}, err
		}
		if r.Requests == 0 {
			return Sample{}, fmt.Errorf("no request was answered: %s", r.First)
		}
		return Sample{Rate: float64(r.Counted) / r.Took.Seconds(), CPU: r.CPU / time.Duration(r.Requests), P50: r.P50, P99: r.P99, P999: r.P999,
			Errors: r.Errors}, nil
	},
}

func byEnds(o *options) (points []point) {
	for _, n := range o.Ends {
		points = append(points, point{Name: strconv.Itoa(n), Conns: n})
	}
	return points
}

// growth makes idle connections, and then measures each time it reads a line.
func growth(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("growth", flag.ContinueOnError)
	idle := flags.Int("idle", 0, "number of idle connections")
	duration := flags.Duration("duration", time.Second, "time that counts")
	if err := flags.Parse(args); err != nil {
		return err
	}
	w, err := newWire(unetName)
	if err != nil {
		return err
	}
	defer w.close()
	held, err := w.hold(ctx, *idle)
	if err != nil {
		return err
	}
	defer held.close()
	askers, hangUp, err := w.site(ctx, atOnce)
	if err != nil {
		return err
	}
	defer hangUp()
	fmt.Fprintln(stdout, "ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		began := ownTime()
		asked, err := askAll(ctx, askers, w.target, *duration)
		if err != nil {
			return err
		}
		if err := json.NewEncoder(stdout).Encode(processResult{requestResult: *asked, CPU: ownTime() - began}); err != nil {
			return err
		}
	}
	return nil
}

// held are idle connections, both ends of each, and their listeners.
type held struct {
	conns     []net.Conn
	listeners []net.Listener
}

// perPort is how many connections go to one port, so that one client address has enough ports of its own.
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
