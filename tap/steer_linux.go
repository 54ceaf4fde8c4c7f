package tap

import (
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack/link"
)

// Writing a frame to a TAP device runs the peer's whole receive path in the call. That is 70 % of what a small request
// costs a server on unet; a third of it wakes the peer's process on another processor, while the writer waits. Receive
// packet steering (RPS) hands that path to a processor that does not write, as a rule the peer's. With two processors
// and 64 connections it gains 20 to 35 % of the requests.
//
// Two kinds of frames stay with the writer ("local"), since each of them would interrupt the other processor:
//   - Large frames. Between two of them the other processor runs out of work. The interrupt costs a quarter of what
//     sending the frame costs.
//   - Frames that the peer is done with before the next one comes, such as those of connections that carry one request
//     each. Handed over ("steered") they cost the writer nearly as much as local ones, cost the peer more, and lose 8 to
//     12 % of the connections.
//
// What a frame costs either way depends on the machine and on the peer, so it is measured; but only with GOMAXPROCS=1.
// With more, Go's other threads interrupt the writer's measurements, and the decisions made from them cost 5 % of the
// requests.

// steering hands the frames that a queue writes to a processor other than the writer's. It decides once in a window of
// steerWindow looks, and a look is made at each steerLookEvery-th call to Write. Its methods are called under the
// writer's lock.
type steering struct {
	file   *os.File // the queue's rps_cpus
	cpus   []int    // processors that may be chosen, ascending
	target int      // index in cpus of the processor that frames are handed to
	local  bool     // frames stay with the writer now

	// The window in progress.
	calls          int         // calls to Write since the last look
	metTarget      int         // looks that found the writer on the target
	frames, octets uint64      // written
	costs          []writeCost // one for each look
	inTrial        bool        // the window tries the other way: it looks at every call, so that it is short
	wroteDatagram  bool

	// The comparison of both ways.
	comparesCost   bool   // it is made at all
	costLocal      recent // what a frame costs the writer if it stays
	costSteered    recent // what it costs if it is handed over
	loadSize       uint64 // frames of a full window when the comparison began; another load begins a new one
	preferLocal    bool   // the better way, as far as is known
	trialInterval  int    // windows between two trials
	windowsToTrial int

	settlesAt time.Time // from then on no datagram waits on the processor that the last one was handed to
}

// writeCost is how long a call to Write took, and how many frames it wrote.
type writeCost struct {
	took   time.Duration
	frames uint64
}

// newSteering returns the steering of queue number n of an interface. It returns an error where that is not possible:
// steering needs more than one processor and the right to configure the network.
func newSteering(name string, n int) (*steering, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, err
	}
	s := &steering{costs: make([]writeCost, 0, steerWindow), trialInterval: firstTrialInterval, windowsToTrial: 1,
		comparesCost: runtime.GOMAXPROCS(0) == 1}
	for cpu := 0; len(s.cpus) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			s.cpus = append(s.cpus, cpu)
		}
	}
	if len(s.cpus) < 2 {
		return nil, unix.ENODEV
	}
	var err error
	if s.file, err = openSysfs(fmt.Sprintf("class/net/%s/queues/rx-%d/rps_cpus", name, n)); err != nil {
		return nil, err
	}
	s.target = len(s.cpus) - 1
	if cpu, err := currentCPU(); err == nil && cpu == s.cpus[s.target] {
		s.target = 0
	}
	if err := s.set(s.cpus[s.target]); err != nil {
		s.file.Close()
		return nil, err
	}
	return s, nil
}

// openSysfs opens a file of sysfs as the calling thread's network namespace shows it, for reading and writing.
// The file system mounted at /sys may show another namespace's interfaces, which may have the same names.
func openSysfs(path string) (*os.File, error) {
	fs, err := unix.Fsopen("sysfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, os.NewSyscallError("fsconfig", err)
	}
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fsmount", err)
	}
	defer unix.Close(mount)
	fd, err := unix.Openat(mount, path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: "/sys/" + path, Err: err}
	}
	return os.NewFile(uintptr(fd), "/sys/"+path), nil
}

