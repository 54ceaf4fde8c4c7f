package fdtable

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// controlled sends or receives a message with control messages:
//
//	sendmsg a TEXT ADDRESS LEVEL/TYPE/DATA…
//	recvmsg a OCTETS ROOM [FLAG…]
//
// An ADDRESS of - is none. DATA is a letter and a value: i for an int, h for 16 bits, b for an octet, x for octets in
// hexadecimal, and p for an interface's number and an address of a pktinfo, with @ between them.
func (r *run) controlled(call string, fd int, args []string) string {
	if call == "sendmsg" {
		var to netip.AddrPort
		if args[1] != "-" {
			to = r.address(args[1])
		}
		n, err := r.sendmsg(fd, texts(args[0])[0], r.control(args[2:]), to)
		return valueOr(n, err)
	}
	p, control := make([]byte, integer(args[0])), make([]byte, integer(args[1]))
	n, controllen, flags, from, err := r.recvmsg(fd, p, control, flagsOf(msgFlags, args[2:]))
	if err != nil {
		return errnoName(err)
	}
	return fmt.Sprintf("%d %q %x %#x from %s", n, p[:min(n, len(p))], control[:controllen], flags, place(from, nil))
}

// control makes control messages of words.
func (r *run) control(words []string) (b []byte) {
	for _, w := range words {
		part := strings.SplitN(w, "/", 3)
		data := r.controlData(part[2])
		m := make([]byte, unix.CmsgSpace(len(data)))
		binary.NativeEndian.PutUint64(m, uint64(unix.CmsgLen(len(data))))
		binary.NativeEndian.PutUint32(m[8:], uint32(integer(part[0])))
		binary.NativeEndian.PutUint32(m[12:], uint32(integer(part[1])))
		copy(m[unix.CmsgLen(0):], data)
		b = append(b, m...)
	}
	return b
}

func (r *run) controlData(word string) []byte {
	value := word[1:]
	switch word[0] {
	case 'x':
		b, err := hex.DecodeString(value)
		if err != nil {
			panic(err)
		}
		return b
	case 'p':
		number, address, _ := strings.Cut(value, "@")
		index := binary.NativeEndian.AppendUint32(nil, uint32(integer(number)))
		if a := r.address(address + ":0").Addr(); a.Is4() {
			return append(append(index, a.AsSlice()...), 0, 0, 0, 0)
		} else {
			return append(a.AsSlice(), index...)
		}
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		panic(err)
	}
	switch word[0] {
	case 'i':
		return binary.NativeEndian.AppendUint32(nil, uint32(n))
	case 'h':
		return binary.NativeEndian.AppendUint16(nil, uint16(n))
	}
	return []byte{byte(n)}
}

