package foreign

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/examples/internal/hello"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
	"github.com/unet-go/unet/unet"
)

// hang is when a test gives up on what does not come; none waits for it to pass.
const hang = time.Minute

// world is a host on unet whose neighbour is the kernel, where the programs run.
type world struct {
	*testing.T
	host          *unet.Host
	v6            bool
	device        string // the kernel's interface
	ours, kernels netip.Addr
	dir           string // for files of the test
}

// networks counts those of worlds.
var networks atomic.Uint32

// over runs a test over both families, each in a world of its own.
func over(t *testing.T, cfg tap.Config, wrap func(t *testing.T, dev link.Device) link.Device, test func(w *world)) {
	if !*wanted {
		t.Skip("make foreign runs it")
	}
	for _, family := range []string{"IPv4", "IPv6"} {
		t.Run(family, func(t *testing.T) {
			n := networks.Add(1)
			kernel := netip.MustParsePrefix(fmt.Sprintf("10.80.%d.1/24", n))
			if family == "IPv6" {
				kernel = netip.MustParsePrefix(fmt.Sprintf("fd00:80:%x::1/64", n))
			}
			cfg.PeerAddrs = []netip.Prefix{kernel}
			dev := taptest.Open(t, cfg)
			w := &world{T: t, v6: kernel.Addr().Is6(), device: dev.Info().Name, kernels: kernel.Addr(), ours: kernel.Addr().Next(), dir: t.TempDir()}
			var wire link.Device = dev
			if wrap != nil {
				wire = wrap(t, dev)
			}
			h, err := unet.Open(unet.Config{Link: wire, Addrs: []netip.Prefix{netip.PrefixFrom(w.ours, kernel.Bits())}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = h.Close() })
			w.host = h
			test(w)
		})
	}
}

// run runs a program to its end and returns what it prints. It fails the test if the program fails.
func (w *world) run(stdin []byte, name string, args ...string) string {
	w.Helper()
	out, err := w.try(stdin, name, args...)
	if err != nil {
		w.Fatalf("%s %s: %v\n%.2000s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// try is run, for programs that may fail.
func (w *world) try(stdin []byte, name string, args ...string) (string, error) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), hang)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil {
		return out.String() + errs.String(), err
	}
	return out.String(), nil
}

// start starts a program that ends with the test. If it is a server, it is ready at the address after that.
func (w *world) start(ready netip.AddrPort, name string, args ...string) {
	w.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = w.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := os.Create(filepath.Join(w.dir, name+".log"))
	if err != nil {
		w.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	w.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	})
	for limit := time.Now().Add(hang); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", ready.String(), time.Second)
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case err = <-ended:
			ended <- err
		default:
			if time.Now().Before(limit) {
				continue
			}
		}
		said, _ := os.ReadFile(log.Name())
		w.Fatalf("%s does not listen: %v\n%s", name, err, said)
	}
}

// file writes a file of the test and returns its name.
func (w *world) file(name string, text []byte) string {
	w.Helper()
	name = filepath.Join(w.dir, name)
	if err := os.WriteFile(name, text, 0o600); err != nil {
		w.Fatal(err)
	}
	return name
}

// serve serves the site of the examples from a server by its name, or "h2c", HTTP/2 without TLS, and returns its address.
func (w *world) serve(server string) string {
	w.Helper()
	l, err := w.host.Listen("tcp", netip.AddrPortFrom(w.ours, 0).String())
	if err != nil {
		w.Fatal(err)
	}
	if server == "h2c" {
		s := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(hello.Text)) }),
			Protocols: new(http.Protocols)}
		s.Protocols.SetUnencryptedHTTP2(true)
		s.Protocols.SetHTTP1(true)
		go func() { _ = s.Serve(l) }()
		w.Cleanup(func() { _ = s.Close() })
		return l.Addr().String()
	}
	s := hello.Servers[server]()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	w.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), hang)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			w.Errorf("%s: %v", server, err)
		}
		if err := <-served; err != nil && !errors.Is(err, net.ErrClosed) { // as when the test has closed the host
			w.Errorf("%s: %v", server, err)
		}
	})
	return l.Addr().String()
}

// free returns an address of the kernel's at which nobody listens now.
func (w *world) free() netip.AddrPort {
	w.Helper()
	l, err := net.Listen("tcp", netip.AddrPortFrom(w.kernels, 0).String())
	if err != nil {
		w.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// text returns n octets that differ from place to place.
func text(n int) []byte {
	b := make([]byte, n)
	x := uint32(n)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}