// measuring reports whether wrote needs the duration of the next call to Write.
func (s *steering) measuring() bool { return s.inTrial || s.calls == steerLookEvery-1 }

// wrote takes note of a call to Write: the frames and octets that it wrote, and its duration if measuring. At every
// steerLookEvery-th call it looks which processor the call runs on.
func (s *steering) wrote(frames, octets uint64, took time.Duration) {
	s.frames += frames
	s.octets += octets
	if !s.measuring() {
		s.calls++
		return
	}
	s.calls = 0
	cpu, err := currentCPU()
	if err != nil {
		return
	}
	s.look(cpu, writeCost{took, frames})
}

// look takes note that the writer ran on cpu at the given cost. The last look of a window makes the decision.
func (s *steering) look(cpu int, cost writeCost) {
	s.costs = append(s.costs, cost)
	if cpu == s.cpus[s.target] {
		s.metTarget++
	}
	if len(s.costs) < steerWindow {
		return
	}
	s.decide()
	s.costs, s.metTarget, s.frames, s.octets = s.costs[:0], 0, 0, 0
}

// keepsOrder reports whether the decision must stand because datagrams could overtake each other otherwise.
func (s *steering) keepsOrder(now func() time.Time) bool {
	if s.wroteDatagram {
		s.wroteDatagram, s.settlesAt = false, now().Add(steerSettle)
		return true
	}
	if s.settlesAt.IsZero() {
		return false
	}
	if now().Before(s.settlesAt) {
		return true
	}
	s.settlesAt = time.Time{}
	return false
}

// isDatagram reports whether a frame is an IP packet of another protocol than TCP. Neighbour discovery and the reports of
// group membership do not count: their messages need no order, as those of ARP.
func isDatagram(frame []byte, kind link.Kind) bool {
	network := networkStart(kind)
	if len(frame) <= network {
		return false
	}
	packet := frame[network:]
	switch packet[0] >> 4 {
	case 4:
		return len(packet) > ipProtocol && packet[ipProtocol] != tcpProtocol && packet[ipProtocol] != igmpProtocol
	case 6:
		return len(packet) > ip6NextHeader && packet[ip6NextHeader] != tcpProtocol && !isHousekeeping6(packet)
	}
	return false
}

// isHousekeeping6 reports whether an IPv6 packet is a message of RFC 4861 or one of RFC 3810 behind its router alert
// option, which are the only ones that a host sends with a hop-by-hop options header.
func isHousekeeping6(packet []byte) bool {
	const icmp6, hopByHop, routerSolicitation, redirect = 58, 0, 133, 137
	if len(packet) <= ip6Payload {
		return false
	}
	switch first := packet[ip6Payload]; packet[ip6NextHeader] {
	case icmp6:
		return first >= routerSolicitation && first <= redirect
	case hopByHop:
		return first == icmp6 // the next header behind the options
	}
	return false
}

// decide decides where the frames of the next window go.
func (s *steering) decide() {
	if s.keepsOrder(time.Now) {
		s.inTrial = false
		return
	}
	calls := uint64(steerWindow * steerLookEvery)
	if s.inTrial {
		calls = steerWindow
	}
	s.inTrial = false
	target, local := s.target, s.frames < calls*steerMinFrames || s.octets >= s.frames*steerMaxOctets
	if s.metTarget > steerWindow*3/4 {
		target = (target + 1) % len(s.cpus)
	}
	if s.comparesCost && !local {
		if load := s.frames * steerWindow * steerLookEvery / calls; load > 2*s.loadSize || 2*load < s.loadSize {
			s.restartComparison(load)
		}
		local = s.compareCosts()
	}
	if target == s.target && local == s.local {
		return
	}
	cpu := s.cpus[target]
	if local {
		cpu = -1
	}
	if s.set(cpu) == nil {
		s.target, s.local = target, local
	}
}

