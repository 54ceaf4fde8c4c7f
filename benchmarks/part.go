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
	rows        string  // what tells the points apart
	unit        string  // of Sample.Rate after scale
	scale       float64 // what a Sample.Rate is multiplied with
	per         string  // what Sample.CPU is per
	server      serverKind
	points      func(o *options) []point
	// measure takes one sample of a running server.
	measure func(ctx context.Context, l *lab, s *server, p point, o *options) (Sample, error)
}

// A point is one row of a part's table.
type point struct {
	Name  string // of the row
	Conns int
	mode  string // bulk's direction
}

var parts = []*part{&requests, &bulk}

func partNamed(name string) *part {
	i := slices.IndexFunc(parts, func(p *part) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return parts[i]
}

func partNames() string {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	return strings.Join(names, ",")
}

// Sample is what one measurement gave.
type Sample struct {
	// Rate is requests or octets for a second, CPU the server's processor time for what the part says.
	Rate float64
	CPU  time.Duration
	// P50, P99 and P999 are the latency's quantiles, of parts that have them.
	P50, P99, P999 time.Duration `json:",omitzero"`
	// Errors counts the connections that failed.
	Errors int
}

// Series are the samples of one contestant on one point, a sample for each round.
type Series struct {
	Part, Point, Contestant string
	Conns                   int
	Samples                 []Sample
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

// spread returns how far the rates lie apart, as a part of their median.
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

func rate(s *Sample) float64 { return s.Rate }
func cpu(s *Sample) float64  { return float64(s.CPU) }
func p50(s *Sample) float64  { return float64(s.P50) }
func p99(s *Sample) float64  { return float64(s.P99) }
