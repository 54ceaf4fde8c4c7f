package tap

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// nodeError is a failure to open the device node, before the kernel has been asked for an interface.
type nodeError struct{ err error }

func (e *nodeError) Error() string { return tunPath + ": " + e.err.Error() }
func (e *nodeError) Unwrap() error { return e.err }

// openError says what a failure to attach means and what to do about it.
func openError(name string, err error) error {
	if name == "" {
		name = "a new interface"
	}
	advice := ""
	node, isNode := errors.AsType[*nodeError](err)
	switch {
	case isNode:
		advice = nodeAdvice(node.err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		advice = rightAdvice()
	case errors.Is(err, unix.ENOTTY):
		advice = tunPath + " is not the TUN driver's device: remove it and make it with `" + makeNode + "`"
	case errors.Is(err, unix.EBUSY):
		advice = "another process, or another Device, holds the interface"
	case errors.Is(err, unix.EINVAL):
		advice = "the name belongs to an interface of another kind, or one with another choice of a single or several queues"
	}
	if advice == "" {
		return errorf("tap: open %s: %w", name, err)
	}
	return errorf("tap: open %s: %w: %s", name, err, advice)
}

// makeNode is the command that makes the device node.
const makeNode = "mknod " + tunPath + " c 10 200"

// nodeAdvice says why the node could not be opened.
func nodeAdvice(err error) string {
	switch {
	case errors.Is(err, unix.EACCES):
		return "access to the device is denied: " + denial()
	case errors.Is(err, unix.EPERM):
		// The mode of the node would be EACCES: EPERM comes from the device cgroup of a container.
		return "the rules for devices of this container or service (its device cgroup) do not let it in: give it the device, " +
			"`docker run --device " + tunPath + "` or systemd's `DeviceAllow=" + tunPath + " rw`"
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return "there is no such device: `modprobe tun` on the machine; in a container give it the device, " +
			"`docker run --device " + tunPath + "`, or where that may be done make it, `" + makeNode + "`"
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return "the device is there and no driver is behind it: `modprobe tun` on the machine, " +
			"whose kernel may lack the module (CONFIG_TUN)"
	}
	return ""
}

// denial says what denies access to the node: the file system that it is on, its mode, or neither.
func denial() string {
	var fs unix.Statfs_t
	if unix.Statfs(tunPath, &fs) == nil && fs.Flags&unix.ST_NODEV != 0 {
		return "its file system is mounted with nodev, so that no device on it can be opened: give the container the device itself"
	}
	if mayOpen(tunPath) {
		return "its mode allows it, so a security module such as SELinux or AppArmor does not: its log says by which rule"
	}
	info, err := os.Stat(tunPath)
	if err != nil {
		return fmt.Sprintf("user %d may not enter its directory: run as root, or `chmod a+x /dev /dev/net`", os.Geteuid())
	}
	who := fmt.Sprintf("user %d", os.Geteuid())
	if os.Geteuid() == 0 { // the machine's root would not be kept out
		who = "the root of this user namespace, who is another user of the machine,"
	}
	return fmt.Sprintf("its mode %v keeps %s out: run as the machine's root, or `chmod a+rw %s`, which lets "+
		"others attach to interfaces of theirs and no more", info.Mode().Perm(), who, tunPath)
}

// mayOpen reports whether the mode of a file lets this process read and write it. It is false on kernels before 5.8, which do
// not know the call: that of x/sys then works it out itself, with code that would be in every program.
func mayOpen(path string) bool {
	p, err := unix.BytePtrFromString(path)
	if err != nil {
		return false
	}
	at := unix.AT_FDCWD
	_, _, errno := unix.Syscall6(unix.SYS_FACCESSAT2, uintptr(at), uintptr(unsafe.Pointer(p)), unix.R_OK|unix.W_OK, unix.AT_EACCESS, 0, 0)
	return errno == 0
}

// rightAdvice says how to get the right to make or configure an interface.
func rightAdvice() string {
	exe, err := os.Executable()
	if err != nil {
		exe = "BINARY"
	}
	return fmt.Sprintf("the right CAP_NET_ADMIN is missing: run as root or after `setcap cap_net_admin+ep %s`, or in a user and "+
		"network namespace such as `unshare -rn` makes", exe)
}
