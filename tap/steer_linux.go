package tap

import (
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Writing a frame to a TAP device runs the peer's whole receive path in the call: 70 % of what a server on unet costs
// for a small request, a third of it to wake the peer's process on another processor, which the writer waits for.
// Receive packet steering (RPS) takes that path to a processor that does not write: the peer's, as a rule. With two
// processors and 64 connections it is worth 20 to 35 % of the requests. Large frames stay: between two of them the
// other processor runs dry, so that each would interrupt it anew, at a quarter of what sending the frame costs.

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
)

// steering hands the frames that a queue writes to a processor other than the writer's. Its methods are called
// under the writer's lock.
type steering struct {
	file   *os.File // the queue's rps_cpus
	cpus   []int    // that may be chosen, ascending
	target int      // index in cpus
	stays  bool     // frames are not handed over now
	calls  int      // of Write since the last look
	looks  int      // since the last decision
	met    int      // looks that found the writer on the target
	// What has been written since the last decision.
	frames, octets uint64
}

// newSteering returns the steering of queue number n of an interface, or an error where the system has none: it wants
// more than one processor and the right to configure the network.
func newSteering(name string, n int) (*steering, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, err
	}
	s := &steering{}
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

// wrote takes note of what a call to Write has written. Now and then it looks where the call runs, and moves the
// frames away from there.
func (s *steering) wrote(frames, octets uint64) {
	s.frames += frames
	s.octets += octets
	if s.calls++; s.calls < steerEvery {
		return
	}
	s.calls = 0
	cpu, err := currentCPU()
	if err != nil {
		return
	}
	s.look(cpu)
}

// look takes note that the writer ran on cpu.
func (s *steering) look(cpu int) {
	s.looks++
	if cpu == s.cpus[s.target] {
		s.met++
	}
	if s.looks < steerWindow {
		return
	}
	s.decide()
	s.looks, s.met, s.frames, s.octets = 0, 0, 0, 0
}

// decide says where the frames of the next window go.
func (s *steering) decide() {
	target, stays := s.target, s.frames < steerEvery*steerWindow*steerBatch || s.octets >= s.frames*steerBelow
	if s.met > steerWindow*3/4 {
		target = (target + 1) % len(s.cpus)
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
