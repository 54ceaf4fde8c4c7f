package foreign

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/capture"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/tap"
)

// to is an address in socat's words.
func (w *world) to(kind string, at netip.AddrPort) string {
	if w.v6 {
		return fmt.Sprintf("%s6:[%v]:%d", kind, at.Addr(), at.Port())
	}
	return fmt.Sprintf("%s4:%v:%d", kind, at.Addr(), at.Port())
}

// waiting is an address of the kernel's where socat waits, in its words.
func (w *world) waiting(protocol, how string, port uint16) string {
	if w.v6 {
		return fmt.Sprintf("%s6-%s:%d,bind=[%v]", protocol, how, port, w.kernels)
	}
	return fmt.Sprintf("%s4-%s:%d,bind=%v", protocol, how, port, w.kernels)
}

// socat sends a stream and gets it back, ends its own half of the connection first, and serves one that the host dials.
func TestSocatTCP(t *testing.T) {
	over(t, tap.Config{}, nil, func(w *world) { w.socatTCP(4_000_000) })
}

func (w *world) socatTCP(size int) {
	l, err := w.host.Listen("tcp", netip.AddrPortFrom(w.ours, 0).String())
	if err != nil {
		w.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			served <- err
			return
		}
		defer c.Close()
		text, err := io.ReadAll(c) // all, before any of the answer
		if err == nil {
			_, err = c.Write(text)
		}
		served <- err
	}()
	sent := text(size)
	out := w.run(sent, "socat", "-t", "50", "-", w.to("TCP", l.Addr().(*net.TCPAddr).AddrPort()))
	if err := <-served; err != nil || out != string(sent) {
		w.Errorf("%d octets of %d came back, or others: %v", len(out), len(sent), err)
	}

	at := w.free()
	w.socatServer(w.waiting("TCP", "LISTEN", at.Port())+",reuseaddr", "EXEC:cat")
	c := w.dial("tcp", at)
	defer c.Close()
	go func() { _, _ = c.Write(sent) }()
	got := make([]byte, size)
	if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
		w.Errorf("%d octets of %d came back, or others: %v", n, size, err)
	}
}

// socat sends datagrams and gets them back, those in fragments too, and answers the host's.
func TestSocatUDP(t *testing.T) {
	over(t, tap.Config{}, nil, func(w *world) {
		for _, n := range []int{1, 1400, 8000, 60_000} {
			w.socatUDP(n)
		}
	})
}

func (w *world) socatUDP(size int) {
	w.Helper()
	p, err := w.host.ListenPacket("udp", netip.AddrPortFrom(w.ours, 0).String())
	if err != nil {
		w.Fatal(err)
	}
	defer p.Close()
	if err := p.SetDeadline(time.Now().Add(hang)); err != nil {
		w.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		b := make([]byte, 65536)
		n, from, err := p.ReadFrom(b)
		if err == nil {
			_, err = p.WriteTo(b[:n], from)
		}
		served <- err
	}()
	sent := text(size)
	// The end of the input is no end of UDP's: socat waits so long for an answer.
	out := w.run(sent, "socat", "-b", "65536", "-t", "1", "-", w.to("UDP", p.LocalAddr().(*net.UDPAddr).AddrPort()))
	if err := <-served; err != nil || out != string(sent) {
		w.Errorf("%d octets: %d came back, or others: %v", size, len(out), err)
	}

	at := w.free()
	w.socatServer(w.waiting("UDP", "RECVFROM", at.Port()), "PIPE")
	c := w.dial("udp", at)
	defer c.Close()
	got := make([]byte, 65536)
	if _, err := c.Write(sent); err != nil {
		w.Fatal(err)
	}
	if n, err := c.Read(got); err != nil || !bytes.Equal(got[:n], sent) {
		w.Errorf("the host sends %d octets: %d came back, or others: %v", size, n, err)
	}
}

