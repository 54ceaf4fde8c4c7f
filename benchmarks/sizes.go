//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// sizes measures the size of a minimal program.
var sizes = part{
	name: "size", title: "Binary of a minimal fasthttp server", rows: "program", unit: "MB", scale: 1e-6, less: true,
	about:       "Built with -trimpath and -ldflags '-s -w'.",
	contestants: []string{unetName, kernelName, gvisorName, baseName},
	points:      func(*options) []point { return []point{{Name: "stripped"}} },
	rounds:      func(*options, point) int { return 1 },
	measure: func(_ context.Context, t *turn) (Sample, error) {
		dir := t.lab.dir
		if t.contestant.base {
			dir = baseDir(dir)
		}
		info, err := os.Stat(minimal(dir, t.contestant.stack()))
		if errors.Is(err, os.ErrNotExist) {
			return Sample{}, fmt.Errorf("%w: it was not built", errNotHere)
		}
		if err != nil {
			return Sample{}, err
		}
		return Sample{Rate: float64(info.Size())}, nil
	},
}
