package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/unet-go/unet/stack/tcp"
)

// patience is the time after which the program gives up waiting for a state that must come by itself.
const patience = 2 * time.Minute

// run runs the program with a world of its own: see the package's comment.
func (p *plan) run(ctx context.Context, out io.Writer) error {
	runtime.MemProfileRate = sampleEvery
	goroutines := runtime.NumGoroutine()
	w, err := p.open()
	if err != nil {
		return err
	}
	err = p.steps(ctx, w, out)
	w.close()
	if err != nil {
		return err
	}
	return p.nothingLeft(w, goroutines, out)
}

// steps runs the program's steps in the world.
func (p *plan) steps(ctx context.Context, w *world, out io.Writer) error {
	e := newEnds(w)
	if err := p.establish(ctx, w, e, 0, p.busy); err != nil {
		return err
	}
	var busy []int
	for i, c := range e.dialled {
		if c != nil {
			busy = append(busy, i)
		}
	}
	if err := p.showBusy(e, busy, p.load/2, "no other connections", out); err != nil {
		return err
	}
	before := read()
	from := "1 address"
	if n := len(w.addrs); n > 1 {
		from = fmt.Sprintf("%d addresses", n)
	}
	fmt.Fprintf(out, "%s connections from %s to %v, %d workers, %d processors, memory limit %s\n",
		thousands(p.conns), from, p.network().server, p.workers, runtime.GOMAXPROCS(0), limit())

	err := p.timed(out, "established", func() error { return p.establish(ctx, w, e, p.busy, p.busy+p.conns) })
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "  each end: %s\n", read().per(before, 2*p.conns))

	err = p.timed(out, "a message and its answer on each", func() error { return p.turns(ctx, 0, len(e.dialled), e.exchange) })
	if err != nil {
		return err
	}
	collecting := time.Now()
	gc := collected()
	now := read()
	dialled, accepted, rest := apart()
	fmt.Fprintf(out, "  each end: %s\n", now.per(before, 2*p.conns))
	fmt.Fprintf(out, "  by the heap profile: %d octets for the end that dialled, %d for the one that accepted, %d MB for both and all else\n",
		dialled/int64(p.conns), accepted/int64(p.conns), rest>>20)
	done := collected()
	fmt.Fprintf(out, "  %d garbage collections took %.1f s of processor time, %.1f s in all\n",
		done.cycles-gc.cycles, done.cpu-gc.cpu, time.Since(collecting).Seconds())
	if p.profile != "" {
		if err := writeProfile(p.profile); err != nil {
			return err
		}
	}
	if err := p.showBusy(e, busy, p.load, thousands(p.conns)+" idle ones", out); err != nil {
		return err
	}
	return p.finishAll(ctx, w, e, before, out)
}

// finishAll closes all connections and waits until the hosts have forgotten them.
func (p *plan) finishAll(ctx context.Context, w *world, e *ends, before reading, out io.Writer) error {
	err := p.timed(out, "closed", func() error { return p.turns(ctx, 0, len(e.dialled), e.finish) })
	if err != nil {
		return err
	}
	gone := func() bool {
		return w.client.Stats().TCPGauges.Connections()+w.server.Stats().TCPGauges.Connections() == 0
	}
	if err := await(ctx, patience, gone); err != nil {
		return fmt.Errorf("connections are left: %v: %w", w.left(), err)
	}
	waiting := w.client.Stats().TCPGauges.States[tcp.TimeWaitState]
	if waiting > 0 {
		now := read()
		fmt.Fprintf(out, "%s in TIME-WAIT: %s for each\n", thousands(waiting), now.per(before, waiting))
	}
	for _, h := range []string{"client", "server"} {
		s := w.client.Stats()
		if h == "server" {
			s = w.server.Stats()
		}
		fmt.Fprintf(out, "  %s: %d segments in, %d out, %d sent again, %d resets sent, %d SYN cookies, %d TIME-WAIT records evicted\n",
			h, s.TCP.SegmentsIn, s.TCP.SegmentsOut, s.TCP.Retransmitted, s.TCP.ResetsOut, s.TCPGauges.SYNCookies, s.TCPGauges.TimeWaitOverflows)
	}
	start := time.Now()
	if err := w.ln.Close(); err != nil {
		return err
	}
	w.ln = nil
	if err := await(ctx, 2*p.msl+patience, func() bool { return len(w.left()) == 0 }); err != nil {
		return fmt.Errorf("left behind: %s: %w", strings.Join(w.left(), ", "), err)
	}
	fmt.Fprintf(out, "nothing left in the hosts after %.1f s more\n", time.Since(start).Seconds())
	return nil
}

// nothingLeft checks what the process still has after the world has ended.
func (p *plan) nothingLeft(w *world, goroutines int, out io.Writer) error {
	if err := await(context.Background(), patience, func() bool { return runtime.NumGoroutine() <= goroutines }); err != nil {
		return fmt.Errorf("%d goroutines are left, there were %d", runtime.NumGoroutine(), goroutines)
	}
	now := read()
	fmt.Fprintf(out, "in the end: %d goroutines, %d MB of heap, %d MB resident, %d MB at most\n",
		runtime.NumGoroutine(), now.live>>20, now.resident>>20, status("VmHWM:")>>20)
	runtime.KeepAlive(w)
	return nil
}

// timed runs a step for all connections and prints how fast it was.
func (p *plan) timed(out io.Writer, what string, step func() error) error {
	start, gc := time.Now(), collected()
	if err := step(); err != nil {
		return err
	}
	took := time.Since(start)
	fmt.Fprintf(out, "%s in %.1f s, %s/s, %s\n", what, took.Seconds(), thousands(int(float64(p.conns)/took.Seconds())), collected().since(gc, took))
	return nil
}

// showBusy keeps the busy connections busy and prints how many requests they did.
func (p *plan) showBusy(e *ends, busy []int, length time.Duration, beside string, out io.Writer) error {
	if length == 0 || len(busy) == 0 {
		return nil
	}
	start, gc := time.Now(), collected()
	requests, err := e.keepBusy(busy, length)
	if err != nil {
		return err
	}
	took := time.Since(start)
	fmt.Fprintf(out, "%d busy connections beside %s: %s requests/s, %s\n", len(busy), beside,
		thousands(int(float64(requests)/took.Seconds())), collected().since(gc, took))
	return nil
}

// await calls done again and again until it returns true.
func await(ctx context.Context, length time.Duration, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// limit returns GOMEMLIMIT as text.
func limit() string {
	n := debug.SetMemoryLimit(-1)
	if n == 1<<63-1 {
		return "none"
	}
	return fmt.Sprintf("%d MB", n>>20)
}

// thousands writes a number that is not negative with commas.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
