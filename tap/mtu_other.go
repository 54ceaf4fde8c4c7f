//go:build darwin || windows

package tap

import "net"

// defaultMTU is the MTU in octets where neither the caller nor the system gives one.
const defaultMTU = 1500

// systemMTU returns want, or the MTU in octets that the system has set if want is zero.
func systemMTU(name string, want int) int {
	if want != 0 {
		return want
	}
	if i, err := net.InterfaceByName(name); err == nil && i.MTU >= minMTU {
		return min(i.MTU, maxMTU)
	}
	return defaultMTU
}
