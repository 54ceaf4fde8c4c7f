//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unet-go/unet/benchmarks/internal/flood"
)

func TestFlags(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"-parts latency", `-parts "latency": not one of ` + partNames(true)},
		{"-floods water", `-floods "water": not one of ` + flood.Names()},
		{"-contestants lwip", `-contestants "lwip": not one of unet,kernel,unet6,kernel6,gvisor,gvisor-gso`},
		{"-conns 1,none", `-conns "none": not a number from 1 on`},
		{"-conns 0", `-conns "0": not a number from 1 on`},
		{"-ends -1", `-ends "-1": not a number from 0 on`},
		{"-procs all", `-procs "all": not a number from 0 on`},
		{"-rounds 0", "want at least one round of at least 1ms"},
		{"-client ab", `-client "ab": not auto, wrk or builtin`},
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
		procs    []int
	}{
		{"", 5, 2 * time.Second, []int{0, 1}},
		{"-short", 2, 500 * time.Millisecond, []int{0}},
		{"-short -rounds 5 -procs 1,default,2", 5, 500 * time.Millisecond, []int{1, 0, 2}},
	} {
		o, err := parse(strings.Fields(tc.args), io.Discard)
		if err != nil || o.Rounds != tc.rounds || o.Duration != tc.duration || !slices.Equal(o.Procs, tc.procs) || strings.Join(o.Parts, ",") != partNames(false) {
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

func TestSum(t *testing.T) {
	begin := time.Now()
	late := []asker{{requests: 2}, {requests: 1, err: errStatus}}
	if r := sum(late, begin.Add(-time.Second), time.Millisecond); r.Counted != 3 || r.Took < time.Second || r.Errors != 1 || r.First != errStatus.Error() {
		t.Errorf("%+v", r)
	}
	var inTime asker
	inTime.count(begin, begin.Add(8), begin, begin.Add(time.Second))
	inTime.count(begin, begin.Add(time.Second), begin, begin.Add(time.Second))
	want := requestResult{Requests: 2, Counted: 1, Took: time.Second, P50: 8, P99: 8, P999: 8}
	if r := sum([]asker{inTime}, begin, time.Second); *r != want {
		t.Errorf("%+v, want %+v", r, want)
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
	r, err := ask(t.Context(), new(net.Dialer).DialContext, listen(t, answerEach(good)), 3, 20*time.Millisecond)
	if err != nil || r.Errors != 0 || r.Counted == 0 || r.Requests < r.Counted || r.Took <= 0 || r.P99 < r.P50 {
		t.Errorf("%+v, %v", r, err)
	}
	for answer, want := range map[string]error{
		"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n": errStatus,
		"HTTP/1.1 200 OK\r\n\r\n":                             errLength,
		good + "!":                                            errMore,
	} {
		r, err := ask(t.Context(), new(net.Dialer).DialContext, listen(t, answerEach(answer)), 2, time.Millisecond)
		if err != nil || r.Requests != 0 || r.Errors != 2 || r.First != want.Error() {
			t.Errorf("%q: %+v, %v; want two errors, %v", answer, r, err, want)
		}
	}
}

func TestConnect(t *testing.T) {
	once := func(more string) func(net.Conn) {
		return func(c net.Conn) {
			defer c.Close()
			if _, err := c.Read(make([]byte, 1024)); err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"+more)
			}
		}
	}
	for more, want := range map[string]string{"": "", "!": errMore.Error()} {
		var out strings.Builder
		if err := connectClient(t.Context(), []string{"-target", listen(t, once(more)), "-conns", "2", "-duration", "20ms"}, &out); err != nil {
			t.Fatal(err)
		}
		var r requestResult
		if err := json.Unmarshal([]byte(out.String()), &r); err != nil || r.First != want || (r.Counted == 0) == (want == "") {
			t.Errorf("%q: %+v, %v", more, r, err)
		}
	}
}

func TestBulk(t *testing.T) {
	target := listen(t, serveStream)
	for _, mode := range []string{"down", "up"} {
		for _, streams := range []int{1, 3} {
			var out strings.Builder
			args := []string{"-target", target, "-mode", mode, "-streams", strconv.Itoa(streams), "-duration", "10ms"}
			if err := bulkClient(t.Context(), args, &out); err != nil {
				t.Errorf("%s: %v", mode, err)
				continue
			}
			var r bulkResult
			if err := json.Unmarshal([]byte(out.String()), &r); err != nil || r.Octets < int64(streams) || r.Took < 10*time.Millisecond {
				t.Errorf("%s, %d streams: %+v, %v", mode, streams, r, err)
			}
		}
	}
}

func TestInOneProcess(t *testing.T) {
	for _, stack := range []string{unetName, kernelName} {
		r, err := inOneProcess(t.Context(), stack, 3, 2, 20*time.Millisecond)
		if err != nil || r.Errors != 0 || r.Counted == 0 || r.P99 < r.P50 || r.CPU <= 0 {
			t.Errorf("%s: %+v, %v", stack, r, err)
		}
	}
	if _, err := newWire("lwip"); err == nil {
		t.Error("a stack that is not there is taken")
	}
}

func TestWeigh(t *testing.T) {
	r, err := weighUnet(t.Context(), 500)
	if err != nil || r.Heap < 500*2*100 || r.Heap > 500*2*10_000 || r.Setup <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestWrk(t *testing.T) {
	const said = "Running 1s test @ http://10.0.0.2/\n  2 threads\nRequests/sec: 4\n" +
		`{"requests":40,"took":1000123,"p50":12,"p99":345,"p999":6789,"connect":1,"read":2,"write":0,"status":3,"timeout":4}` + "\n"
	want := requestResult{Requests: 40, Counted: 40, Took: 1000123 * time.Microsecond, P50: 12 * time.Microsecond, P99: 345 * time.Microsecond,
		P999: 6789 * time.Microsecond, Errors: 10, First: "wrk: connect 1, read 2, write 0, status 3, timeout 4"}
	if r, err := parseWrk([]byte(said)); err != nil || *r != want {
		t.Errorf("%+v, %v", r, err)
	}
	for _, bad := range []string{"", "unable to connect to 10.0.0.2", `{"requests":nan}`} {
		if r, err := parseWrk([]byte(bad)); !errors.Is(err, errWrk) {
			t.Errorf("%q: %+v, %v", bad, r, err)
		}
	}
}

// twoContestants is a run that was not made.
func twoContestants() *report {
	o := &options{Rounds: 1, Duration: time.Second, Procs: []int{0}}
	three := 3.0
	return &report{Command: "go -C benchmarks run .", Options: o, CongestionOfKernels: "reno", Missing: []string{"gVisor's is not there"}, Series: []Series{
		{Part: "requests", Point: "64", Contestant: "unet", Samples: []Sample{{Rate: 150e3, CPU: 4 * time.Microsecond, P50: 300 * time.Microsecond,
			P99: 2 * time.Millisecond}}},
		{Part: "requests", Point: "64", Contestant: "kernel", Samples: []Sample{{Rate: 100e3, P50: 1, P99: 4 * time.Millisecond, Errors: 3}}},
		{Part: "requests", Point: "256", Contestant: "unet", Failures: []string{"it fell over"}},
		{Part: "bulk", Point: "server to client, 1 stream", Contestant: "unet", Samples: []Sample{{Rate: 4e9}, {Rate: 2e9}}},
		{Part: "bulk", Point: "server to client, 1 stream", Contestant: "kernel", Samples: []Sample{{Rate: 6e9, CPU: time.Second}}},
		{Part: "process", Point: "64", Contestant: "unet", Procs: 1, Samples: []Sample{{Rate: 1e5, Allocs: new(float64)}, {Rate: 1e5, Allocs: &three}}},
		{Part: "memory", Point: "1000000", Contestant: "unet", Samples: []Sample{{Rate: 471, Heap: 471, Resident: 2000}}},
		{Part: "memory", Point: "1000000", Contestant: "kernel", Note: errNotHere.Error() + ": too many"},
		{Part: "size", Point: "stripped", Contestant: "unet", Samples: []Sample{{Rate: 6.5e6}}},
		{Part: "size", Point: "stripped", Contestant: "kernel", Samples: []Sample{{Rate: 6e6}}},
	}}
}

func TestReport(t *testing.T) {
	r := twoContestants()
	text := r.markdown(r.plots())
	for _, want := range []string{
		"**gVisor's is not there**\n",
		"| connections | GOMAXPROCS | contestant | requests/s | to kernel | server's time per request | p50 | p99 |\n",
		"| 64 | - | unet | 150000 | 1.50 | 4.00 us | 300 us | 2.00 ms |\n",
		"| 64 | - | kernel | 100000 | 1.00 |",
		"| server to client, 1 stream | - | unet | 3.00 | 67 % | 0.50 |  |\n",
		"| server to client, 1 stream | - | kernel (reno) | 6.00 |  | 1.00 | 1.00 s |\n",
		"| 64 | 1 | unet | 100000 | 0 % | 1.500 |\n",
		"| 1000000 | kernel | too many |",
		"- requests, 64, kernel: 3 connections failed.\n",
		"- requests, 256, unet: a round failed: it fell over\n",
		"- bulk, server to client, 1 stream, unet: the rounds lie 67 % apart.\n",
		"| requests/s, 64 connections | - | kernel | ≥ 1.3 | 1.50 | holds |\n",
		"| p99 of requests, 64 connections | - | kernel | ≤ 1 | 0.50 | holds |\n",
		"| bulk, server to client, 1 stream | - | kernel | ≥ 1 | 0.50 | **misses** |\n",
		"| octets of heap for an idle connection's end at 1,000,000 | - |  | ≤ 576 | 471 | holds |\n",
		"| octets resident for an idle connection's end at 1,000,000 | - |  | ≤ 1024 | 2000 | **misses** |\n",
		"| MB more than the minimal server of | - | kernel | ≤ 1 | 0.50 | holds |\n",
		"](plots/bulk.svg)\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "to gvisor") {
		t.Error("a column for a contestant that was not there")
	}
}

func TestWrite(t *testing.T) {
	r, o := twoContestants(), options{out: t.TempDir()}
	stale := filepath.Join(o.out, plotsDir, "growth.svg")
	if err := os.MkdirAll(filepath.Dir(stale), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stale, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.write(&o, io.Discard); err != nil {
		t.Fatal(err)
	}
	var again report
	if got, err := os.ReadFile(filepath.Join(o.out, dataFile)); err != nil || json.Unmarshal(got, &again) != nil || len(again.Series) != len(r.Series) {
		t.Errorf("%v, %s", err, got)
	}
	page, err := os.ReadFile(filepath.Join(o.out, pageFile))
	if err != nil {
		t.Fatal(err)
	}
	plots, err := filepath.Glob(filepath.Join(o.out, plotsDir, "*.svg"))
	if err != nil || len(plots) == 0 || slices.Contains(plots, stale) {
		t.Errorf("plots %q, %v", plots, err)
	}
	for _, file := range plots {
		if !strings.Contains(string(page), filepath.Base(file)) {
			t.Errorf("the page does not show %s", file)
		}
		svg, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
		}
		if strings.Contains(string(svg), "NaN") {
			t.Errorf("%s draws what is not there", file)
		}
	}
}

func TestScale(t *testing.T) {
	for _, tc := range []struct{ highest, top, step float64 }{
		{0, 1, 0.25}, {1, 1, 0.25}, {1.4, 1.5, 0.25}, {2.2, 2.5, 0.5}, {3, 3, 1}, {6.6, 7, 1}, {9, 10, 2}, {148588, 150000, 25000},
	} {
		if top, step := scaleOf(tc.highest); top != tc.top || step != tc.step {
			t.Errorf("%v: up to %v in steps of %v; want %v, %v", tc.highest, top, step, tc.top, tc.step)
		}
	}
}
