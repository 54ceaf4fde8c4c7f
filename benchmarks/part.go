//go:build linux

package main

import (
	"context"
	"slices"
	"strings"
	"time"
)

// A part is one kind of measurement, made for each contestant on each of its points in turn.
type part struct {
	name, title string
	rows        string  // what distinguishes the points
	unit        string  // of Sample.Rate after scale
	scale       float64 // factor for Sample.Rate
	per         string  // the unit that Sample.CPU is divided by; empty for none
	less        bool    // less is better
	optional    bool    // measured where -parts names it
	families    bool    // measured over IPv6 too
	procs       bool    // measured with each GOMAXPROCS that was asked for, not with Go's own choice alone
	about       string  // a sentence below the table
	// contestants are the names of those who take part; nil for all.
	contestants []string
	server      *serverKind // nil for none
	points      func(o *options) []point
	// rounds bounds the rounds of a point; nil for as many as were asked for.
	rounds func(o *options, at point) int
	// measure takes one sample.
	measure func(ctx context.Context, t *turn) (Sample, error)
}

// A point is one row of a part's table.
type point struct {
	Name  string // of the row
	Conns int
	mode  string // bulk's direction
}

// A turn is one measurement of a contestant at a point, which gives a sample.
type turn struct {
	lab        *lab
	part       *part
	options    *options
	contestant *contestant
	server     *server // nil where the part has none
	at         point
	procs      int
	round      int  // from 0
	warming    bool // it does not count
}

// wrk reports whether wrk is the client, and not our own.
func (t *turn) wrk() bool { return t.lab.Wrk != "" && t.options.Client != "builtin" }

var parts = []*part{&requests, &netHTTP, &connects, &bulk, &idle, &inProcess, &grown, &memories, &sizes, &floods}

func partNamed(name string) *part {
	i := slices.IndexFunc(parts, func(p *part) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return parts[i]
}

// partNames lists the parts. With all it includes those that are measured only if -parts names them.
func partNames(all bool) string {
	var names []string
	for _, p := range parts {
		if all || !p.optional {
			names = append(names, p.name)
		}
	}
	return strings.Join(names, ",")
}

// Sample is the result of one measurement.
type Sample struct {
	// Rate is in the part's unit: requests, connections or octets for a second, or octets.
	Rate float64
	// CPU is the server's processor time for each of the part's units, Machine that of the whole machine.
	CPU, Machine time.Duration `json:",omitzero"`
	// P50, P99 and P999 are the latency's quantiles, of parts that have them.
	P50, P99, P999 time.Duration `json:",omitzero"`
	// Allocs are allocations for each request, of both ends together, in the parts that count them.
	Allocs *float64 `json:",omitzero"`
	// Heap, Resident and Kernel are octets for each end of a connection.
	Heap, Resident, Kernel float64 `json:",omitzero"`
	// Setup is the time that it took to make a connection.
	Setup time.Duration `json:",omitzero"`
	// Alone is the rate without a flood, Flood the flood's frames a second, and After the rate after it as a part of Alone.
	Alone, Flood, After float64 `json:",omitzero"`
	// Errors counts the connections that failed.
	Errors int `json:",omitzero"`
}

// Series are the samples of one contestant on one point, a sample for each round.
type Series struct {
	Part, Point, Contestant string
	Conns                   int
	Procs                   int // GOMAXPROCS of the server, 0 for Go's own choice
	Samples                 []Sample
	// Note is the reason why there are no samples.
	Note string `json:",omitzero"`
	// Failures are the rounds without a sample, with the reasons.
	Failures []string `json:",omitzero"`
}

// median returns the middle of a property of the samples.
func (s *Series) median(of func(*Sample) float64) float64 {
	values := s.values(of)
	n := len(values)
	if n == 0 {
		return 0
	}
	return (values[(n-1)/2] + values[n/2]) / 2
}

// spread returns the distance from the lowest to the highest rate, as a part of their median.
func (s *Series) spread() float64 {
	values := s.values(rate)
	if len(values) == 0 || s.median(rate) == 0 {
		return 0
	}
	return (values[len(values)-1] - values[0]) / s.median(rate)
}

func (s *Series) values(of func(*Sample) float64) []float64 {
	var values []float64
	for i := range s.Samples {
		values = append(values, of(&s.Samples[i]))
	}
	slices.Sort(values)
	return values
}

func (s *Series) errors() (n int) {
	for i := range s.Samples {
		n += s.Samples[i].Errors
	}
	return n
}

func rate(s *Sample) float64     { return s.Rate }
func cpu(s *Sample) float64      { return float64(s.CPU) }
func machine(s *Sample) float64  { return float64(s.Machine) }
func p50(s *Sample) float64      { return float64(s.P50) }
func p99(s *Sample) float64      { return float64(s.P99) }
func p999(s *Sample) float64     { return float64(s.P999) }
func heap(s *Sample) float64     { return s.Heap }
func resident(s *Sample) float64 { return s.Resident }
func inKernel(s *Sample) float64 { return s.Kernel }
func setup(s *Sample) float64    { return float64(s.Setup) }

func alone(s *Sample) float64    { return s.Alone }
func flooding(s *Sample) float64 { return s.Flood }
func after(s *Sample) float64    { return 100 * s.After }

func allocs(s *Sample) float64 {
	if s.Allocs == nil {
		return 0
	}
	return *s.Allocs
}
