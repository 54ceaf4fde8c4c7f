package stack

import (
	"io/fs"
	"math"
	"runtime/debug"
	"strings"
	"testing"
)

// tree reads files of such content.
func tree(files map[string]string) readFile {
	return func(name string) ([]byte, error) {
		if content, ok := files[strings.TrimPrefix(name, "/")]; ok {
			return []byte(content), nil
		}
		return nil, fs.ErrNotExist
	}
}

const (
	mountV2 = "30 22 0:27 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	mountV1 = "34 30 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
	hybrid  = "31 30 0:28 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n" + mountV1 +
		"40 30 0:37 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
	groupV1   = "5:devices:/\n4:memory:/a/b\n0::/\n"
	unlimited = "9223372036854771712\n"
)

func TestCgroupLimit(t *testing.T) {
	const none = math.MaxInt64
	for _, x := range []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"no files", nil, none},
		{"no mounts", map[string]string{"proc/self/cgroup": "0::/a\n"}, none},
		{"version 2: max", map[string]string{
			"proc/self/mountinfo": mountV2, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, none},
		{"version 2: the group's own", map[string]string{
			"proc/self/mountinfo": mountV2, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "268435456\n"}, 256 << 20},
		{"version 2: that of a group above", map[string]string{
			"proc/self/mountinfo": mountV2, "proc/self/cgroup": "0::/a/b/c\n", "sys/fs/cgroup/a/b/c/memory.max": "max\n",
			"sys/fs/cgroup/a/b/memory.max": "536870912\n", "sys/fs/cgroup/a/memory.max": "67108864\n"}, 64 << 20},
		{"version 2: memory.high, where the kernel begins to hold the process up", map[string]string{
			"proc/self/mountinfo": mountV2, "proc/self/cgroup": "0::/a\n",
			"sys/fs/cgroup/a/memory.max": "268435456\n", "sys/fs/cgroup/a/memory.high": "134217728\n"}, 128 << 20},
		{"version 2: a container whose group is the root of its namespace", map[string]string{
			"proc/self/mountinfo": mountV2, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "134217728\n"}, 128 << 20},
		{"version 2: a container that sees its own group as the root of the mount", map[string]string{
			"proc/self/mountinfo": "30 22 0:27 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup rw\n", "proc/self/cgroup": "0::/docker/x/sub\n",
			"sys/fs/cgroup/memory.max": "134217728\n", "sys/fs/cgroup/sub/memory.max": "268435456\n"}, 128 << 20},
		{"version 2: a group out of the container's sight", map[string]string{
			"proc/self/mountinfo": mountV2, "proc/self/cgroup": "0::/../other\n",
			"sys/fs/cgroup/memory.max": "134217728\n", "sys/fs/other/memory.max": "1\n"}, 128 << 20},
		{"version 2: no controller there", map[string]string{
			"proc/self/mountinfo": mountV2, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cgroup.procs": "1\n"}, none},
		{"hybrid: version 1 has the memory", map[string]string{
			"proc/self/mountinfo": hybrid, "proc/self/cgroup": groupV1, "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "268435456\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": unlimited}, 256 << 20},
		{"version 1: no limit", map[string]string{
			"proc/self/mountinfo": hybrid, "proc/self/cgroup": groupV1, "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": unlimited}, 9223372036854771712},
		{"version 1: that of a group above", map[string]string{
			"proc/self/mountinfo": hybrid, "proc/self/cgroup": groupV1, "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": unlimited,
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "67108864\n"}, 64 << 20},
		{"version 1: a limit above what the container sees", map[string]string{
			"proc/self/mountinfo": "34 30 0:31 /docker/x /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n", "proc/self/cgroup": "4:memory:/docker/x\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": unlimited,
			"sys/fs/cgroup/memory/memory.stat":           "cache 1\nhierarchical_memory_limit 67108864\nhierarchical_memsw_limit 1\n"}, 64 << 20},
		{"version 1: a name beside the mount's root is not inside it", map[string]string{
			"proc/self/mountinfo": "34 30 0:31 /docker/x /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n", "proc/self/cgroup": "4:memory:/docker/xy\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "67108864\n", "sys/fs/cgroup/memory/y/memory.limit_in_bytes": "1\n"}, 64 << 20},
		{"version 1: several controllers on one mount, with a blank in its name", map[string]string{
			"proc/self/mountinfo": `34 30 0:31 / /my\040groups rw - cgroup none rw,cpu,memory` + "\n", "proc/self/cgroup": "4:cpu,memory:/a\n",
			"my groups/a/memory.limit_in_bytes": "67108864\n"}, 64 << 20},
		{"a limit of nothing", map[string]string{
			"proc/self/mountinfo": mountV2, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "0\n"}, 0},
		{"nonsense", map[string]string{
			"proc/self/mountinfo": "\n- -\n1 2 - cgroup2\n" + mountV2, "proc/self/cgroup": "x\n0:\n0::\n0::/a\n::/\n",
			"sys/fs/cgroup/a/memory.max": "-1\n", "sys/fs/cgroup/memory.max": "lots\n", "sys/fs/cgroup/memory.high": ""}, none},
	} {
		t.Run(x.name, func(t *testing.T) {
			if got := cgroupLimit(tree(x.files)); got != x.want {
				t.Errorf("%d, want %d", got, x.want)
			}
		})
	}
	t.Run("what is there and cannot be read limits nothing", func(t *testing.T) {
		files := tree(map[string]string{"proc/self/mountinfo": mountV2, "proc/self/cgroup": "0::/a\n"})
		read := func(name string) ([]byte, error) {
			if name == "/sys/fs/cgroup/a/memory.max" {
				return []byte("1\n"), fs.ErrPermission
			}
			return files(name)
		}
		if got := cgroupLimit(read); got != none {
			t.Errorf("%d", got)
		}
	})
}

func TestDefaultBuffered(t *testing.T) {
	for limit, want := range map[int64]int64{math.MaxInt64: 1 << 30, 8 << 30: 1 << 30, 4 << 30: 1 << 30, 1 << 30: 256 << 20,
		256 << 20: 64 << 20, 64 << 20: 16 << 20, 1 << 20: 1 << 20, 0: 1 << 20} {
		if got := defaultBuffered(limit); got != want {
			t.Errorf("%d of a limit of %d, want %d", got, limit, want)
		}
	}
	t.Run("Go's memory limit counts, and Config.MaxBuffered goes before all", func(t *testing.T) {
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(400 << 20))
		if got := (Config{}).withDefaults().MaxBuffered; got != 100<<20 {
			t.Errorf("%d by default", got)
		}
		if got := (Config{MaxBuffered: 1 << 31}).withDefaults().MaxBuffered; got != 1<<31 {
			t.Errorf("%d", got)
		}
	})
}
