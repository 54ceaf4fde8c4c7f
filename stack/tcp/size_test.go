package tcp

import (
	"testing"
	"unsafe"
)

// The records are held to what the design promises a million connections (ARCHITECTURE.md, D-TW-1, D-SYN-1).
func TestSizes(t *testing.T) {
	for _, x := range []struct {
		name     string
		got, max uintptr
	}{
		{"Conn", unsafe.Sizeof(Conn{}), 288},
		{"HalfOpen", unsafe.Sizeof(HalfOpen{}), 56},
		{"TimeWait", unsafe.Sizeof(TimeWait{}), 48},
	} {
		if x.got > x.max {
			t.Errorf("%s takes %d octets, more than %d", x.name, x.got, x.max)
		}
		t.Logf("%s: %d", x.name, x.got)
	}
}
