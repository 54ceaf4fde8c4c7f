package stranger

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"testing"
	"testing/synctest"
)

var (
	worldCount = flag.Int("worlds.count", 48, "worlds of TestWorlds, of both families together")
	worldSeed  = flag.Uint64("worlds.seed", 1, "seed of the first of them")
)

// TestWorlds runs random worlds, -worlds.count of them, from -worlds.seed on, by turns of either family. What is read is a prefix of what was
// written, whatever the stranger does, but for the octets that he could plant; everything ends in bounded time, and
// nothing is left of it. Unless he knows the numbers of a connection and abuses them, everything arrives besides, and
// both ends close in order.
//
// A world that fails says how to run it alone, and leaves what each host has sent and heard in two files. The seed
// chooses the world and what the stranger does to the nth frame, not the hosts' secrets and the scheduler's order: one
// that fails seldom wants a few tries.
func TestWorlds(t *testing.T) {
	for i := range uint64(*worldCount) {
		seed := *worldSeed + i
		f := families[seed%uint64(len(families))]
		t.Run(f.name+"/"+strconv.FormatUint(seed, 10), func(t *testing.T) {
			labels := pprof.Labels("world", strconv.FormatUint(seed, 10))
			pprof.Do(context.Background(), labels, func(context.Context) {
				synctest.Test(t, func(t *testing.T) { inhabit(t, f, seed) })
			})
		})
	}
}

// inhabit runs the world of a seed and reports what went wrong in it.
func inhabit(t *testing.T, f *family, seed uint64) {
	w := newWorld(f, seed)
	w.run()
	if testing.Verbose() {
		t.Logf("%v: %d frames, %d forged", w, w.stranger.frames, w.stranger.forged)
	}
	if len(w.failures) == 0 {
		return
	}
	for _, failure := range w.failures {
		t.Error(failure)
	}
	for _, s := range w.sides {
		name := filepath.Join(os.TempDir(), fmt.Sprintf("unet-world-%d-%s.pcapng", seed, s.name))
		if err := os.WriteFile(name, s.capture.Bytes(), 0o644); err != nil {
			t.Error(err)
		}
		t.Logf("what %s sent and heard: %s", s.name, name)
	}
	t.Logf("%v\nalone: go test ./stack/sim/stranger -run '^TestWorlds$' -v -worlds.count 1 -worlds.seed %d", w, seed)
}
