package soak

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/tcp"
	"github.com/unet-go/unet/unet"
)

// The host on unet is 10.70.0.2 behind a TAP, the peer 10.71.0.2 behind a veth pair; the kernel of the test's namespace
// is the router between them.
const (
	hostAddr = "10.70.0.2:7000"
	peerAddr = "10.71.0.2:7001"
)

// world is the network of the test.
type world struct {
	*testing.T
	host *unet.Host

	mu     sync.Mutex
	cmd    *exec.Cmd // the peer that lives
	stdin  io.WriteCloser
	ended  chan struct{} // it has died
	gone   tally         // what the peers that died had counted
	latest [4]uint64     // what the one that lives has
	killed time.Time     // when the latest one died
	lines  []string      // of its errors since then
}

// command runs a program of the system's.
func (w *world) command(name string, args ...string) {
	w.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		w.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// newWorld makes the network, which loses one packet of a hundred each way.
func newWorld(t *testing.T) *world {
	w := &world{T: t}
	h, err := unet.Open(unet.Config{Device: "soak0", Addrs: []netip.Prefix{netip.MustParsePrefix("10.70.0.2/24")},
		PeerAddrs: []netip.Prefix{netip.MustParsePrefix("10.70.0.1/24")}, Gateway: netip.MustParseAddr("10.70.0.1"),
		Stack: stack.Config{TCP: tcp.Config{MSL: 2 * time.Second}}})
	if err != nil {
		t.Fatal(err)
	}
	w.host = h
	for path, value := range map[string]string{"ip_forward": "1", "icmp_ratelimit": "0"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+path, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	rules := exec.Command("nft", "-f", "-")
	rules.Stdin = strings.NewReader("table ip soak { chain lossy { type filter hook forward priority 0; numgen random mod 1000 < 10 drop\n}\n}\n")
	if out, err := rules.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
	return w
}

// birth starts a peer.
func (w *world) birth() {
	w.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run", "^$")
	cmd.Env = append(os.Environ(), roleVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		w.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		w.Fatal(err)
	}
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	ready, ended := make(chan struct{}), make(chan struct{})
	w.mu.Lock()
	w.cmd, w.stdin, w.ended, w.latest = cmd, stdin, ended, [4]uint64{}
	w.mu.Unlock()
	go w.listen(stdout, cmd, sync.OnceFunc(func() { close(ready) }), ended)
	pid := fmt.Sprint(cmd.Process.Pid)
	w.command("ip", "link", "add", "soak1", "type", "veth", "peer", "name", "soak2", "netns", pid)
	w.command("ip", "address", "add", "10.71.0.1/24", "dev", "soak1")
	w.command("ip", "link", "set", "soak1", "up")
	inside := func(args ...string) { w.command("nsenter", append([]string{"-t", pid, "-n", "ip"}, args...)...) }
	inside("address", "add", "10.71.0.2/24", "dev", "soak2")
	inside("link", "set", "soak2", "up")
	inside("route", "add", "default", "via", "10.71.0.1")
	if _, err := io.WriteString(stdin, "go\n"); err != nil {
		w.Fatal(err)
	}
	select {
	case <-ready: // it listens
	case <-ended:
		w.Fatal("the peer died at once")
	}
}

// listen reads the peer's counts until it dies.
func (w *world) listen(stdout io.Reader, cmd *exec.Cmd, ready func(), ended chan struct{}) {
	defer close(ended)
	for in := bufio.NewScanner(stdout); in.Scan(); ready() {
		var n [4]uint64
		if _, err := fmt.Sscan(in.Text(), &n[0], &n[1], &n[2], &n[3]); err == nil {
			w.mu.Lock()
			w.latest = n
			w.mu.Unlock()
		}
	}
	_ = cmd.Wait()
}

// Write takes the peer's error messages.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range bytes.Lines(p) {
		if len(w.lines) < 20 {
			w.lines = append(w.lines, strings.TrimSpace(string(line)))
		}
	}
	return len(p), nil
}

// death ends the peer and its network without telling the other side; at the end of the test it lets the peer finish.
func (w *world) death(kill bool) {
	w.mu.Lock()
	cmd, stdin, ended := w.cmd, w.stdin, w.ended
	w.mu.Unlock()
	if kill {
		w.mourn()
		_ = cmd.Process.Kill()
	}
	_ = stdin.Close()
	select {
	case <-ended:
	case <-time.After(hung + time.Minute):
		w.Errorf("the peer hangs in its connections")
		_ = cmd.Process.Kill()
		<-ended
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, n := range []interface{ Add(uint64) uint64 }{&w.gone.exchanges, &w.gone.octets, &w.gone.mismatches, &w.gone.broken} {
		n.Add(w.latest[i])
	}
	w.latest = [4]uint64{}
	if kill {
		w.killed = time.Now()
	}
}

// mourn notes that the peer dies now: its sockets may still say goodbye.
func (w *world) mourn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.killed = time.Now()
}

// excused reports whether an exchange that began at the given time may have failed because the peer died.
func (w *world) excused(began time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return began.Before(w.killed.Add(time.Minute))
}

// narrow gives the peer's link another MTU, on both of its ends.
func (w *world) narrow(mtu int) {
	w.mu.Lock()
	pid := fmt.Sprint(w.cmd.Process.Pid)
	w.mu.Unlock()
	w.command("ip", "link", "set", "soak1", "mtu", fmt.Sprint(mtu))
	w.command("nsenter", "-t", pid, "-n", "ip", "link", "set", "soak2", "mtu", fmt.Sprint(mtu))
}
