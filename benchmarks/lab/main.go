// The lab measures the goodput of a TCP flow against loss, round-trip time, reordering and bandwidth, for each
// congestion control.
//
//	go -C benchmarks run ./lab                     (make lab)        unet's figures, and docs/lab.md and docs/lab.svg
//	go -C benchmarks run ./lab -linux              (make lab-linux)  Linux's figures, measured again between two kernels
//	go -C benchmarks run ./lab -only '1% .*cubic'                    some cells, printed and not kept
//
// unet's flows run in simulated time: stack/tcp takes the time as a parameter and the path is one of stack/sim, so
// a seed gives the same bytes on every machine of an architecture. Linux's flows run in real time between the TAP devices
// of two kernels, which the same path joins. Their figures are stored beside the source.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
)

// The files, from the folder of the benchmarks' module.
const (
	unetFile  = "lab/unet.json"
	linuxFile = "lab/linux.json"
	pageFile  = "../docs/lab.md"
	plotFile  = "../docs/lab.svg"
)

func main() {
	linux := flag.Bool("linux", false, "measure Linux, between two network namespaces, in place of unet")
	only := flag.String("only", "", "measure the cells whose names match; with -linux keep their figures, else only print them")
	flag.Parse()
	if err := lab(*linux, *only); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func lab(linux bool, only string) error {
	root, err := findRoot()
	if err != nil {
		return err
	}
	name, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	other := func(c Cell) bool { return !name.MatchString(c.String()) }
	switch {
	case linux:
		err = measureLinux(filepath.Join(root, linuxFile), slices.DeleteFunc(linuxGrid(), other))
	case only != "":
		return measureUnet(slices.DeleteFunc(grid(), other), new(Results))
	default:
		var r Results
		if err = measureUnet(grid(), &r); err == nil {
			err = r.save(filepath.Join(root, unetFile))
		}
	}
	if err != nil {
		return err
	}
	return render(root)
}

// measureUnet adds the cells' figures to r, which it prints.
func measureUnet(cells []Cell, r *Results) error {
	one := func(*Cell) int { return 1 }
	return measure(cells, Run, one, runtime.GOMAXPROCS(0), func(f Figure) error {
		print(f)
		r.put(f)
		return nil
	})
}

// measureLinux puts the cells' figures into the file, one by one.
func measureLinux(file string, cells []Cell) error {
	if err := enterNamespace(); err != nil {
		return err
	}
	r, err := load(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	r.Kernel = kernelVersion()
	// So many flows at a time that a processor stays idle: full links one by one, many at once of those that are slow
	// because of loss.
	weight := func(c *Cell) int {
		switch {
		case c.Loss >= harshLosses[0]:
			return 1
		case c.Loss > 0:
			return int(c.Rate/16e6) + 1
		}
		return int(c.Rate / 2e6)
	}
	return measure(cells, RunLinux, weight, 40, func(f Figure) error {
		print(f)
		r.put(f)
		return r.save(file)
	})
}

func print(f Figure) {
	fmt.Printf("%-44s %10.3f Mbit/s  %6d sent again\n", &f.Cell, float64(f.Goodput)/1e6, f.Resent)
}

// findRoot returns the folder of the benchmarks' module, in or below which the program is run.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", errors.New("not in the module of the benchmarks")
		}
		dir = above
	}
	return "", err
}

// render writes the page and the plot of the stored figures.
func render(root string) error {
	unet, linux, err := stored(root)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(root, pageFile), []byte(page(unet, linux)), 0o644),
		os.WriteFile(filepath.Join(root, plotFile), []byte(plot(unet, linux)), 0o644))
}

// stored loads the figures.
func stored(root string) (unet, linux *Results, err error) {
	u, err := load(filepath.Join(root, unetFile))
	if err != nil {
		return nil, nil, err
	}
	l, err := load(filepath.Join(root, linuxFile))
	return &u, &l, err
}
