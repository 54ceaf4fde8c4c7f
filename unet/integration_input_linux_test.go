package unet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

func TestIntegrationAddresses(t *testing.T) {
	h := openTAP(t, 0, tap.Config{})
	l, err := h.Listen("tcp", h.ours+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	busy := l.Addr().String()
	for _, tt := range []struct {
		name, address string
		errno         syscall.Errno
		text          string
	}{
		{"E-GO-7 a busy port", busy, syscall.EADDRINUSE, "listen tcp " + busy + ": bind: address already in use"},
		{"E-GO-7 a foreign address", "192.0.2.1:80", syscall.EADDRNOTAVAIL, "listen tcp 192.0.2.1:80: bind: cannot assign requested address"},
		{"E-GO-7 the kernel's address", h.kernels + ":80", syscall.EADDRNOTAVAIL, "listen tcp " + h.kernels + ":80: bind: cannot assign requested address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := h.Listen("tcp", tt.address)
			if l != nil || !errors.Is(err, tt.errno) || err.Error() != tt.text {
				t.Errorf("%v, %v, want %s", l, err, tt.text)
			}
		})
	}
	t.Run("E-GO-7 the kernel refuses", func(t *testing.T) {
		free, err := net.Listen("tcp", h.kernels+":0")
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

// liar sends frames from the kernel's side of a TAP, past the kernel's stack.
type liar struct {
	*testing.T
	host        *tapHost
	fd          int
	to          unix.SockaddrLinklayer
	src, dst    netip.Addr
	kernel, own [6]byte
}

func newLiar(t *testing.T, h *tapHost) *liar {
	t.Helper()
	ifc, err := net.InterfaceByName(h.name)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return &liar{T: t, host: h, fd: fd, to: unix.SockaddrLinklayer{Ifindex: ifc.Index}, kernel: [6]byte(ifc.HardwareAddr),
		own: h.link.Info().MAC, src: netip.MustParseAddr(h.kernels), dst: netip.MustParseAddr(h.ours)}
}

// frame is an Ethernet frame for the host.
func (l *liar) frame(kind uint16, payload []byte) []byte {
	b := slices.Concat(l.own[:], l.kernel[:], []byte{byte(kind >> 8), byte(kind)}, payload)
	return append(b, make([]byte, max(0, 60-len(b)))...)
}

// ip is an IPv4 packet with a right header, which change may spoil before its checksum is made.
func (l *liar) ip(protocol byte, payload []byte, change func(h []byte)) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0], b[8], b[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	src, dst := l.src.As4(), l.dst.As4()
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	if change != nil {
		change(b)
	}
	binary.BigEndian.PutUint16(b[10:], ^sum(0, b))
	return append(b, payload...)
}

// sum is the Internet checksum's sum, kept apart from the stack's own.
func sum(s uint32, b []byte) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		s += uint32(b[len(b)-1]) << 8
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// segment is a TCP segment to a port, with a right checksum; offset is the header's length in words as it
// says itself.
func (l *liar) segment(port, offset int, options []byte) []byte {
	b := make([]byte, 20+len(options))
	binary.BigEndian.PutUint16(b, 40000)
	binary.BigEndian.PutUint16(b[2:], uint16(port))
	b[12], b[13] = byte(offset<<4), 2 // SYN
	copy(b[20:], options)
	l.transportSum(b, 6, 16)
	return b
}

func (l *liar) transportSum(b []byte, protocol byte, at int) {
	src, dst := l.src.As4(), l.dst.As4()
	pseudo := uint32(sum(0, slices.Concat(src[:], dst[:], []byte{0, protocol, byte(len(b) >> 8), byte(len(b))})))
	binary.BigEndian.PutUint16(b[at:], ^sum(pseudo, b))
}

// datagram is a UDP datagram that claims a length.
func (l *liar) datagram(length int, payload []byte) []byte {
	b := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint16(b, 40000)
	binary.BigEndian.PutUint16(b[2:], 9)
	binary.BigEndian.PutUint16(b[4:], uint16(length))
	b = append(b, payload...)
	l.transportSum(b, 17, 6)
	return b
}

// A frame that lies about a length is a counted drop, under the reason that it gave; the host goes on
// serving, also while they come.
func TestIntegrationLies(t *testing.T) {
	h := openTAP(t, 0, tap.Config{})
	ln, err := h.Listen("tcp", h.ours+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	l := newLiar(t, h)
	text := make([]byte, 40)
	total := func(n uint16) func([]byte) { return func(h []byte) { binary.BigEndian.PutUint16(h[2:], n) } }
	first := func(b byte) func([]byte) { return func(h []byte) { h[0] = b } }
	ipv4 := func(b []byte) []byte { return l.frame(wire.EtherTypeIPv4, b) }
	const malformed, badSum = "TCP malformed", "TCP checksum"
	for _, tt := range []struct {
		name, reason string
		frame        []byte
	}{
		{"a frame of a header alone", stack.DropIPHeader.String(), l.frame(wire.EtherTypeIPv4, nil)[:14]},
		{"IPv4 total length beyond the frame", stack.DropIPHeader.String(), ipv4(l.ip(6, text, total(1000)))},
		{"IPv4 total length within the header", stack.DropIPHeader.String(), ipv4(l.ip(6, text, total(19)))},
		{"IPv4 total length zero", stack.DropIPHeader.String(), ipv4(l.ip(6, text, total(0)))},
		{"IPv4 header shorter than a header", stack.DropIPHeader.String(), ipv4(l.ip(6, text, first(0x44)))},
		{"IPv4 header longer than the packet", stack.DropIPHeader.String(), ipv4(l.ip(6, nil, first(0x4f)))},
		{"IPv4 that is IPv6", stack.DropIPVersion.String(), ipv4(l.ip(6, text, first(0x65)))},
		{"a fragment past 65,535", stack.DropFragment.String(), ipv4(l.ip(17, text, func(h []byte) { binary.BigEndian.PutUint16(h[6:], 0x1fff) }))},
		{"a fragment of a length that is no multiple of eight", stack.DropFragment.String(), ipv4(l.ip(17, text[:39], func(h []byte) { binary.BigEndian.PutUint16(h[6:], 0x2000) }))},
		{"ARP that is cut short", stack.DropARPMalformed.String(), l.frame(wire.EtherTypeARP, []byte{0, 1, 8, 0, 6, 4, 0, 1})[:22]},
		{"ARP with addresses of other lengths", stack.DropARPMalformed.String(), l.frame(wire.EtherTypeARP, []byte{0, 1, 8, 0, 16, 255, 0, 1})},
		{"TCP header longer than the segment", malformed, ipv4(l.ip(6, l.segment(port, 15, nil), nil))},
		{"TCP header shorter than a header", malformed, ipv4(l.ip(6, l.segment(port, 4, nil), nil))},
		{"TCP cut within its header", malformed, ipv4(l.ip(6, text[:19], nil))},
		{"TCP option of length zero", malformed, ipv4(l.ip(6, l.segment(port, 6, []byte{3, 0, 0, 0}), nil))},
		{"TCP option beyond the header", malformed, ipv4(l.ip(6, l.segment(port, 6, []byte{1, 1, 8, 10}), nil))},
		{"TCP with a wrong checksum", badSum, ipv4(l.ip(6, slices.Concat(l.segment(port, 5, nil)[:16], []byte{0xde, 0xad, 0, 0}), nil))},
		{"UDP length beyond the packet", stack.DropUDPMalformed.String(), ipv4(l.ip(17, l.datagram(1000, text), nil))},
		{"UDP length within the header", stack.DropUDPMalformed.String(), ipv4(l.ip(17, l.datagram(7, text), nil))},
		{"UDP cut within its header", stack.DropUDPMalformed.String(), ipv4(l.ip(17, text[:7], nil))},
		{"ICMP cut within its header", stack.DropICMPMalformed.String(), ipv4(l.ip(1, text[:3], nil))},
	} {
		t.Run("D-PARSE-1 "+tt.name, func(t *testing.T) {
			before := dropped(h.Host)
			const frames = 3
			for range frames {
				if err := unix.Sendto(l.fd, tt.frame, 0, &l.to); err != nil {
					t.Fatal(err)
				}
			}
			echo(t, ln.Addr().String()) // behind the lies in the device's queue
			want := map[string]uint64{tt.reason: frames}
			if diff := cmp.Diff(want, since(h.Host, before)); diff != "" {
				t.Errorf("dropped: -want +got\n%s", diff)
			}
		})
	}
	_ = ln.Close()
	<-served
	gone(t, h.Host)
}

// dropped returns all counters of dropped packets by reason.
func dropped(h *Host) map[string]uint64 {
	s := h.Stats()
	all := map[string]uint64{"TCP malformed": s.TCPGauges.Malformed, "TCP checksum": s.TCPGauges.BadChecksum, "TCP dropped": s.TCPGauges.Dropped}
	for i, n := range s.Dropped {
		all[stack.Drop(i).String()] = n
	}
	return all
}

// since returns the counters that have grown, but for what the kernel says by itself to groups.
func since(h *Host, before map[string]uint64) map[string]uint64 {
	grown := make(map[string]uint64)
	for reason, n := range dropped(h) {
		if kernels := reason == stack.DropForeignMAC.String() || reason == stack.DropNotForUs.String(); n > before[reason] && !kernels {
			grown[reason] = n - before[reason]
		}
	}
	return grown
}

// echo sends a text over a connection of its own and waits for it to come back.
func echo(t *testing.T, address string) {
	t.Helper()
	c, err := new(net.Dialer).DialContext(context.Background(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(hang))
	if _, err := io.WriteString(c, "still there?"); err != nil {
		t.Fatal(err)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(c); string(got) != "still there?" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
}
