package capture_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/capture"
	"github.com/unet-go/unet/stack/link"
)

// ends are two hosts of a family, and its ICMP.
type ends struct {
	src, dst              netip.Addr
	icmp                  uint8
	echo, reply           uint8
	unreachable, exceeded uint8
	codes                 uint8 // of unreachable
}

var families = map[string]*ends{
	"IPv4": {netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), wire.ProtocolICMP, wire.ICMPv4EchoRequest, wire.ICMPv4EchoReply,
		wire.ICMPv4DestinationUnreachable, wire.ICMPv4TimeExceeded, 16},
	"IPv6": {netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), wire.ProtocolICMPv6, wire.ICMPv6EchoRequest, wire.ICMPv6EchoReply,
		wire.ICMPv6DestinationUnreachable, wire.ICMPv6TimeExceeded, 8},
}

// sample is a packet with a name.
type sample struct {
	name   string
	packet []byte
}

func (e *ends) message(typ, code uint8, rest uint32, body []byte) []byte {
	return frames.IP(e.src, e.dst, e.icmp, frames.ICMP(e.src, e.dst, typ, code, [4]byte(be32(rest)), body))
}

func (e *ends) udp(n int) []byte {
	return frames.IP(e.src, e.dst, wire.ProtocolUDP, frames.UDP(e.src, e.dst, 1000, 2000, make([]byte, n)))
}

func (e *ends) tcp(h wire.TCP, n int) []byte {
	h.SrcPort, h.DstPort = 1000, 2000
	return frames.IP(e.src, e.dst, wire.ProtocolTCP, frames.TCP(e.src, e.dst, h, make([]byte, n)))
}

