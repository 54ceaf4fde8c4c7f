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

// requests is HTTP over connections that stay, one request at a time on each.
var requests = part{
	name: "requests", title: "Requests, HTTP/1.1 keep-alive, 13-octet body", rows: "connections", unit: "requests/s", scale: 1, per: "request",
	server: httpServer,
	points: func(o *options) (points []point) {
		for _, n := range o.Conns {
			points = append(points, point{Name: strconv.Itoa(n), Conns: n})
		}
		return points
	},
	measure: func(ctx context.Context, l *lab, s *server, p point, o *options) (Sample, error) {
		var r requestResult
		used, err := s.busy(func() error {
			return l.client(ctx, &r, "request-client", "-target", s.target, "-conns", strconv.Itoa(p.Conns), "-duration", o.Duration.String())
		})
		if err != nil {
			return Sample{}, err
		}
		if r.Requests == 0 {
			return Sample{}, fmt.Errorf("no request was answered: %s", r.First)
		}
		return Sample{Rate: float64(r.Counted) / o.Duration.Seconds(), CPU: used / time.Duration(r.Requests),
			P50: r.P50, P99: r.P99, P999: r.P999, Errors: r.Errors}, nil
	},
}

// requestResult is what the client prints.
type requestResult struct {
	// Requests counts all answers, Counted those of the time that counts.
	Requests, Counted int
	P50, P99, P999    time.Duration
	Errors            int
	First             string // error
}

// warmup is the part of the duration that goes before it and does not count.
const warmup = 0.2

// requestClient asks for / over a number of connections, each as fast as it is answered.
func requestClient(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("request-client", flag.ContinueOnError)
	target := flags.String("target", "", "host:port")
	conns := flags.Int("conns", 1, "number of connections")
	duration := flags.Duration("duration", time.Second, "time that counts")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r, err := ask(ctx, *target, *conns, *duration)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(r)
}

func ask(ctx context.Context, target string, conns int, duration time.Duration) (*requestResult, error) {
	askers := make([]asker, conns)
	for i := range askers {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", target)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		askers[i].conn = c
	}
	request := []byte("GET / HTTP/1.1\r\nHost: " + target + "\r\n\r\n")
	begin := time.Now()
	from := begin.Add(time.Duration(warmup * float64(duration)))
	until := from.Add(duration)
	var all sync.WaitGroup
	for i := range askers {
		all.Go(func() { askers[i].ask(request, begin, from, until) })
	}
	all.Wait()
	var r requestResult
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
	return &r, ctx.Err()
}

// asker is one connection of the client.
type asker struct {
	conn              net.Conn
	requests, counted int
	times             histogram
	err               error
	buf               [4096]byte
}

// patience is how long an answer may take.
const patience = 10 * time.Second

// ask asks until the time is over. It allocates nothing in its loop.
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
		a.requests++
		if !sent.Before(from) && now.Before(until) {
			a.counted++
			a.times.add(now.Sub(sent))
		}
		sent = now
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
