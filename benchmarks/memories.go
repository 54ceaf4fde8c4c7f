//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

// memories measures the memory of an idle connection.
var memories = part{
	name: "memory", title: "Memory of an idle connection, each end", rows: "connections", unit: "octets", scale: 1, less: true,
	about: "Both ends are in one process (the kernel's over loopback, with the dialling end in another) and no goroutine waits on them. " +
		"For unet and gVisor it is heap in use with the runtime's own records, those of finalizers for instance; for the kernel its slab, that of the descriptors included, and the heap of package net. " +
		"Resident is the growth of the process, halved as well; setup is the time for each connection.",
	contestants: []string{unetName, kernelName, gvisorName, baseName},
	points: func(o *options) (points []point) {
		for _, n := range o.Ends {
			if n > 0 {
				points = append(points, point{Name: strconv.Itoa(n), Conns: n})
			}
		}
		return points
	},
	rounds: fewOfMany,
	measure: func(ctx context.Context, t *turn) (Sample, error) {
		if t.contestant.name == kernelName && t.at.Conns >= descriptors() {
			return Sample{}, fmt.Errorf("%w: a process may have %d descriptors", errNotHere, descriptors()+spare)
		}
		var r memoryResult
		args := []string{"-stack", t.contestant.stack(), "-conns", strconv.Itoa(t.at.Conns)}
		var err error
		if t.contestant.peer {
			if t.at.Conns > 100_000 {
				return Sample{}, fmt.Errorf("%w: one address has not enough ports in its table", errNotHere)
			}
			err = t.lab.peer(ctx, &r, "-mode", "memory", "-conns", strconv.Itoa(t.at.Conns))
		} else {
			err = role(ctx, t.program(""), 0, &r, append([]string{"memory"}, args...)...)
		}
		if err != nil {
			return Sample{}, err
		}
		ends := 2 * float64(t.at.Conns)
		return Sample{Rate: (r.Heap + r.Kernel) / ends, Heap: r.Heap / ends, Kernel: r.Kernel / ends, Resident: r.Resident / ends,
			Setup: r.Setup / time.Duration(t.at.Conns)}, nil
	},
}

// memoryResult is the output of the process: octets for all connections together.
type memoryResult struct {
	Heap, Resident, Kernel float64
	Setup                  time.Duration
}

// memory makes idle connections and measures their memory.
func memory(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("memory", flag.ContinueOnError)
	stack := flags.String("stack", unetName, "unet or kernel")
	conns := flags.Int("conns", 1, "number of connections")
	if err := flags.Parse(args); err != nil {
		return err
	}
	weigh := weighUnet
	if *stack == kernelName {
		weigh = weighKernel
	}
	r, err := weigh(ctx, *conns)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(r)
}

func weighUnet(ctx context.Context, conns int) (*memoryResult, error) {
	w, err := newWire(unetName)
	if err != nil {
		return nil, err
	}
	defer w.close()
	warm, err := w.hold(ctx, 1) // so that memory that is needed only once is not counted
	if err != nil {
		return nil, err
	}
	defer warm.close()
	before, err := weight()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	h, err := w.hold(ctx, conns)
	if err != nil {
		return nil, err
	}
	defer h.close()
	took := time.Since(begin)
	after, err := weight()
	if err != nil {
		return nil, err
	}
	slots := float64(cap(h.conns)) * 16 // our own list of them
	return &memoryResult{Heap: after.Heap - before.Heap - slots, Resident: after.Resident - before.Resident - slots, Setup: took}, nil
}

// weighKernel measures the kernel's connections, for which another process dials. Slab counts the whole machine, so no
// other program should run.
func weighKernel(ctx context.Context, conns int) (r *memoryResult, err error) {
	w, err := newWire(kernelName)
	if err != nil {
		return nil, err
	}
	ln, err := w.listen(ctx)
	if err != nil {
		return nil, err
	}
	h := held{}
	defer h.close()
	h.listeners = append(h.listeners, ln)
	before, err := weight()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	holder := command(ctx, self, "hold-client", "-target", ln.Addr().String(), "-conns", strconv.Itoa(conns))
	hand, err := holder.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := holder.Start(); err != nil {
		return nil, err
	}
	failed := make(chan error, 1)
	go func() {
		failed <- waitOf(holder)
		_ = ln.Close() // so that Accept does not wait for a dialler that has failed
	}()
	defer func() { err = errors.Join(err, hand.Close(), <-failed) }()
	for range conns {
		c, err := ln.Accept()
		if err != nil {
			return nil, err
		}
		h.conns = append(h.conns, c)
	}
	took := time.Since(begin)
	after, err := weight()
	if err != nil {
		return nil, err
	}
	// The heap has the accepting ends alone; the dialling ends take as much.
	return &memoryResult{Heap: 2 * (after.Heap - before.Heap), Resident: 2 * (after.Resident - before.Resident),
		Kernel: after.Kernel - before.Kernel, Setup: took}, nil
}

func waitOf(cmd *exec.Cmd) error {
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", cmd.Args[1], err)
	}
	return nil
}

// weight returns the memory that is in use now.
func weight() (*memoryResult, error) {
	runtime.GC()
	runtime.GC() // a pool keeps its objects for one collection
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	r := memoryResult{Heap: float64(m.HeapInuse + m.OtherSys)} // with the runtime's records, one for each finalizer among them
	var err error
	if r.Resident, err = memoryLine("/proc/self/status", "VmRSS"); err != nil {
		return nil, err
	}
	r.Kernel, err = memoryLine("/proc/meminfo", "Slab")
	return &r, err
}

// peer runs the peer's program once and decodes what it prints.
func (l *lab) peer(ctx context.Context, result any, args ...string) error {
	out, err := command(ctx, filepath.Join(l.dir, gvisorProgram), args...).Output()
	if err != nil {
		return fmt.Errorf("%s: %w", gvisorProgram, err)
	}
	return json.Unmarshal(out, result)
}
