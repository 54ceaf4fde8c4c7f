package taptest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

// roleVariable makes the test binary play one of the programs below in place of running its tests.
const roleVariable = "TAPTEST_ROLE"

func TestMain(m *testing.M) {
	switch role := os.Getenv(roleVariable); role {
	case "":
	case "need":
		taptest.Enter()
		os.Exit(m.Run())
	default:
		if err := taptest.Reexec(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(99)
		}
		play(role)
	}
	taptest.Enter()
	goleak.VerifyTestMain(m)
}

// play is the program of the inner process.
func play(role string) {
	switch role {
	case "report":
		wd, _ := os.Getwd()
		here, _ := os.Readlink("/proc/self/ns/net")
		ifc, _ := net.InterfaceByName("lo")
		dev, err := tap.Open(tap.Config{})
		in, _ := io.ReadAll(os.Stdin)
		fmt.Printf("%s|%s|%t|%t|%v|%s|%s", strings.Join(os.Args[1:], " "), wd, taptest.Inside(), ifc.Flags&net.FlagUp != 0, err, in, here)
		if err == nil {
			dev.Close()
		}
		os.Exit(7)
	case "wait":
		fmt.Println("ready")
		select {}
	case "abort":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	panic("no such role: " + role)
}

// program is this binary in a role, started as from outside of our namespaces.
func program(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Dir = t.TempDir()
	cmd.Stderr = os.Stderr
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "UNET_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, roleVariable+"="+role)
	return cmd
}

// asUser makes cmd run without any right, under an identity of its own that has no name.
func asUser(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Getgid(), Size: 1}},
	}
}

// exitCode returns the code that the program ended with.
func exitCode(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit == nil {
		return 0
	}
	return exit.ExitCode()
}

func TestInside(t *testing.T) {
	taptest.Need(t)
	if !taptest.Inside() {
		t.Fatal("Need passed outside a namespace")
	}
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 && i.Flags&net.FlagUp != 0 {
			t.Errorf("interface %s of another namespace is here", i.Name)
		}
	}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("loopback: %v", err)
	}
	defer c.Close()
	if _, err := c.WriteTo([]byte("x"), c.LocalAddr()); err != nil {
		t.Fatalf("loopback: %v", err)
	}
}

// TestReexec starts a program as root and as a user without rights: arguments, working directory, standard
// streams and exit code must pass, and the program must be able to open a device.
func TestReexec(t *testing.T) {
	taptest.Need(t)
	here, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []bool{false, true} {
		cmd := program(t, "report", "-a", "b c")
		cmd.Stdin = strings.NewReader("input")
		if user {
			asUser(cmd)
		}
		out, err := cmd.Output()
		if code := exitCode(t, err); code != 7 {
			t.Errorf("user %t: exit code %d, want 7", user, code)
		}
		want := fmt.Sprintf("-a b c|%s|true|true|<nil>|input|net:", cmd.Dir)
		if !strings.HasPrefix(string(out), want) || strings.HasSuffix(string(out), here) {
			t.Errorf("user %t: %q, want %q and another namespace than %s", user, out, want, here)
		}
	}
}

func TestReexecKilled(t *testing.T) {
	taptest.Need(t)
	if code := exitCode(t, program(t, "abort").Run()); code != 128+int(syscall.SIGKILL) {
		t.Errorf("exit code %d, want %d", code, 128+int(syscall.SIGKILL))
	}
}

// TestReexecSignals checks that a signal to the outer process reaches the inner one, and that nothing is left
// of it when the outer one is killed.
func TestReexecSignals(t *testing.T) {
	taptest.Need(t)
	for _, c := range []struct {
		signal syscall.Signal
		code   int
	}{{unix.SIGTERM, 128 + int(unix.SIGTERM)}, {unix.SIGKILL, -1}} {
		cmd := program(t, "wait")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ready := make([]byte, 6)
		if _, err := io.ReadFull(out, ready); err != nil || string(ready) != "ready\n" {
			t.Fatalf("%q, %v", ready, err)
		}
		if err := cmd.Process.Signal(c.signal); err != nil {
			t.Fatal(err)
		}
		// The inner process holds the other end of the pipe: this ends when it does.
		if rest, err := io.ReadAll(out); len(rest) != 0 || err != nil {
			t.Errorf("%v: %q, %v", c.signal, rest, err)
		}
		if code := exitCode(t, cmd.Wait()); code != c.code {
			t.Errorf("%v: exit code %d, want %d", c.signal, code, c.code)
		}
	}
}

