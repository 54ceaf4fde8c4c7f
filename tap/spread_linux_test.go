package tap

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// interpret runs a program on a frame, as the kernel does, and returns its result.
func interpret(t *testing.T, program []insn, frame []byte) uint32 {
	t.Helper()
	var regs [10]uint64
	for pc := 0; pc < len(program); pc++ {
		in := program[pc]
		to, from := in.regs&15, in.regs>>4
		if registers(1, 0) != 1 { // the fields stand in the machine's order
			to, from = from, to
		}
		switch class := in.code & 7; class {
		case unix.BPF_LD:
			at := int(in.imm)
			if in.code&0xe0 == unix.BPF_IND {
				at += int(uint32(regs[from]))
			}
			size := map[uint8]int{unix.BPF_B: 1, unix.BPF_H: 2, unix.BPF_W: 4}[in.code&0x18]
			if at+size > len(frame) {
				return 0
			}
			var v [4]byte
			copy(v[4-size:], frame[at:at+size])
			regs[0] = uint64(binary.BigEndian.Uint32(v[:]))
		case unix.BPF_ALU, unix.BPF_ALU64:
			b := uint64(uint32(in.imm))
			if in.code&unix.BPF_X != 0 {
				b = regs[from]
			}
			a := regs[to]
			if class == unix.BPF_ALU {
				a, b = uint64(uint32(a)), uint64(uint32(b))
			}
			switch in.code & 0xf0 {
			case unix.BPF_MOV:
				a = b
			case unix.BPF_MUL:
				a *= b
			case unix.BPF_RSH:
				a >>= b
			case unix.BPF_LSH:
				a <<= b
			case unix.BPF_AND:
				a &= b
			case unix.BPF_OR:
				a |= b
			case unix.BPF_XOR:
				a ^= b
			default:
				t.Fatalf("instruction %d has the unknown operation %#x", pc, in.code)
			}
			if class == unix.BPF_ALU {
				a = uint64(uint32(a))
			}
			regs[to] = a
		case unix.BPF_JMP:
			holds := false
			switch in.code & 0xf0 {
			case unix.BPF_EXIT:
				return uint32(regs[0])
			case unix.BPF_JEQ:
				holds = regs[to] == uint64(in.imm)
			case unix.BPF_JNE:
				holds = regs[to] != uint64(in.imm)
			case unix.BPF_JSET:
				holds = regs[to]&uint64(in.imm) != 0
			default:
				t.Fatalf("instruction %d has the unknown jump %#x", pc, in.code)
			}
			if holds {
				pc += int(in.offset)
			}
		default:
			t.Fatalf("instruction %d has the unknown class %d", pc, class)
		}
	}
	t.Fatal("the program does not end")
	return 0
}

// packet is an IPv4 packet to 10.0.0.2 with options of so many octets, flags and offset as the header has them, and the
// ports at the front of what it carries.
func packet(proto uint8, from string, options int, fragment, peer, ours uint16) []byte {
	b := make([]byte, 20+options+8)
	b[0] = 4<<4 | uint8(5+options/4)
	binary.BigEndian.PutUint16(b[ipFragment:], fragment)
	b[ipProtocol] = proto
	src, dst := netip.MustParseAddr(from).As4(), [4]byte{10, 0, 0, 2}
	copy(b[ipAddresses:], src[:])
	copy(b[ipAddresses+4:], dst[:])
	binary.BigEndian.PutUint16(b[20+options:], peer)
	binary.BigEndian.PutUint16(b[20+options+2:], ours)
	return b
}

// packet6 is an IPv6 packet to 2001:db8::2 with a next header, and the ports at the front of what it carries.
func packet6(next uint8, from string, peer, ours uint16) []byte {
	b := make([]byte, 40+8)
	b[0], b[ip6NextHeader] = 6<<4, next
	src, dst := netip.MustParseAddr(from).As16(), netip.MustParseAddr("2001:db8::2").As16()
	copy(b[ip6Addresses:], src[:])
	copy(b[ip6Addresses+16:], dst[:])
	binary.BigEndian.PutUint16(b[40:], peer)
	binary.BigEndian.PutUint16(b[42:], ours)
	return b
}

