package soak

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/unet-go/unet/tap/taptest"
)

var duration = flag.Duration("soak", 0, "how long TestSoak runs; 0: 3 s, with one MTU more and a peer that lives")

// What happens on the path: it changes its MTU this often, and loses the peer this often, on average.
const (
	narrowings = 3 * time.Second
	deaths     = 40 * time.Second
)

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" {
		os.Exit(peer())
	}
	taptest.Main(m)
}

func TestSoak(t *testing.T) {
	t.Run("F-SOAK-1 every octet is right for as long as it takes, and memory does not grow", func(t *testing.T) {
		taptest.Need(t)
		for _, tool := range []string{"ip", "nft", "nsenter"} {
			if _, err := exec.LookPath(tool); err != nil {
				if os.Getenv(taptest.RequireVariable) == "1" {
					t.Fatal(err)
				}
				t.Skip(err)
			}
		}
		w := newWorld(t)
		w.birth()
		r := &run{world: w, began: time.Now(), failures: make(map[string]int), stop: make(chan struct{})}
		r.all()
	})
}

// run is a run of the test: unet's side of the traffic, and the times of the events.
type run struct {
	*world
	tally
	began time.Time
	stop  chan struct{}

	fail     sync.Mutex
	failures map[string]int // that nothing excuses
	samples  []sample
}

func (r *run) all() {
	l, err := r.host.Listen("tcp", hostAddr)
	if err != nil {
		r.Fatal(err)
	}
	go r.serve(l, func(err error) { r.failed(time.Now(), err) })
	dial := func() (net.Conn, error) { return r.host.DialTimeout("tcp", peerAddr, hung) }
	var dialling sync.WaitGroup
	for i := range workers {
		dialling.Go(func() { r.askUntil(r.stop, dial, rand.New(rand.NewPCG(7, uint64(i))), r.failed) })
	}
	length := *duration
	if length == 0 {
		length = 3 * time.Second
		time.Sleep(length / 2)
		r.narrow(1280)
		time.Sleep(length / 2)
	} else {
		r.events(r.began.Add(length))
	}
	close(r.stop)
	dialling.Wait()
	r.death(false)
	ctx, cancel := context.WithTimeout(context.Background(), 2*hung)
	defer cancel()
	if err := r.host.Shutdown(ctx); err != nil {
		r.Error(err)
	}
	r.verdict()
}

// failed notes an exchange that failed. An answer's time is that of its end.
func (r *run) failed(began time.Time, err error) {
	if !errors.Is(err, errMismatch) && (r.excused(began) || errors.Is(err, os.ErrDeadlineExceeded) && r.excused(time.Now().Add(-hung))) {
		r.broken.Add(1)
		return
	}
	r.fail.Lock()
	defer r.fail.Unlock()
	if r.failures[err.Error()]++; len(r.failures) > 100 {
		panic(fmt.Sprint("soak: too many different failures: ", r.failures))
	}
	fmt.Printf("%v: %v\n", time.Since(r.began).Round(time.Second), err)
}

// events makes the path change until the time is over.
func (r *run) events(end time.Time) {
	rnd := rand.New(rand.NewPCG(3, 4))
	soon := func(mean time.Duration) time.Time { return time.Now().Add(mean/2 + rand.N(mean)) }
	narrow, death, report := soon(narrowings), soon(deaths), time.Now()
	for time.Now().Before(end) {
		now := time.Now()
		if now.After(narrow) {
			r.narrow([]int{1500, 1400, 1280, 900, 600, 576}[rnd.IntN(6)])
			narrow = soon(narrowings)
		}
		if now.After(death) {
			r.death(true)
			time.Sleep(rand.N(5 * time.Second))
			r.birth()
			death = soon(deaths)
		}
		if now.After(report) {
			r.report()
			report = now.Add(max(time.Until(end)/100, 10*time.Second))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// sample is the memory of the process at one time.
type sample struct{ at, heap, resident float64 } // seconds and octets

func (r *run) report() {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var size, resident float64
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		_, _ = fmt.Sscan(string(text), &size, &resident)
	}
	s := sample{at: time.Since(r.began).Seconds(), heap: float64(m.HeapAlloc), resident: resident * float64(os.Getpagesize())}
	r.samples = append(r.samples, s)
	r.mu.Lock()
	theirs := r.latest
	r.mu.Unlock()
	fmt.Printf("%6.0f s: %d exchanges dialled by unet, %d by the peers, %.0f MB compared here, %d broken by deaths, %.1f MB of heap, %.1f resident, %d goroutines\n",
		s.at, r.exchanges.Load(), theirs[0]+r.gone.exchanges.Load(), float64(r.octets.Load())/1e6, r.broken.Load(), s.heap/1e6, s.resident/1e6,
		runtime.NumGoroutine())
}

// verdict returns an error for anything that was wrong.
func (r *run) verdict() {
	r.report()
	if n := r.mismatches.Load() + r.gone.mismatches.Load(); n > 0 {
		r.Errorf("%d exchanges had octets that were not sent", n)
	}
	for what, n := range r.failures {
		r.Errorf("%d times: %s", n, what)
	}
	if r.exchanges.Load() == 0 || r.gone.exchanges.Load() == 0 {
		r.Errorf("%d exchanges, and %d of the peers: %q", r.exchanges.Load(), r.gone.exchanges.Load(), r.lines)
	}
	if n := r.host.Stats().TCPGauges.Connections(); n > 0 {
		r.Errorf("%d connections are left", n)
	}
	// The first quarter is for what fills up once; on average over the rest nothing may grow by a tenth.
	if settled := r.samples[len(r.samples)/4:]; len(settled) >= 20 {
		for what, of := range map[string]func(sample) float64{"heap": func(s sample) float64 { return s.heap },
			"resident": func(s sample) float64 { return s.resident }} {
			slope, mean := line(settled, of)
			grown := slope * (settled[len(settled)-1].at - settled[0].at)
			r.Logf("%s: %.1f MB on average, %+.2f MB in the time", what, mean/1e6, grown/1e6)
			if grown > mean/10+1e6 {
				r.Errorf("%s has grown by %.1f MB of %.1f", what, grown/1e6, mean/1e6)
			}
		}
	}
}

// line returns the slope of the line nearest to the samples (least squares), per second, and their mean.
func line(samples []sample, of func(sample) float64) (slope, mean float64) {
	var at float64
	for _, s := range samples {
		at += s.at / float64(len(samples))
		mean += of(s) / float64(len(samples))
	}
	var above, below float64
	for _, s := range samples {
		above += (s.at - at) * (of(s) - mean)
		below += (s.at - at) * (s.at - at)
	}
	return above / below, mean
}
