package main

import (
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/unet-go/unet/tap/taptest"
)

// lab holds what the measurements share: the network namespace of the clients, and the programs.
type lab struct {
	prepared
	dir         string // holds the programs
	options     *options
	contestants []*contestant
	control     string // the congestion control of kernels
	nets        int    // subnets in use
	fasthttp    string // version
}

// prepared holds what was found out before the namespace was entered: in it no modules can be fetched.
type prepared struct {
	Revision string
	// Base is the revision of the contestant base, empty without it.
	Base string
	// Missing lists the contestants that cannot be compared, with the reasons.
	Missing []string
	// Wrk is the program's path, empty for the client of our own; WrkVersion is for people.
	Wrk, WrkVersion string
}

// dirVariable names the folder of the programs to the process in the namespace.
const dirVariable = "UNET_BENCHMARKS_DIR"

// newLab builds the programs, and goes on in a namespace of its own.
func newLab(ctx context.Context, o *options) (*lab, error) {
	if !taptest.Inside() {
		dir, err := os.MkdirTemp("", "unet-benchmarks")
		if err != nil {
			return nil, err
		}
		if err = prepare(ctx, o, dir); err == nil {
			if err = os.Setenv(dirVariable, dir); err == nil {
				err = fmt.Errorf("the comparison needs a network namespace: %w", taptest.Reexec()) // returns only if it cannot
			}
		}
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	l := &lab{dir: os.Getenv(dirVariable), options: o}
	if err := l.settle(); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// settle sets the namespace up.
func (l *lab) settle() error {
	if err := taptest.Reexec(); err != nil { // brings loopback up
		return err
	}
	text, err := os.ReadFile(filepath.Join(l.dir, preparedFile))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &l.prepared); err != nil {
		return err
	}
	if l.control, err = chooseControl(); err != nil {
		return err
	}
	// Connections that end leave their port in TIME-WAIT, so a client of many connections needs all ports.
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("1024 65535"), 0); err != nil {
		return err
	}
	for _, c := range contestants {
		_, err := os.Stat(filepath.Join(l.dir, gvisorProgram))
		if slices.Contains(l.options.Contestants, c.name) && (!c.peer || err == nil) {
			l.contestants = append(l.contestants, c)
		}
	}
	l.fasthttp = fasthttpOf(filepath.Join(l.dir, httpProgram))
	return nil
}

// fasthttpOf returns the version of fasthttp in a program.
func fasthttpOf(program string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/valyala/fasthttp" {
			return m.Version
		}
	}
	return "unknown"
}

func (l *lab) close() error {
	if l.dir == "" {
		return nil
	}
	return os.RemoveAll(l.dir)
}

// chooseControl makes the kernel's congestion control of this namespace one that is fast on a wire without
// loss, which BBR is not, and returns its name.
func chooseControl() (string, error) {
	const file = "/proc/sys/net/ipv4/tcp_congestion_control"
	for _, name := range []string{"cubic", "reno"} {
		if os.WriteFile(file, []byte(name), 0) == nil {
			break
		}
	}
	name, err := os.ReadFile(file)
	return strings.TrimSpace(string(name)), err
}

// network returns the client's and the server's address in a subnet that is not in use yet.
func (l *lab) network() (client, server netip.Prefix) {
	l.nets++
	at := func(host byte) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(l.nets >> 8), byte(l.nets), host}), 24)
	}
	return at(1), at(2)
}

// network6 is network in IPv6.
func (l *lab) network6() (client, server netip.Prefix) {
	l.nets++
	at := func(host byte) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x75, 2: 0x6e, 3: 0x65, 4: 0x74, 5: 1, 6: byte(l.nets >> 8), 7: byte(l.nets), 15: host}), 64)
	}
	return at(1), at(2)
}
