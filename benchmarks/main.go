//go:build linux

// The comparison of unet over a TAP device with the kernel's TCP over veth and, if its module is available, with
// gVisor's netstack over TAP:
//
//	go -C benchmarks run .             (make bench)
//	go -C benchmarks run . -short      three minutes, and no figures to quote
//	go -C benchmarks run . -parts bulk -rounds 7
//
// It makes the network namespaces that it needs, as root or as an ordinary user who may open /dev/net/tun,
// starts the same server on each, and measures them in turn from a process of its own, A B C A B C, so that a
// disturbance of the machine affects all of them. Each measurement has a server of its own, so that none affects another.
// It writes RESULTS.md, results.json and plots beside its source.
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

	"github.com/unet-go/unet/benchmarks/internal/flood"
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

// roles are the functions of the program when it starts itself again: a client, a server, the first process of a
// namespace.
var roles = map[string]func(ctx context.Context, args []string, stdout io.Writer) error{
	"request-client": requestClient,
	"connect-client": connectClient,
	"bulk-client":    bulkClient,
	"hold-client":    holdClient,
	"honest-client":  honestClient,
	"flood":          flood.Run,
	"bulk-server":    bulkServer,
	"process":        process,
	"memory":         memory,
	"enter":          enter,
}
