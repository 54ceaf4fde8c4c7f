// Prints the routers on the way to a host, as traceroute does: it sends datagrams with a growing TTL and reads the ICMP errors
// that come back.
//
// Run it as root, on the TAP device of package unet:
//
//	go run ./examples/traceroute -n 192.0.2.1
//
// The variables UNET_DEVICE, UNET_ADDR and so on change the device and the address (see package unet).
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
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
	flags := flag.NewFlagSet("traceroute", flag.ContinueOnError)
	flags.SetOutput(errs)
	t := tracer{out: out}
	flags.IntVar(&t.hops, "m", 30, "largest `number` of hops")
	flags.IntVar(&t.probes, "q", 3, "`number` of probes for each hop")
	flags.DurationVar(&t.patience, "w", 5*time.Second, "`time` to wait for an answer")
	v4, v6 := flags.Bool("4", false, "IPv4 only"), flags.Bool("6", false, "IPv6 only")
	flags.Bool("n", true, "print addresses without names; there are no others")
	if flags.Parse(args) != nil || flags.NArg() != 1 || t.hops < 1 || t.hops > 255 || t.probes < 1 || t.probes > 10 || *v4 && *v6 {
		fmt.Fprintln(errs, "usage: traceroute [flags] host")
		return 2
	}
	network := "ip"
	switch {
	case *v4:
		network = "ip4"
	case *v6:
		network = "ip6"
	}
	h, err := open()
	if err == nil {
		err = t.open(ctx, h, network, flags.Arg(0))
	}
	if err == nil {
		defer t.close()
		err = t.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(errs, "traceroute:", err)
		return 1
	}
	return 0
}

// open resolves the name and makes the sockets.
func (t *tracer) open(ctx context.Context, h *unet.Host, network, name string) error {
	addrs, err := h.LookupNetIP(ctx, network, name)
	if err != nil {
		return err
	}
	t.to = addrs[0].Unmap()
	raw, udp, types := "ip4:icmp", "udp4", []uint8{unreachable, timeExceeded}
	if t.to.Is6() {
		raw, udp, types = "ip6:ipv6-icmp", "udp6", []uint8{unreachable6, timeExceeded6}
	}
	if t.errors, err = h.ListenIP(raw, nil); err != nil {
		return err
	}
	if t.socket, err = h.ListenUDP(udp, &net.UDPAddr{}); err != nil {
		_ = t.errors.Close()
		return err
	}
	fmt.Fprintf(t.out, "traceroute to %s (%s), %d hops max, %d byte packets\n", name, t.to, t.hops, t.length())
	return t.errors.SetICMPTypes(types...)
}

func (t *tracer) close() { _, _ = t.errors.Close(), t.socket.Close() }
