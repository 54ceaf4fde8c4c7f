package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A contestant is a stack with its servers.
type contestant struct {
	name, about string
	peer        bool // its programs are in the module peers, which may not be available
	base        bool // has the programs of another revision: see buildBase
	v6          bool // over IPv6, in the parts that have both families
	// start starts the server of a turn on a network of its own.
	start func(ctx context.Context, t *turn) (*server, error)
}

// The names of contestants.
const (
	unetName      = "unet"
	kernelName    = "kernel"
	gvisorName    = "gvisor"
	gvisorGSOName = "gvisor-gso"
	unet6Name     = "unet6"
	kernel6Name   = "kernel6"
)

var contestants = []*contestant{
	{name: unetName, about: "unet in the server's process, over a TAP device whose other side is the client's kernel", start: startUnet},
	{name: kernelName, about: "the kernel's TCP in a network namespace of the server's, joined to the client's by veth", start: startKernel},
	{name: unet6Name, about: "unet over IPv6, for the rest as unet", v6: true, start: startUnet},
	{name: kernel6Name, about: "the kernel's TCP over IPv6, for the rest as kernel", v6: true, start: startKernel},
	{name: gvisorName, about: "gVisor's netstack in the server's process, over a TAP device and its own fdbased endpoint, with its own defaults",
		peer: true, start: startGvisor("fdbased")},
	{name: gvisorGSOName, about: "the same over an endpoint of ours that lets super-segments through in both directions, with SACK, RACK, CUBIC " +
		"and buffers of up to 8 and 6 MiB, as its big users set them", peer: true, start: startGvisor("vnet")},
	{name: baseName, about: "unet as of another revision, with programs built from its sources", base: true, start: startUnet},
}

// contestantNames returns the contestants that take part by default.
func contestantNames() (names []string) {
	for _, c := range contestants {
		if !c.base {
			names = append(names, c.name)
		}
	}
	return names
}

// stack returns the name of the contestant's stack, for programs that know only the names of the stacks in them.
func (c *contestant) stack() string {
	if c.base {
		return unetName
	}
	return strings.TrimSuffix(c.name, "6")
}

const port = "8080"

// endpoint returns where the server at an address listens.
func endpoint(at netip.Prefix) string { return net.JoinHostPort(at.Addr().String(), port) }

// network is lab.network in the contestant's family.
func (t *turn) network() (client, server netip.Prefix) {
	if t.contestant.v6 {
		return t.lab.network6()
	}
	return t.lab.network()
}

// program returns the path of a program of the turn's contestant; with an empty name that of the benchmark program itself.
func (t *turn) program(name string) string {
	switch {
	case t.contestant.base && name == "":
		return filepath.Join(baseDir(t.lab.dir), benchmarksProgram)
	case t.contestant.base:
		return filepath.Join(baseDir(t.lab.dir), name)
	case name == "":
		return self
	}
	return filepath.Join(t.lab.dir, name)
}

func startUnet(ctx context.Context, t *turn) (*server, error) {
	kind := t.part.server
	client, at := t.network()
	args := slices.Concat(kind.args, kind.onUnet, []string{"-listen", endpoint(at),
		"-dev", fmt.Sprintf("unet%d", t.lab.nets), "-addr", at.String(), "-peer", client.String()})
	if dir := t.options.profiles; dir != "" {
		args = append(args, "-cpuprofile", filepath.Join(dir, t.profile()))
	}
	return t.lab.start(ctx, &launch{program: t.program(kind.program), args: args, procs: t.procs, at: at})
}

// profile returns the name of the file for a turn's profile. go tool pprof merges those of several rounds.
func (t *turn) profile() string {
	return fmt.Sprintf("%s-%s%d-procs%d-round%d.prof", t.part.name, t.at.mode, t.at.Conns, t.procs, t.round+1)
}

func startKernel(ctx context.Context, t *turn) (*server, error) {
	kind := t.part.server
	client, at := t.network()
	name := fmt.Sprintf("veth%d", t.lab.nets)
	args := slices.Concat(kind.args, kind.onKern, []string{"-listen", endpoint(at)})
	return t.lab.start(ctx, &launch{program: t.program(kind.program), args: args, procs: t.procs, at: at, join: func(cmd *exec.Cmd, gate io.Writer) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "veth", PeerNamespace: netlink.NsPid(cmd.Process.Pid)}
		if err := netlink.LinkAdd(veth); err != nil {
			return fmt.Errorf("make veth: %w", err)
		}
		if err := configure(name, client); err != nil {
			return err
		}
		_, err := io.WriteString(gate, "go\n")
		return err
	}})
}

// startGvisor returns a function that starts the peer's program with one of its endpoints. The program makes the device,
// and the function configures the kernel's side of it.
func startGvisor(kind string) func(context.Context, *turn) (*server, error) {
	return func(ctx context.Context, t *turn) (*server, error) {
		client, at := t.network()
		name := fmt.Sprintf("gvisor%d", t.lab.nets)
		args := slices.Concat(t.part.server.onPeer, []string{"-endpoint", kind, "-dev", name, "-addr", at.String(), "-port", port})
		s, err := t.lab.start(ctx, &launch{program: t.program(gvisorProgram), args: args, procs: t.procs, at: at})
		if err != nil {
			return nil, err
		}
		if err := configure(name, client); err != nil {
			return nil, fmt.Errorf("%w (the server: %v)", err, s.stop())
		}
		return s, nil
	}
}

// configure gives an interface its address and brings it up.
func configure(name string, at netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	addr, err := netlink.ParseAddr(at.String())
	if err != nil {
		return err
	}
	if at.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD // usable at once
	}
	if err := netlink.AddrAdd(link, addr); err != nil {
		return fmt.Errorf("give %s %v: %w", name, at, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring %s up: %w", name, err)
	}
	return nil
}

// enter is the role of the first process in a server's own namespace: it waits for an octet on its standard input, the gate,
// sets the namespace up, and becomes the server.
func enter(_ context.Context, args []string, _ io.Writer) error {
	var gate [1]byte
	if _, err := io.ReadFull(os.Stdin, gate[:]); err != nil {
		return fmt.Errorf("the gate stays closed: %w", err)
	}
	at, err := netip.ParsePrefix(args[0])
	if err != nil {
		return err
	}
	if err := configure("veth", at); err != nil {
		return err
	}
	// Like unet's server it sends answers to other networks by way of the client, which has the first address.
	client := at.Masked().Addr().Next()
	if err := netlink.RouteAdd(&netlink.Route{Gw: client.AsSlice()}); err != nil {
		return fmt.Errorf("route by way of %v: %w", client, err)
	}
	if _, err := chooseControl(); err != nil {
		return err
	}
	// The death signal of command is set for the child's first thread, and this need not be that one. Exec keeps the
	// thread that calls it, so set the signal for this one.
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	return unix.Exec(args[1], args[1:], os.Environ())
}
