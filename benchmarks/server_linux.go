package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// self is the running program.
const self = "/proc/self/exe"

// command is exec.CommandContext for a child that never outlives this process. The child has a process group of its own,
// which is killed when ctx ends, and the child is killed when this process is.
func command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return killGroup(cmd) }
	cmd.WaitDelay = patience
	keepThread()
	return cmd
}

// keepThread locks the main goroutine to its thread, since the kernel sends Pdeathsig when the thread ends that started
// the child.
var keepThread = sync.OnceFunc(runtime.LockOSThread)

// killGroup ends a child and the children of it that stayed in its group.
func killGroup(cmd *exec.Cmd) error {
	err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// environment is our own with GOMAXPROCS, unless that is 0.
func environment(procs int) []string {
	if procs == 0 {
		return os.Environ()
	}
	return append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", procs))
}

// serverKind is a program that serves.
type serverKind struct {
	program string // of the lab's folder; empty for ourselves
	args    []string
	onUnet  []string // further arguments on unet
	onKern  []string // on the kernel's TCP
	onPeer  []string // arguments of a peer's program instead of all of the above
}

var (
	httpServer = serverKind{program: httpProgram, args: []string{"-server", "fasthttp"}, onKern: []string{"-kernel"},
		onPeer: []string{"-mode", "fasthttp"}}
	netHTTPServer = serverKind{program: httpProgram, args: []string{"-server", "nethttp"}, onKern: []string{"-kernel"},
		onPeer: []string{"-mode", "nethttp"}}
	streamServer = serverKind{args: []string{"bulk-server"}, onPeer: []string{"-mode", "bulk"}}
)

// server is a running server.
type server struct {
	target string
	cmd    *exec.Cmd
	ended  chan struct{} // closed after err is set
	err    error
}

// launch holds the arguments of start.
type launch struct {
	program string // path; empty for ourselves
	args    []string
	procs   int
	at      netip.Prefix
	// join, if not nil, connects the server to the network. The server gets a namespace of its own then, and waits until
	// join writes an octet to gate.
	join func(cmd *exec.Cmd, gate io.Writer) error
}

// start starts a server and returns when it serves.
func (l *lab) start(ctx context.Context, how *launch) (*server, error) {
	program := how.program
	if program == "" {
		program = self
	}
	cmd := command(ctx, program, how.args...)
	if how.join != nil {
		cmd = command(ctx, self, slices.Concat([]string{"enter", how.at.String(), program}, how.args)...)
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	}
	cmd.Stderr = os.Stderr
	cmd.Env = environment(how.procs)
	gate, said, err := startPiped(cmd)
	if err != nil {
		return nil, err
	}
	s := &server{target: endpoint(how.at), cmd: cmd, ended: make(chan struct{})}
	if how.join != nil {
		if err := how.join(cmd, gate); err != nil {
			return nil, errors.Join(err, killGroup(cmd), s.wait(nil))
		}
	}
	lines := bufio.NewScanner(said)
	serves := false
	for !serves && lines.Scan() {
		serves = strings.Contains(lines.Text(), "serves")
	}
	if !serves {
		return nil, fmt.Errorf("the server has ended before it served: %v", s.wait(lines))
	}
	go func() { _ = s.wait(lines) }()
	return s, nil
}

// startPiped starts a process and returns its standard input and output. Processes of ours end at the end of their input.
func startPiped(cmd *exec.Cmd) (stdin io.WriteCloser, stdout io.ReadCloser, err error) {
	if stdin, err = cmd.StdinPipe(); err != nil {
		return nil, nil, err
	}
	if stdout, err = cmd.StdoutPipe(); err != nil {
		return nil, nil, err
	}
	return stdin, stdout, cmd.Start()
}

// wait reads the rest of the server's output, so that the server is not blocked by it, and waits for its end.
func (s *server) wait(lines *bufio.Scanner) error {
	for lines != nil && lines.Scan() {
	}
	s.err = s.cmd.Wait()
	close(s.ended)
	return s.err
}

// stop interrupts the server and waits for its end.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.ended:
		return s.err
	case <-time.After(patience):
		err := fmt.Errorf("the server went on for %v after the interrupt", patience)
		err = errors.Join(err, killGroup(s.cmd))
		<-s.ended
		return err
	}
}

// client runs a role of this program in a process of its own and decodes its output.
func (l *lab) client(ctx context.Context, result any, args ...string) error {
	return role(ctx, self, 0, result, args...)
}

// role runs a role of a program, this one or that of another revision, and decodes its output.
func role(ctx context.Context, program string, procs int, result any, args ...string) error {
	cmd := command(ctx, program, args...)
	cmd.Stderr = os.Stderr
	cmd.Env = environment(procs)
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return json.Unmarshal(out, result)
}
