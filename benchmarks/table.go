//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A column of a table is left out if no row has a value in it.
type column struct {
	head  string
	right bool
	cell  func(*Series) string
}

// table writes one part.
func (r *report) table(w io.Writer, p *part) {
	fmt.Fprintf(w, "\n## %s\n\n", p.title)
	var rows []*Series
	for i := range r.Series {
		if r.Series[i].Part == p.name {
			rows = append(rows, &r.Series[i])
		}
	}
	columns := slices.DeleteFunc(r.columns(p), func(c column) bool {
		return !slices.ContainsFunc(rows, func(s *Series) bool { return c.cell(s) != "" })
	})
	head, rule := "|", "|"
	for _, c := range columns {
		head += " " + c.head + " |"
		if c.right {
			rule += "---:|"
		} else {
			rule += "---|"
		}
	}
	fmt.Fprintf(w, "%s\n%s\n", head, rule)
	for _, s := range rows {
		var cells []string
		for _, c := range columns {
			cells = append(cells, c.cell(s))
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
	better := "more"
	if p.less {
		better = "less"
	}
	fmt.Fprintf(w, "\nRatios are those of the medians; %s is better. %s\n", better, p.about)
}

func (r *report) columns(p *part) []column {
	return []column{
		{p.rows, false, func(s *Series) string { return s.Point }},
		{"GOMAXPROCS", true, func(s *Series) string { return procsCell(p, s) }},
		{"contestant", false, func(s *Series) string { return r.contestantCell(p, s) }},
		{p.unit, true, func(s *Series) string {
			if len(s.Samples) == 0 {
				return strings.TrimPrefix(s.Note, errNotHere.Error()+": ")
			}
			return figure(s.median(rate) * p.scale)
		}},
		{"spread", true, func(s *Series) string {
			if len(s.Samples) < 2 {
				return ""
			}
			return fmt.Sprintf("%.0f %%", s.spread()*100)
		}},
		r.ratioColumn(kernelName), r.familyColumn(unetName), r.familyColumn(kernel6Name), r.ratioColumn(gvisorName), r.ratioColumn(gvisorGSOName),
		timeColumn("server's time per "+p.per, cpu), timeColumn("machine's time per "+p.per, machine),
		timeColumn("p50", p50), timeColumn("p99", p99), timeColumn("p99.9", p999),
		{"allocations per request", true, func(s *Series) string {
			if len(s.Samples) == 0 || s.Samples[0].Allocs == nil {
				return ""
			}
			return fmt.Sprintf("%.3f", s.median(allocs))
		}},
		octetColumn("heap", heap), octetColumn("kernel's slab", inKernel), octetColumn("resident", resident), timeColumn("setup", setup),
		octetColumn("rate alone", alone), octetColumn("frames of the flood/s", flooding), octetColumn("% afterwards", after),
	}
}

func procsCell(p *part, s *Series) string {
	switch {
	case !p.procs:
		return ""
	case s.Procs == 0:
		return "-"
	}
	return fmt.Sprint(s.Procs)
}

// contestantCell returns the contestant's name. In bulk it adds the kernel's congestion control, since the figures depend
// on it.
func (r *report) contestantCell(p *part, s *Series) string {
	if p.name == bulk.name && s.Contestant == kernelName {
		return fmt.Sprintf("%s (%s)", s.Contestant, r.CongestionOfKernels)
	}
	return s.Contestant
}

// familyColumn is ratioColumn for unet over IPv6 alone.
func (r *report) familyColumn(contestant string) column {
	c := r.ratioColumn(contestant)
	ratio := c.cell
	c.cell = func(s *Series) string {
		if s.Contestant != unet6Name {
			return ""
		}
		return ratio(s)
	}
	return c
}

func (r *report) ratioColumn(contestant string) column {
	return column{"to " + contestant, true, func(s *Series) string {
		if ratio := r.ratio(s, contestant, rate); ratio != 0 {
			return fmt.Sprintf("%.2f", ratio)
		}
		return ""
	}}
}

func timeColumn(head string, of func(*Sample) float64) column {
	return column{head, true, func(s *Series) string {
		if ns := s.median(of); ns != 0 {
			return timeFigure(ns)
		}
		return ""
	}}
}

func octetColumn(head string, of func(*Sample) float64) column {
	return column{head, true, func(s *Series) string {
		if n := s.median(of); n != 0 {
			return figure(n)
		}
		return ""
	}}
}