// What the kernel chooses a queue by: the same numbers are in TestQueueOfFlow of package stack, for the other direction.
func TestSpreadProgram(t *testing.T) {
	const df, more = 0x4000, 0x2000
	const tcp, udp, icmp, fragment, destination = 6, 17, 1, 44, 60
	tests := []struct {
		name   string
		packet []byte
		want   uint32
	}{
		{"TCP 40000 to 80", packet(tcp, "10.0.0.1", 0, df, 40000, 80), 25430},
		{"TCP 40001 to 80", packet(tcp, "10.0.0.1", 0, df, 40001, 80), 397},
		{"TCP 80 to 40000", packet(tcp, "10.0.0.1", 0, df, 80, 40000), 47510},
		{"TCP 32768 to 443", packet(tcp, "10.0.0.1", 0, 0, 32768, 443), 21027},
		{"TCP 60999 to 8080 from elsewhere", packet(tcp, "192.0.2.1", 0, df, 60999, 8080), 22293},
		{"TCP behind IP options", packet(tcp, "10.0.0.1", 8, df, 65535, 1), 21802},
		{"TCP, the first fragment", packet(tcp, "10.0.0.1", 0, more, 40000, 80), 55974},
		{"TCP, a later fragment", packet(tcp, "10.0.0.1", 0, more|1, 40000, 80), 55974},
		{"TCP, the last fragment", packet(tcp, "10.0.0.1", 0, 0x1000, 40000, 80), 55974},
		{"UDP", packet(udp, "10.0.0.1", 0, 0, 5, 7), 55974},
		{"UDP of other ports", packet(udp, "10.0.0.1", 0, df, 50000, 53), 55974},
		{"UDP in fragments", packet(udp, "10.0.0.1", 0, more|185, 5, 7), 55974},
		{"UDP from 10.0.0.3", packet(udp, "10.0.0.3", 0, 0, 5, 7), 40503},
		{"UDP from 10.0.0.9", packet(udp, "10.0.0.9", 0, 0, 5, 7), 52322},
		{"ICMP from 192.0.2.77", packet(icmp, "192.0.2.77", 0, 0, 0, 0), 60433},
		{"TCP cut in its ports", packet(tcp, "10.0.0.1", 0, df, 40000, 80)[:22], 0},
		{"cut in its addresses", packet(udp, "10.0.0.1", 0, 0, 5, 7)[:18], 0},
		{"IPv6, TCP 40000 to 80", packet6(tcp, "2001:db8::1", 40000, 80), 25430},
		{"IPv6, TCP 60999 to 8080 from elsewhere", packet6(tcp, "2001:db8:1::1", 60999, 8080), 22293},
		{"IPv6, UDP", packet6(udp, "2001:db8::1", 5, 7), 55974},
		{"IPv6, UDP of other ports", packet6(udp, "2001:db8::1", 50000, 53), 55974},
		{"IPv6, a fragment", packet6(fragment, "2001:db8::1", 5, 7), 55974},
		{"IPv6, UDP from 2001:db8:7:1::9", packet6(udp, "2001:db8:7:1::9", 5, 7), 33281},
		{"IPv6, an extension header in front of TCP", packet6(destination, "2001:db8:7:1::9", 40000, 80), 33281},
		{"IPv6, TCP cut in its ports", packet6(tcp, "2001:db8::1", 40000, 80)[:42], 0},
		{"IPv6, cut in its addresses", packet6(udp, "2001:db8::1", 5, 7)[:38], 0},
		{"IP version 5", append([]byte{5 << 4}, make([]byte, 60)...), 0},
		{"nothing", nil, 0},
	}
	for _, tt := range tests {
		if got := interpret(t, spreadProgram(0), tt.packet); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
		typ := []byte{8, 0}
		if strings.HasPrefix(tt.name, "IPv6") {
			typ = []byte{0x86, 0xdd}
		} else if tt.name == "IP version 5" {
			typ = []byte{0x86, 0xde}
		}
		frame := append(append(make([]byte, 12), typ...), tt.packet...)
		if got := interpret(t, spreadProgram(14), frame); got != tt.want {
			t.Errorf("%s in an Ethernet frame: %d, want %d", tt.name, got, tt.want)
		}
	}
	arp := append(append(make([]byte, 12), 8, 6), packet(udp, "10.0.0.1", 0, 0, 5, 7)...)
	if got := interpret(t, spreadProgram(14), arp); got != 0 {
		t.Errorf("ARP: %d, want 0", got)
	}
}
