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
		if x.got > x.max {
			t.Errorf("%s takes %d octets, more than %d", x.name, x.got, x.max)
		}
	}
}
