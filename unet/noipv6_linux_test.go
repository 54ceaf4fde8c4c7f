package unet

import (
	"errors"
	"net"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// withoutIPv6 makes the kernel one without IPv6 for this process: socket(AF_INET6) is EAFNOSUPPORT from here
// on. Package net, with which the tests compare, asks once for what there is, so this comes before its first
// use.
func withoutIPv6() error {
	const load, jumpIf, verdict = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	const number, family = 0, 16 // offsets in struct seccomp_data, the family's low half on a little-endian machine
	filter := []unix.SockFilter{
		{Code: load, K: number},
		{Code: jumpIf, K: unix.SYS_SOCKET, Jf: 3},
		{Code: load, K: family},
		{Code: jumpIf, K: unix.AF_INET6, Jf: 1},
		{Code: verdict, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)},
		{Code: verdict, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil { // TSYNC sets it for the other threads
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return errno
	}
	return nil
}

// The kernel of the twin test has no IPv6 as long as unet has none.
func TestTwinKernelHasNoIPv6(t *testing.T) {
	if l, err := net.Listen("tcp6", "[::1]:0"); l != nil || !errors.Is(err, syscall.EAFNOSUPPORT) {
		t.Errorf("%v, %v", l, err)
	}
}
