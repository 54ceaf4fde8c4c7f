package main

import (
	"encoding/json"
	"os"
	"slices"
	"sync"
	"time"
)

// Figure is the result of a cell's flows: the mean of their goodput, and the sum of their retransmissions.
type Figure struct {
	Cell
	Result
}

// Results are the figures of one stack.
type Results struct {
	// Kernel is the release of Linux that was measured; empty for unet.
	Kernel string `json:",omitempty"`
	// Figures are in the order of the grid.
	Figures []Figure
}

// find returns the figure of a cell, nil where there is none.
func (r *Results) find(c Cell) *Figure {
	i := slices.IndexFunc(r.Figures, func(f Figure) bool { return f.Cell == c })
	if i < 0 {
		return nil
	}
	return &r.Figures[i]
}

// put stores a figure. It replaces the figure of the same cell, or inserts the new one in the order of the grid.
func (r *Results) put(f Figure) {
	if old := r.find(f.Cell); old != nil {
		*old = f
		return
	}
	r.Figures = append(r.Figures, f)
	place := make(map[Cell]int)
	for i, c := range grid() {
		place[c] = i
	}
	slices.SortStableFunc(r.Figures, func(a, b Figure) int { return place[a.Cell] - place[b.Cell] })
}

func load(file string) (r Results, err error) {
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	return r, err
}

func (r *Results) encode() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "\t")
	return append(text, '\n'), err
}

func (r *Results) save(file string) error {
	text, err := r.encode()
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

// run measures a flow of a cell.
type run func(c Cell, seed int64, warmup, measured time.Duration) (Result, error)

// measure measures all flows of the cells, at most so many at a time that the sum of their weights stays within limit. It
// calls done with each figure, one call at a time.
func measure(cells []Cell, run run, weight func(*Cell) int, limit int, done func(Figure) error) error {
	var (
		mu     sync.Mutex
		freed  = sync.NewCond(&mu)
		busy   int
		failed error
		group  sync.WaitGroup
	)
	for _, c := range cells {
		sum, left, flows := Figure{Cell: c}, c.flows(), c.flows()
		for seed := range flows {
			w := min(weight(&c), limit)
			mu.Lock()
			for busy+w > limit {
				freed.Wait()
			}
			busy += w
			stop := failed != nil
			mu.Unlock()
			if stop {
				break
			}
			group.Go(func() {
				r, err := run(c, seed+1, Warmup, Measured)
				mu.Lock()
				defer mu.Unlock()
				busy -= w
				freed.Broadcast()
				sum.Goodput += r.Goodput // in whole numbers, so that the order of the flows does not matter
				sum.Resent += r.Resent
				sum.Timeouts += r.Timeouts
				if left--; left == 0 && err == nil && failed == nil {
					sum.Goodput /= uint64(flows)
					err = done(sum)
				}
				if err != nil && failed == nil {
					failed = err
				}
			})
		}
	}
	group.Wait()
	return failed
}
