//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/unet-go/unet/benchmarks/internal/flood"
)

// floods measures the rate of an honest client while another program on its own link floods the server.
var floods = part{
	name: "floods", title: "Honest clients beside a flood", rows: "flood, client", unit: "% of the rate alone", scale: 100,
	about: "Each sample is the client's rate during the flood as a part of its rate just before it. The flood comes from an AF_PACKET " +
		"socket on the client's side of the link, at the rate that the table says was reached, and shares the processors with both. Afterwards is the " +
		"client's rate right after the flood's end, as a part of that before it.",
	optional: true, families: true, procs: true, server: &httpServer, points: byFlood,
	measure: func(ctx context.Context, t *turn) (Sample, error) { return t.flooded(ctx) },
}

// honestConns is the number of connections of an honest client.
const honestConns = 16

// The ways of an honest client.
const (
	keepsAlive   = "requests"    // on connections that stay
	connectsAnew = "connections" // of one request each
)

func byFlood(o *options) (points []point) {
	for _, kind := range flood.Kinds() {
		if !slices.Contains(o.Floods, kind.Name) {
			continue
		}
		for _, way := range []string{keepsAlive, connectsAnew} {
			points = append(points, point{Name: kind.About + ", " + way, Conns: honestConns, mode: kind.Name + "." + way})
		}
	}
	return points
}

// flooded measures a client alone, during a flood and after it.
func (t *turn) flooded(ctx context.Context) (Sample, error) {
	kind, way, _ := strings.Cut(t.at.mode, ".")
	alone, err := t.honest(ctx, way)
	if err != nil || t.warming {
		return Sample{Rate: 1}, err
	}
	if alone.Counted == 0 {
		return Sample{}, fmt.Errorf("no request was answered without a flood: %s", alone.First)
	}
	f, err := t.startFlood(ctx, kind)
	if err != nil {
		return Sample{}, err
	}
	during, err := t.honest(ctx, way)
	sent, stopped := f.stop()
	if err = errors.Join(err, stopped); err != nil {
		return Sample{}, err
	}
	after, err := t.honest(ctx, way)
	if err != nil {
		return Sample{}, err
	}
	before := perSecond(&alone)
	return Sample{Rate: perSecond(&during) / before, P99: during.P99, Alone: before, Flood: sent, After: perSecond(&after) / before}, nil
}

func perSecond(r *requestResult) float64 { return float64(r.Counted) / r.Took.Seconds() }

// flooder is a running flood.
type flooder struct {
	cmd   *exec.Cmd
	stdin io.Closer
	lines *bufio.Scanner
}

// startFlood starts a process that floods the turn's server, and returns when the flood has begun.
func (t *turn) startFlood(ctx context.Context, kind string) (*flooder, error) {
	cmd := command(ctx, self, "flood", "-target", t.server.target, "-kind", kind, "-rate", strconv.Itoa(flood.Named(kind).Rate))
	cmd.Stderr = os.Stderr
	stdin, stdout, err := startPiped(cmd)
	if err != nil {
		return nil, err
	}
	f := &flooder{cmd: cmd, stdin: stdin, lines: bufio.NewScanner(stdout)}
	if !f.lines.Scan() || f.lines.Text() != "floods" {
		_, err := f.stop()
		return nil, fmt.Errorf("the flooder has ended before it flooded: %w", errors.Join(err, f.lines.Err()))
	}
	return f, nil
}

// stop ends the flood and returns the frames that it sent for each second.
func (f *flooder) stop() (perSecond float64, err error) {
	err = f.stdin.Close()
	if f.lines.Scan() {
		err = errors.Join(err, json.Unmarshal(f.lines.Bytes(), &perSecond))
	}
	for f.lines.Scan() {
	}
	return perSecond, errors.Join(err, f.cmd.Wait())
}

// honest runs the client once. It is no error if some of its connections fail, since that is the purpose of a flood.
func (t *turn) honest(ctx context.Context, way string) (r requestResult, err error) {
	err = t.lab.client(ctx, &r, "honest-client", "-target", t.server.target, "-way", way, "-conns", strconv.Itoa(t.at.Conns),
		"-duration", t.options.Duration.String())
	return r, err
}

// honestClient sends requests until the time is over, and counts those that are answered by then.
func honestClient(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("honest-client", flag.ContinueOnError)
	target := flags.String("target", "", "host:port")
	way := flags.String("way", keepsAlive, "what it does")
	conns := flags.Int("conns", 1, "connections at once")
	duration := flags.Duration("duration", time.Second, "time that counts")
	if err := flags.Parse(args); err != nil {
		return err
	}
	begin := time.Now()
	from := begin.Add(time.Duration(warmup * float64(*duration)))
	until := from.Add(*duration)
	within, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	askers := make([]asker, *conns)
	var all sync.WaitGroup
	for i := range askers {
		all.Go(func() { askers[i].honest(within, *target, *way, begin, from, until) })
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	r := sum(askers, begin, *duration)
	r.Counted, r.Took = 0, *duration // for a client without answers sum would count a longer time
	for i := range askers {
		r.Counted += askers[i].counted
	}
	return json.NewEncoder(stdout).Encode(r)
}

// honest sends requests until the time is over. When a connection fails it opens another one.
func (a *asker) honest(ctx context.Context, target, way string, begin, from, until time.Time) {
	closing := ""
	if way == connectsAnew {
		closing = "Connection: close\r\n"
	}
	request := []byte("GET / HTTP/1.1\r\nHost: " + target + "\r\n" + closing + "\r\n")
	for sent := begin; sent.Before(until); {
		var err error
		if way == connectsAnew {
			err = a.once(ctx, target, request, until.Add(-patience))
		} else {
			err = a.again(ctx, target, request, until)
		}
		now := time.Now()
		switch {
		case err == nil:
			a.count(sent, now, from, until)
		case now.Before(until):
			a.err = err
			a.hangUp()
		}
		sent = now
	}
	a.hangUp()
}

// again sends a request on the connection that a has, or on a new one.
func (a *asker) again(ctx context.Context, target string, request []byte, until time.Time) (err error) {
	if a.conn == nil {
		if a.conn, err = new(net.Dialer).DialContext(ctx, "tcp", target); err != nil {
			a.conn = nil
			return err
		}
		if err = a.conn.SetDeadline(until); err != nil {
			return err
		}
	}
	if _, err = a.conn.Write(request); err != nil {
		return err
	}
	return a.answer()
}

func (a *asker) hangUp() {
	if a.conn != nil {
		_ = a.conn.Close()
		a.conn = nil
	}
}
