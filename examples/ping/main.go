// Sends ICMP echo requests to a host and prints the answers, as ping does.
//
// Run it as root, on the TAP device of package unet:
//
//	go run ./examples/ping -c 3 10.0.0.1
//	go run ./examples/ping -6 fe80::1%unet0
//
// The variables UNET_DEVICE, UNET_ADDR and so on change the device and the address (see package unet). The exit status is that
// of ping: 1 when no answer came, 2 for other errors.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/unet-go/unet/unet"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr, unet.Default)
	stop()
	os.Exit(status)
}

// run is main with the host that open returns.
func run(ctx context.Context, args []string, out, errs io.Writer, open func() (*unet.Host, error)) int {
	flags := flag.NewFlagSet("ping", flag.ContinueOnError)
	flags.SetOutput(errs)
	p := pinger{out: out}
	flags.IntVar(&p.count, "c", 0, "`number` of requests; 0 until it is interrupted")
	flags.DurationVar(&p.interval, "i", time.Second, "`time` between two requests")
	flags.DurationVar(&p.patience, "W", time.Second, "`time` to wait for the last answer")
	flags.IntVar(&p.size, "s", 56, "`octets` of data in a request")
	flags.IntVar(&p.ttl, "t", 64, "TTL or hop `limit` of the requests")
	v4, v6 := flags.Bool("4", false, "IPv4 only"), flags.Bool("6", false, "IPv6 only")
	if flags.Parse(args) != nil || flags.NArg() != 1 || p.size < 0 || p.size > 65000 || *v4 && *v6 {
		fmt.Fprintln(errs, "usage: ping [flags] host")
		return 2
	}
	h, err := open()
	if err == nil {
		err = p.dial(ctx, h, flags.Arg(0), *v4, *v6)
	}
	if err == nil {
		defer p.conn.Close()
		err = p.run(ctx)
	}
	switch {
	case err != nil:
		fmt.Fprintln(errs, "ping:", err)
		return 2
	case p.received == 0:
		return 1
	}
	return 0
}
