//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/unet-go/unet/benchmarks/internal/flood"
)

// options are the flags.
type options struct {
	Parts       []string
	Contestants []string
	Rounds      int
	Duration    time.Duration
	Conns       []int    // of the parts that count requests by connections
	Ends        []int    // idle connections, of memory and growth
	Procs       []int    // GOMAXPROCS of servers; 0 for Go's own choice
	Client      string   // auto, wrk or builtin
	Floods      []string // kinds; nil for all
	Base        string   // revision of the contestant base; empty for none
	Short       bool
	install     bool
	profiles    string // folder; empty for none
	out         string // folder; empty for none
	command     string
}

// short has the values with -short of flags that are not given.
var short = map[string]string{"rounds": "2", "duration": "500ms", "procs": "default", "conns": "1,64,256,1000", "ends": "0,1000,10000,100000"}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := options{command: strings.TrimSpace("go -C benchmarks run . " + strings.Join(args, " "))}
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // main prints errors
	names := flags.String("parts", partNames(false), "comma separated `parts` to measure, of "+partNames(true))
	who := flags.String("contestants", strings.Join(contestantNames(), ","), "comma separated `contestants`")
	flags.IntVar(&o.Rounds, "rounds", 5, "`number` of rounds")
	flags.StringVar(&o.Base, "base", "", "measure unet of another `revision` of this repository in turn with the rest, as contestant base")
	flags.DurationVar(&o.Duration, "duration", 2*time.Second, "`time` for which each measurement lasts, without that which its server takes to start and to warm up; wrk takes whole seconds, rounded up")
	conns := flags.String("conns", "1,8,64,256,1000,10000", "comma separated `numbers` of connections")
	ends := flags.String("ends", "0,1000,10000,100000,1000000", "comma separated `numbers` of idle connections for memory and growth")
	procs := flags.String("procs", "default,1", "comma separated `values` of GOMAXPROCS of servers, default for Go's own choice")
	floods := flags.String("floods", flood.Names(), "comma separated `kinds` of the part floods")
	flags.StringVar(&o.Client, "client", "auto", "`client` for requests: wrk, builtin, or auto for wrk where it is on PATH")
	flags.BoolVar(&o.install, "install", false, "install wrk with apt-get where it is not on PATH")
	flags.BoolVar(&o.Short, "short", false, "three minutes: fewer rounds, values and points, unless the flags say otherwise")
	flags.StringVar(&o.profiles, "profiles", "", "write CPU profiles of unet's servers to `folder`, which costs them some speed")
	flags.StringVar(&o.out, "out", ".", "write RESULTS.md, results.json and plots to `folder`; empty for none")
	err := flags.Parse(args)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(stderr)
			flags.Usage()
		}
		return nil, err
	}
	if o.Short {
		set := make(map[string]bool)
		flags.Visit(func(f *flag.Flag) { set[f.Name] = true })
		for name, value := range short {
			if !set[name] {
				if err := flags.Set(name, value); err != nil {
					return nil, err
				}
			}
		}
	}
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.Rounds < 1 || o.Duration < time.Millisecond:
		return nil, errors.New("want at least one round of at least 1ms")
	case !slices.Contains([]string{"auto", "wrk", "builtin"}, o.Client):
		return nil, fmt.Errorf("-client %q: not auto, wrk or builtin", o.Client)
	}
	if o.Floods, err = chosen("floods", *floods, flood.Names()); err != nil {
		return nil, err
	}
	return &o, o.lists(*names, *who, *conns, *ends, *procs)
}

// lists parses the flags that are lists.
func (o *options) lists(names, who, conns, ends, procs string) (err error) {
	if o.Conns, err = numbers("conns", conns, 1); err != nil {
		return err
	}
	if o.Ends, err = numbers("ends", ends, 0); err != nil {
		return err
	}
	if o.Procs, err = numbers("procs", strings.ReplaceAll(procs, "default", "0"), 0); err != nil {
		return err
	}
	if o.Parts, err = chosen("parts", names, partNames(true)); err != nil {
		return err
	}
	o.Contestants, err = chosen("contestants", who, strings.Join(contestantNames(), ","))
	if o.Base != "" && !slices.Contains(o.Contestants, baseName) {
		o.Contestants = append(o.Contestants, baseName)
	}
	return err
}

// chosen splits a list. All its elements must be in the list of.
func chosen(flag, list, of string) ([]string, error) {
	all := strings.Split(list, ",")
	for _, name := range all {
		if !slices.Contains(strings.Split(of, ","), name) {
			return nil, fmt.Errorf("-%s %q: not one of %s", flag, name, of)
		}
	}
	return all, nil
}

func numbers(flag, list string, least int) ([]int, error) {
	var all []int
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < least {
			return nil, fmt.Errorf("-%s %q: not a number from %d on", flag, s, least)
		}
		all = append(all, n)
	}
	return all, nil
}
