// A million TCP connections in one process, both ends of each, over a segment in memory.
//
//	go run ./examples/million
//
// There are two hosts of unet. The server has one address and one listening port, the client so many addresses that it
// has an ephemeral port for each connection. The program dials all connections, sends a message on each and
// compares the answer, keeps 64 more busy while the others are idle, and closes all. For each step it prints the
// time, and the memory in use afterwards for each end of a connection. No connection has a goroutine: a few
// workers serve all of them. The exit code is 0 if every answer was right and no connection or memory was left.
//
// GOMEMLIMIT bounds the memory as in any Go program, GOMEMLIMIT=8GiB for instance.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	fine   = 0
	failed = 1
	usage  = 2
)

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var p plan
	flags := flag.NewFlagSet("million", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&p.conns, "conns", 1_000_000, "`number` of connections")
	flags.IntVar(&p.workers, "workers", 256, "`number` of goroutines that take turns with them")
	flags.IntVar(&p.busy, "busy", 64, "`number` of further connections that are kept busy")
	flags.DurationVar(&p.load, "load", 5*time.Second, "how `long` they are, with the others idle; half of it before there are others")
	flags.DurationVar(&p.msl, "msl", 15*time.Second, "maximum segment `lifetime`: TIME-WAIT lasts twice as long")
	flags.BoolVar(&p.v6, "6", false, "IPv6 instead of IPv4")
	flags.BoolVar(&p.keepAlive, "keepalive", false, "probe each idle end every 15 s, as package net's defaults have it")
	flags.StringVar(&p.profile, "profile", "", "write a heap profile to this `file` while all are idle")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return fine
	case err != nil:
		return usage
	case flags.NArg() > 0 || p.conns < 1 || p.conns > maxConns || p.workers < 1 || p.busy < 0 || p.load < 0 || p.msl < 0:
		fmt.Fprintf(stderr, "million: want 1 to %d connections, at least one worker, no negative number and no other arguments\n", maxConns)
		return usage
	}
	if err := p.run(ctx, stdout); err != nil {
		fmt.Fprintln(stderr, "million:", err)
		return failed
	}
	return fine
}
