package tap

import (
	"encoding/binary"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// On a device with several queues the kernel chooses one for each frame. Its own choice is a hash of the frame's flow,
// until it has seen on which queue we answer; it forgets that after three seconds. So a flow moves from queue to queue,
// and the frames of two queues may be read in either order. The fragments of a datagram are never in the queue of whole
// datagrams: only the first fragment has ports, so the kernel hashes the addresses of fragments alone. TCP puts its
// segments in order again; nothing does that for datagrams.
//
// Therefore we give the kernel a program that chooses as package stack does in the other direction: a segment's queue by
// its ports, so that the connections between two hosts are spread, any other packet's by its addresses. A flow then has
// one queue, the same one in both directions, for whole datagrams and fragments.

// Multiplier and shift of the hash; stack/ip.(*Route).queueFor has the same.
const (
	spreadFactor = 0x9e3779b1
	spreadShift  = 16
)

// Offsets in an IPv4 packet, and values there (RFC 791 3.1).
const (
	ipFragment   = 6 // flags and offset
	ipProtocol   = 9
	ipAddresses  = 12
	fragmented   = 0x3fff // more fragments, or an offset
	tcpProtocol  = 6
	igmpProtocol = 2
	etherType    = 12
	etherIPv4    = 0x0800
	etherIPv6    = 0x86dd
)

// Places in an IPv6 packet (RFC 8200 3). A fragment has another next header than TCP.
const (
	ip6NextHeader = 6
	ip6Addresses  = 8
	ip6Payload    = 40
)

// insn is an instruction of the kernel's virtual machine (struct bpf_insn).
type insn struct {
	code   uint8
	regs   uint8
	offset int16
	imm    int32
}

// registers encodes the two registers of an instruction in four bits each. Which half comes first depends on the
// machine's order of octets, as for a bit field in C.
func registers(to, from uint8) uint8 {
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		return to<<4 | from
	}
	return to | from<<4
}

// The program is made of the following instructions.

// load loads from the frame at an offset into register 0, in the host's order of octets. A load beyond the frame's end
// ends the program with the result 0.
func load(size uint8, at int32) insn {
	return insn{code: unix.BPF_LD | unix.BPF_ABS | size, imm: at}
}

// loadBehind loads from the frame at register 1 plus an offset, as load does.
func loadBehind(size uint8, at int32) insn {
	return insn{code: unix.BPF_LD | unix.BPF_IND | size, regs: registers(0, 1), imm: at}
}

// move copies a register.
func move(to, from uint8) insn {
	return insn{code: unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_X, regs: registers(to, from)}
}

// alu applies an operation of 32 bits to register to and a value.
func alu(op, to uint8, value int32) insn {
	return insn{code: unix.BPF_ALU | op | unix.BPF_K, regs: registers(to, 0), imm: value}
}

// aluReg applies an operation of 32 bits to register 0 and another register.
func aluReg(op, from uint8) insn {
	return insn{code: unix.BPF_ALU | op | unix.BPF_X, regs: registers(0, from)}
}

// jump skips instructions if the comparison of register 0 with a value is true.
func jump(op uint8, value int32, skip int16) insn {
	return insn{code: unix.BPF_JMP | op | unix.BPF_K, imm: value, offset: skip}
}

// spreadProgram returns the program for frames whose IP header begins at an offset. Its result, modulo the number of
// queues, is the frame's queue.
func spreadProgram(network int32) []insn {
	ipv4, ipv6 := spreadIPv4(network), spreadIPv6(network)
	program := []insn{move(6, 1)} // loads expect the frame in register 6; the program gets it in register 1
	version4, version6 := int32(etherIPv4), int32(etherIPv6)
	if network > 0 {
		program = append(program, load(unix.BPF_H, etherType))
	} else {
		program = append(program, load(unix.BPF_B, 0), alu(unix.BPF_RSH, 0, 4))
		version4, version6 = 4, 6
	}
	program = append(program,
		jump(unix.BPF_JEQ, version4, 3),
		jump(unix.BPF_JEQ, version6, int16(2+len(ipv4))),
		alu(unix.BPF_MOV, 0, 0), // not IP but ARP: all of it is in queue 0
		insn{code: unix.BPF_JMP | unix.BPF_EXIT},
	)
	return append(append(program, ipv4...), ipv6...)
}

