package main

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// A contestant is a way to serve.
type contestant struct {
	name, about string
	start       func(ctx context.Context, l *lab, kind serverKind) (*server, error)
}

// compare measures all parts and writes the report.
func compare(ctx context.Context, o *options, out io.Writer) error {
	l, err := newLab(o)
	if err != nil {
		return err
	}
	defer l.close()
	r := newReport(o, l)
	for _, name := range o.Parts {
		series, err := measure(ctx, l, partNamed(name), o, out)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		r.Series = append(r.Series, series...)
	}
	return r.write(o, out)
}

// measure measures one part: the servers stay, and each round takes one sample of each in turn.
func measure(ctx context.Context, l *lab, p *part, o *options, out io.Writer) (all []Series, err error) {
	var servers []*server
	defer func() {
		for _, s := range servers {
			err = errors.Join(err, s.stop())
		}
	}()
	for _, c := range contestants {
		s, err := c.start(ctx, l, p.server)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		servers = append(servers, s)
	}
	points := p.points(o)
	for _, at := range points {
		for _, c := range contestants {
			all = append(all, Series{Part: p.name, Point: at.Name, Conns: at.Conns, Contestant: c.name})
		}
	}
	for round := range o.Rounds {
		for i, at := range points {
			fmt.Fprintf(out, "%s, round %d of %d, %s:", p.name, round+1, o.Rounds, at.Name)
			for j, c := range contestants {
				sample, err := p.measure(ctx, l, servers[j], at, o)
				if err != nil {
					fmt.Fprintln(out)
					return nil, fmt.Errorf("%s, %s: %w", c.name, at.Name, err)
				}
				s := &all[i*len(contestants)+j]
				s.Samples = append(s.Samples, sample)
				fmt.Fprintf(out, "  %s %s", c.name, figure(sample.Rate*p.scale))
			}
			fmt.Fprintln(out, " ", p.unit)
		}
	}
	return all, nil
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
