//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/unet"
)

// inProcess measures a client and a server in one process: two hosts of unet joined by memory, or the kernel's loopback.
var inProcess = part{
	name: "process", title: "Requests in one process, fasthttp, two hosts of unet over sim and the kernel over loopback", rows: "connections",
	unit: "requests/s", scale: 1, per: "request", procs: true,
	about:       "Allocations are those of client, server and, with unet, both stacks, for each request.",
	contestants: []string{unetName, kernelName, baseName},
	points: func(*options) []point {
		return []point{{Name: "1", Conns: 1}, {Name: "64", Conns: 64}, {Name: "256", Conns: 256}}
	},
	measure: func(ctx context.Context, t *turn) (Sample, error) { return t.process(ctx, t.at.Conns, 0) },
}

// process measures requests over conns connections beside idle ones, all in one process.
func (t *turn) process(ctx context.Context, conns, idle int) (Sample, error) {
	var r processResult
	err := role(ctx, t.program(""), t.procs, &r, "process", "-stack", t.contestant.stack(), "-conns", strconv.Itoa(conns),
		"-idle", strconv.Itoa(idle), "-duration", t.options.Duration.String())
	if err != nil {
		return Sample{}, err
	}
	if r.Requests == 0 {
		return Sample{}, fmt.Errorf("no request was answered: %s", r.First)
	}
	return Sample{Rate: float64(r.Counted) / r.Took.Seconds(), CPU: r.CPU / time.Duration(r.Requests), P50: r.P50, P99: r.P99, P999: r.P999,
		Allocs: &r.Allocs, Errors: r.Errors}, nil
}

// processResult is the output of the process.
type processResult struct {
	requestResult
	CPU    time.Duration // of the whole process while requests went on
	Allocs float64       // for each request
}

// process is the role that serves and sends the requests.
func process(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("process", flag.ContinueOnError)
	stack := flags.String("stack", unetName, "unet or kernel")
	conns := flags.Int("conns", 1, "number of connections")
	idle := flags.Int("idle", 0, "number of idle connections beside them")
	duration := flags.Duration("duration", time.Second, "time that counts")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r, err := inOneProcess(ctx, *stack, *conns, *idle, *duration)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(r)
}

func inOneProcess(ctx context.Context, stack string, conns, idle int, duration time.Duration) (*processResult, error) {
	w, err := newWire(stack)
	if err != nil {
		return nil, err
	}
	defer w.close()
	held, err := w.hold(ctx, idle)
	if err != nil {
		return nil, err
	}
	defer held.close()
	askers, hangUp, err := w.site(ctx, conns)
	if err != nil {
		return nil, err
	}
	defer hangUp()
	if _, err := askAll(ctx, askers, w.target, duration/4); err != nil { // fills the pools
		return nil, err
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := ownTime()
	asked, err := askAll(ctx, askers, w.target, duration)
	r := processResult{CPU: ownTime() - began}
	if err != nil {
		return nil, err
	}
	runtime.ReadMemStats(&after)
	r.requestResult = *asked
	if r.Requests > 0 {
		r.Allocs = float64(after.Mallocs-before.Mallocs) / float64(r.Requests)
	}
	return &r, nil
}

// ownTime returns the processor time of this process.
func ownTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A wire is two ends in this process.
type wire struct {
	dial   dialer
	listen func(ctx context.Context) (net.Listener, error) // on a port of its own
	target string                                          // of site
	close  func()
}

// quiet is the length of the queues of a segment's ports, enough when very many connections send at once.
const quiet = 1 << 20

// newWire returns a wire of unet or of the kernel's loopback. Its connections send no keepalive.
func newWire(stack string) (*wire, error) {
	if stack == kernelName {
		c := net.ListenConfig{KeepAlive: -1}
		return &wire{dial: (&net.Dialer{KeepAlive: -1}).DialContext, close: func() {},
			listen: func(ctx context.Context) (net.Listener, error) { return c.Listen(ctx, "tcp", "127.0.0.1:0") }}, nil
	}
	if stack != unetName {
		return nil, fmt.Errorf("-stack %q: not unet or kernel", stack)
	}
	segment := sim.NewSegment(sim.Config{Offload: true})
	var hosts [2]*unet.Host
	for i := range hosts {
		at := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, 0, byte(1 + i)}), 24)
		h, err := unet.Open(unet.Config{Link: segment.NewPort(sim.PortConfig{Queue: quiet, Portions: runtime.GOMAXPROCS(0) > 1}), Addrs: []netip.Prefix{at}})
		if err != nil {
			return nil, errors.Join(err, segment.Close())
		}
		hosts[i] = h
	}
	c := unet.ListenConfig{Host: hosts[1], KeepAlive: -1}
	return &wire{
		dial:   (&unet.Dialer{Host: hosts[0], KeepAlive: -1}).DialContext,
		listen: func(ctx context.Context) (net.Listener, error) { return c.Listen(ctx, "tcp", "10.9.0.2:0") },
		close: func() {
			for _, h := range hosts {
				_ = h.Close()
			}
			_ = segment.Close()
		},
	}, nil
}

// site serves with fasthttp on the wire and returns askers that are connected to it.
func (w *wire) site(ctx context.Context, conns int) (askers []asker, hangUp func(), err error) {
	ln, err := w.listen(ctx)
	if err != nil {
		return nil, nil, err
	}
	w.target = ln.Addr().String()
	s := fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("Hello, World!") }}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	askers, goodbye, err := callUp(ctx, w.dial, w.target, conns)
	if err != nil {
		return nil, nil, errors.Join(err, ln.Close(), <-ended)
	}
	return askers, func() {
		goodbye()
		_ = ln.Close()
		<-ended
	}, nil
}
