package main

import (
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFlags(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"-parts latency", `-parts "latency": not one of requests,bulk`},
		{"-conns 1,none", `-conns "none": not a number of connections`},
		{"-conns 0", `-conns "0": not a number of connections`},
		{"-rounds 0", "want at least one round of at least 1ms, and -procs of at least 0"},
		{"-server apache", `-server "apache": not fasthttp or nethttp`},
		{"now", `unexpected argument "now"`},
	} {
		if _, err := parse(strings.Fields(tc.args), io.Discard); err == nil || err.Error() != tc.want {
			t.Errorf("%s: %v, want %s", tc.args, err, tc.want)
		}
	}
	var help strings.Builder
	if _, err := parse([]string{"-h"}, &help); !errors.Is(err, flag.ErrHelp) || !strings.Contains(help.String(), "-conns numbers") {
		t.Errorf("-h: %v, %q", err, &help)
	}
	for _, tc := range []struct {
		args     string
		rounds   int
		duration time.Duration
	}{{"", 5, 2 * time.Second}, {"-short", 3, 400 * time.Millisecond}, {"-short -rounds 5", 5, 400 * time.Millisecond}} {
		o, err := parse(strings.Fields(tc.args), io.Discard)
		if err != nil || o.Rounds != tc.rounds || o.Duration != tc.duration || !slices.Equal(o.Conns, []int{1, 64, 256}) {
			t.Errorf("%q: %+v, %v", tc.args, o, err)
		}
	}
}

func TestHistogram(t *testing.T) {
	for ns := time.Duration(0); ns < time.Minute; ns += ns/7 + 1 {
		if got := middle(bucket(ns)); max(got-ns, ns-got) > ns/32 {
			t.Fatalf("%v is counted as %v", ns, got)
		}
	}
	if got, want := bucket(time.Hour), len(histogram{})-1; got != want {
		t.Errorf("an hour is in bucket %d, not in the last one, %d", got, want)
	}
	var h, other histogram
	if got := h.quantile(0.5); got != 0 {
		t.Errorf("the middle of nothing is %v", got)
	}
	for i := range 50 {
		h.add(time.Duration(i))
		other.add(time.Duration(50 + i))
	}
	h.merge(&other)
	for q, want := range map[float64]time.Duration{0: 0, 0.1: 10, 0.5: 50, 0.6: 60} {
		if got := h.quantile(q); got != want {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
}

func TestSeries(t *testing.T) {
	s := Series{Samples: []Sample{{Rate: 120}, {Rate: 80, Errors: 2}, {Rate: 100}}}
	if s.median(rate) != 100 || s.spread() != 0.4 || s.errors() != 2 {
		t.Errorf("median %v, spread %v, errors %d", s.median(rate), s.spread(), s.errors())
	}
	s.Samples = s.Samples[:2]
	if s.median(rate) != 100 {
		t.Errorf("median of two %v", s.median(rate))
	}
}

func TestAnswerLength(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 13\r\n\r\n"
	for _, tc := range []struct {
		answer string
		length int
		err    error
	}{
		{head, len(head) + 13, nil},
		{head + "Hello", len(head) + 13, nil},
		{head[:len(head)-1], 0, nil},
		{"HTTP/1.1 500 No\r\n\r\n", 0, errStatus},
		{"HTTP/1.1 200 OK\r\n\r\n", 0, errLength},
		{"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n", 0, errLength},
		{"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", 0, errLength},
	} {
		if length, err := answerLength([]byte(tc.answer)); length != tc.length || !errors.Is(err, tc.err) {
			t.Errorf("%q: %d, %v; want %d, %v", tc.answer, length, err, tc.length, tc.err)
		}
	}
}

// listen serves connections over the kernel's loopback until the test ends.
func listen(t *testing.T, serve func(net.Conn)) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		all.Wait()
	})
	return ln.Addr().String()
}

