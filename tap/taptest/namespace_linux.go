package taptest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// marker is the environment variable that tells a process that it is the inner one. Its value is the network namespace of
// the outer process, so that a value that was inherited by accident is not taken for a namespace of our own.
const marker = "UNET_OUTER_NETNS"

// noNamespace are further errors that mean that no namespace can be made: of a kernel without namespaces, and of one
// whose limits are zero (max_net_namespaces, max_user_namespaces).
var noNamespace = []error{syscall.EINVAL, syscall.ENOSPC}

// Inside reports whether the process is in a network namespace that Reexec made.
func Inside() bool {
	outer := os.Getenv(marker)
	here, err := os.Readlink("/proc/self/ns/net")
	return outer != "" && err == nil && here != outer
}

// Reexec runs the program again in a network namespace of its own, in which it may configure everything, and
// exits with that process's exit code. In the inner process, which has the same arguments, environment,
// working directory and standard streams, it brings the loopback interface up and returns nil. Call it first
// in main or TestMain. It returns an error where the system gives the process no namespace.
func Reexec() error {
	if Inside() {
		return loopbackUp()
	}
	if isFuzzWorker() {
		// Its coordinator has no namespace, and talks to it over descriptors that the inner process would not have.
		return errors.New("taptest: a fuzz worker has to stay in its coordinator's namespace")
	}
	here, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return fmt.Errorf("taptest: no network namespaces: %w", err)
	}
	var refusals []error
	for _, flags := range namespaces() {
		cmd, err := start(flags, here)
		if err == nil {
			os.Exit(wait(cmd))
		}
		refusals = append(refusals, err)
	}
	return fmt.Errorf("taptest: no network namespace can be had: %w", errors.Join(refusals...))
}

// namespaces lists the flags of the namespaces to ask the kernel for, the best first.
func namespaces() []uintptr {
	const user = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET
	if os.Geteuid() == 0 {
		return []uintptr{syscall.CLONE_NEWNET, user} // root in a container may lack CAP_SYS_ADMIN
	}
	return []uintptr{user}
}

// start starts the program again in the namespaces that flags name. It locks the goroutine to its thread, because the
// kernel ends the inner process when that thread ends (Pdeathsig).
func start(flags uintptr, outer string) (*exec.Cmd, error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), marker+"="+outer)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	if flags&syscall.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	runtime.LockOSThread()
	if err := cmd.Start(); err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	return cmd, nil
}

// wait waits for the inner process, passing on the signals that it would otherwise not see, and returns its
// exit code, or 128 and the signal's number as a shell does.
func wait(cmd *exec.Cmd) int {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2)
	go func() {
		for s := range signals {
			if (s == unix.SIGINT || s == unix.SIGQUIT) && inForeground() {
				continue // the terminal signals the whole process group, so the inner process gets it already
			}
			cmd.Process.Signal(s)
		}
	}()
	err := cmd.Wait()
	if cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "taptest:", err)
		return 1
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return cmd.ProcessState.ExitCode()
}

// inForeground reports whether a terminal's signals go to the process.
func inForeground() bool {
	tty, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer unix.Close(tty)
	group, err := unix.IoctlGetInt(tty, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// isFuzzWorker reports whether `go test -fuzz` started the process as one of its workers.
func isFuzzWorker() bool {
	for _, a := range os.Args[1:] {
		if name := strings.TrimLeft(a, "-"); name == "test.fuzzworker" || name == "test.fuzzworker=true" {
			return true
		}
	}
	return false
}

// loopbackUp brings the loopback interface up: the inner process needs it to talk to itself.
func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("taptest: socket: %w", err)
	}
	defer unix.Close(s)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("taptest: lo: %w", err)
	}
	req.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("taptest: bring lo up: %w", err)
	}
	return nil
}
