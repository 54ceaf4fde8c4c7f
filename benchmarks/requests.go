//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// requests measures HTTP over connections that are kept, one request at a time on each.
var requests = part{
	name: "requests", title: "Requests, fasthttp, HTTP/1.1 keep-alive, 13-octet body", rows: "connections", unit: "requests/s",
	scale: 1, per: "request", families: true, procs: true, server: &httpServer, points: byConns,
	measure: func(ctx context.Context, t *turn) (Sample, error) { return t.requests(ctx) },
}

// netHTTP measures the same with the standard library's server.
var netHTTP = part{
	name: "nethttp", title: "Requests, net/http, HTTP/1.1 keep-alive, 13-octet body", rows: "connections", unit: "requests/s",
	scale: 1, per: "request", procs: true, server: &netHTTPServer,
	points:  func(*options) []point { return []point{{Name: "64", Conns: 64}} },
	measure: func(ctx context.Context, t *turn) (Sample, error) { return t.requests(ctx) },
}

func byConns(o *options) (points []point) {
	for _, n := range o.Conns {
		points = append(points, point{Name: strconv.Itoa(n), Conns: n})
	}
	return points
}

// requests measures requests over t.at.Conns connections.
func (t *turn) requests(ctx context.Context) (Sample, error) {
	return t.answered(func() (*requestResult, error) {
		if t.wrk() && (t.at.Conns <= wrkMost || t.options.Client == "wrk") {
			return t.lab.wrk(ctx, t.server.target, t.at.Conns, t.options.Duration)
		}
		var r requestResult
		err := t.lab.client(ctx, &r, "request-client", "-target", t.server.target, "-conns", strconv.Itoa(t.at.Conns),
			"-duration", t.options.Duration.String())
		return &r, err
	})
}

// answered makes a sample of the counts of a client.
func (t *turn) answered(load func() (*requestResult, error)) (Sample, error) {
	var r *requestResult
	used, err := t.server.busy(func() (err error) {
		r, err = load()
		return err
	})
	if err != nil {
		return Sample{}, err
	}
	if r.Requests == 0 {
		return Sample{}, fmt.Errorf("no request was answered, %d connections failed: %s", r.Errors, r.First)
	}
	each := time.Duration(r.Requests)
	return Sample{Rate: float64(r.Counted) / r.Took.Seconds(), CPU: used.process / each, Machine: used.machine / each,
		P50: r.P50, P99: r.P99, P999: r.P999, Errors: r.Errors}, nil
}

// requestResult is the output of the client.
type requestResult struct {
	// Requests counts all answers, Counted those within the time that is measured.
	Requests, Counted int
	Took              time.Duration // the time that is measured
	P50, P99, P999    time.Duration
	Errors            int
	First             string // error
}

// warmup is the length of the time before the measured time, as a part of the duration.
const warmup = 0.2

// requestClient requests / over a number of connections. On each it sends a request as soon as the last one is answered.
func requestClient(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("request-client", flag.ContinueOnError)
	target := flags.String("target", "", "host:port")
	conns := flags.Int("conns", 1, "number of connections")
	duration := flags.Duration("duration", time.Second, "time that counts")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r, err := ask(ctx, new(net.Dialer).DialContext, *target, *conns, *duration)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(r)
}

// dialer is the DialContext of a net.Dialer or a unet.Host.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// ask sends requests to target over conns connections.
func ask(ctx context.Context, dial dialer, target string, conns int, duration time.Duration) (*requestResult, error) {
	askers, hangUp, err := callUp(ctx, dial, target, conns)
	if err != nil {
		return nil, err
	}
	defer hangUp()
	return askAll(ctx, askers, target, duration)
}

// callUp opens conns connections. The caller closes them with hangUp.
func callUp(ctx context.Context, dial dialer, target string, conns int) (askers []asker, hangUp func(), err error) {
	askers = make([]asker, 0, conns)
	hangUp = func() {
		for i := range askers {
			_ = askers[i].conn.Close()
		}
	}
	for range conns {
		c, err := dial(ctx, "tcp", target)
		if err != nil {
			hangUp()
			return nil, nil, err
		}
		askers = append(askers, asker{conn: c})
	}
	return askers, hangUp, nil
}

