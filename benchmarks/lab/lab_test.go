package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// figures loads what is stored.
func figures(t *testing.T) (unet, linux *Results, root string) {
	t.Helper()
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	if unet, linux, err = stored(root); err != nil {
		t.Fatal(err)
	}
	return unet, linux, root
}

func TestPageIsOfTheStoredFigures(t *testing.T) {
	unet, linux, root := figures(t)
	for name, want := range map[string]string{pageFile: page(unet, linux), plotFile: plot(unet, linux)} {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || string(got) != want {
			t.Errorf("%s is not what the stored figures give (%v): run make lab", name, err)
		}
	}
	for _, c := range grid() {
		if unet.find(c) == nil {
			t.Errorf("no figure for %v", &c)
		}
	}
	for _, c := range linuxGrid() {
		if linux.find(c) == nil {
			t.Errorf("no figure of Linux's for %v", &c)
		}
	}
}

// sample is a part of the grid that takes little time.
func sample() []Cell {
	return slices.DeleteFunc(grid(), func(c Cell) bool {
		return c.Rate != 100e6 || c.Loss < 0.01 || c.RTT != 100*time.Millisecond || c.Loss > 0.1
	})
}

// remeasured are the sample's figures of now.
func remeasured(t *testing.T) *Results {
	t.Helper()
	r := new(Results)
	if err := measure(sample(), Run, func(*Cell) int { return 1 }, 2, func(f Figure) error { r.put(f); return nil }); err != nil {
		t.Fatal(err)
	}
	return r
}

// The seed alone decides, and the stored figures are those of this code: as far as the table goes exactly, as long as
// nothing was changed that decides about goodput, and by a quarter in any case.
func TestSameSeedSameFigures(t *testing.T) {
	first, err := remeasured(t).encode()
	if err != nil {
		t.Fatal(err)
	}
	again := remeasured(t)
	if len(again.Figures) != len(sample()) {
		t.Fatalf("%d figures of %d cells", len(again.Figures), len(sample()))
	}
	if text, err := again.encode(); err != nil || string(text) != string(first) {
		t.Errorf("two runs of the same seeds differ: %v", err)
	}
	unet, _, _ := figures(t)
	for _, f := range again.Figures {
		old := unet.find(f.Cell)
		if old == nil {
			t.Errorf("no figure for %v", &f.Cell)
			continue
		}
		if ratio := float64(f.Goodput) / float64(old.Goodput); ratio < 0.75 || ratio > 1.25 {
			t.Errorf("%v: %s Mbit/s, and %s in the table: run make lab", &f.Cell, megabits(f.Goodput), megabits(old.Goodput))
		}
	}
}

// What the table has to show, of the stored figures and, where the time allows it, of the code.
func TestTargets(t *testing.T) {
	unet, linux, _ := figures(t)
	t.Run("F-LOSS-3 goodput at 1 % loss, 100 Mbit/s, 20 ms is at least 80 % of Linux's CUBIC", func(t *testing.T) {
		c := Cell{Rate: 100e6, RTT: 20 * time.Millisecond, Loss: 0.01, Control: "cubic"}
		least := linux.find(c).Goodput * 8 / 10
		if got := unet.find(c).Goodput; got < least {
			t.Errorf("stored: %s Mbit/s, want %s", megabits(got), megabits(least))
		}
		if got := mean(t, c); got < least {
			t.Errorf("%s Mbit/s, want %s", megabits(got), megabits(least))
		}
	})
	t.Run("within 5 % of the link's rate without loss", func(t *testing.T) {
		for _, f := range unet.Figures {
			full := fullShare * float64(f.Rate)
			if f.Loss == 0 && f.Reorder == 0 && float64(f.Goodput) < 0.95*full {
				t.Errorf("%v: %s Mbit/s", &f.Cell, megabits(f.Goodput))
			}
		}
		c := Cell{Rate: 1000e6, RTT: 200 * time.Millisecond, Control: "cubic"}
		r, err := Run(c, 1, Warmup*4/5, time.Second)
		if err != nil || r.Goodput < 950e6 {
			t.Errorf("%v: %s Mbit/s now, %v", &c, megabits(r.Goodput), err)
		}
	})
}

// mean measures all flows of a cell.
func mean(t *testing.T, c Cell) (goodput uint64) {
	t.Helper()
	if err := measure([]Cell{c}, Run, func(*Cell) int { return 1 }, 2, func(f Figure) error { goodput = f.Goodput; return nil }); err != nil {
		t.Fatal(err)
	}
	return goodput
}

func TestPageHasAllFigures(t *testing.T) {
	unet, linux := new(Results), &Results{Kernel: "6.1"}
	for i, c := range grid() {
		unet.put(Figure{Cell: c, Result: Result{Goodput: uint64(i+1) * 1000}})
	}
	c := Cell{Rate: 10e6, RTT: 20 * time.Millisecond, Control: "cubic"}
	linux.put(Figure{Cell: c, Result: Result{Goodput: 7_654_321}})
	text := page(unet, linux)
	for i := range grid() {
		if !strings.Contains(text, " "+megabits(uint64(i+1)*1000)+" |") {
			t.Errorf("figure %d is missing", i)
		}
	}
	if !strings.Contains(text, "| 20ms | 0 % | 0.001 | 7.65 | 0.002 |") || strings.Contains(text, "Linux Reno") {
		t.Errorf("Linux's column is not as it should be:\n%s", text)
	}
}
