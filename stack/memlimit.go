package stack

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
)

const (
	mostBuffered  = 1 << 30 // what Config.MaxBuffered is at most by default
	leastBuffered = 1 << 20 // and at least: a smaller limit leaves no room for Go itself
	// bufferedPart is the part of the memory limit that the queues may take. Go's collector lets the heap grow to
	// twice what lives, connections that move may have a quarter more than the cap, and the program needs its own.
	bufferedPart = 4
)

// defaultBuffered returns the default of Config.MaxBuffered where memory is limited to so many octets.
func defaultBuffered(limit int64) int64 {
	return max(min(mostBuffered, limit/bufferedPart), leastBuffered)
}

// memoryLimit returns how many octets this process may have: the least of Go's memory limit and its control group's.
func memoryLimit() int64 { return min(debug.SetMemoryLimit(-1), processLimit()) }

// processLimit is what the control group of the process had for a limit when the first host was made.
var processLimit = sync.OnceValue(func() int64 {
	if runtime.GOOS != "linux" {
		return math.MaxInt64
	}
	return cgroupLimit(os.ReadFile)
})

// readFile is os.ReadFile, or a test's.
type readFile func(name string) ([]byte, error)

// cgroupLimit returns the memory limit in octets of the control group that the process is in, and of those above it,
// of both versions. MaxInt64 says that there is none: what cannot be read or understood limits nothing.
func cgroupLimit(read readFile) int64 {
	limit := int64(math.MaxInt64)
	mounts := lines(read, "/proc/self/mountinfo")
	for _, line := range lines(read, "/proc/self/cgroup") {
		// 4:cpu,memory:/group, and 0::/group for version 2
		f := strings.SplitN(line, ":", 3)
		if len(f) != 3 {
			continue
		}
		switch {
		case f[0] == "0" && f[1] == "":
			limit = min(limit, hierarchyLimit(read, mounts, "cgroup2", f[2], "memory.max", "memory.high"))
		case hasWord(f[1], "memory"):
			limit = min(limit, hierarchyLimit(read, mounts, "cgroup", f[2], "memory.limit_in_bytes"))
		}
	}
	return limit
}

// hierarchyLimit returns the least of the limits in the files so named, of a group and all above it, in the hierarchy
// that is mounted with a type of file system.
func hierarchyLimit(read readFile, mounts []string, fstype, group string, names ...string) int64 {
	limit := int64(math.MaxInt64)
	for _, line := range mounts {
		m, ok := parseMount(line)
		if !ok || m.fstype != fstype || fstype == "cgroup" && !hasWord(m.options, "memory") {
			continue
		}
		dir := m.dir(group)
		if fstype == "cgroup" {
			// Limits above what a container sees of the hierarchy stand here only.
			limit = min(limit, statLimit(read, dir+"/memory.stat"))
		}
		for ; ; dir = dir[:strings.LastIndexByte(dir, '/')] {
			for _, name := range names {
				limit = min(limit, fileLimit(read, dir+"/"+name))
			}
			if dir == m.point {
				break
			}
		}
	}
	return limit
}

// mount is a line of /proc/self/mountinfo: the part of a file system that is mounted, and where, without a slash at the end.
type mount struct{ root, point, fstype, options string }

// parseMount takes a line apart: "34 30 0:31 /root /point rw,relatime shared:2 - cgroup cgroup rw,memory".
func parseMount(line string) (m mount, ok bool) {
	before, after, ok := strings.Cut(line, " - ")
	where, what := strings.Fields(before), strings.Fields(after)
	if !ok || len(where) < 5 || len(what) < 3 {
		return m, false
	}
	return mount{root: unescape(where[3]), point: strings.TrimSuffix(unescape(where[4]), "/"), fstype: what[0], options: what[2]}, true
}

// dir returns the directory of a group. In a container the mount may begin at the container's own group, and what the
// kernel calls the group be another path, or one out of the container's sight: then it is where the mount begins.
func (m *mount) dir(group string) string {
	if rest, ok := strings.CutPrefix(group, strings.TrimSuffix(m.root, "/")); ok && (rest == "" || rest[0] == '/') &&
		!hasParent(rest) {
		return m.point + strings.TrimSuffix(rest, "/")
	}
	return m.point
}

// hasParent says whether a path goes up.
func hasParent(p string) bool { return strings.Contains(p+"/", "/../") }

// unescape replaces the escapes of mountinfo, a backslash and three octal digits.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// hasWord says whether word is one of a list separated by commas.
func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// statLimit returns the hierarchical limit in a memory.stat of version 1.
func statLimit(read readFile, name string) int64 {
	for _, line := range lines(read, name) {
		if value, ok := strings.CutPrefix(line, "hierarchical_memory_limit "); ok {
			return parseLimit(value)
		}
	}
	return math.MaxInt64
}

// fileLimit returns the limit that is all that a file holds.
func fileLimit(read readFile, name string) int64 {
	if all := lines(read, name); len(all) > 0 {
		return parseLimit(all[0])
	}
	return math.MaxInt64
}

// parseLimit returns MaxInt64 for "max" and for what is no number. Version 1 says "no limit" with a number of nearly
// that size.
func parseLimit(s string) int64 {
	if n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64); err == nil && n < math.MaxInt64 {
		return int64(n)
	}
	return math.MaxInt64
}

// lines returns the lines of a file, none where it cannot be read.
func lines(read readFile, name string) []string {
	b, err := read(name)
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}
