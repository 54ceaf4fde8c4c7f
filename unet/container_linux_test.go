//go:build !race

// The race detector takes many times the memory of what it watches.

package unet

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/tap/taptest"
)

// longestHoarding is how long the clients have at most, in seconds.
const longestHoarding = 40

// The environment of the process that a control group limits.
const (
	hoardVariable    = "UNET_TEST_HOARD"    // the way, by its name in hoards
	bufferedVariable = "UNET_TEST_BUFFERED" // Config.MaxBuffered
	clientsVariable  = "UNET_TEST_CLIENTS"  // how many
	groupVariable    = "UNET_TEST_CGROUP"   // cgroup.procs of the group to enter
	hoardingTime     = 25 * time.Second     // that the clients have
)

var hoards = map[string][]hoarding{
	"closed windows":              {closedWindow},
	"windows that close later":    {shutLater},
	"text out of order":           {gaps},
	"text that nobody reads":      {unread},
	"short segments, unread":      {smallUnread},
	"datagrams that nobody reads": {datagrams},
	"fragments":                   {fragments},
	"everything":                  {closedWindow, shutLater, gaps, unread, smallUnread, datagrams, fragments},
}

// TestContainer runs servers in control groups with little memory, whose clients make them hold as much as they may.
func TestContainer(t *testing.T) {
	if name := os.Getenv(hoardVariable); name != "" {
		hoardingServer(t, hoards[name])
		return
	}
	all := slices.Sorted(maps.Keys(hoards))
	for _, x := range []struct {
		limit, clients int
		names          []string
	}{{256 << 20, 2000, all}, {128 << 20, 700, []string{"closed windows", "everything"}}} {
		for _, name := range x.names {
			t.Run(fmt.Sprintf("%d MiB: %s", x.limit>>20, name), func(t *testing.T) {
				killed, out := inContainer(t, x.limit, name, x.clients, 0)
				if killed {
					t.Errorf("killed for its memory\n%s", out)
				}
			})
		}
	}
	t.Run("256 MiB: what was the default is too much", func(t *testing.T) {
		if killed, out := inContainer(t, 256<<20, "closed windows", 6000, 1<<30); !killed {
			t.Errorf("1 GiB may be buffered, and the process lives\n%s", out)
		}
	})
}

// inContainer runs the test as a process in a control group of its own, and says whether the kernel has killed it.
func inContainer(t *testing.T, limit int, name string, clients int, buffered int64) (killed bool, out string) {
	group := memoryGroup(t, limit)
	cmd := exec.Command(os.Args[0], "-test.run=^TestContainer$", "-test.v")
	cmd.Env = append(os.Environ(), hoardVariable+"="+name, clientsVariable+"="+strconv.Itoa(clients),
		bufferedVariable+"="+strconv.FormatInt(buffered, 10), groupVariable+"="+group, "GOMEMLIMIT=off", "GOGC=100")
	b, err := cmd.CombinedOutput()
	t.Logf("%s", b)
	var exit *exec.ExitError
	if err != nil && errors.As(err, &exit) {
		if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() && s.Signal() == syscall.SIGKILL {
			return true, string(b)
		}
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return false, string(b)
}

// memoryGroup makes a control group with a limit, and returns its cgroup.procs.
func memoryGroup(t *testing.T, limit int) string {
	t.Helper()
	name := fmt.Sprintf("unet-test-%d-%d", os.Getpid(), time.Now().UnixNano())
	var refused error
	for _, version := range []struct{ root, file string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"}} {
		if _, err := os.Stat(filepath.Join(version.root, "cgroup.procs")); err != nil {
			refused = err
			continue
		}
		dir := filepath.Join(version.root, name)
		if refused = os.Mkdir(dir, 0o755); refused != nil {
			continue
		}
		t.Cleanup(func() {
			for range 100 { // the kernel takes its time to see that the last process is gone
				if err := os.Remove(dir); err == nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
			t.Errorf("%s is still there", dir)
		})
		refused = os.WriteFile(filepath.Join(dir, version.file), []byte(strconv.Itoa(limit)), 0o644)
		if refused == nil {
			return filepath.Join(dir, "cgroup.procs")
		}
	}
	taptest.Lacking(t, "control group for memory", refused, unix.EROFS)
	return ""
}

// hoardingServer is the process: a server that reads a request of three octets and answers with more than is taken.
func hoardingServer(t *testing.T, ways []hoarding) {
	if err := os.WriteFile(os.Getenv(groupVariable), []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		t.Fatal(err)
	}
	number := func(variable string) int {
		n, err := strconv.Atoi(os.Getenv(variable))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	cfg := stack.Config{MaxBuffered: int64(number(bufferedVariable))}
	h, err := Open(Config{Link: newHoarder(number(clientsVariable), ways...), Addrs: []netip.Prefix{netip.MustParsePrefix(serverIP + "/24")}, Stack: cfg})
	if err != nil {
		t.Fatal(err)
	}
	for port := range uint16(64) {
		if _, err := h.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(serverIP), 1000+port))); err != nil {
			t.Fatal(err)
		}
	}
	ln, err := h.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 1<<20)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				var request [3]byte
				if _, err := c.Read(request[:]); err == nil {
					_, _ = c.Write(answer)
				}
			}()
		}
	}()
	// The clients have had what they can get when it grows no more.
	var most int64
	for seconds, still := 0, 0; still < 4 && seconds < longestHoarding; seconds++ {
		time.Sleep(time.Second)
		s := h.Stats()
		t.Logf("%d KiB resident, %d KiB buffered of %d, %d KiB of fragments, %d connections", resident(t),
			s.TCPGauges.Buffered>>10, h.stack.Config().MaxBuffered>>10, s.ReassemblyBytes>>10, s.TCPGauges.Connections())
		if still++; s.TCPGauges.Buffered > most+most/50 {
			most, still = s.TCPGauges.Buffered, 0
		}
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

// resident returns how much memory the process has, in KiB.
func resident(t *testing.T) int {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			n, _ := strconv.Atoi(f[1])
			return n
		}
	}
	return 0
}
