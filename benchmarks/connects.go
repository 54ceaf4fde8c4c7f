//go:build linux

package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// atOnce is the number of connections in parts in which it does not vary.
const atOnce = 64

// connects measures HTTP with a connection for each request, which the server closes.
var connects = part{
	name: "connects", title: "Connections, one request each", rows: "at once", unit: "connections/s", scale: 1, per: "connection", families: true, procs: true,
	about:  "The latency is that of the request alone with wrk, and from connect to close with the built-in client.",
	server: &httpServer,
	points: func(*options) []point { return []point{{Name: strconv.Itoa(atOnce), Conns: atOnce}} },
	measure: func(ctx context.Context, t *turn) (Sample, error) {
		return t.answered(func() (*requestResult, error) {
			if t.wrk() {
				return t.lab.wrk(ctx, t.server.target, t.at.Conns, t.options.Duration, "Connection: close")
			}
			var r requestResult
			err := t.lab.client(ctx, &r, "connect-client", "-target", t.server.target, "-conns", strconv.Itoa(t.at.Conns),
				"-duration", t.options.Duration.String())
			return &r, err
		})
	},
}

// connectClient opens connections, sends one request on each and waits for its end.
func connectClient(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("connect-client", flag.ContinueOnError)
	target := flags.String("target", "", "host:port")
	conns := flags.Int("conns", 1, "connections at once")
	duration := flags.Duration("duration", time.Second, "time that counts")
	if err := flags.Parse(args); err != nil {
		return err
	}
	request := []byte("GET / HTTP/1.1\r\nHost: " + *target + "\r\nConnection: close\r\n\r\n")
	begin := time.Now()
	from := begin.Add(time.Duration(warmup * float64(*duration)))
	until := from.Add(*duration)
	askers := make([]asker, *conns)
	var all sync.WaitGroup
	for i := range askers {
		all.Go(func() { askers[i].connect(ctx, *target, request, begin, from, until) })
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(sum(askers, begin, *duration))
}

// connect makes connections until the time is over or one fails.
func (a *asker) connect(ctx context.Context, target string, request []byte, begin, from, until time.Time) {
	for sent := begin; sent.Before(until); {
		if a.err = a.once(ctx, target, request, until); a.err != nil {
			return
		}
		now := time.Now()
		a.count(sent, now, from, until)
		sent = now
	}
}

// once makes one connection, sends one request and waits until the server closes the connection.
func (a *asker) once(ctx context.Context, target string, request []byte, until time.Time) (err error) {
	if a.conn, err = new(net.Dialer).DialContext(ctx, "tcp", target); err != nil {
		return err
	}
	defer a.conn.Close()
	if err := a.conn.SetDeadline(until.Add(patience)); err != nil {
		return err
	}
	if _, err := a.conn.Write(request); err != nil {
		return err
	}
	if err := a.answer(); err != nil {
		return err
	}
	if n, err := a.conn.Read(a.buf[:]); n > 0 {
		return errMore
	} else if err != io.EOF {
		return err
	}
	return nil
}
