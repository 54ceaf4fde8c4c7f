package foreign

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/unet-go/unet/tap"
)

// ping has each of its requests answered, octet for octet, from empty ones up to those of the largest packet.
func TestPing(t *testing.T) {
	over(t, tap.Config{}, nil, func(w *world) {
		const count = 4
		header := 20
		if w.v6 {
			header = 40
		}
		whole := 1500 - header - 8
		largest := 65535 - 20 - 8 // an IPv6 header is no part of the length
		sizes := []int{0, 56, whole, whole + 1, 5000, 20_000, largest}
		for _, n := range sizes {
			out := w.run(nil, "ping", "-n", "-c", fmt.Sprint(count), "-i", "0.05", "-W", "10", "-s", fmt.Sprint(n), w.ours.String())
			if !strings.Contains(out, fmt.Sprintf("%d packets transmitted, %d received, 0%% packet loss", count, count)) {
				w.Errorf("%d octets:\n%s", n, out)
			}
			for _, bad := range []string{"wrong", "DUP", "truncated", "BAD", "rror"} {
				if strings.Contains(out, bad) {
					w.Errorf("%d octets, %q:\n%s", n, bad, out)
				}
			}
		}
		s := w.host.Stats()
		if want := uint64(count * len(sizes)); s.EchoReplies != want {
			w.Errorf("%d replies, want %d", s.EchoReplies, want)
		}
		if want := uint64(count * 4); s.Reassembled != want || s.Fragmented != want {
			w.Errorf("%d requests were put together and %d replies cut, want %d", s.Reassembled, s.Fragmented, want)
		}
	})
}

// traceroute finds the host by each kind of probe: a closed port of UDP, an echo, and an open port of TCP.
func TestTraceroute(t *testing.T) {
	over(t, tap.Config{}, nil, func(w *world) {
		_, port, _ := strings.Cut(strings.TrimPrefix(w.serve("nethttp"), "["+w.ours.String()+"]"), ":")
		for _, kind := range [][]string{{"-U"}, {"-I"}, {"-T", "-p", port}, {}} {
			args := append([]string{"-n", "-q", "3", "-N", "1", "-m", "5", "-w", "10"}, kind...)
			out := w.run(nil, "traceroute", append(args, w.ours.String())...)
			lines := strings.Split(strings.TrimSpace(out), "\n")
			want := regexp.MustCompile(`^ *1  ` + regexp.QuoteMeta(w.ours.String()) + `(  [0-9.]+ ms){3}$`)
			if len(lines) != 2 || !want.MatchString(lines[1]) {
				w.Errorf("traceroute %v:\n%s", kind, out)
			}
		}
	})
}

// The kernel's table of neighbours has the host as reachable once there was an answer.
func TestNeighbor(t *testing.T) {
	over(t, tap.Config{}, nil, func(w *world) {
		w.run(nil, "ping", "-n", "-c", "1", "-W", "10", w.ours.String())
		out := w.run(nil, "ip", "neighbor", "show", "to", w.ours.String(), "dev", w.device)
		mac := w.host.Stats().Interfaces[1].MAC
		if want := fmt.Sprintf("%v lladdr %v REACHABLE", w.ours, net.HardwareAddr(mac[:])); strings.TrimSpace(out) != want {
			w.Errorf("%q, want %q", strings.TrimSpace(out), want)
		}
	})
}
