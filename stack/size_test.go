package stack

import (
	"testing"
	"unsafe"
)

// What millions of connections cost. The records end in an allocator's size class.
func TestSizes(t *testing.T) {
	for _, x := range []struct {
		name     string
		got, max uintptr
	}{
		{"TCPConn", unsafe.Sizeof(TCPConn{}), 416},
		{"D-SYN-1 halfOpen", unsafe.Sizeof(halfOpen{}), 128},
		{"D-TW-1 timeWait", unsafe.Sizeof(timeWait{}), 96},
		{"flow", unsafe.Sizeof(flow{}), 32},
	} {
		t.Run(x.name, func(t *testing.T) {
			if x.got > x.max {
				t.Errorf("%d octets, more than %d", x.got, x.max)
			}
		})
	}
}
