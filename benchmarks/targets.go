//go:build linux

package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A target is a bound for unet's median: as a ratio to that of another contestant, or by itself.
type target struct {
	what      string
	part, at  string
	to        string // contestant; empty for the figure itself
	of        func(*Sample) float64
	want      float64
	atMost    bool
	scale     float64 // of a figure, 1 where it is 0
	minus     bool    // the difference to the contestant's, not the ratio
	otherProc bool    // of a part that is measured with each GOMAXPROCS
}

// allTargets returns the targets of the project.
func allTargets() (all []target) {
	ratio := func(what, part, at, to string, want float64) {
		all = append(all, target{what: what, part: part, at: at, to: to, of: rate, want: want, otherProc: true})
	}
	for _, at := range []struct {
		conns string
		want  float64
	}{{"1", 1.2}, {"64", 1.3}, {"256", 1.3}} {
		ratio("requests/s, "+at.conns+" connections", requests.name, at.conns, kernelName, at.want)
		all = append(all, target{what: "p99 of requests, " + at.conns + " connections", part: requests.name, at: at.conns, to: kernelName, of: p99,
			want: 1, atMost: true, otherProc: true})
		ratio("requests/s, "+at.conns+" connections", requests.name, at.conns, gvisorName, 3)
	}
	ratio("connections/s", connects.name, strconv.Itoa(atOnce), kernelName, 1.3)
	ratio("connections/s", connects.name, strconv.Itoa(atOnce), gvisorName, 3)
	ratio("requests/s with net/http, 64 connections", netHTTP.name, "64", kernelName, 1.1)
	for _, at := range bulk.points(nil) {
		want := 1.0
		if at.Conns > 1 {
			want = 0.8
		}
		ratio("bulk, "+at.Name, bulk.name, at.Name, kernelName, want)
		ratio("bulk, "+at.Name, bulk.name, at.Name, gvisorGSOName, 2)
	}
	ratio("requests/s in one process, 64 connections", inProcess.name, "64", kernelName, 3)
	all = append(all,
		target{what: "octets of heap for an idle connection's end at 1,000,000", part: memories.name, at: "1000000", of: heap, want: 576, atMost: true},
		target{what: "octets resident for an idle connection's end at 1,000,000", part: memories.name, at: "1000000", of: resident, want: 1024, atMost: true},
		target{what: "MB more than the minimal server of", part: sizes.name, at: "stripped", to: kernelName, of: rate, want: 1, atMost: true,
			scale: 1e-6, minus: true})
	return all
}

// targets writes the measured values beside the targets.
func (r *report) targets(w io.Writer) {
	var rows strings.Builder
	procs := r.Options.Procs
	for _, t := range allTargets() {
		for i, n := range procs {
			if !t.otherProc && i > 0 {
				break
			}
			if !t.otherProc {
				n = 0
			}
			if row := r.target(&t, n); row != "" {
				rows.WriteString(row)
			}
		}
	}
	if rows.Len() > 0 {
		fmt.Fprintf(w, "\n## Targets\n\n| what | GOMAXPROCS | to | wanted | measured | |\n|---|---:|---|---:|---:|---|\n%s", &rows)
	}
}

// target returns a row, empty where it was not measured.
func (r *report) target(t *target, procs int) string {
	ours := r.find(t.part, t.at, unetName, procs)
	if ours == nil {
		return ""
	}
	got := ours.median(t.of)
	if t.to != "" {
		theirs := r.find(t.part, t.at, t.to, procs)
		switch {
		case theirs == nil || theirs.median(t.of) == 0:
			return ""
		case t.minus:
			got -= theirs.median(t.of)
		default:
			got /= theirs.median(t.of)
		}
	}
	if t.scale != 0 {
		got *= t.scale
	}
	sign, holds := "≥", got >= t.want
	if t.atMost {
		sign, holds = "≤", got <= t.want
	}
	verdict := "holds"
	if !holds {
		verdict = "**misses**"
	}
	shown := "-"
	if procs > 0 {
		shown = strconv.Itoa(procs)
	}
	return fmt.Sprintf("| %s | %s | %s | %s %v | %s | %s |\n", t.what, shown, t.to, sign, t.want, figure(got), verdict)
}
