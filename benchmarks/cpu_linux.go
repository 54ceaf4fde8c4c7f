package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of processor time in /proc: sysconf(_SC_CLK_TCK), which is always 100 a second on Linux.
const tick = 10 * time.Millisecond

// usage is the processor time of a process and of the whole machine.
type usage struct{ process, machine time.Duration }

// busy calls fn and returns the processor time that the server and the machine took meanwhile.
func (s *server) busy(fn func() error) (usage, error) {
	before, err := usageOf(s.cmd.Process.Pid)
	if err != nil {
		return usage{}, err
	}
	if err := fn(); err != nil {
		return usage{}, err
	}
	after, err := usageOf(s.cmd.Process.Pid)
	return usage{after.process - before.process, after.machine - before.machine}, err
}

func usageOf(pid int) (u usage, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	if u.process, err = parseStat(string(stat)); err != nil {
		return u, err
	}
	if stat, err = os.ReadFile("/proc/stat"); err != nil {
		return u, err
	}
	u.machine, err = parseMachine(string(stat))
	return u, err
}

// parseStat returns utime and stime of proc_pid_stat(5).
func parseStat(stat string) (time.Duration, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("stat has too few fields: %q", stat)
	}
	return ticks(fields[11:13])
}

// parseMachine returns the time that the processors of proc_stat(5) were not idle. The fields are user, nice,
// system, idle, iowait, irq, softirq; steal belongs to other machines, and guest time is part of user already.
func parseMachine(stat string) (time.Duration, error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 8 || fields[0] != "cpu" {
		return 0, fmt.Errorf("stat does not begin with all processors: %q", line)
	}
	return ticks(append(fields[1:4:4], fields[6:8]...))
}

func ticks(fields []string) (time.Duration, error) {
	var sum int64
	for _, f := range fields {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}

// memoryLine returns a line of a file in /proc that counts kB, in octets.
func memoryLine(file, name string) (float64, error) {
	n, err := strconv.ParseFloat(strings.TrimSuffix(lineOf(file, name), " kB"), 64)
	if err != nil {
		return 0, fmt.Errorf("%s, %s: %w", file, name, err)
	}
	return n * 1024, nil
}
