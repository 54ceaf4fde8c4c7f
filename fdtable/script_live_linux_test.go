package fdtable_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// By how much a segment from the kernel may come too early or too late: promptly for an answer, slip for a segment that a
// timer sends. The kernel's timer wheel rounds times up by an eighth.
const (
	promptly  = 30 * time.Millisecond
	leastSlip = 60 * time.Millisecond
)

func slip(d time.Duration) time.Duration { return max(leastSlip, d*3/10) }

// longest is how long a script may take in real time.
const longest = 150 * time.Second

// live runs a script in real time against the kernel, in a network namespace of the thread's own: it is the peer at a TAP
// device, and the calls are system calls.
type live struct {
	*runner
	kernel  *kernelSockets
	tap     int
	at      time.Time                    // of the line before
	spoke   time.Time                    // when the host last sent something, or a call was made
	acted   time.Time                    // when either side last acted
	lag     time.Duration                // by how much the peer was late at most; the kernel takes that for a delay of the path
	fullest map[string]int               // the longest text of a segment from the host, by flow
	stamps  map[string]map[string]string // the host's real timestamps by those in the script, by flow
}

// runOnLinux runs a script against the kernel. The error is nil if the kernel does what the script says, of type unlike if
// the script cannot be run on Linux, and else of type difference. The function needs a thread of its own, which it leaves
// in another namespace.
func runOnLinux(s *script) error {
	l := &live{runner: newRunner(s, nil), kernel: &kernelSockets{congestion: "cubic"}, tap: -1, stamps: make(map[string]map[string]string),
		fullest: make(map[string]int)}
	if d := s.duration(); d > longest {
		return unlike(fmt.Sprintf("it takes %v", d))
	}
	if err := l.open(); err != nil {
		return err
	}
	defer l.close()
	l.began = time.Now()
	l.at, l.spoke, l.acted = l.began, l.began, l.began
	for i := range s.lines {
		st := &s.lines[i]
		if err := l.step(st); err != nil {
			return &difference{st.number, err}
		}
	}
	if err := l.end(); err != nil {
		return &difference{0, err}
	}
	return nil
}

// difference is the error of a script that failed at a line; line is 0 for the end of the script.
type difference struct {
	line int
	err  error
}

func (d *difference) Error() string { return fmt.Sprintf("line %d: %v", d.line, d.err) }

// duration is how long a script takes.
func (s *script) duration() (sum time.Duration) {
	for _, st := range s.lines {
		sum += st.after
		if st.verb == "none" {
			d, _ := time.ParseDuration(st.args[0] + "s")
			sum += d
		}
	}
	return sum
}

// open makes the namespace and the link.
func (l *live) open() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	if err := setSysctls(l.script.family); err != nil {
		return err
	}
	mtu, addrs, err := l.settings(func(name, value string) error {
		if name == "TCP.CongestionControl" {
			l.kernel.congestion = value
			return nil
		}
		return configure(name, value)
	})
	if err != nil {
		var u unlike
		if errors.As(err, &u) {
			return u
		}
		return err
	}
	const largest = 65535 - 14 // of a TAP device
	if mtu > largest {
		return unlike(fmt.Sprintf("no device has an MTU of %d", mtu))
	}
	if l.tap, err = openTAP(mtu, addrs); err != nil {
		return err
	}
	host, err := net.InterfaceByName("host")
	if err != nil {
		return err
	}
	l.sockets, l.mtu = l.kernel, mtu
	l.mac, l.hostMAC = link.MAC{2, 0, 0, 0, 1, 2}, link.MAC(host.HardwareAddr)
	l.put = func(burst [][]byte) {
		for _, b := range burst {
			_, _ = unix.Write(l.tap, b)
		}
		l.pump(time.Now())
	}
	return nil
}

func (l *live) close() {
	l.kernel.closeAll()
	for _, p := range l.pending {
		select {
		case <-p.result:
		case <-time.After(10 * time.Second): // a poll without an end
		}
	}
	_ = unix.Close(l.tap)
}

// pump collects the host's frames until a time, but at least those that are there already.
func (l *live) pump(until time.Time) {
	b := make([]byte, 1<<16+18)
	for {
		n, err := unix.Read(l.tap, b)
		if err == nil {
			l.heard(b[:n])
			continue
		}
		left := time.Until(until)
		if left <= 0 {
			return
		}
		wait := unix.NsecToTimespec(left.Nanoseconds())
		_, _ = unix.Ppoll([]unix.PollFd{{Fd: int32(l.tap), Events: unix.POLLIN}}, &wait, nil)
	}
}