// samples are packets of a kind that both families have.
func (e *ends) samples() []sample {
	options := wire.TCPOptions{Has: wire.TCPOptMSS | wire.TCPOptSACKPermitted | wire.TCPOptTimestamps | wire.TCPOptWScale, MSS: 1440, WScale: 7, TSVal: 1, TSEcr: 2}
	quote := e.udp(4)
	all := []sample{
		{"SYN", e.tcp(wire.TCP{Seq: 9, Flags: wire.TCPSyn, Window: 65535, Options: options}, 0)},
		{"SYN-ACK", frames.IP(e.dst, e.src, wire.ProtocolTCP, frames.TCP(e.dst, e.src, wire.TCP{SrcPort: 2000, DstPort: 1000, Seq: 99, Ack: 10,
			Flags: wire.TCPSyn | wire.TCPAck, Window: 65535, Options: options}, nil))},
		{"ACK", e.tcp(wire.TCP{Seq: 10, Ack: 100, Flags: wire.TCPAck, Window: 1}, 0)},
		{"text", e.tcp(wire.TCP{Seq: 10, Ack: 100, Flags: wire.TCPAck | wire.TCPPsh, Window: 1}, 33)},
		{"FIN", e.tcp(wire.TCP{Seq: 43, Ack: 100, Flags: wire.TCPAck | wire.TCPFin, Window: 1}, 0)},
		{"RST", e.tcp(wire.TCP{Seq: 43, Flags: wire.TCPRst}, 0)},
		{"UDP", e.udp(5)},
		{"UDP, empty", e.udp(0)},
		{"another protocol", frames.IP(e.src, e.dst, 253, make([]byte, 9))},
		{"echo request", e.message(e.echo, 0, 7<<16|1, make([]byte, 56))},
		{"echo reply", e.message(e.reply, 0, 7<<16|1, make([]byte, 56))},
		{"time exceeded", e.message(e.exceeded, 0, 0, quote)},
		{"time exceeded in reassembly", e.message(e.exceeded, 1, 0, quote)},
	}
	short := func(packet []byte, n int) []byte { return packet[:len(packet)-n] }
	udp := func(length uint16) []byte {
		b := frames.UDP(e.src, e.dst, 1000, 2000, make([]byte, 8))
		copy(b[4:], be16(length))
		return frames.IP(e.src, e.dst, wire.ProtocolUDP, b)
	}
	tcp := frames.TCP(e.src, e.dst, wire.TCP{SrcPort: 1, DstPort: 2, Flags: wire.TCPSyn}, nil)
	offset := func(words byte, n int) []byte {
		b := append(slices.Clone(tcp), make([]byte, n)...)
		b[12] = words << 4
		return frames.IP(e.src, e.dst, wire.ProtocolTCP, b)
	}
	all = append(all,
		sample{"UDP of length 7", udp(7)}, sample{"UDP of length 0", udp(0)}, sample{"UDP of length 17", udp(17)}, sample{"UDP of length 9", udp(9)},
		sample{"UDP cut short", frames.IP(e.src, e.dst, wire.ProtocolUDP, make([]byte, 7))}, sample{"UDP of 3 octets", frames.IP(e.src, e.dst, wire.ProtocolUDP, make([]byte, 3))},
		sample{"UDP of nothing", frames.IP(e.src, e.dst, wire.ProtocolUDP, nil)},
		sample{"TCP cut short", frames.IP(e.src, e.dst, wire.ProtocolTCP, tcp[:19])}, sample{"TCP of 3 octets", frames.IP(e.src, e.dst, wire.ProtocolTCP, tcp[:3])},
		sample{"TCP of nothing", frames.IP(e.src, e.dst, wire.ProtocolTCP, nil)}, sample{"TCP, a header of 16", offset(4, 0)}, sample{"TCP, a header of 60", offset(15, 0)},
		sample{"TCP, bad options", offset(6, 4)}, sample{"ICMP cut short", frames.IP(e.src, e.dst, e.icmp, []byte{e.echo, 0, 0})},
		sample{"ICMP of 5", frames.IP(e.src, e.dst, e.icmp, []byte{e.echo, 0, 0, 0, 0})}, sample{"ICMP of nothing", frames.IP(e.src, e.dst, e.icmp, nil)},
		sample{"truncated", short(e.udp(8), 3)},
		sample{"nothing of the payload", e.udp(8)[:len(e.udp(0))-8]}, sample{"with pad", append(e.udp(4), 1, 2, 3)},
		sample{"quote cut short", e.message(e.unreachable, 3, 0, quote[:len(quote)-9])}, sample{"quote of a header", e.message(e.unreachable, 3, 0, quote[:len(quote)-12])},
		sample{"quote of half a header", e.message(e.unreachable, 1, 0, quote[:10])}, sample{"quote of nothing", e.message(e.unreachable, 1, 0, nil)},
		sample{"an unknown message", e.message(99, 3, 0, quote)})
	for code := range e.codes {
		all = append(all, sample{fmt.Sprintf("unreachable, code %d", code), e.message(e.unreachable, code, 1400, quote)})
	}
	for name, quote := range map[string][]byte{
		"TCP": e.tcp(wire.TCP{Flags: wire.TCPSyn}, 0), "ICMP": e.message(e.echo, 0, 1, nil), "another protocol": frames.IP(e.src, e.dst, 253, make([]byte, 8)),
	} {
		all = append(all, sample{"unreachable port, a quote of " + name, e.message(e.unreachable, 4, 0, quote)},
			sample{"unreachable 3, a quote of " + name, e.message(e.unreachable, 3, 0, quote)})
	}
	if e.src.Is4() {
		all = append(all, sample{"truncated in the header", e.udp(8)[:19]}, sample{"one octet", e.udp(8)[:1]})
		h := wire.IPv4{Src: e.src.As4(), Dst: e.dst.As4(), Protocol: wire.ProtocolUDP, MF: true}
		all = append(all, sample{"the first fragment", frames.IPv4(h, udp(40)[20:])})
		h.FragmentOffset = 16
		all = append(all, sample{"a later fragment", frames.IPv4(h, udp(40)[20:])})
		h.Protocol, h.MF = 253, false
		all = append(all, sample{"the last fragment", frames.IPv4(h, make([]byte, 7))})
		h.FragmentOffset, h.Options = 0, []byte{7, 7, 4, 0, 0, 0, 0}
		all = append(all, sample{"options", frames.IPv4(h, make([]byte, 7))}, sample{"parameter problem", e.message(12, 0, 5<<24, quote)},
			sample{"redirect", e.message(5, 1, 0x0a000009, quote)}, sample{"redirect net", e.message(5, 0, 0x0a000009, quote)}, sample{"source quench", e.message(4, 0, 0, quote)},
			sample{"time exceeded 2", e.message(11, 2, 0, quote)}, sample{"ICMPv6 over IPv4", frames.IP(e.src, e.dst, 58, make([]byte, 9))})
	}
	return all
}