// spreadIPv4 returns the program's part for IPv4, which ends with an exit.
func spreadIPv4(network int32) []insn {
	ports := endWithHash(
		load(unix.BPF_B, network),
		alu(unix.BPF_AND, 0, 15),
		alu(unix.BPF_LSH, 0, 2),
		move(1, 0),
		loadBehind(unix.BPF_W, network),
		move(2, 0), // the other side's ports, in our order
		alu(unix.BPF_LSH, 2, 16),
		alu(unix.BPF_RSH, 0, 16),
		aluReg(unix.BPF_OR, 2),
	)
	program := append([]insn{
		load(unix.BPF_B, network+ipProtocol),
		jump(unix.BPF_JNE, tcpProtocol, int16(2+len(ports))),
		load(unix.BPF_H, network+ipFragment),
		jump(unix.BPF_JSET, fragmented, int16(len(ports))),
	}, ports...)
	return append(program, endWithHash(
		load(unix.BPF_W, network+ipAddresses),
		move(7, 0),
		load(unix.BPF_W, network+ipAddresses+4),
		aluReg(unix.BPF_XOR, 7),
	)...)
}

// spreadIPv6 returns the program's part for IPv6, which ends with an exit. A segment behind extension headers counts as a
// packet of another protocol than TCP, since finding its ports would take a loop.
func spreadIPv6(network int32) []insn {
	ports := endWithHash(
		load(unix.BPF_W, network+ip6Payload),
		move(2, 0), // the other side's ports, in our order
		alu(unix.BPF_LSH, 2, 16),
		alu(unix.BPF_RSH, 0, 16),
		aluReg(unix.BPF_OR, 2),
	)
	program := append([]insn{
		load(unix.BPF_B, network+ip6NextHeader),
		jump(unix.BPF_JNE, tcpProtocol, int16(len(ports))),
	}, ports...)
	addresses := []insn{load(unix.BPF_W, network+ip6Addresses)}
	for at := network + ip6Addresses + 4; at < network+ip6Payload; at += 4 {
		addresses = append(addresses, move(7, 0), load(unix.BPF_W, at), aluReg(unix.BPF_XOR, 7))
	}
	return append(program, endWithHash(addresses...)...)
}

// endWithHash appends the instructions that end the program with the hash of register 0 as its result.
func endWithHash(program ...insn) []insn {
	factor := uint32(spreadFactor)
	return append(program,
		alu(unix.BPF_MUL, 0, int32(factor)),
		alu(unix.BPF_RSH, 0, spreadShift),
		insn{code: unix.BPF_JMP | unix.BPF_EXIT},
	)
}

// spread installs the program on the interface of fd. Network is the length in octets of the header in front of the IP
// header. It takes the right CAP_BPF over the machine, which a container or a user's own namespace may lack.
func spread(fd int, network int32) error {
	program := spreadProgram(network)
	license := []byte("MIT\x00")
	// union bpf_attr, in its form for BPF_PROG_LOAD.
	attr := struct {
		kind, count    uint32
		insns, license uint64
		level, size    uint32
		log            uint64
		version, flags uint32
	}{
		kind: unix.BPF_PROG_TYPE_SOCKET_FILTER, count: uint32(len(program)),
		insns: uint64(uintptr(unsafe.Pointer(&program[0]))), license: uint64(uintptr(unsafe.Pointer(&license[0]))),
	}
	prog, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(program)
	runtime.KeepAlive(license)
	if errno != 0 {
		return os.NewSyscallError("bpf", errno)
	}
	defer unix.Close(int(prog)) // the interface keeps it
	return os.NewSyscallError("ioctl TUNSETSTEERINGEBPF", unix.IoctlSetPointerInt(fd, unix.TUNSETSTEERINGEBPF, int(prog)))
}
