//go:build linux

// The servers of the comparison on gVisor's netstack:
//
//	gvisor -mode fasthttp -endpoint vnet -dev gvisor0 -addr 10.0.0.2/24 -port 8080
//
// It opens the TAP device and serves until it is interrupted; the program that starts it configures the kernel's side of
// the device. With -mode memory it measures the memory of idle connections instead, both ends of which are in this process.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "gvisor:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	mode := flag.String("mode", "fasthttp", "fasthttp, nethttp, bulk or memory")
	endpoint := flag.String("endpoint", "vnet", "fdbased or vnet")
	device := flag.String("dev", "gvisor0", "TAP device to make")
	addr := flag.String("addr", "10.0.0.2/24", "own address with prefix length")
	port := flag.Uint("port", 8080, "port to serve")
	conns := flag.Int("conns", 1000, "idle connections of -mode memory")
	flag.Parse()
	if *mode == "memory" {
		return weigh(ctx, *conns)
	}
	serve := servers[*mode]
	if serve == nil {
		return fmt.Errorf("-mode %q: not fasthttp, nethttp, bulk or memory", *mode)
	}
	ours, err := netip.ParsePrefix(*addr)
	if err != nil {
		return err
	}
	link, tuned, err := open(*endpoint, *device)
	if err != nil {
		return err
	}
	s, err := newStack(link, ours, tuned)
	if err != nil {
		return err
	}
	at := tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(ours.Addr().AsSlice()), Port: uint16(*port)}
	ln, err := listen(s, at)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- serve(ln) }()
	fmt.Println(*mode, "serves", net.JoinHostPort(ours.Addr().String(), fmt.Sprint(*port)))
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil // the process takes the stack and its connections with it
	}
}
