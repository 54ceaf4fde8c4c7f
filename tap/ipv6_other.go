//go:build !linux

package tap

// KernelIPv6 says whether new interfaces of this system may have IPv6 addresses that Open gives them. Only on Linux it can
// give any.
func KernelIPv6() bool { return false }