// answerEach answers each request with what answer returns, in two pieces.
func answerEach(answer string) func(net.Conn) {
	return func(c net.Conn) {
		defer c.Close()
		buf := make([]byte, 1024)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			half := len(answer) / 2
			for _, piece := range []string{answer[:half], answer[half:]} {
				if _, err := c.Write([]byte(piece)); err != nil {
					return
				}
			}
		}
	}
}

func TestAsk(t *testing.T) {
	const good = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	r, err := ask(t.Context(), listen(t, answerEach(good)), 3, 20*time.Millisecond)
	if err != nil || r.Errors != 0 || r.Counted == 0 || r.Requests < r.Counted || r.P50 <= 0 || r.P99 < r.P50 {
		t.Errorf("%+v, %v", r, err)
	}
	for answer, want := range map[string]error{
		"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n": errStatus,
		"HTTP/1.1 200 OK\r\n\r\n":                             errLength,
		good + "!":                                            errMore,
	} {
		r, err := ask(t.Context(), listen(t, answerEach(answer)), 2, time.Millisecond)
		if err != nil || r.Requests != 0 || r.Errors != 2 || r.First != want.Error() {
			t.Errorf("%q: %+v, %v; want two errors, %v", answer, r, err, want)
		}
	}
}

func TestBulk(t *testing.T) {
	target := listen(t, serveStream)
	for _, mode := range []string{"down", "up"} {
		var out strings.Builder
		if err := bulkClient(t.Context(), []string{"-target", target, "-mode", mode, "-duration", "10ms"}, &out); err != nil {
			t.Errorf("%s: %v", mode, err)
			continue
		}
		var r bulkResult
		if err := json.Unmarshal([]byte(out.String()), &r); err != nil || r.Octets < chunk || r.Took < 10*time.Millisecond {
			t.Errorf("%s: %+v, %v", mode, r, err)
		}
	}
}

func TestReport(t *testing.T) {
	defer func(real []contestant) { contestants = real }(contestants)
	contestants = []contestant{{name: "ours", about: "this"}, {name: "theirs", about: "that"}}
	r := &report{Command: "go run ./benchmarks", Options: &options{Rounds: 1, Duration: time.Second, Server: "fasthttp"}, Series: []Series{
		{Part: "requests", Point: "64", Contestant: "ours", Samples: []Sample{{Rate: 150e3, CPU: 4 * time.Microsecond, P50: 300 * time.Microsecond, P99: 2 * time.Millisecond}}},
		{Part: "requests", Point: "64", Contestant: "theirs", Samples: []Sample{{Rate: 100e3, P50: 1, Errors: 3}}},
		{Part: "bulk", Point: "server to client", Contestant: "ours", Samples: []Sample{{Rate: 4e9}, {Rate: 2e9}}},
		{Part: "bulk", Point: "server to client", Contestant: "theirs", Samples: []Sample{{Rate: 6e9, CPU: time.Second}}},
	}}
	text := r.markdown()
	for _, want := range []string{
		"| 64 | ours | 150000 | 0 % | 1.50 | 4.00 us | 300 us | 2.00 ms |\n",
		"| 64 | theirs | 100000 | 0 % | 1.00 |",
		"| server to client | ours | 3.00 | 67 % | 0.50 |",
		"| server to client | theirs | 6.00 | 0 % | 1.00 | 1.00 s |\n",
		"- requests, 64, theirs: 3 connections failed.\n",
		"- bulk, server to client, ours: the rounds lie 67 % apart.\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	dir := t.TempDir()
	o := options{json: dir + "/r.json", md: dir + "/r.md"}
	if err := r.write(&o, io.Discard); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(o.md); err != nil || string(got) != text {
		t.Errorf("%v, %q", err, got)
	}
	var again report
	if got, err := os.ReadFile(o.json); err != nil || json.Unmarshal(got, &again) != nil || len(again.Series) != 4 {
		t.Errorf("%v, %s", err, got)
	}
}
