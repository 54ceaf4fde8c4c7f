//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
)

// colours of the contestants.
var colours = map[string]string{unetName: "#0a7d4b", kernelName: "#3465a4", gvisorName: "#d9822b", gvisorGSOName: "#8f4fb3", baseName: "#777777"}

// A picture is a plot to be drawn of a part: a property of its samples.
type picture struct {
	of          *part
	file, title string
	unit        string
	value       func(*Sample) float64
	scale       float64
	bars        bool
}

const (
	micros = 1e-3 // of nanoseconds
	millis = 1e-6
)

// pictures are the plots of all parts.
var pictures = []picture{
	{&requests, "requests", "Requests/s by connections, fasthttp", "1/s", rate, 1, false},
	{&requests, "latency-p50", "Latency, p50, by connections", "ms", p50, millis, false},
	{&requests, "latency-p99", "Latency, p99, by connections", "ms", p99, millis, false},
	{&requests, "latency-p999", "Latency, p99.9, by connections", "ms", p999, millis, false},
	{&requests, "requests-cpu", "Server's processor time per request, by connections", "us", cpu, micros, false},
	{&netHTTP, "nethttp", "Requests/s with net/http, 64 connections", "1/s", rate, 1, true},
	{&connects, "connects", "Connections/s, one request each, 64 at once", "1/s", rate, 1, true},
	{&bulk, "bulk", "Bulk", "GB/s", rate, 1e-9, true},
	{&bulk, "bulk-cpu", "Server's processor time per GB", "ms", cpu, millis, true},
	{&idle, "idle", "Requests/s over 64 connections, by idle ones", "1/s", rate, 1, false},
	{&inProcess, "process", "Requests/s in one process, by connections", "1/s", rate, 1, true},
	{&inProcess, "process-allocs", "Allocations per request in one process", "", allocs, 1, true},
	{&grown, "growth", "Requests/s in one process, by idle connections", "1/s", rate, 1, false},
	{&grown, "growth-p99", "Latency in one process, p99, by idle connections", "ms", p99, millis, false},
	{&memories, "memory", "Octets for each end of an idle connection, by their number", "octets", rate, 1, false},
	{&sizes, "size", "Binary of a minimal fasthttp server", "MB", rate, 1e-6, true},
}

// plots draws the plots of the parts that were measured.
func (r *report) plots() (all []plot) {
	for i := range pictures {
		if p := r.plot(&pictures[i]); len(p.curves) > 0 {
			all = append(all, p)
		}
	}
	return all
}

// plot draws one picture: a curve for each contestant and GOMAXPROCS that has samples.
func (r *report) plot(of *picture) plot {
	p := plot{part: of.of.name, file: of.file + ".svg", title: of.title, unit: of.unit, bars: of.bars}
	type key struct {
		contestant string
		procs      int
	}
	var keys []key
	for i := range r.Series {
		s := &r.Series[i]
		if s.Part != of.of.name {
			continue
		}
		if !slices.Contains(p.labels, s.Point) {
			p.labels = append(p.labels, s.Point)
		}
		if k := (key{s.Contestant, s.Procs}); len(s.Samples) > 0 && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	for _, k := range keys {
		c := curve{name: k.contestant, colour: colours[k.contestant], dashed: k.procs > 0}
		if k.contestant == kernelName && of.of == &bulk {
			c.name += " (" + r.CongestionOfKernels + ")"
		}
		if k.procs > 0 {
			c.name += fmt.Sprintf(", GOMAXPROCS=%d", k.procs)
		}
		for _, at := range p.labels {
			v := math.NaN()
			if s := r.find(of.of.name, at, k.contestant, k.procs); s != nil {
				v = s.median(of.value) * of.scale
			}
			c.values = append(c.values, v)
		}
		p.curves = append(p.curves, c)
	}
	return p
}
