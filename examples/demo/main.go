// Two unmodified HTTP servers, net/http's and fasthttp's, on unet's own TCP, with clients in the kernel.
//
//	go run ./examples/demo
//
// It runs as root or as an ordinary user, in a network namespace that it makes and that ends with it: there it
// opens a TAP device, serves on one side of it, and is the kernel's client on the other. Each page that comes
// back is compared octet for octet. Where the system allows no namespace or TAP device it says so, and the client is a
// second host of unet on a segment in memory. The exit code is 0 if every answer was right.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/unet-go/unet/tap/taptest"
)

// bound is the longest that the demo may take beyond its two loads.
const bound = 40 * time.Second

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes.
const (
	fine   = 0
	failed = 1
	usage  = 2
)

func run(args []string, stdout, stderr io.Writer) int {
	var l load
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&l.clients, "clients", 64, "`number` of clients at once")
	flags.DurationVar(&l.length, "time", 2*time.Second, "how `long` the clients keep each server busy")
	segment := flags.Bool("segment", false, "use a segment in memory also where a TAP device could be had")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return fine
	case err != nil:
		return usage
	case flags.NArg() > 0 || l.clients < 1 || l.length < 0:
		fmt.Fprintln(stderr, "demo: want at least one client, a time of at least 0 and no other arguments")
		return usage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, bound+4*l.length)
	defer cancel()
	if err := choose(ctx, *segment, l, stdout); err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return failed
	}
	return fine
}

// choose runs the demo over a TAP device, or over a segment where the system allows no TAP device.
func choose(ctx context.Context, segment bool, l load, out io.Writer) error {
	if !segment {
		err := taptest.Reexec()
		if err == nil {
			var w *world
			if w, err = overTAP(); err == nil {
				return w.show(ctx, l, out)
			}
		}
		fmt.Fprintf(out, "No TAP device can be had here: %v\nThe same over a segment in memory:\n\n", err)
	}
	w, err := overSegment()
	if err != nil {
		return err
	}
	return w.show(ctx, l, out)
}
