package tap

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/link"
)

// never is a number of windows that no test reaches.
const never = 1 << 30

// steeringOn returns a steering that makes no trials and writes to an ordinary file, and a function that reads the file.
func steeringOn(t *testing.T, cpus []int, target int) (*steering, func() string) {
	path := filepath.Join(t.TempDir(), "rps_cpus")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return &steering{file: file, cpus: cpus, target: target, trialInterval: firstTrialInterval, windowsToTrial: never}, func() string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

func TestSteeringFollowsTheWriter(t *testing.T) {
	s, file := steeringOn(t, []int{2, 3, 35}, 1)
	look := func(cpu, times int) {
		for range times {
			s.frames += steerMinFrames * steerLookEvery
			s.look(cpu, writeCost{})
		}
	}
	look(2, 5*steerWindow)
	if got := file(); got != "" {
		t.Fatalf("the writer never met the target, yet frames go to %q", got)
	}
	// As often here as there: moving would gain nothing.
	for range steerWindow {
		look(2, 1)
		look(3, 1)
	}
	if got := file(); got != "" {
		t.Fatalf("the writer met the target half of the time, yet frames go to %q", got)
	}
	look(3, steerWindow-1)
	if got := file(); got != "" {
		t.Fatalf("frames go to %q before the window is over", got)
	}
	look(3, 1)
	if got, want := file(), "8,00000000"; got != want {
		t.Fatalf("frames go to %q, want %q", got, want)
	}
	look(35, steerWindow)
	// In the kernel each write replaces the value; in this file the end of a longer one stays.
	if got := file(); !strings.HasPrefix(got, "4") || s.cpus[s.target] != 2 {
		t.Fatalf("frames go to %q, processor %d, want the first again", got, s.cpus[s.target])
	}
}

func TestSteeringLeavesLargeFrames(t *testing.T) {
	s, file := steeringOn(t, []int{0, 1}, 1)
	window := func(size uint64) string {
		for range steerWindow {
			s.frames, s.octets = s.frames+2*steerLookEvery, s.octets+2*steerLookEvery*size
			s.look(0, writeCost{})
		}
		return file()
	}
	for _, c := range []struct {
		size uint64
		want string
	}{{steerMaxOctets - 1, ""}, {steerMaxOctets, "0"}, {65535, "0"}, {steerMaxOctets - 1, "2"}, {60, "2"}} {
		if got := window(c.size); got != c.want {
			t.Errorf("after frames of %d octets they go to %q, want %q", c.size, got, c.want)
		}
	}
	for range steerWindow {
		s.frames, s.octets = s.frames+2*steerLookEvery-1, s.octets+60
		s.look(0, writeCost{})
	}
	if got := file(); got != "0" {
		t.Errorf("fewer than two frames a call, and they go to %q", got)
	}
	// While they stay the target does not change. When they are handed over again it is to a processor that does not write.
	window(65535)
	for range steerWindow {
		s.frames, s.octets = s.frames+2*steerLookEvery, s.octets+60
		s.look(1, writeCost{})
	}
	if got := file(); got != "1" {
		t.Errorf("frames go to %q, want the processor that does not write", got)
	}
}

// TestSteeringMeasures has frames cost the writer less one way or the other, and looks which way the steering takes.
func TestSteeringMeasures(t *testing.T) {
	s, _ := steeringOn(t, []int{0, 1}, 1)
	s.comparesCost, s.windowsToTrial = true, 1
	// run lets windows pass, with calls of ten frames that cost local or steered, and returns the number of local windows.
	run := func(windows int, local, steered time.Duration) (stayed int) {
		for range windows {
			cost := steered
			if s.local {
				cost = local
				stayed++
			}
			calls := 0
			for done := false; !done; calls++ {
				took := 10 * cost
				if calls%5 == 0 {
					took += 3 * time.Millisecond // another process has interrupted the call
				}
				before := len(s.costs)
				if s.measuring() {
					s.calls = 0
					s.frames += 10
					s.look(0, writeCost{took, 10})
					done = len(s.costs) < before
				} else {
					s.calls++
					s.frames += 10
				}
			}
			if want := steerWindow; calls != want && calls != want*steerLookEvery {
				t.Fatalf("a window of %d calls", calls)
			}
		}
		return stayed
	}
	const local = 2000 * time.Nanosecond
	worth, vain := local*steerMaxCost/100, local*steerMaxCost/100+100
	if n := run(firstTrialInterval, local, worth); n != 1 || s.local {
		t.Errorf("%d windows stayed, want the one of the trial; local %v", n, s.local)
	}
	if n := run(500, local, worth); n < 500/lastTrialInterval || n > 500/lastTrialInterval+4 {
		t.Errorf("%d windows of 500 tried the other way", n)
	}
	run(4*lastTrialInterval, local, vain)
	if n := run(lastTrialInterval, local, vain); n < lastTrialInterval-1 {
		t.Errorf("handed over in vain: %d of %d windows stayed", n, lastTrialInterval)
	}
	run(4*lastTrialInterval, local, worth)
	if n := run(lastTrialInterval, local, worth); n > 1 {
		t.Errorf("worth it again: %d of %d windows stayed", n, lastTrialInterval)
	}
	// A single outlier decides nothing.
	s.inTrial, s.windowsToTrial = false, never
	run(3, local, worth)
	run(1, local, 10*worth)
	if s.local {
		t.Error("one window changed the decision")
	}
}

// TestSteeringKeepsDatagramsInOrder checks that a decision stands as long as a datagram may wait on the processor that it
// was handed to.
func TestSteeringKeepsDatagramsInOrder(t *testing.T) {
	var s steering
	at := time.Unix(1, 0)
	now := func() time.Time { return at }
	if s.keepsOrder(now) {
		t.Error("a decision must stand though there were no datagrams")
	}
	s.wroteDatagram = true
	for _, tt := range []struct {
		pass time.Duration
		want bool
	}{{0, true}, {steerSettle - 1, true}, {1, false}, {0, false}} {
		at = at.Add(tt.pass)
		if got := s.keepsOrder(now); got != tt.want {
			t.Errorf("after another %v: %t, want %t", tt.pass, got, tt.want)
		}
	}
	udp := make([]byte, 34)
	udp[14], udp[23] = 0x45, 17
	tcp := append([]byte(nil), udp...)
	tcp[23] = 6
	igmp := append([]byte(nil), udp...)
	igmp[23] = 2
	for _, tt := range []struct {
		frame []byte
		kind  link.Kind
		want  bool
	}{{udp, link.Ethernet, true}, {tcp, link.Ethernet, false}, {udp[:23], link.Ethernet, false}, {udp[14:], link.IP, true},
		{tcp[14:], link.IP, false}, {nil, link.IP, false},
		{datagram6(17, 0), link.Ethernet, true}, {datagram6(17, 0)[14:], link.IP, true}, {datagram6(6, 0), link.Ethernet, false},
		{datagram6(6, 0)[14:], link.IP, false}, {datagram6(44, 0), link.Ethernet, true}, {datagram6(58, 128), link.Ethernet, true},
		{datagram6(58, 132), link.Ethernet, true}, {datagram6(58, 133), link.Ethernet, false}, {datagram6(58, 137), link.Ethernet, false},
		{datagram6(58, 138), link.Ethernet, true}, {datagram6(17, 135), link.Ethernet, true}, {datagram6(58, 0)[:54], link.Ethernet, true},
		{datagram6(0, 58), link.Ethernet, false}, {datagram6(0, 58)[14:], link.IP, false}, {datagram6(0, 17), link.Ethernet, true},
		{igmp, link.Ethernet, false}, {datagram6(17, 0)[:20], link.Ethernet, false}, {datagram6(17, 0)[:14], link.Ethernet, false}} {
		if got := isDatagram(tt.frame, tt.kind); got != tt.want {
			t.Errorf("%x: %t, want %t", tt.frame, got, tt.want)
		}
	}
}

// datagram6 is an IPv6 packet in an Ethernet frame, of a next header and with a first octet behind its header.
func datagram6(next, first byte) []byte {
	b := make([]byte, 14+40+8)
	b[14], b[14+ip6NextHeader], b[14+40] = 0x60, next, first
	return b
}

func TestCPUMask(t *testing.T) {
	for cpu, want := range map[int]string{-1: "0", 0: "1", 5: "20", 31: "80000000", 32: "1,00000000", 70: "40,00000000,00000000"} {
		if got := cpuMask(cpu); got != want {
			t.Errorf("processor %d: %q, want %q", cpu, got, want)
		}
	}
}

func TestSpin(t *testing.T) {
	var at time.Time
	now := func() time.Time { return at }
	pass := func(d time.Duration) { at = at.Add(d) }
	var s spin
	// miss finds nothing until the reader would wait in the poller, and returns how long it looked.
	miss := func() (looked time.Duration) {
		for s.again(now) {
			pass(10 * time.Microsecond)
			looked += 10 * time.Microsecond
		}
		return looked
	}
	pass(time.Hour)
	if d := miss(); d != 0 {
		t.Fatalf("a new reader looked for %v", d)
	}
	pass(spinSoon + 1)
	s.found(60, now)
	if d := miss(); d != 0 {
		t.Fatalf("after a long wait it looked for %v", d)
	}
	pass(spinSoon)
	s.found(60, now)
	if d := miss(); d != spinFor {
		t.Fatalf("after a short wait it looked for %v, want %v", d, spinFor)
	}
	// That was in vain: it takes more than one short wait to make up for it.
	for i := range spinLoss {
		pass(spinSoon)
		s.found(60, now)
		if d := miss(); (d != 0) != (i == spinLoss-1) {
			t.Fatalf("short wait %d after a vain spin: it looked for %v", i+1, d)
		}
	}
	// Frames that come while it looks keep it looking.
	s = spin{credit: 1}
	for range 100 {
		if !s.again(now) {
			t.Fatal("it gave up though frames came each time")
		}
		pass(spinFor / 2)
		s.found(60, now)
	}
	if s.credit != spinCredit {
		t.Errorf("credit %d, want %d", s.credit, spinCredit)
	}
	for i := range spinCredit / spinLoss {
		if d := miss(); d != spinFor {
			t.Fatalf("vain spin %d lasted %v", i+1, d)
		}
		pass(time.Second)
		s.found(60, now)
	}
	if d := miss(); d != 0 {
		t.Errorf("it looked for %v after %d vain spins", d, spinCredit/spinLoss)
	}
	s = spin{credit: 2 * spinLoss}
	for _, want := range []time.Duration{spinFor / 2, spinFor / 2, 0} {
		looked := time.Duration(0)
		for looked < spinFor/2 && s.again(now) {
			pass(spinFor / 4)
			looked += spinFor / 4
		}
		if s.found(spinBelow, now); looked != want {
			t.Errorf("between large frames it looked for %v, want %v", looked, want)
		}
	}
	s = spin{}
	miss()
	// A wakeup for nothing neither counts as a spin nor begins one.
	pass(time.Minute)
	if s.again(now) {
		t.Error("it looks again after a wakeup for nothing")
	}
}

// OpenSysfs is for the tests that need an interface.
var OpenSysfs = openSysfs