// restartComparison forgets the costs: they were measured under another load.
func (s *steering) restartComparison(load uint64) {
	s.loadSize, s.costLocal, s.costSteered, s.preferLocal = load, recent{}, recent{}, false
	s.trialInterval, s.windowsToTrial = firstTrialInterval, 1
}

// compareCosts reports whether frames that may be handed over stay with the writer during the next window: because that
// is cheaper, or because the window is a trial of the way that has not been measured for trialInterval windows.
func (s *steering) compareCosts() (local bool) {
	if s.local {
		s.costLocal.add(s.frameCost())
	} else {
		s.costSteered.add(s.frameCost())
	}
	costLocal := s.costLocal.typical()
	preferLocal := costLocal > 0 && s.costSteered.typical()*100 > costLocal*steerMaxCost
	if preferLocal != s.preferLocal {
		s.preferLocal, s.trialInterval, s.windowsToTrial = preferLocal, firstTrialInterval, firstTrialInterval
	}
	if s.windowsToTrial--; s.windowsToTrial > 0 {
		return preferLocal
	}
	s.windowsToTrial = s.trialInterval
	s.trialInterval = min(2*s.trialInterval, lastTrialInterval)
	s.inTrial = true
	return !preferLocal
}

// frameCost returns the mean cost of a frame in the window. The most expensive quarter of the calls is left out: another
// process may have interrupted them.
func (s *steering) frameCost() time.Duration {
	// Insertion sort is fast enough for so few, and slices.SortFunc would add 10 KB to every program.
	for i := range s.costs {
		for ; i > 0 && s.costs[i].less(s.costs[i-1]); i-- {
			s.costs[i], s.costs[i-1] = s.costs[i-1], s.costs[i]
		}
	}
	var sum writeCost
	for _, c := range s.costs[:len(s.costs)*3/4] {
		sum.took, sum.frames = sum.took+c.took, sum.frames+c.frames
	}
	return max(sum.took/time.Duration(max(sum.frames, 1)), 1)
}

// less reports whether a frame cost less in c than in d.
func (c writeCost) less(d writeCost) bool {
	return c.took*time.Duration(d.frames) < d.took*time.Duration(c.frames)
}

// recent holds the last three measurements of something.
type recent struct {
	last [3]time.Duration
	n    int
}

func (r *recent) add(d time.Duration) {
	r.last[r.n%len(r.last)] = d
	r.n++
}

// typical returns the median, so that a single outlier decides nothing. It is the lower one of two measurements, and zero
// if there is none.
func (r *recent) typical() time.Duration {
	switch a, b, c := r.last[0], r.last[1], r.last[2]; r.n {
	case 0, 1:
		return a
	case 2:
		return min(a, b)
	default:
		return max(min(a, b), min(max(a, b), c))
	}
}

// set hands frames to cpu. If cpu is below 0 frames stay with the writer.
func (s *steering) set(cpu int) error {
	_, err := s.file.WriteAt([]byte(cpuMask(cpu)), 0)
	return err
}

// close makes frames stay with the writer again, since the interface may outlive its queue.
func (s *steering) close() {
	s.set(-1)
	s.file.Close()
}

// cpuMask returns the set that has cpu alone, as the kernel reads it: groups of 32 bits in hexadecimal, the highest
// first.
func cpuMask(cpu int) string {
	if cpu < 0 {
		return "0"
	}
	mask := fmt.Sprintf("%x", 1<<(cpu%32))
	for range cpu / 32 {
		mask += ",00000000"
	}
	return mask
}

// currentCPU returns the processor that the caller runs on. The scheduler may move the caller at any time.
func currentCPU() (int, error) {
	var cpu uint32
	if _, _, errno := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0); errno != 0 {
		return 0, errno
	}
	return int(cpu), nil
}
