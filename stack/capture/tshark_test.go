package capture_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/capture"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// captured runs an exchange of two hosts and returns what one of them has captured.
func captured(t *testing.T, subnet netip.Prefix, exchange func(t *testing.T, a, b *stack.Host, at netip.Addr)) (file []byte) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := sim.NewSegment(sim.Config{Delay: time.Millisecond, Rate: 100e6})
		var out bytes.Buffer
		var hosts [2]*stack.Host
		var addrs [2]netip.Addr
		for i := range hosts {
			h, err := stack.New(stack.Config{})
			if err != nil {
				t.Fatal(err)
			}
			hosts[i], addrs[i] = h, subnet.Addr()
			for range i + 1 {
				addrs[i] = addrs[i].Next()
			}
			ifc := stack.Interface{Addrs: []netip.Prefix{netip.PrefixFrom(addrs[i], subnet.Bits())}}
			if i > 0 {
				if err := h.Attach(s.Port(), ifc); err != nil {
					t.Fatal(err)
				}
				continue
			}
			d, err := capture.New(s.Port(), &out)
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Attach(d, ifc); err != nil {
				t.Fatal(err)
			}
		}
		exchange(t, hosts[0], hosts[1], addrs[1])
		if err := errors.Join(hosts[0].Close(), hosts[1].Close(), s.Close()); err != nil {
			t.Error(err)
		}
		file = out.Bytes()
	})
	return file
}

// converse opens a connection, sends a text back and forth, and closes it; then it sends datagrams, some of which are
// fragmented, one to a port that nobody listens at.
func converse(t *testing.T, a, b *stack.Host, at netip.Addr) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	bound, err := b.BindTCP(netip.AddrPortFrom(at, 40000), stack.BindOptions{})
	must(err)
	l, err := b.ListenTCP(bound, 4, tcp.DefaultOptions())
	must(err)
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		text, err := io.ReadAll(eof{c})
		_, werr := c.Write(text)
		done <- errors.Join(err, werr, c.Close())
	}()
	c, err := a.ConnectTCP(nil, netip.AddrPortFrom(at, 40000), tcp.DefaultOptions())
	must(err)
	must(c.WaitConnect())
	sent := bytes.Repeat([]byte("text "), 30_000)
	_, err = c.Write(sent)
	must(err)
	must(c.CloseWrite())
	got, err := io.ReadAll(eof{c})
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d octets came back, %v", len(got), err)
	}
	must(errors.Join(c.Close(), <-done, l.Close()))

	server, err := b.ListenUDP(netip.AddrPortFrom(at, 40001), stack.BindOptions{})
	must(err)
	anywhere := netip.IPv4Unspecified()
	if at.Is6() {
		anywhere = netip.IPv6Unspecified()
	}
	client, err := a.ListenUDP(netip.AddrPortFrom(anywhere, 0), stack.BindOptions{})
	must(err)
	p := make([]byte, 8000)
	for _, n := range []int{0, 1, 1000, 5000} {
		_, err := client.WriteTo(p[:n], netip.AddrPortFrom(at, 40001))
		must(err)
		m, from, _, err := server.ReadFrom(p)
		must(err)
		_, err = server.WriteTo(p[:m], from)
		must(err)
		if m, _, _, err = client.ReadFrom(p); m != n {
			t.Fatalf("a datagram of %d octets came back as %d, %v", n, m, err)
		}
	}
	_, err = client.WriteTo(p[:9], netip.AddrPortFrom(at, 40002))
	must(err)
	time.Sleep(time.Second)
	must(errors.Join(client.Close(), server.Close()))
}

// eof makes io.EOF of the end of a stream.
type eof struct{ *stack.TCPConn }

func (r eof) Read(p []byte) (int, error) {
	n, err := r.TCPConn.Read(p)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// The severities of tshark's expert information, epan/proto.h's PI_WARN and PI_ERROR. Below them are chats and notes, which
// say that there was a SYN, or a segment twice.
const (
	warning = "6291456"
	fault   = "8388608"
)

// What a host sends and takes is without fault to Wireshark: it has no expert warning, all checksums are right, and it
// takes the frames for what they are.
func TestTsharkHasNoWarning(t *testing.T) {
	program, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("there is no tshark")
	}
	for family, c := range map[string]struct {
		subnet    string
		protocols []string
	}{
		"IPv4": {"10.0.0.0/24", []string{"arp", "icmp", "tcp", "udp"}},
		"IPv6": {"fd00::/64", []string{"icmpv6", "tcp", "udp"}},
	} {
		t.Run(family, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "capture.pcapng")
			if err := os.WriteFile(name, captured(t, netip.MustParsePrefix(c.subnet), converse), 0o600); err != nil {
				t.Fatal(err)
			}
			command := exec.Command(program, "-n", "-r", name, "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE",
				"-T", "fields", "-E", "separator=|", "-e", "frame.number", "-e", "frame.protocols", "-e", "_ws.expert.severity", "-e", "_ws.expert.message",
				"-e", "_ws.col.Info")
			var errs bytes.Buffer
			command.Stderr = &errs
			out, err := command.Output()
			if err != nil {
				t.Fatalf("tshark: %v, %s", err, errs.String())
			}
			if !strings.Contains(string(out), "2097152") { // PI_CHAT, of a SYN
				t.Error("tshark says nothing of severities")
			}
			var seen []string
			for line := range strings.Lines(string(out)) {
				fields := strings.Split(line, "|")
				seen = append(seen, strings.Split(fields[1], ":")...)
				for _, severity := range strings.Split(fields[2], ",") {
					if severity == warning || severity == fault {
						t.Errorf("%s", line)
					}
				}
			}
			for _, want := range c.protocols {
				if !slices.Contains(seen, want) {
					t.Errorf("tshark saw no %s in %d frames", want, strings.Count(string(out), "\n"))
				}
			}
		})
	}
}
