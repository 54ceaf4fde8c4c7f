package main

import (
	"fmt"
	"strconv"
	"time"
)

// The grid's axes.
var (
	rates    = []int64{10e6, 100e6, 1000e6}
	rtts     = []time.Duration{20 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond}
	losses   = []float64{0, 0.001, 0.01, 0.05}
	reorders = []float64{0, 0.02}
	controls = []string{"cubic", "reno"}
)

// The harsh path, which is worse than all others: its goodput is a few segments.
const (
	harshRate = 100e6
	harshRTT  = 50 * time.Millisecond
)

var harshLosses = []float64{0.1, 0.2, 0.3}

// grid returns all cells, those of the harsh path last.
func grid() (cells []Cell) {
	for _, rate := range rates {
		for _, rtt := range rtts {
			for _, loss := range losses {
				for _, reorder := range reorders {
					for _, control := range controls {
						cells = append(cells, Cell{Rate: rate, RTT: rtt, Loss: loss, Reorder: reorder, Control: control})
					}
				}
			}
		}
	}
	for _, loss := range harshLosses {
		for _, control := range controls {
			cells = append(cells, Cell{Rate: harshRate, RTT: harshRTT, Loss: loss, Control: control})
		}
	}
	return cells
}

// linuxGrid returns the cells that are measured between two kernels too. They run in real time, so the fastest link, for
// which the program is too slow, and the longest round-trip time, which takes too long, are left out.
func linuxGrid() (cells []Cell) {
	for _, c := range grid() {
		if c.Rate <= 100e6 && c.RTT <= 100*time.Millisecond && (c.Reorder == 0 || c.Rate == 100e6) {
			cells = append(cells, c)
		}
	}
	return cells
}

// flows returns the number of flows of a cell, whose mean is its figure: with random losses one flow is not enough.
func (c *Cell) flows() int64 {
	switch {
	case c.Loss >= harshLosses[0]:
		return 20
	case c.Loss > 0 || c.Reorder > 0:
		return 4
	}
	return 1
}

// String returns the cell's name, which the option -only matches: "100M 20ms loss 1% reorder 2% cubic".
func (c *Cell) String() string {
	return fmt.Sprintf("%dM %v loss %s%% reorder %s%% %s", c.Rate/1e6, c.RTT, percent(c.Loss), percent(c.Reorder), c.Control)
}

// percent writes a share short.
func percent(share float64) string { return strconv.FormatFloat(share*100, 'g', 4, 64) }
