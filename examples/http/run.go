package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/unet-go/unet/examples/internal/hello"
	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/unet"
)

// options are the flags.
type options struct {
	server, listen, device string
	addrs, peers           []netip.Prefix
	gateway, gateway6      netip.Addr
	kernel, verbose        bool
	cpuprofile             string
	grace                  time.Duration
}

// Exit codes.
const (
	fine   = 0
	failed = 1
	usage  = 2
)

// run is the program: it serves until ctx ends. open makes the host.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, open func(unet.Config) (*unet.Host, error)) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return fine
	case err != nil:
		fmt.Fprintln(stderr, "http:", err)
		return usage
	}
	if err := o.run(ctx, stdout, open); err != nil {
		fmt.Fprintln(stderr, "http:", err)
		return failed
	}
	return fine
}

func parse(args []string, stderr io.Writer) (*options, error) {
	var o options
	flags := flag.NewFlagSet("http", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run prints errors, once
	flags.StringVar(&o.server, "server", "nethttp", "`which` server: nethttp or fasthttp")
	flags.StringVar(&o.listen, "listen", ":8080", "`address` to listen on, host:port")
	flags.StringVar(&o.device, "dev", "unet0", "`name` of the TAP device")
	addrs := flags.String("addr", "10.0.0.2/24,fd75:6e65:7400::2/64", "own `addresses` with prefix length, comma separated")
	peers := flags.String("peer", defaultPeers(tap.KernelIPv6()), "`addresses` of the kernel's side of the device, comma separated; may be empty")
	gateway := flags.String("gateway", "", "`addresses` where packets for other networks go, one of each family, comma separated, or none (default the first of each family of -peer in a network of -addr)")
	flags.BoolVar(&o.kernel, "kernel", false, "serve on the kernel's TCP, not on unet's")
	flags.BoolVar(&o.verbose, "v", false, "print the host's statistics at the end")
	flags.StringVar(&o.cpuprofile, "cpuprofile", "", "write a CPU profile to `file`")
	flags.DurationVar(&o.grace, "grace", 5*time.Second, "how `long` requests, and answers on their way, may go on after the interrupt")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(stderr)
			fmt.Fprintln(stderr, "usage: http [flags]")
			flags.PrintDefaults()
		}
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if hello.Servers[o.server] == nil {
		return nil, fmt.Errorf("-server %q: not nethttp or fasthttp", o.server)
	}
	if _, _, err := net.SplitHostPort(o.listen); err != nil {
		return nil, fmt.Errorf("-listen %q: not host:port, such as :8080", o.listen)
	}
	if o.grace < 0 {
		return nil, fmt.Errorf("-grace %v: less than nothing", o.grace)
	}
	var err error
	if o.addrs, err = prefixes("-addr", *addrs); err != nil {
		return nil, err
	}
	if len(o.addrs) == 0 {
		return nil, errors.New("-addr: no address")
	}
	if o.peers, err = prefixes("-peer", *peers); err != nil {
		return nil, err
	}
	return &o, o.via(*gateway)
}

// defaultPeers returns the kernel's side of the default networks, of IPv6 only where the kernel has that.
func defaultPeers(ipv6 bool) string {
	if ipv6 {
		return "10.0.0.1/24,fd75:6e65:7400::1/64"
	}
	return "10.0.0.1/24"
}

// via sets the gateways that the flag names.
func (o *options) via(gateways string) error {
	switch gateways {
	case "none":
		return nil
	case "":
		o.gateway, o.gateway6 = o.kernelSide(netip.Addr.Is4), o.kernelSide(netip.Addr.Is6)
		return nil
	}
	for s := range strings.SplitSeq(gateways, ",") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return fmt.Errorf("-gateway %q: not an address, such as 10.0.0.1, and not none", s)
		}
		gw := &o.gateway
		if a.Is6() {
			gw = &o.gateway6
		}
		if gw.IsValid() {
			return fmt.Errorf("-gateway %q: two of one family", gateways)
		}
		*gw = a
	}
	return nil
}

// kernelSide returns the kernel's address of a family in a network of ours. As our gateway it gets the answers to the packets
// that it forwards to us.
func (o *options) kernelSide(family func(netip.Addr) bool) netip.Addr {
	for _, p := range o.peers {
		for _, a := range o.addrs {
			if family(p.Addr()) && a.Contains(p.Addr()) && a.Addr() != p.Addr() {
				return p.Addr()
			}
		}
	}
	return netip.Addr{}
}

func prefixes(name, list string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, s := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		p, err := netip.ParsePrefix(strings.TrimSpace(s))
		if err != nil {
			return nil, fmt.Errorf("%s %q: not an address with its prefix length, such as 10.0.0.2/24", name, s)
		}
		all = append(all, p)
	}
	return all, nil
}

func (o *options) run(ctx context.Context, stdout io.Writer, open func(unet.Config) (*unet.Host, error)) (err error) {
	if o.cpuprofile != "" {
		f, err := os.Create(o.cpuprofile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if o.kernel {
		ln, err := net.Listen("tcp", o.listen)
		if err != nil {
			return err
		}
		return o.serve(ctx, stdout, ln, func(context.Context) error { return nil })
	}
	host, err := open(unet.Config{Device: o.device, Addrs: o.addrs, PeerAddrs: o.peers, Gateway: o.gateway, Gateway6: o.gateway6})
	if err != nil {
		return err
	}
	defer func() {
		if o.verbose {
			text, _ := json.MarshalIndent(host.Stats(), "", "  ") // counters cannot fail to be written
			fmt.Fprintf(stdout, "%s\n", text)
		}
		if end := host.Close(); !errors.Is(end, net.ErrClosed) { // after Shutdown the host is closed already
			err = errors.Join(err, end)
		}
	}()
	ln, err := host.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	return o.serve(ctx, stdout, ln, host.Shutdown)
}

// serve serves on ln until ctx ends, and then o.grace longer at most. end ends the network.
func (o *options) serve(ctx context.Context, stdout io.Writer, ln net.Listener, end func(context.Context) error) error {
	s := hello.Servers[o.server]()
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	fmt.Fprintf(stdout, "%s serves %s\n", o.server, strings.Join(o.urls(ln.Addr()), " "))
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	fmt.Fprintln(stdout, "shutting down")
	bounded, cancel := context.WithTimeout(context.Background(), o.grace)
	defer cancel()
	if err := s.Shutdown(bounded); err != nil {
		return fmt.Errorf("requests were still in progress after %v: %w", o.grace, err)
	}
	if err := <-served; err != nil {
		return err
	}
	// The requests have been answered, but the answers may still be on their way to slow clients.
	if err := end(bounded); err != nil {
		return fmt.Errorf("answers were still on their way after %v: %w", o.grace, err)
	}
	return nil
}

// urls tells how to reach the server.
func (o *options) urls(at net.Addr) []string {
	a, ok := at.(*net.TCPAddr)
	if !ok || !a.IP.IsUnspecified() {
		return []string{"http://" + at.String() + "/"}
	}
	var hosts []string
	if o.kernel {
		hosts = []string{"localhost"}
	} else {
		for _, p := range o.addrs {
			hosts = append(hosts, p.Addr().String())
		}
	}
	var all []string
	for _, h := range slices.Compact(hosts) {
		all = append(all, "http://"+net.JoinHostPort(h, fmt.Sprint(a.Port))+"/")
	}
	return all
}
