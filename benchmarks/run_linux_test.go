package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/unet-go/unet/tap/taptest"
)

// TestMain is also what the program is when a test has it start itself again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && roles[os.Args[1]] != nil {
		main()
		return
	}
	// With -race each of our processes would stay for a second after its end, and there are many.
	if err := os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0")); err != nil {
		panic(err)
	}
	taptest.Enter()
	goleak.VerifyTestMain(m,
		// fasthttp's own, which end some time after the last server or never.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// TestRun makes the parts that need servers and processes of their own once, over TAP and veth.
func TestRun(t *testing.T) {
	taptest.Need(t)
	dir, out := t.TempDir(), t.TempDir()
	o, err := parse([]string{"-rounds", "1", "-duration", "200ms", "-client", "builtin", "-contestants", "unet,kernel,unet6,kernel6", "-conns", "2",
		"-ends", "0,500", "-procs", "default", "-parts", "requests,connects,bulk,idle,process,growth,memory,floods", "-floods", "closed,holes", "-out", out}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := prepare(t.Context(), o, dir); err != nil {
		t.Fatal(err)
	}
	t.Setenv(dirVariable, dir)
	var said strings.Builder
	if err := compare(t.Context(), o, &said); err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	var r report
	text, err := os.ReadFile(filepath.Join(out, dataFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int)
	for i := range r.Series {
		s := &r.Series[i]
		seen[s.Part]++
		if len(s.Samples) != 1 || s.errors() != 0 {
			t.Errorf("%s: %+v", s.name(), s)
			continue
		}
		// The kernel's memory is read from the slabs of the whole machine, where 500 connections do not show. 20 would not
		// show in unet's heap either.
		if s.Part == "floods" && (s.median(alone) <= 0 || s.median(flooding) <= 0) {
			t.Errorf("%s: %+v", s.name(), s)
		}
		if s.median(rate) <= 0 && !(s.Part == "memory" && s.Contestant == "kernel") {
			t.Errorf("%s: %+v", s.name(), s)
		}
	}
	for _, name := range o.Parts {
		if seen[name] == 0 {
			t.Errorf("part %s has no series", name)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the programs are left behind: %v", err)
	}
	noChildren(t)
}

// noChildren fails the test if a child of this process is left.
func noChildren(t *testing.T) {
	t.Helper()
	var status syscall.WaitStatus
	if pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
		t.Errorf("process %d is left: %v", pid, err)
	}
}

// TestEnd ends a run when its servers have started, after which nothing may be left.
func TestEnd(t *testing.T) {
	taptest.Need(t)
	o, err := parse([]string{"-rounds", "1000", "-duration", "1m", "-client", "builtin", "-contestants", "unet,kernel", "-parts", "requests",
		"-conns", "2", "-out", ""}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := prepare(t.Context(), o, dir); err != nil {
		t.Fatal(err)
	}
	t.Setenv(dirVariable, dir)
	ctx, cancel := context.WithCancel(t.Context())
	if err := compare(ctx, o, writerFunc(func([]byte) { cancel() })); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	noChildren(t)
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

// TestCommand kills a child's child with it.
func TestCommand(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cmd := command(ctx, "sh", "-c", "sleep 600 & echo $!; wait")
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := make([]byte, 16)
	if _, err := said.Read(pid); err != nil {
		t.Fatal(err)
	}
	cancel()
	// The grandchild holds the pipe as long as it lives.
	if _, err := io.Copy(io.Discard, said); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestSize(t *testing.T) {
	l := &lab{dir: t.TempDir()}
	if err := os.WriteFile(minimal(l.dir, unetName), make([]byte, 1234), 0o600); err != nil {
		t.Fatal(err)
	}
	turn := &turn{lab: l, contestant: contestants[0]}
	if s, err := sizes.measure(t.Context(), turn); err != nil || s.Rate != 1234 {
		t.Errorf("%+v, %v", s, err)
	}
	turn.contestant = contestants[1]
	if s, err := sizes.measure(t.Context(), turn); !errors.Is(err, errNotHere) {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestMissingPeer wants gVisor where nothing can be fetched: the run says so, and prepares the rest.
func TestMissingPeer(t *testing.T) {
	t.Setenv("GOPROXY", "off")
	t.Setenv("GOFLAGS", "-mod=mod -modcacherw")
	o := &options{Parts: []string{"size"}, Contestants: contestantNames(), Client: "builtin"}
	cache, err := command(t.Context(), "go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(strings.TrimSpace(string(cache)), "gvisor.dev")); err == nil {
		t.Setenv("GOMODCACHE", t.TempDir())
	}
	dir := t.TempDir()
	if err := buildPeers(t.Context(), o, dir); err == nil {
		t.Fatal("gVisor comes from nowhere")
	} else if !strings.Contains(err.Error(), "gvisor.dev/gvisor") {
		t.Errorf("the error does not say what is missing: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, gvisorProgram)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program in spite of that: %v", err)
	}
}

func TestProcessorTime(t *testing.T) {
	before, err := usageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// At each tick of its clock the kernel charges the process that runs then, and may miss one that works between ticks.
	var used usage
	for used.process < tick || used.machine < tick {
		for start := ownTime(); ownTime() < start+tick; { // work for a while
		}
		after, err := usageOf(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		used = usage{after.process - before.process, after.machine - before.machine}
		if ownTime() > before.process+500*tick {
			t.Fatalf("%v of %v after five seconds of work", used.process, used.machine)
		}
	}
}

// TestAlone takes two samples: each has a server of its own, which is asked a little first and has ended after it.
func TestAlone(t *testing.T) {
	var servers []*server
	var seen []turn
	of := &contestant{name: "ours", start: func(ctx context.Context, t *turn) (*server, error) {
		s, err := t.lab.start(ctx, &launch{args: []string{"bulk-server", "-listen", "127.0.0.1:0"}})
		servers = append(servers, s)
		return s, err
	}}
	p := &part{scale: 1, server: &streamServer, measure: func(_ context.Context, t *turn) (Sample, error) {
		seen = append(seen, *t)
		select {
		case <-t.server.ended:
			return Sample{}, errors.New("the server has ended")
		default:
			return Sample{Rate: float64(len(seen))}, nil
		}
	}}
	var s Series
	o := &options{Duration: time.Second, Client: "auto"}
	for round := range 2 {
		turn := turn{lab: &lab{}, part: p, options: o, contestant: of, at: point{Conns: 1000}, round: round}
		if err := turn.sample(t.Context(), &s, io.Discard); err != nil {
			t.Fatal(err)
		}
		select {
		case <-servers[round].ended:
		default:
			t.Error("the server outlives its measurement")
		}
	}
	if got := s.values(rate); !slices.Equal(got, []float64{2, 4}) || len(s.Failures) > 0 || len(servers) != 2 || servers[0] == servers[1] {
		t.Errorf("samples %v of %d servers, failures %v", got, len(servers), s.Failures)
	}
	for i, got := range seen {
		want := turn{options: o, at: point{Conns: 1000}}
		if i%2 == 0 {
			want = turn{options: &options{Duration: time.Second / 10, Client: "builtin"}, at: point{Conns: atOnce}}
		}
		if got.server != servers[i/2] || got.at != want.at || got.options.Duration != want.options.Duration || got.options.Client != want.options.Client {
			t.Errorf("measurement %d: %+v", i, got)
		}
	}
}