// controlSequences run in both families.
var controlSequences = []scenario{
	{name: "B-UDP-16 UDP_SEGMENT by message", calls: "a = socket dgram; bind a lo; b = socket dgram; connect b a; set a gro 1; get a gro; sendmsg b abcdefghij - 17/103/h3; await a in; recvmsg a 20 100; set a gro 0; sendmsg b abcdefghij - 17/103/h5; await a in; recvmsg a 20 100; recvmsg a 20 100; recvmsg a 20 100 dontwait; sendmsg b abc - 17/103/h3; await a in; recvmsg a 20 100; sendmsg b abc - 17/103/h9; await a in; recvmsg a 20 100"},
	{name: "B-UDP-16 UDP_SEGMENT of a socket", calls: "a = socket dgram; bind a lo; b = socket dgram; get b segment; set b segment 4; get b segment; connect b a; send b abcdefghi; await a in; recvmsg a 20 100; recvmsg a 20 100; recvmsg a 20 100; sendmsg b abcdefghi - 17/103/h8; await a in; recvmsg a 20 100; recvmsg a 20 100; set b segment 0; send b abcdefghi; await a in; recvmsg a 20 100"},
	{name: "UDP_GRO of datagrams that were sent one by one", calls: "a = socket dgram; bind a lo; b = socket dgram; connect b a; set a gro 1; send b abc; send b def; await a in; recvmsg a 20 100; recvmsg a 20 100 dontwait", differs: "they are read together as well"},
	{name: "UDP_GRO with a short buffer", calls: "a = socket dgram; bind a lo; b = socket dgram; connect b a; set a gro 1; sendmsg b abcdefghij - 17/103/h3; await a in; recvmsg a 20 100 peek; recvmsg a 7 100; recvmsg a 7 100 dontwait", differs: "whole datagrams are read, and what has no room stays"},
	{name: "UDP_SEGMENT and UDP_GRO, what is refused", calls: "b = socket dgram; connect b nobody; set b segment -1; set b segment 65536; set b segment 65535; get b segment; set b gro 5; get b gro; set b segment 0; sendmsg b abc - 17/103/i3; sendmsg b abc - 17/99/h3; sendmsg b 300 - 17/103/h1; set b udpunknown 1; get b udpunknown; s = socket; set s segment 1; get s segment"},
	{name: "B-UDP-13 control messages that are asked for", calls: "a = socket dgram; bind a any; b = socket dgram; get a pktinfo; get a recvttl; get a recvtos; set a pktinfo 1; set a recvttl 2; set a recvtos 1; get a pktinfo; get a recvttl; get a recvtos; set b ttl 9; set b tos 6; sendto b one lo:a; await a in; recvmsg a 9 200; set a pktinfo 0; sendto b two lo:a; await a in; recvmsg a 9 200; set a recvttl 0; set a recvtos 0; sendto b three lo:a; await a in; recvmsg a 9 200"},
	{name: "B-UDP-13 room for control messages is short", calls: "a = socket dgram; bind a lo; b = socket dgram; set a pktinfo 1; set a recvtos 1; sendto b x lo:a; sendto b x lo:a; sendto b x lo:a; sendto b x lo:a; sendto b x lo:a; await a in; recvmsg a 9 0; recvmsg a 9 15; recvmsg a 9 16; recvmsg a 9 30; recvmsg a 9 50; recvmsg a 9 60 dontwait"},
	{name: "control messages of the other level", calls: "a = socket inet dgram; bind a lo4; set a pktinfo6 1; get a pktinfo6; set a recvhops6 1; b = socket inet dgram; sendto b x lo4:a; await a in; recvmsg a 9 200"},
	{name: "control messages of a connection", calls: "pair; set s pktinfo 1; set s recvttl 1; get s recvttl; sendmsg c abc - 0/2/i9 41/52/i9; await s in; recvmsg s 9 200; sendmsg c abc - 1/1/i0; sendmsg c abc - 1/99/i0"},
}

// control4Sequences and control6Sequences name their family.
var control4Sequences = []scenario{
	{name: "B-UDP-13 a message that is there when the option is set, over IPv4", calls: "a = socket dgram; bind a lo; b = socket dgram; sendto b one lo:a; await a in; set a pktinfo 1; recvmsg a 9 200 peek; recvmsg a 2 200 trunc", differs: "the interface is known before it is asked for"},
	{name: "B-UDP-14 TTL and TOS by message", calls: "a = socket inet dgram; bind a lo4; set a recvttl4 1; set a recvtos4 1; b = socket inet dgram; connect b lo4:a; sendmsg b x - 0/2/i7 0/1/i3; await a in; recvmsg a 9 100; sendmsg b x - 0/1/b2; await a in; recvmsg a 9 100; send b x; await a in; recvmsg a 9 100"},
	{name: "B-UDP-14 messages out of range", calls: "a = socket inet dgram; sendmsg a x lo4:1 0/2/i0; sendmsg a x lo4:1 0/2/i256; sendmsg a x lo4:1 0/2/b9; sendmsg a x lo4:1 0/1/i256; sendmsg a x lo4:1 0/1/i-1; sendmsg a x lo4:1 0/1/h3; sendmsg a x lo4:1 0/99/i3; sendmsg a x lo4:1 41/99/i3; sendmsg a x lo4:1 1/99/i3; sendmsg a x lo4:1 1/1/i3; sendmsg a x lo4:1 0/8/x00; sendmsg a x lo4:1 99/9/i1; sendmsg a x - 0/2/i9"},
	{name: "B-UDP-15 the source by message", calls: "a = socket inet dgram; bind a any4; set a pktinfo4 1; b = socket inet dgram; bind b any4; sendmsg b x lo4:a 0/8/p0@other4; await a in; recvmsg a 9 100; sendmsg b x other4:a 0/8/p1@other4; await a in; recvmsg a 9 100; sendmsg b x lo4:a 0/8/p0@any4; await a in; recvmsg a 9 100; sendmsg b x lo4:a 0/8/p0@foreign4; sendmsg b x lo4:a 0/8/p77@any4; c = socket inet dgram; bind c other4; sendmsg c x lo4:a 0/8/p0@lo4; await a in; recvmsg a 9 100"},
}

