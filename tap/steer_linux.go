package tap

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack/link"
)

// Writing a frame to a TAP device runs the peer's whole receive path in the call: 70 % of what a server on unet costs
// for a small request, a third of it to wake the peer's process on another processor, which the writer waits for.
// Receive packet steering (RPS) takes that path to a processor that does not write: the peer's, as a rule. With two
// processors and 64 connections it is worth 20 to 35 % of the requests. Large frames stay: between two of them the
// other processor runs dry, so that each would interrupt it anew, at a quarter of what sending the frame costs. So do
// those that the peer is done with faster than the next one comes, for the same reason: the frames of connections that
// carry one request each cost the writer nearly as much handed over as kept, and the peer more, and 8 to 12 % of the
// connections. What a frame costs either way is measured, since the machine and the peer decide it; but only where Go
// has one processor. With several each interrupts the writer's measurements, and what they then decide costs 5 % of the
// requests.

const (
	// steerEvery is the number of calls to Write between two looks at where they run.
	steerEvery = 8
	// steerWindow is the number of looks after which frames are handed elsewhere, if most of them found the
	// writer on the processor that frames are handed to.
	steerWindow = 16
	// steerBatch is the mean number of frames of a call to Write below which they stay with the writer: it then waits
	// for the answer to each, and another processor would have to be woken for each.
	steerBatch = 2
	// steerBelow is the mean size in octets of the frames of a window from which they stay with the writer.
	steerBelow = 8192
	// steerWorth is the part of what a frame costs kept, in percent, that it may cost handed over at most.
	steerWorth = 70
	// steerFirst is the number of windows after which one window tries the other way, to measure it anew. As long as the
	// decision stands it is doubled each time, up to steerLast.
	steerFirst, steerLast = 4, 8
)

// steering hands the frames that a queue writes to a processor other than the writer's. Its methods are called
// under the writer's lock.
type steering struct {
	file   *os.File // the queue's rps_cpus
	cpus   []int    // that may be chosen, ascending
	target int      // index in cpus
	stays  bool     // frames are not handed over now
	calls  int      // of Write since the last look
	met    int      // looks that found the writer on the target
	// What has been written since the last decision, and what a frame has cost at each look.
	frames, octets uint64
	costs          []writeCost

	kept, handed recent    // what a frame costs the writer
	batch        uint64    // frames of a window of full length when that began to be measured
	keeps        bool      // is the better way, as far as is known
	every, left  int       // windows between two trials, and until the next
	weighs       bool      // what frames cost is compared
	trial        bool      // this window tries the other way: it looks at every call, to be short
	datagram     bool      // one was written in this window
	settled      time.Time // from when on no datagram waits where the last one was handed to
}

// writeCost is how long a call to Write took, and how many frames it wrote.
type writeCost struct {
	took   time.Duration
	frames uint64
}

// newSteering returns the steering of queue number n of an interface, or an error where the system has none: it wants
// more than one processor and the right to configure the network.
func newSteering(name string, n int) (*steering, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, err
	}
	s := &steering{costs: make([]writeCost, 0, steerWindow), every: steerFirst, left: 1,
		weighs: runtime.GOMAXPROCS(0) == 1}
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
// What is mounted at /sys may show another namespace's interfaces, which may have the same names.
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

// measuring says whether wrote wants to know how long the next call to Write takes.
func (s *steering) measuring() bool { return s.trial || s.calls == steerEvery-1 }

// wrote takes note of what a call to Write has written, and of how long that took. Now and then it looks where the
// call runs, and moves the frames away from there.
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

// look takes note that the writer ran on cpu, and what a frame cost it.
func (s *steering) look(cpu int, cost writeCost) {
	s.costs = append(s.costs, cost)
	if cpu == s.cpus[s.target] {
		s.met++
	}
	if len(s.costs) < steerWindow {
		return
	}
	s.decide()
	s.costs, s.met, s.frames, s.octets = s.costs[:0], 0, 0, 0
}

// steerSettle is how long the decision stands after a datagram. What was handed to a processor may wait there, and
// what is written after the decision has changed would overtake it. TCP puts that right, nobody does for datagrams.
const steerSettle = time.Second

// keepsOrder says whether the decision must stand for the sake of datagrams.
func (s *steering) keepsOrder(now func() time.Time) bool {
	if s.datagram {
		s.datagram, s.settled = false, now().Add(steerSettle)
		return true
	}
	if s.settled.IsZero() {
		return false
	}
	if now().Before(s.settled) {
		return true
	}
	s.settled = time.Time{}
	return false
}

