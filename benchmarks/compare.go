//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// errNotHere says that a point cannot be had from a contestant, which is no failure.
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

// A lane is a contestant with one GOMAXPROCS, and its server.
type lane struct {
	contestant *contestant
	procs      int
	server     *server
}

// measure measures one part: the servers stay, and each round takes one sample of each in turn.
func measure(ctx context.Context, l *lab, p *part, o *options, out io.Writer) (all []Series, err error) {
	lanes := lanesOf(l, p, o)
	defer func() {
		for i := range lanes {
			err = errors.Join(err, lanes[i].server.stop())
		}
		err = errors.Join(err, l.endSessions())
	}()
	for i := range lanes {
		if err := lanes[i].serve(ctx, l, p); err != nil {
			return nil, err
		}
	}
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
			for j := range lanes {
				s := &all[i*len(lanes)+j]
				if err := lanes[j].sample(ctx, l, p, o, at, s, out); err != nil {
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
			if p.contestants == nil || slices.Contains(p.contestants, c.name) {
				lanes = append(lanes, lane{contestant: c, procs: n})
			}
		}
	}
	return lanes
}

// serve starts the lane's server, if its part has one and it does not run.
func (of *lane) serve(ctx context.Context, l *lab, p *part) (err error) {
	if p.server == nil || of.server.runs() {
		return nil
	}
	if of.server, err = of.contestant.start(ctx, l, p.server, of.procs); err != nil {
		return fmt.Errorf("%s: %w", of.contestant.name, err)
	}
	return nil
}

// sample takes a sample for s, or notes why there is none. Its error ends the run.
func (of *lane) sample(ctx context.Context, l *lab, p *part, o *options, at point, s *Series, out io.Writer) error {
	if s.Note != "" {
		return nil
	}
	if err := of.serve(ctx, l, p); err != nil {
		return err
	}
	sample, err := p.measure(ctx, &turn{lab: l, options: o, contestant: of.contestant, server: of.server, at: at, procs: of.procs})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errNotHere):
		s.Note = err.Error()
	case err != nil:
		s.Failures = append(s.Failures, err.Error())
		fmt.Fprintf(out, "  %s failed: %v", of.label(), err)
	default:
		s.Samples = append(s.Samples, sample)
		fmt.Fprintf(out, "  %s %s", of.label(), figure(sample.Rate*p.scale))
	}
	return nil
}

func (of *lane) label() string {
	if of.procs == 0 {
		return of.contestant.name
	}
	return fmt.Sprintf("%s/%d", of.contestant.name, of.procs)
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
