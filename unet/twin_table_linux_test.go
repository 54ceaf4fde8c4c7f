package unet

import (
	"net"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// twinScenarios is the whole table.
func twinScenarios() []scenario {
	return slices.Concat(dialScenarios(), listenScenarios(), readScenarios(), writeScenarios(), deadlineScenarios(),
		closeScenarios(), forgetScenarios(), addressScenarios(), bufferedScenarios(), optionScenarios(), udpScenarios(), concurrentScenarios(), familyScenarios(), reuseScenarios())
}

// differences are the steps that unet writes otherwise, and the row of docs/differences.md that says why.
var differences = []difference{
	{"E-GO-8 dial: a deadline before", "context", "N-1"},
	{"E-GO-8 dial: a deadline before", "negative timeout", "N-1"},
	{"E-GO-8 dial: a deadline before", "Deadline", "N-1"},
	{"E-GO-8 dial: a deadline before", "Deadline, UDP", "N-1"},
	{"dial: Control", "Control", "N-2"},
	{"dial: Control", "ControlContext", "N-2"},
	{"listen: Control", "Listen", "N-2"},
	{"listen: Control", "ListenPacket", "N-2"},
	{"E-GO-9 listener: after Close", "File", "N-2"},
	{"listener: File and SyscallConn", "File", "N-2"},
	{"listener: File and SyscallConn", "SyscallConn", "N-2"},
	{"options: File and SyscallConn", "File", "N-2"},
	{"options: File and SyscallConn", "SyscallConn", "N-2"},
	{"packets: File and SyscallConn", "File", "N-2"},
	{"packets: File and SyscallConn", "SyscallConn", "N-2"},
	{"E-GO-5 close: everything afterwards", "File", "N-2"},
	{"listen: multicast", "Listen", "N-3"},
	{"listen: broadcast", "Listen", "N-3"},
	{"write: net.Buffers", "WriteTo closed", "N-4"},
	{"copy: ReadFrom a file", "again", "N-5"},
	{"copy: ReadFrom another connection", "ReadFrom a closed one", "N-5"},
	{"E-GO-5 close: everything afterwards", "MultipathTCP", "N-6"},
	{"E-GO-14 packets: everything after Close", "ReadMsgUDP", "N-7"},
	{"packets: multicast and broadcast", "no way to a group", "N-9"},
}

// rowsElsewhere are rows that no program can run into on both sides.
var rowsElsewhere = map[string]bool{"N-8": true, "N-10": true, "N-11": true, "N-12": true, "N-13": true, "N-14": true, "N-24": true,
	"N-15": true, "N-16": true, "N-18": true, "N-19": true, "N-20": true, "N-21": true, "N-22": true, "N-23": true}

// backlogOf returns how many connections may wait for Accept.
func backlogOf(s *script, l net.Listener) int {
	if l, ok := l.(*TCPListener); ok {
		return l.listener.Backlog()
	}
	var backlog int
	raw, err := l.(syscall.Conn).SyscallConn()
	s.must(err)
	s.must(raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		s.must(err)
		backlog = int(info.Sacked) // of a listening socket, what listen(2) was given
	}))
	return backlog
}
