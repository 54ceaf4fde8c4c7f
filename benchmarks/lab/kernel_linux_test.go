package main

import (
	"testing"
	"time"

	"github.com/unet-go/unet/tap/taptest"
)

func TestMain(m *testing.M) { taptest.Main(m) }

// Two kernels find each other over the path, and their flow gets through it. How fast is no matter of a test.
func TestTwoKernels(t *testing.T) {
	taptest.Need(t)
	for _, control := range controls {
		c := Cell{Rate: 10e6, RTT: 2 * time.Millisecond, Loss: 0.01, Reorder: 0.01, Control: control}
		r, err := RunLinux(c, 1, 0, 300*time.Millisecond)
		if err != nil || r.Goodput == 0 {
			t.Errorf("%v: %+v, %v", &c, r, err)
		}
	}
	if _, err := RunLinux(Cell{Rate: 10e6, Control: "no such"}, 1, 0, time.Millisecond); err == nil {
		t.Error("a controller that does not exist was found")
	}
}