// isDatagram says whether a frame is an IP packet of another protocol than TCP, apart from neighbour discovery, which
// has no order, as ARP has none.
func isDatagram(frame []byte, kind link.Kind) bool {
	network := networkStart(kind)
	if len(frame) <= network {
		return false
	}
	packet := frame[network:]
	switch packet[0] >> 4 {
	case 4:
		return len(packet) > ipProtocol && packet[ipProtocol] != tcpProtocol
	case 6:
		return len(packet) > ip6NextHeader && packet[ip6NextHeader] != tcpProtocol && !isNeighborDiscovery(packet)
	}
	return false
}

// isNeighborDiscovery says whether an IPv6 packet is a message of RFC 4861.
func isNeighborDiscovery(packet []byte) bool {
	const icmp6, routerSolicitation, redirect = 58, 133, 137
	return packet[ip6NextHeader] == icmp6 && len(packet) > ip6Payload &&
		packet[ip6Payload] >= routerSolicitation && packet[ip6Payload] <= redirect
}

// decide says where the frames of the next window go.
func (s *steering) decide() {
	if s.keepsOrder(time.Now) {
		s.trial = false
		return
	}
	calls := uint64(steerWindow * steerEvery)
	if s.trial {
		calls = steerWindow
	}
	s.trial = false
	target, stays := s.target, s.frames < calls*steerBatch || s.octets >= s.frames*steerBelow
	if s.met > steerWindow*3/4 {
		target = (target + 1) % len(s.cpus)
	}
	if s.weighs && !stays {
		if batch := s.frames * steerWindow * steerEvery / calls; batch > 2*s.batch || 2*batch < s.batch {
			// Another load: what the last one has taught is of no use.
			s.batch, s.kept, s.handed, s.keeps, s.every, s.left = batch, recent{}, recent{}, false, steerFirst, 1
		}
		stays = s.weigh()
	}
	if target == s.target && stays == s.stays {
		return
	}
	cpu := s.cpus[target]
	if stays {
		cpu = -1
	}
	if s.set(cpu) == nil {
		s.target, s.stays = target, stays
	}
}

// weigh says whether frames that may be handed over stay during the next window: it compares what they cost, or
// tries the way that has not been measured for long.
func (s *steering) weigh() (stays bool) {
	if s.stays {
		s.kept.add(s.frameCost())
	} else {
		s.handed.add(s.frameCost())
	}
	kept := s.kept.typical()
	keeps := kept > 0 && s.handed.typical()*100 > kept*steerWorth
	if keeps != s.keeps {
		s.keeps, s.every, s.left = keeps, steerFirst, steerFirst
	}
	if s.left--; s.left > 0 {
		return keeps
	}
	s.left = s.every
	s.every = min(2*s.every, steerLast)
	s.trial = true
	return !keeps
}

// frameCost returns what a frame has cost in the window. The calls in which it cost the most are left out: another
// process may have interrupted them.
func (s *steering) frameCost() time.Duration {
	// So few are in order soon, and a sort of package slices for them alone would be 10 KB of every program.
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

// less says whether a frame cost less in c than in d.
func (c writeCost) less(d writeCost) bool {
	return c.took*time.Duration(d.frames) < d.took*time.Duration(c.frames)
}

// recent is the last few measurements of something.
type recent struct {
	last [3]time.Duration
	n    int
}

func (r *recent) add(d time.Duration) {
	r.last[r.n%len(r.last)] = d
	r.n++
}

// typical returns their median, of two the lower one, and zero of none: one alone that is out of the way decides nothing.
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

// set hands frames to cpu; below 0 it leaves them where they are written.
func (s *steering) set(cpu int) error {
	_, err := s.file.WriteAt([]byte(cpuMask(cpu)), 0)
	return err
}

// close gives the frames back to the writer's processor: an interface may outlive its queue.
func (s *steering) close() {
	s.set(-1)
	s.file.Close()
}

// cpuMask is the set of cpu alone as the kernel reads it: groups of 32 bits in hexadecimal, the highest first.
func cpuMask(cpu int) string {
	if cpu < 0 {
		return "0"
	}
	return fmt.Sprintf("%x", 1<<(cpu%32)) + strings.Repeat(",00000000", cpu/32)
}

// currentCPU is the processor that the caller runs on, or did until just now.
func currentCPU() (int, error) {
	var cpu uint32
	if _, _, errno := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0); errno != 0 {
		return 0, errno
	}
	return int(cpu), nil
}
