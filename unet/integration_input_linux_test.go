package unet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

func TestIntegrationAddresses(t *testing.T) {
	for _, f := range testFamilies {
		refusedAddresses(t, &f, openTAP(t, 0, tap.Config{PeerAddrs: f.peers()}))
	}
}

func refusedAddresses(t *testing.T, f *testFamily, h *tapHost) {
	l, err := h.Listen("tcp", net.JoinHostPort(h.ours, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	busy, foreign, kernels := l.Addr().String(), net.JoinHostPort(h.foreign, "80"), net.JoinHostPort(h.kernels, "80")
	for _, tt := range []struct {
		name, address string
		errno         syscall.Errno
		text          string
	}{
		{"E-GO-7 a busy port", busy, syscall.EADDRINUSE, "listen tcp " + busy + ": bind: address already in use"},
		{"E-GO-7 a foreign address", foreign, syscall.EADDRNOTAVAIL, "listen tcp " + foreign + ": bind: cannot assign requested address"},
		{"E-GO-7 the kernel's address", kernels, syscall.EADDRNOTAVAIL, "listen tcp " + kernels + ": bind: cannot assign requested address"},
	} {
		t.Run(tt.name+f.suffix, func(t *testing.T) {
			l, err := h.Listen("tcp", tt.address)
			if l != nil || !errors.Is(err, tt.errno) || err.Error() != tt.text {
				t.Errorf("%v, %v, want %s", l, err, tt.text)
			}
		})
	}
	t.Run("E-GO-7 the kernel refuses"+f.suffix, func(t *testing.T) {
		free, err := net.Listen("tcp", net.JoinHostPort(h.kernels, "0"))
		if err != nil {
			t.Fatal(err)
		}
		at := free.Addr().String()
		_ = free.Close()
		c, err := h.Dial("tcp", at)
		if want := "dial tcp " + at + ": connect: connection refused"; c != nil || !errors.Is(err, syscall.ECONNREFUSED) || err.Error() != want {
			t.Errorf("%v, %v, want %s", c, err, want)
		}
	})
}

// lackVariable makes the test binary say what Open and Listen say where something is missing.
const lackVariable = "UNET_TEST_LACK"

func TestIntegrationLack(t *testing.T) {
	if what := os.Getenv(lackVariable); what != "" {
		sayWhatIsMissing(t, what)
		return
	}
	taptest.Need(t)
	for _, tt := range []struct {
		lack  string
		flags uintptr
		says  []string
	}{
		{"right", syscall.CLONE_NEWUSER, []string{"operation not permitted", "CAP_NET_ADMIN", "root", "setcap cap_net_admin+ep", "unshare -rn"}},
		{"device", syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, []string{"no such file or directory", "/dev/net/tun", "modprobe tun"}},
	} {
		t.Run("a missing "+tt.lack, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestIntegrationLack$", "-test.v")
			cmd.Env = append(os.Environ(), lackVariable+"="+tt.lack)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: tt.flags,
				UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, call := range []string{"Open: ", "Listen: listen tcp: "} {
				_, line, ok := strings.Cut(string(out), call)
				line, _, _ = strings.Cut(line, "\n")
				for _, want := range tt.says {
					if !ok || !strings.Contains(line, want) {
						t.Errorf("%s does not say %q:\n%s", call, want, out)
					}
				}
			}
		})
	}
}

func sayWhatIsMissing(t *testing.T, what string) {
	errno := syscall.EPERM
	if what == "device" {
		errno = syscall.ENOENT
		if err := unix.Mount("none", "/dev/net", "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
	}
	h, err := Open(Config{Device: "lack%d", Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")}})
	if h != nil || !errors.Is(err, errno) {
		t.Errorf("%v, %v, want %v", h, err, errno)
	}
	fmt.Println("Open:", err)
	l, err := Listen("tcp", ":8080")
	if _, ok := err.(*net.OpError); l != nil || !ok || !errors.Is(err, errno) {
		t.Errorf("%v, %T %v, want %v", l, err, err, errno)
	}
	fmt.Println("Listen:", err)
}