// recorder is a testing.TB that remembers how it was ended.
type recorder struct {
	testing.TB
	skipped, failed string
}

func (r *recorder) Helper()                   {}
func (r *recorder) Skipf(f string, a ...any)  { r.skipped = fmt.Sprintf(f, a...) }
func (r *recorder) Fatalf(f string, a ...any) { r.failed = fmt.Sprintf(f, a...) }

// What keeps a test from running ends it, by the kind of the error and by what the environment says of skipping.
func TestLacking(t *testing.T) {
	const skips, fails = true, false
	wrapped := fmt.Errorf("open tap0: %w", os.NewSyscallError("open", syscall.ENOENT))
	for _, c := range []struct {
		require, ci string
		err         error
		also        []error
		skips       bool
	}{
		{"", "", syscall.EPERM, nil, skips},
		{"", "", syscall.EACCES, nil, skips},
		{"", "", syscall.ENOENT, nil, skips},
		{"", "", syscall.ENODEV, nil, skips},
		{"", "", wrapped, nil, skips},
		{"", "", syscall.EINVAL, nil, fails},
		{"", "", syscall.EBUSY, nil, fails},
		{"", "", errors.New("no errno"), nil, fails},
		{"", "", syscall.EROFS, []error{syscall.EROFS}, skips},
		{"", "true", syscall.EPERM, nil, fails},
		{"", "true", syscall.EROFS, []error{syscall.EROFS}, fails},
		{"1", "", syscall.ENOENT, nil, fails},
		{"1", "true", syscall.ENOENT, nil, fails},
		{"0", "true", syscall.ENOENT, nil, skips},
		{"0", "true", syscall.EINVAL, nil, fails},
	} {
		t.Setenv(taptest.RequireVariable, c.require)
		t.Setenv("CI", c.ci)
		r := &recorder{TB: t}
		taptest.Lacking(r, "thing", c.err, c.also...)
		said, silent := r.failed, r.skipped
		if c.skips {
			said, silent = silent, said
		}
		if !strings.Contains(said, "no thing can be had") || !strings.Contains(said, c.err.Error()) || silent != "" {
			t.Errorf("%+v: skipped with %q, failed with %q", c, r.skipped, r.failed)
		}
	}
}

// TestNeed runs TestNeedRefused in processes that cannot have a namespace: in a user namespace that knows
// no user, none can be made.
func TestNeed(t *testing.T) {
	taptest.Need(t)
	for _, required := range []string{"0", "1"} {
		cmd := program(t, "need", "-test.run=^TestNeedRefused$", "-test.v")
		cmd.Env = append(cmd.Env, taptest.RequireVariable+"="+required)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
		out, err := cmd.Output()
		if code := exitCode(t, err); code != 0 || !bytes.Contains(out, []byte("--- PASS: TestNeedRefused")) {
			t.Errorf("required %q: exit code %d\n%s", required, code, out)
		}
	}
}

// TestNeedRefused is what TestNeed runs; elsewhere it has nothing to say.
func TestNeedRefused(t *testing.T) {
	if os.Getenv(roleVariable) != "need" {
		return
	}
	r := &recorder{TB: t}
	taptest.Need(r)
	said, silent := r.skipped, r.failed
	if os.Getenv(taptest.RequireVariable) == "1" {
		said, silent = silent, said
	}
	if !strings.Contains(said, "no network namespace can be had") || silent != "" {
		t.Errorf("Need skipped with %q, failed with %q", r.skipped, r.failed)
	}
}
