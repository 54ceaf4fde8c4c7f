// The comparison of unet over a TAP device with the kernel's TCP over veth:
//
//	go run ./benchmarks             (make bench)
//	go run ./benchmarks -short      a minute, and no figures to quote
//
// It makes the network namespaces that it needs, as root or as an ordinary user who may open /dev/net/tun,
// starts the same server on either, and measures them in turn from a process of its own, A B A B, so that what
// disturbs the machine disturbs both. It writes RESULTS.md beside its source.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 {
		if role, ok := roles[os.Args[1]]; ok {
			if err := role(ctx, os.Args[2:], os.Stdout); err != nil {
				fmt.Fprintf(os.Stderr, "benchmarks %s: %v\n", os.Args[1], err)
				os.Exit(1)
			}
			return
		}
	}
	o, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(2)
	}
	if err := compare(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

// roles are what the program is when it starts itself again: a client, a server, the way into a namespace.
var roles = map[string]func(ctx context.Context, args []string, stdout io.Writer) error{
	"request-client": requestClient,
	"bulk-client":    bulkClient,
	"bulk-server":    bulkServer,
}

// options are the flags.
type options struct {
	Parts    []string
	Rounds   int
	Duration time.Duration
	Conns    []int
	Server   string // the example's
	Procs    int    // GOMAXPROCS of servers; 0 for Go's own choice
	Short    bool
	json, md string // files; empty for none
	command  string
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := options{command: strings.TrimSpace("go run ./benchmarks " + strings.Join(args, " "))}
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // main prints errors
	names := flags.String("parts", partNames(), "comma separated `parts` to measure")
	flags.IntVar(&o.Rounds, "rounds", 5, "`number` of rounds")
	flags.DurationVar(&o.Duration, "duration", 2*time.Second, "`time` for which each measurement lasts")
	conns := flags.String("conns", "1,64,256", "comma separated `numbers` of connections")
	flags.StringVar(&o.Server, "server", "fasthttp", "`which` server of examples/http: fasthttp or nethttp")
	flags.IntVar(&o.Procs, "procs", 0, "GOMAXPROCS of the servers, 0 for Go's own choice")
	flags.BoolVar(&o.Short, "short", false, "3 rounds of 400 ms, unless the flags above say otherwise")
	flags.StringVar(&o.json, "json", "", "write all samples as JSON to `file`")
	flags.StringVar(&o.md, "md", "benchmarks/RESULTS.md", "write the tables to `file`; empty for none")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(stderr)
			flags.Usage()
		}
		return nil, err
	}
	if o.Short {
		set := make(map[string]bool)
		flags.Visit(func(f *flag.Flag) { set[f.Name] = true })
		if !set["rounds"] {
			o.Rounds = 3
		}
		if !set["duration"] {
			o.Duration = 400 * time.Millisecond
		}
	}
	var err error
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.Rounds < 1 || o.Duration < time.Millisecond || o.Procs < 0:
		return nil, errors.New("want at least one round of at least 1ms, and -procs of at least 0")
	case o.Server != "fasthttp" && o.Server != "nethttp":
		return nil, fmt.Errorf("-server %q: not fasthttp or nethttp", o.Server)
	}
	if o.Conns, err = numbers(*conns); err != nil {
		return nil, err
	}
	o.Parts = strings.Split(*names, ",")
	for _, name := range o.Parts {
		if partNamed(name) == nil {
			return nil, fmt.Errorf("-parts %q: not one of %s", name, partNames())
		}
	}
	return &o, nil
}

func numbers(list string) ([]int, error) {
	var all []int
	for _, s := range strings.Split(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-conns %q: not a number of connections", s)
		}
		all = append(all, n)
	}
	return all, nil
}
