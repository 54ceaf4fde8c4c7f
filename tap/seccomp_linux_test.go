package tap_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

// seccompCase is the environment variable that tells a child which system call to have refused, with which errno, and
// when: "425 38 before".
const seccompCase = "UNET_TEST_SECCOMP"

// TestIOUringRefused has the kernel refuse calls of io_uring, as the filters of container runtimes do, in a child
// process: a filter is for life.
func TestIOUringRefused(t *testing.T) {
	taptest.Need(t)
	calls := map[string]int{"io_uring_setup": unix.SYS_IO_URING_SETUP, "io_uring_enter": unix.SYS_IO_URING_ENTER}
	for _, tt := range []struct{ call, when string }{
		{"io_uring_setup", "before"}, {"io_uring_enter", "before"}, {"io_uring_enter", "later"}, {"io_uring_enter", "reading"},
	} {
		for _, errno := range []syscall.Errno{unix.ENOSYS, unix.EPERM, unix.EACCES, unix.ENOMEM, unix.EINVAL, unix.EAGAIN} {
			t.Run(fmt.Sprintf("%s %s: %v", tt.call, tt.when, errno), func(t *testing.T) {
				cmd := exec.Command("/proc/self/exe", "-test.run=^TestIOUringRefusedChild$", "-test.v")
				cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %s", seccompCase, calls[tt.call], int(errno), tt.when))
				if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: TestIOUringRefusedChild")) {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
}

// TestIOUringRefusedChild is the test that the child process runs.
func TestIOUringRefusedChild(t *testing.T) {
	var call, errno int
	var when string
	if _, err := fmt.Sscan(os.Getenv(seccompCase), &call, &errno, &when); err != nil {
		t.Skip("for a child process")
	}
	if when == "before" {
		refuse(t, call, errno)
	}
	p := newPeer(t, tap.Config{})
	if when == "before" && rings(t) != 0 {
		t.Errorf("%d rings are left", rings(t))
	}
	passAll(p, "one")
	switch when {
	case "later":
		if rings(t) != 2 {
			t.Fatalf("%d rings in use, want one for each side", rings(t))
		}
		refuse(t, call, errno)
	case "reading":
		// The reader is in the poller, and looks at the ring when something comes.
		done := make(chan string)
		go func() {
			got := p.await(p.isUDP)
			done <- string(got.Layer(layers.LayerTypeUDP).LayerPayload())
		}()
		refuse(t, call, errno)
		c, _ := p.socket()
		p.send(c, []byte("wake up"))
		if got := <-done; got != "wake up" {
			t.Errorf("read %q", got)
		}
	}
	passAll(p, "two")
	if rings(t) != 0 {
		t.Errorf("%d rings are left", rings(t))
	}
	s := p.dev.Stats()
	if s.Dropped() != 0 {
		t.Errorf("Stats = %+v", s)
	}
}

// passAll sends 200 datagrams each way, several at once, and checks that each arrives, once and in order.
func passAll(p *peer, what string) {
	p.Helper()
	c, port := p.socket()
	const n, batch = 200, 50
	for from := 0; from < n; from += batch {
		var frames []link.Frame
		for i := range batch {
			frames = append(frames, frame(p.udp(port, []byte(what+" "+strconv.Itoa(from+i)))))
		}
		p.writeFrames(frames...)
		for i := range batch {
			if got, want := string(p.next(c)), what+" "+strconv.Itoa(from+i); got != want {
				p.Fatalf("the kernel received %q, want %q", got, want)
			}
		}
	}
	for i := range n {
		p.send(c, []byte(what+" "+strconv.Itoa(i)))
	}
	for i := range n {
		got := p.await(p.isUDP)
		if text, want := string(got.Layer(layers.LayerTypeUDP).LayerPayload()), what+" "+strconv.Itoa(i); text != want {
			p.Fatalf("read %q, want %q", text, want)
		}
	}
}

// rings counts the process's io_urings.
func rings(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.Contains(to, "io_uring") {
			n++
		}
	}
	return n
}

// refuse installs a filter, for all threads, that answers one system call with errno and allows all others.
func refuse(t *testing.T, call, errno int) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const load, jumpEqual, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	program := []unix.SockFilter{
		{Code: load, K: 0}, // struct seccomp_data begins with the call's number
		{Code: jumpEqual, K: uint32(call), Jf: 1},
		{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: ret, K: unix.SECCOMP_RET_ALLOW},
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter)))
	if e != 0 {
		t.Fatalf("seccomp: %v", e)
	}
}