// dumped returns what tcpdump prints of packets without times, for each a line and those that begin with a tab behind it.
func dumped(t *testing.T, packets []sample, options ...string) (lines [][]string) {
	t.Helper()
	program, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skip("there is no tcpdump")
	}
	var file bytes.Buffer
	w := pcapgo.NewWriter(&file)
	if err := w.WriteFileHeader(65535, layers.LinkTypeRaw); err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: noon, CaptureLength: len(p.packet), Length: len(p.packet)}, p.packet); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(program, append(options, "-n", "-t", "-r", "-")...)
	var errs bytes.Buffer
	c.Stdin, c.Stderr = &file, &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("tcpdump: %v, %s", err, errs.String())
	}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "\t") {
			last := len(lines) - 1
			lines[last] = append(lines[last], strings.TrimSpace(line))
			continue
		}
		lines = append(lines, []string{line})
	}
	if len(lines) != len(packets) {
		t.Fatalf("tcpdump printed %d lines of %d packets", len(lines), len(packets))
	}
	return lines
}

// tidy leaves out doubled and last spaces, and puts in some that are missing.
var tidy = strings.NewReplacer("  ", " ", "truncated-udplength", "truncated-udp length", "querymax", "query max", "reportmax", "report max", "donemax", "done max")

var (
	flags   = regexp.MustCompile(`, Flags \[[^]]*\]`)
	records = regexp.MustCompile(` \[(gaddr|invalid).*\]$`)
)

// details returns what tcpdump -v prints of a message of neighbour discovery, or of a report of MLD, more than without.
func details(verbose []string) (s string) {
	switch first := verbose[0]; {
	case strings.Contains(first, "neighbor advertisement"):
		s = flags.FindString(first)
	case strings.Contains(first, "report v2"):
		return records.FindString(first)
	case !regexp.MustCompile(`neighbor |router |redirect`).MatchString(first):
		return ""
	}
	for _, line := range verbose[1:] {
		if !strings.HasPrefix(line, "0x") { // octets
			s += ", " + line
		}
	}
	if strings.HasSuffix(verbose[0], " [|icmp6]") {
		s += " [|icmp6]"
	}
	return s
}

// sameAsTcpdump compares the lines of packets with those of tcpdump.
func sameAsTcpdump(t *testing.T, packets []sample) {
	t.Helper()
	want := dumped(t, packets)
	var verbose [][]string
	if packets[0].packet[0]>>4 == 6 {
		verbose = dumped(t, packets, "-v")
	}
	printer := capture.NewPrinter(link.IP)
	for i, p := range packets {
		got := strings.TrimPrefix(printer.Line(noon, p.packet), "12:00:00.000000 ")
		line := want[i][0]
		if verbose != nil {
			if more := details(verbose[i]); !strings.HasSuffix(line, more) {
				line += more
			}
		}
		line = strings.TrimSuffix(tidy.Replace(line), " ")
		if diff := cmp.Diff(line, got); diff != "" {
			t.Errorf("%s (-tcpdump +capture):\n%s", p.name, diff)
		}
	}
}

// Lines are those of tcpdump; where there is none, the other tests of lines have some of its.
func TestAsTcpdump(t *testing.T) {
	for family, e := range families {
		t.Run(family, func(t *testing.T) { sameAsTcpdump(t, e.samples()) })
	}
	t.Run("IPv6 alone", func(t *testing.T) { sameAsTcpdump(t, samples6()) })
}