// socatServer starts a socat between an address where it waits and an echo, and waits until its socket is there. It ends
// after its first peer.
func (w *world) socatServer(waiting, echo string) {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	cmd := exec.CommandContext(ctx, "socat", "-b", "65536", waiting, echo)
	if err := cmd.Start(); err != nil {
		cancel()
		w.Fatal(err)
	}
	w.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	protocol := strings.ToLower(waiting[:3])
	_, rest, _ := strings.Cut(waiting, ":")
	port, _, _ := strings.Cut(rest, ",")
	for limit := time.Now().Add(hang); !w.bound(protocol, port); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			w.Fatalf("socat at %s does not listen", waiting)
		}
	}
}

// bound says whether the kernel has a socket that waits at a port.
func (w *world) bound(protocol, port string) bool {
	w.Helper()
	name := map[bool]string{false: protocol, true: protocol + "6"}[w.v6]
	var number uint16
	if _, err := fmt.Sscan(port, &number); err != nil {
		w.Fatal(err)
	}
	table, err := os.ReadFile("/proc/thread-self/net/" + name)
	if err != nil {
		w.Fatal(err)
	}
	state := map[string]string{"tcp": "0A", "udp": "07"}[protocol]
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if strings.HasSuffix(f[1], fmt.Sprintf(":%04X", number)) && f[3] == state {
			return true
		}
	}
	return false
}

func (w *world) dial(network string, at netip.AddrPort) net.Conn {
	w.Helper()
	c, err := w.host.Dial(network, at.String())
	if err != nil {
		w.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(hang)); err != nil {
		w.Fatal(err)
	}
	return c
}

// The severities of tshark's expert information from warnings on, epan/proto.h's PI_WARN and PI_ERROR.
var severe = []string{"6291456", "8388608"}

// chance are the warnings that depend on when processes run: a reader is slower than the sender, which sends again what is not
// acknowledged in time. They say what TCP does then, and no fault; TestTsharkHasNoWarning of stack/capture, in fake time, has none.
var chance = regexp.MustCompile(`^(TCP window specified by the receiver is now completely full|TCP Zero Window segment|D-SACK Sequence|` +
	`This frame is a \(suspected\) out-of-order segment)$`)

// What the host and the kernel say to each other, whoever asked, is without fault to Wireshark: no expert warning, every
// checksum right. The device computes no checksums, so that all are in the frames.
func TestTshark(t *testing.T) {
	var file bytes.Buffer
	record := func(t *testing.T, dev link.Device) link.Device {
		file.Reset()
		recorder, err := capture.New(dev, &file)
		if err != nil {
			t.Fatal(err)
		}
		return recorder
	}
	over(t, tap.Config{NoOffload: true}, record, func(w *world) {
		w.run(nil, "ping", "-n", "-c", "3", "-i", "0.05", "-s", "3000", w.ours.String())
		site := w.serve("nethttp")
		w.run(nil, "curl", "--silent", "--globoff", "--fail", "--output", "/dev/null", "http://"+site+"/bytes?n=300000")
		w.run(nil, "traceroute", "-n", "-q", "1", "-N", "1", "-m", "2", w.ours.String())
		w.socatTCP(200_000)
		w.socatUDP(5000)
		_ = w.host.Close()
		name := w.file("capture.pcapng", file.Bytes())
		out := w.run(nil, "tshark", "-n", "-r", name, "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE",
			"-T", "fields", "-E", "separator=|", "-E", "aggregator=;", "-e", "frame.number", "-e", "frame.protocols", "-e", "_ws.expert.severity", "-e", "_ws.expert.message",
			"-e", "_ws.col.Info")
		if !strings.Contains(out, "2097152") { // PI_CHAT, of a SYN
			w.Error("tshark says nothing of severities")
		}
		seen := map[string]bool{}
		for line := range strings.Lines(out) {
			fields := strings.Split(line, "|")
			for _, protocol := range strings.Split(fields[1], ":") {
				seen[protocol] = true
			}
			messages := strings.Split(fields[3], ";")
			for i, severity := range strings.Split(fields[2], ";") {
				if slices.Contains(severe, severity) && !chance.MatchString(messages[i]) {
					w.Errorf("%s", line)
				}
			}
		}
		for _, want := range []string{map[bool]string{false: "icmp", true: "icmpv6"}[w.v6], "tcp", "udp", "http"} {
			if !seen[want] {
				w.Errorf("tshark saw no %s in %d frames", want, strings.Count(out, "\n"))
			}
		}
	})
}
