//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// errNotHere says that a contestant cannot be measured at a point, which is no failure.
var errNotHere = errors.New("not to be had")

// compare measures all parts and writes the report.
func compare(ctx context.Context, o *options, out io.Writer) (err error) {
	l, err := newLab(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	for _, line := range l.Missing {
		fmt.Fprintln(out, line)
	}
	r := newReport(o, l)
	failures := 0
	for _, name := range o.Parts {
		series, err := measure(ctx, l, partNamed(name), o, out)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for i := range series {
			failures += len(series[i].Failures)
		}
		r.Series = append(r.Series, series...)
	}
	if err := r.write(o, out); err != nil {
		return err
	}
	if failures > 0 {
		return fmt.Errorf("%d measurements failed", failures)
	}
	return nil
}

// A lane is a contestant with one GOMAXPROCS.
type lane struct {
	contestant *contestant
	procs      int
}

// measure measures one part: each round takes one sample of each contestant in turn.
func measure(ctx context.Context, l *lab, p *part, o *options, out io.Writer) (all []Series, err error) {
	lanes := lanesOf(l, p, o)
	points := p.points(o)
	for _, at := range points {
		for _, of := range lanes {
			all = append(all, Series{Part: p.name, Point: at.Name, Conns: at.Conns, Contestant: of.contestant.name, Procs: of.procs})
		}
	}
	for round := range o.Rounds {
		for i, at := range points {
			if p.rounds != nil && round >= p.rounds(o, at) {
				continue
			}
			fmt.Fprintf(out, "%s, round %d of %d, %s:", p.name, round+1, o.Rounds, at.Name)
			for j, of := range lanes {
				t := turn{lab: l, part: p, options: o, contestant: of.contestant, at: at, procs: of.procs, round: round}
				if err := t.sample(ctx, &all[i*len(lanes)+j], out); err != nil {
					fmt.Fprintln(out)
					return nil, err
				}
			}
			fmt.Fprintln(out, " ", p.unit)
		}
	}
	return all, nil
}

func lanesOf(l *lab, p *part, o *options) (lanes []lane) {
	procs := []int{0}
	if p.procs {
		procs = o.Procs
	}
	for _, n := range procs {
		for _, c := range l.contestants {
			if c.v6 && !p.families {
				continue
			}
			if p.contestants == nil || slices.Contains(p.contestants, c.name) {
				lanes = append(lanes, lane{contestant: c, procs: n})
			}
		}
	}
	return lanes
}

// sample takes a sample for s, or notes the reason why there is none. If it returns an error the run ends.
func (t *turn) sample(ctx context.Context, s *Series, out io.Writer) error {
	if s.Note != "" {
		return nil
	}
	sample, err := t.alone(ctx)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errNotHere):
		s.Note = err.Error()
	case err != nil:
		s.Failures = append(s.Failures, err.Error())
		fmt.Fprintf(out, "  %s failed: %v", t.label(), err)
	default:
		s.Samples = append(s.Samples, sample)
		fmt.Fprintf(out, "  %s %s", t.label(), figure(sample.Rate*t.part.scale))
	}
	return nil
}

// warmFor is the part of the duration for which requests are sent to a server before it is measured.
const warmFor = 0.1

// alone starts a server, if the part has one, measures it and ends it. So no other server runs at the same time, and no
// measurement is affected by an earlier one. The first requests, which find every pool empty, do not count.
func (t *turn) alone(ctx context.Context) (sample Sample, err error) {
	if t.part.server == nil {
		return t.part.measure(ctx, t)
	}
	if t.server, err = t.contestant.start(ctx, t); err != nil {
		return sample, fmt.Errorf("start the server: %w", err)
	}
	defer func() { err = errors.Join(err, t.server.stop()) }()
	o, warm := *t.options, *t
	o.Duration, o.Client = time.Duration(warmFor*float64(o.Duration)), "builtin"
	warm.warming = true
	warm.options, warm.at.Conns = &o, min(t.at.Conns, atOnce)
	if _, err := t.part.measure(ctx, &warm); err != nil {
		return sample, fmt.Errorf("warm up: %w", err)
	}
	return t.part.measure(ctx, t)
}

func (t *turn) label() string {
	if t.procs == 0 {
		return t.contestant.name
	}
	return fmt.Sprintf("%s/%d", t.contestant.name, t.procs)
}

// figure writes a number with three or more significant digits.
func figure(f float64) string {
	switch {
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}