// heard notes a packet of the host's, or answers its question about neighbours.
func (l *live) heard(b []byte) {
	switch typ := binary.BigEndian.Uint16(b[12:]); {
	case typ == wire.EtherTypeARP, typ == wire.EtherTypeIPv4:
	case typ == wire.EtherTypeIPv6 && l.script.family.version == 6:
	default:
		return
	}
	if answer := l.note(b); answer != nil {
		_, _ = unix.Write(l.tap, answer)
	}
}

// step runs one statement at its time.
func (l *live) step(st *statement) error {
	due := l.at.Add(st.after)
	switch st.verb {
	case "none":
		d, err := time.ParseDuration(st.args[0] + "s")
		l.at = due.Add(d)
		return err
	case ">":
		return l.expect(st, due)
	case "done":
		return l.complete(st, due)
	}
	l.pump(due)
	if err := l.silent(st); err != nil {
		return err
	}
	slack := l.tolerance(due)
	if l.at = due; st.verb == "call" {
		l.spoke = due
	}
	err := l.do(st, slack)
	if l.late(due) { // this process, not the host
		l.at = time.Now()
	}
	if st.verb != "info" && st.verb != "stats" {
		l.acted = l.at
	}
	if err == nil {
		l.pass(st, "")
	}
	return err
}

func (l *live) late(due time.Time) bool { return time.Since(due) > 2*time.Millisecond }

// do runs a statement that expects no packet. A statement about the host's state may become true up to slack later.
func (l *live) do(st *statement, slack time.Duration) (err error) {
	switch st.verb {
	case "call":
		return l.call(st)
	case "info", "stats":
		for end := time.Now().Add(slack); ; l.pump(time.Now().Add(5 * time.Millisecond)) {
			if err = l.check(st); err == nil || time.Now().After(end) {
				return err
			}
		}
	case "<", "<+":
		l.lag = max(l.lag, time.Since(l.at))
		other := *st
		other.args = l.actualStamps(st)
		return l.send(&other)
	}
	return l.act(st)
}

// wait returns the result of a call, if it comes before a time.
func (l *live) wait(p *pendingCall, until time.Time) (got string, returned bool) {
	for {
		select {
		case got := <-p.result:
			return got, true
		default:
		}
		if time.Now().After(until) {
			return "", false
		}
		l.pump(time.Now().Add(time.Millisecond))
	}
}

// call makes a call. Sockets are made here, on the thread that is in the namespace.
func (l *live) call(st *statement) error {
	if st.args[0] == "socket" {
		return l.returned(st, calls["socket"](l.runner, st.args[1:], st.result))
	}
	p, wrong := l.begin(st)
	patience := time.Second
	if st.blocks {
		patience = 10 * time.Millisecond
	}
	got, returned := l.wait(p, time.Now().Add(patience))
	select {
	case e := <-wrong:
		return errors.New(string(e))
	default:
	}
	switch {
	case returned && st.blocks:
		return l.differ(l.stamp(l.now(), st.text), l.stamp(l.now(), result(st.text, got)))
	case returned:
		return l.returned(st, got)
	}
	l.pending = append(l.pending, p)
	if !st.blocks {
		return l.differ(l.stamp(l.now(), st.text), l.stamp(l.now(), p.name+") waits"))
	}
	return nil
}

// complete waits for the result of a call that was waiting.
func (l *live) complete(st *statement, due time.Time) error {
	name := st.args[0] + "(" + strings.Join(st.args[1:min(2, len(st.args))], "")
	i := slices.IndexFunc(l.pending, func(p *pendingCall) bool { return p.name == name })
	if i < 0 {
		return fmt.Errorf("no %s) waits", name)
	}
	got, returned := l.wait(l.pending[i], due.Add(l.tolerance(due)))
	if !returned {
		return l.differ(l.stamp(due.Sub(l.began), st.text), l.stamp(l.now(), name+") waits"))
	}
	l.pending = slices.Delete(l.pending, i, i+1)
	defer func() { l.acted = l.at }()
	if l.at = time.Now(); l.at.Before(due.Add(-l.tolerance(due))) {
		return l.differ(l.stamp(due.Sub(l.began), st.text), l.stamp(l.now(), result(st.text, got)))
	}
	err := l.returned(st, got)
	if err == nil {
		l.pass(st, "")
	}
	return err
}

// tolerance returns by how much a segment or result that is due at a time may be early or late.
func (l *live) tolerance(due time.Time) time.Duration {
	if due.Sub(l.acted) < time.Millisecond {
		return promptly
	}
	return slip(due.Sub(l.spoke)) + 4*l.lag
}

// end lets 150 ms pass in silence; no call may still wait.
func (l *live) end() error {
	l.pump(l.at.Add(150 * time.Millisecond))
	if err := l.silent(&statement{text: "(nothing)"}); err != nil {
		return err
	}
	for _, p := range l.pending {
		return fmt.Errorf("%s) still waits", p.name)
	}
	return nil
}
