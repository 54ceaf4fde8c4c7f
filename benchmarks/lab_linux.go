package main

import (
	"bufio"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/tap/taptest"
)

func init() {
	roles["enter"] = enter
}

// contestants are compared with the first one's rate over the last one's.
var contestants = []contestant{
	{name: "unet", about: "unet in the server's process, over a TAP device whose other side is the client's kernel", start: startUnet},
	{name: "kernel", about: "the kernel's TCP in a network namespace of the server's, joined to the client's by veth", start: startKernel},
}

// serverKind is a program that serves.
type serverKind struct {
	program string // of l.dir; empty for ourselves
	args    []string
	onUnet  []string // further arguments on unet
	onKern  []string // and on the kernel's TCP
}

var (
	httpServer   = serverKind{program: "http", onKern: []string{"-kernel"}}
	streamServer = serverKind{args: []string{"bulk-server"}}
)

// lab is where it happens: the network namespace of the clients, and the programs.
type lab struct {
	dir     string // holds the programs
	options *options
	control string // the congestion control of kernels
	nets    int    // given away

	fasthttp, revision string // what the programs are made of
}

// dirVariable names the folder of the programs to the process in the namespace, which cannot make them, since
// it may have to fetch modules to do so.
const dirVariable = "UNET_BENCHMARKS_DIR"

// newLab builds the programs, and goes on in a namespace of its own.
func newLab(o *options) (*lab, error) {
	if !taptest.Inside() {
		dir, err := os.MkdirTemp("", "unet-benchmarks")
		if err != nil {
			return nil, err
		}
		build := exec.Command("go", "build", "-buildvcs=auto", "-o", dir+"/", "github.com/unet-go/unet/examples/http")
		build.Stderr = os.Stderr
		if err = build.Run(); err == nil {
			if err = os.Setenv(dirVariable, dir); err == nil {
				err = taptest.Reexec() // returns only if it cannot
			}
		}
		return nil, errors.Join(fmt.Errorf("the comparison needs a network namespace: %w", err), os.RemoveAll(dir))
	}
	l := &lab{dir: os.Getenv(dirVariable), options: o}
	if err := taptest.Reexec(); err != nil { // brings loopback up
		return nil, errors.Join(err, l.close())
	}
	control, err := chooseControl()
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	l.control = control
	l.fasthttp, l.revision = madeOf(filepath.Join(l.dir, httpServer.program))
	return l, nil
}

// madeOf returns the version of fasthttp in a program, and the revision of its source.
func madeOf(program string) (fasthttp, revision string) {
	fasthttp, revision = "unknown", "unknown"
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return fasthttp, revision
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/valyala/fasthttp" {
			fasthttp = m.Version
		}
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			revision += " with changes"
		}
	}
	return fasthttp, revision
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

// network gives a subnet away: the client's address and the server's.
func (l *lab) network() (client, server netip.Prefix) {
	l.nets++
	at := func(host byte) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, byte(l.nets), host}), 24)
	}
	return at(1), at(2)
}

const port = "8080"

func startUnet(ctx context.Context, l *lab, kind serverKind) (*server, error) {
	client, at := l.network()
	args := slices.Concat(kind.args, kind.onUnet, []string{"-listen", at.Addr().String() + ":" + port,
		"-dev", fmt.Sprintf("unet%d", l.nets), "-addr", at.String(), "-peer", client.String()})
	return l.start(ctx, kind, args, at, nil)
}

func startKernel(ctx context.Context, l *lab, kind serverKind) (*server, error) {
	client, at := l.network()
	name := fmt.Sprintf("veth%d", l.nets)
	args := slices.Concat(kind.args, kind.onKern, []string{"-listen", at.Addr().String() + ":" + port})
	return l.start(ctx, kind, args, at, func(cmd *exec.Cmd, gate io.Writer) error {
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
	})
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
	if err := netlink.AddrAdd(link, addr); err != nil {
		return fmt.Errorf("give %s %v: %w", name, at, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring %s up: %w", name, err)
	}
	return nil
}

// enter is what runs first in a server's own namespace: it waits for the gate to open, sets the namespace up,
// and becomes the server.
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
	if _, err := chooseControl(); err != nil {
		return err
	}
	return unix.Exec(args[1], args[1:], os.Environ())
}

// server is a running server.
type server struct {
	target string
	cmd    *exec.Cmd
	gone   chan error
}

// start starts a server, in a namespace of its own if join is there to connect it, and returns when it serves.
func (l *lab) start(ctx context.Context, kind serverKind, args []string, at netip.Prefix, join func(*exec.Cmd, io.Writer) error) (*server, error) {
	program := "/proc/self/exe"
	if kind.program != "" {
		program = filepath.Join(l.dir, kind.program)
		if kind.program == httpServer.program {
			args = append(args, "-server", l.options.Server)
		}
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if join != nil {
		cmd = exec.CommandContext(ctx, "/proc/self/exe", slices.Concat([]string{"enter", at.String(), program}, args)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWNET}
	}
	cmd.Stderr = os.Stderr
	cmd.Env = os.Environ()
	if l.options.Procs > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprintf("GOMAXPROCS=%d", l.options.Procs))
	}
	gate, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	said, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread() // Pdeathsig is the thread's
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{target: at.Addr().String() + ":" + port, cmd: cmd, gone: make(chan error, 1)}
	if join != nil {
		if err := join(cmd, gate); err != nil {
			return nil, errors.Join(err, cmd.Process.Kill())
		}
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() && !strings.Contains(lines.Text(), "serves") {
	}
	serves := strings.Contains(lines.Text(), "serves")
	go func() {
		for lines.Scan() { // so that it can go on talking
		}
		s.gone <- cmd.Wait()
	}()
	if !serves {
		return nil, fmt.Errorf("the server has ended: %w", <-s.gone)
	}
	return s, nil
}

// stop interrupts the server and waits for its end.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	select {
	case err := <-s.gone:
		return err
	case <-time.After(patience):
		return errors.Join(fmt.Errorf("the server went on for %v after the interrupt", patience), s.cmd.Process.Kill())
	}
}

// busy calls fn and returns the processor time that the server took meanwhile.
func (s *server) busy(fn func() error) (time.Duration, error) {
	before, err := processorTime(s.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	if err := fn(); err != nil {
		return 0, err
	}
	after, err := processorTime(s.cmd.Process.Pid)
	return after - before, err
}

// processorTime returns what a process has used so far, in the kernel and outside.
func processorTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(string(stat))
}

// parseStat returns utime and stime of proc_pid_stat(5), which are in hundredths of a second.
func parseStat(stat string) (time.Duration, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("stat has too few fields: %q", stat)
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// client runs a role of ours in a process of its own and decodes what it prints.
func (l *lab) client(ctx context.Context, result any, args ...string) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	return json.Unmarshal(out, result)
}
