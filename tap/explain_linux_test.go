package tap_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

// lackVariable names the situation in which the test binary opens a device, instead of running the tests.
const lackVariable = "TAP_TEST_LACK"

const node = "/dev/net/tun"

// A situation is one in which no device can be opened. prepare makes it, in a mount namespace of the process's own.
type situation struct {
	name    string
	prepare func() error
	errno   syscall.Errno
	says    []string
	not     string
}

const (
	anyMode             = unix.S_IFCHR | 0o666
	tunMinor, freeMinor = 200, 253 // of misc devices
)

// ownNode mounts an empty /dev/net and makes the node there.
func ownNode(flags uintptr, mode, minor uint32) error {
	if err := emptyDirectory(flags); err != nil {
		return err
	}
	if err := unix.Mknod(node, mode, int(unix.Mkdev(10, minor))); err != nil {
		return err
	}
	return unix.Chmod(node, mode&0o777) // whatever the umask is
}

func emptyDirectory(flags uintptr) error {
	return unix.Mount("none", "/dev/net", "tmpfs", flags, "mode=755")
}

func situations() []situation {
	return []situation{
		{"mode of the node", func() error {
			return errors.Join(ownNode(0, unix.S_IFCHR|0o600, tunMinor), syscall.Setuid(65534))
		}, unix.EACCES, []string{"its mode -rw-------", "user 65534", "root", "chmod a+rw /dev/net/tun"}, "CAP_NET_ADMIN"},
		{"closed directory", func() error {
			return errors.Join(ownNode(0, anyMode, tunMinor), unix.Chmod("/dev/net", 0o700), syscall.Setuid(65534))
		}, unix.EACCES, []string{"user 65534 may not enter its directory", "root"}, "CAP_NET_ADMIN"},
		{"file system without devices", func() error { return ownNode(unix.MS_NODEV, anyMode, tunMinor) },
			unix.EACCES, []string{"nodev"}, "CAP_NET_ADMIN"},
		{"rules for devices", denyByCgroup, unix.EPERM, []string{"device cgroup", "--device /dev/net/tun", "DeviceAllow"}, "CAP_NET_ADMIN"},
		{"missing node", func() error { return emptyDirectory(0) },
			unix.ENOENT, []string{"modprobe tun", "--device /dev/net/tun", "mknod /dev/net/tun c 10 200"}, "CAP_NET_ADMIN"},
		{"missing module", func() error { return ownNode(0, anyMode, freeMinor) },
			unix.ENODEV, []string{"no driver is behind it", "modprobe tun"}, "CAP_NET_ADMIN"},
		{"another device", func() error {
			return errors.Join(emptyDirectory(0), unix.Mknod(node, anyMode, int(unix.Mkdev(1, 3)))) // /dev/null
		}, unix.ENOTTY, []string{"is not the TUN driver's device", "mknod /dev/net/tun c 10 200"}, "CAP_NET_ADMIN"},
		{"right", func() error { return errors.Join(ownNode(0, anyMode, tunMinor), syscall.Setuid(65534)) },
			unix.EPERM, []string{"CAP_NET_ADMIN", "root", "setcap cap_net_admin+ep", "unshare -rn"}, "cgroup"},
	}
}

// denyByCgroup puts the process into a device cgroup that keeps it from the driver.
func denyByCgroup() error {
	dir := filepath.Join("/sys/fs/cgroup/devices", fmt.Sprintf("tap-test-%d", os.Getppid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return errors.Join(errors.ErrUnsupported, err) // no cgroup v1, or not ours
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, "devices.deny"), []byte("c 10:200 rwm"), 0o600),
		os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0o600))
}

// TestWhatIsMissing makes each situation in a child, and reads what Open says there, with either backend.
func TestWhatIsMissing(t *testing.T) {
	if lack := os.Getenv(lackVariable); lack != "" {
		openWhere(lack)
		return
	}
	taptest.Need(t)
	if os.Geteuid() != 0 {
		taptest.Lacking(t, "device node", unix.EPERM) // only root makes them
	}
	t.Cleanup(func() { _ = os.Remove(fmt.Sprintf("/sys/fs/cgroup/devices/tap-test-%d", os.Getpid())) })
	for _, s := range situations() {
		t.Run(s.name, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestWhatIsMissing$", "-test.v")
			cmd.Env = append(os.Environ(), lackVariable+"="+s.name)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if _, why, skip := strings.Cut(string(out), "SITUATION "); skip {
				t.Skip(why) // a kernel without control groups of version 1, for all that is missing in CI
			}
			said := 0
			for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
				line, ok := strings.CutPrefix(lines.Text(), "OPEN ")
				if !ok {
					continue
				}
				said++
				for _, want := range append(s.says, s.errno.Error()) {
					if !strings.Contains(line, want) {
						t.Errorf("it does not say %q: %s", want, line)
					}
				}
				if strings.Contains(line, s.not) {
					t.Errorf("it says %q: %s", s.not, line)
				}
			}
			if said != 2 {
				t.Errorf("%d errors:\n%s", said, out)
			}
		})
	}
}

// openWhere prints what Open says in a situation, or why that cannot be made here.
func openWhere(name string) {
	for _, s := range situations() {
		if s.name != name {
			continue
		}
		err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), s.prepare())
		if errors.Is(err, errors.ErrUnsupported) {
			fmt.Println("SITUATION cannot be made:", err)
			return
		} else if err != nil {
			fmt.Println("the situation cannot be made:", err)
			os.Exit(1)
		}
		for _, portable := range []bool{false, true} {
			d, err := tap.Open(tap.Config{Portable: portable})
			if d != nil || !errors.Is(err, s.errno) {
				fmt.Printf("Open = %v, %v, want %v\n", d, err, s.errno)
				continue
			}
			fmt.Println("OPEN", err)
		}
	}
}
