//go:build !race

package sim_test

import (
	"testing"

	"github.com/unet-go/unet/stack/sim"
)

// Under the race detector sync.Pool forgets at random, and nothing can be said about allocations.
func TestNoAllocationPerFrame(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  sim.Config
	}{
		{"perfect", sim.Config{}},
		{"chance", sim.Config{Loss: 1e-12, Duplicate: 1e-12, Corrupt: 1}},
		{"in flight", sim.Config{Rate: 1e15, Jitter: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run := exchange(t, tt.cfg, 64, 1514)
			for range 100 {
				run()
			}
			if got := testing.AllocsPerRun(1000, run); got != 0 {
				t.Errorf("%v allocations for 64 frames", got)
			}
		})
	}
}