// askAll makes all askers send requests at the same time, for the given duration.
func askAll(ctx context.Context, askers []asker, target string, duration time.Duration) (*requestResult, error) {
	request := []byte("GET / HTTP/1.1\r\nHost: " + target + "\r\n\r\n")
	begin := time.Now()
	from := begin.Add(time.Duration(warmup * float64(duration)))
	until := from.Add(duration)
	var all sync.WaitGroup
	for i := range askers {
		a := &askers[i]
		*a = asker{conn: a.conn}
		all.Go(func() { a.ask(request, begin, from, until) })
	}
	all.Wait()
	return sum(askers, begin, duration), ctx.Err()
}

// sum adds up the counts of askers. If there was no answer within the measured time, because it was too short for the
// server or the machine, all answers since begin count, and all the time.
func sum(askers []asker, begin time.Time, took time.Duration) *requestResult {
	r := requestResult{Took: took}
	var times histogram
	for i := range askers {
		a := &askers[i]
		r.Requests += a.requests
		r.Counted += a.counted
		times.merge(&a.times)
		if a.err != nil {
			if r.Errors == 0 {
				r.First = a.err.Error()
			}
			r.Errors++
		}
	}
	r.P50, r.P99, r.P999 = times.quantile(0.5), times.quantile(0.99), times.quantile(0.999)
	if r.Counted == 0 {
		r.Counted, r.Took = r.Requests, time.Since(begin)
	}
	return &r
}

// asker is one connection of the client.
type asker struct {
	conn              net.Conn
	requests, counted int
	times             histogram
	err               error
	buf               [4096]byte
}

// patience is the longest time for an answer.
const patience = 10 * time.Second

// ask sends requests until the time is over. It allocates nothing in its loop.
func (a *asker) ask(request []byte, begin, from, until time.Time) {
	if a.err = a.conn.SetDeadline(until.Add(patience)); a.err != nil {
		return
	}
	for sent := begin; sent.Before(until); {
		if _, a.err = a.conn.Write(request); a.err != nil {
			return
		}
		if a.err = a.answer(); a.err != nil {
			return
		}
		now := time.Now()
		a.count(sent, now, from, until)
		sent = now
	}
}

// count counts an answer.
func (a *asker) count(sent, now, from, until time.Time) {
	a.requests++
	if !sent.Before(from) && now.Before(until) {
		a.counted++
		a.times.add(now.Sub(sent))
	}
}

var (
	errStatus = errors.New("the answer's status is not 200")
	errLength = errors.New("the answer has no Content-Length that fits")
	errMore   = errors.New("octets follow the answer")
)

// answer reads one answer.
func (a *asker) answer() error {
	have, want := 0, 0
	for {
		n, err := a.conn.Read(a.buf[have:])
		have += n
		if want == 0 {
			var bad error
			if want, bad = answerLength(a.buf[:have]); bad != nil {
				return bad
			}
		}
		switch {
		case want > 0 && have == want:
			return nil
		case want > 0 && have > want:
			return errMore
		case err != nil:
			return err
		case want > len(a.buf) || have == len(a.buf):
			return errLength
		}
	}
}

var (
	status    = []byte("HTTP/1.1 200 OK\r\n")
	endOfHead = []byte("\r\n\r\n")
	lengthIs  = []byte("\r\nContent-Length: ")
)

// answerLength returns the octets of an answer, its head included, or 0 if b does not hold the whole head.
func answerLength(b []byte) (int, error) {
	end := bytes.Index(b, endOfHead)
	if end < 0 {
		return 0, nil
	}
	if !bytes.HasPrefix(b, status) {
		return 0, errStatus
	}
	at := bytes.Index(b[:end], lengthIs)
	if at < 0 {
		return 0, errLength
	}
	length := 0
	for _, digit := range b[at+len(lengthIs) : end+1] {
		if digit == '\r' {
			return end + len(endOfHead) + length, nil
		}
		if digit < '0' || digit > '9' || length > 1<<20 {
			break
		}
		length = length*10 + int(digit-'0')
	}
	return 0, errLength
}