var control6Sequences = []scenario{
	{name: "B-UDP-13 a message that is there when the option is set", calls: "a = socket dgram; bind a lo; b = socket dgram; sendto b one lo:a; await a in; set a pktinfo 1; recvmsg a 9 200 peek; recvmsg a 2 200 trunc"},
	{name: "a traffic class of -1 by message", calls: "a = socket dgram; bind a lo6; set a recvclass6 1; b = socket dgram; connect b lo6:a; set b class6 8; sendmsg b x - 41/67/i-1; await a in; recvmsg a 9 100", differs: "the socket's traffic class (RFC 3542 6.5)"},
	{name: "B-UDP-14 hop limit and traffic class by message", calls: "a = socket dgram; bind a lo6; set a recvhops6 1; set a recvclass6 1; b = socket dgram; connect b lo6:a; set b hops6 44; set b class6 8; sendmsg b x - 41/52/i7 41/67/i3; await a in; recvmsg a 9 100; sendmsg b x - 41/52/i-1; await a in; recvmsg a 9 100; send b x; await a in; recvmsg a 9 100"},
	{name: "B-UDP-14 messages out of range over IPv6", calls: "a = socket dgram; sendmsg a x lo6:1 41/52/i-2; sendmsg a x lo6:1 41/52/i256; sendmsg a x lo6:1 41/52/b9; sendmsg a x lo6:1 41/67/i256; sendmsg a x lo6:1 41/67/i-2; sendmsg a x lo6:1 41/67/b3; sendmsg a x lo6:1 41/99/i3; sendmsg a x lo6:1 0/99/i3; sendmsg a x lo6:1 41/50/x00; sendmsg a x lo6:1 41/62/i2; sendmsg a x lo6:1 41/62/i1; sendmsg a x lo6:1 1/99/i3; sendmsg a x - 41/52/i9"},
	{name: "B-UDP-15 the source by message over IPv6", calls: "a = socket dgram; bind a any6; set a pktinfo6 1; b = socket dgram; sendmsg b x lo6:a 41/50/p0@lo6; await a in; recvmsg a 9 100; sendmsg b x lo6:a 41/50/p1@lo6; await a in; recvmsg a 9 100; sendmsg b x lo6:a 41/50/p0@any6; await a in; recvmsg a 9 100; sendmsg b x lo6:a 41/50/p0@foreign6; sendmsg b x lo6:a 41/50/p77@any6; sendmsg b x lo6:a 41/50/p0@link"},
	{name: "B-UDP-15 mapped addresses in messages", calls: "a = socket dgram; bind a any6; set a pktinfo6 1; set a pktinfo4 1; set a recvttl4 1; set a recvclass6 1; b = socket dgram; bind b any6; sendmsg b x maplo:a 41/50/p0@mapother; await a in; recvmsg a 9 200; sendmsg b x maplo:a 0/8/p0@other4; await a in; recvmsg a 9 200; sendmsg b x maplo:a 41/50/p0@lo6; sendmsg b x maplo:a 41/52/i3; await a in; recvmsg a 9 200; sendmsg b x lo6:a 0/99/i3; await a in; recvmsg a 9 200"},
}
