package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// noisy is the spread from which on a series says little.
const noisy = 0.15

// report is what a run has measured, and where.
type report struct {
	Time                time.Time
	Command             string
	CPU, Kernel         string
	CPUs                int
	Memory              string
	Go, FastHTTP        string
	Revision            string
	Options             *options
	CongestionOfKernels string
	Series              []Series
}

func newReport(o *options, l *lab) *report {
	r := &report{Time: time.Now().UTC().Truncate(time.Second), Command: o.command, CPUs: runtime.NumCPU(), Go: runtime.Version(),
		Options: o, CongestionOfKernels: l.control, FastHTTP: l.fasthttp, Revision: l.revision}
	r.CPU = lineOf("/proc/cpuinfo", "model name")
	r.Memory = lineOf("/proc/meminfo", "MemTotal")
	if kib, err := strconv.Atoi(strings.TrimSuffix(r.Memory, " kB")); err == nil {
		r.Memory = fmt.Sprintf("%.1f GiB", float64(kib)/(1<<20))
	}
	if version, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		r.Kernel = strings.TrimSpace(string(version))
	}
	return r
}

// lineOf returns what stands behind the colon of a line of a file in /proc.
func lineOf(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// write prints the tables, and writes the files that were asked for.
func (r *report) write(o *options, out io.Writer) error {
	text := r.markdown()
	fmt.Fprintf(out, "\n%s", text)
	if o.json != "" {
		data, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.json, append(data, '\n'), 0o644); err != nil {
			return err
		}
	}
	if o.md == "" {
		return nil
	}
	if err := os.WriteFile(o.md, []byte(text), 0o644); err != nil {
		return fmt.Errorf("%w (run it at the top of the repository, or name the file with -md)", err)
	}
	fmt.Fprintf(out, "\nwritten to %s\n", filepath.ToSlash(o.md))
	return nil
}

// markdown is the report as a page.
func (r *report) markdown() string {
	var s strings.Builder
	fmt.Fprintf(&s, "# Results\n\nWritten by `%s` on %s.\n\n", r.Command, r.Time.Format(time.RFC3339))
	fmt.Fprintf(&s, "| machine | |\n|---|---|\n| processor | %s, %d of them, shared by server and client |\n", r.CPU, r.CPUs)
	fmt.Fprintf(&s, "| memory | %s |\n| kernel | Linux %s, congestion control %s |\n", r.Memory, r.Kernel, r.CongestionOfKernels)
	procs := "Go's own choice"
	if r.Options.Procs > 0 {
		procs = fmt.Sprint(r.Options.Procs)
	}
	fmt.Fprintf(&s, "| Go | %s, GOMAXPROCS of servers %s |\n| server | examples/http on %s", r.Go, procs, r.Options.Server)
	if r.Options.Server == "fasthttp" {
		fmt.Fprintf(&s, " %s", r.FastHTTP)
	}
	fmt.Fprintf(&s, " |\n| unet | %s, congestion control cubic |\n\n", r.Revision)
	for _, c := range contestants {
		fmt.Fprintf(&s, "- **%s**: %s.\n", c.name, c.about)
	}
	fmt.Fprintf(&s, `
Client and server are processes of their own; the client is the kernel's TCP in both cases. Each figure is the median of
%d rounds of %v, in which the contestants take turns. The spread is the distance from the lowest to the highest round,
as a part of the median. Processor time is the server process's own as /proc/PID/stat has it, to a hundredth of a
second. It is a hint and no more: the kernel charges the work of its TCP to whichever process it interrupts.
`, r.Options.Rounds, r.Options.Duration)
	if r.Options.Short {
		s.WriteString("\n**A short run: not for comparison.**\n")
	}
	for _, p := range parts {
		if slices.ContainsFunc(r.Series, func(s Series) bool { return s.Part == p.name }) {
			r.table(&s, p)
		}
	}
	r.warn(&s)
	return s.String()
}

// table writes one part.
func (r *report) table(w *strings.Builder, p *part) {
	latency := slices.ContainsFunc(r.Series, func(s Series) bool { return s.Part == p.name && s.median(p50) > 0 })
	fmt.Fprintf(w, "\n## %s\n\n| %s | contestant | %s | spread | ratio | processor time per %s |", p.title, p.rows, p.unit, p.per)
	rule := "|---|---|---:|---:|---:|---:|"
	if latency {
		w.WriteString(" p50 | p99 |")
		rule += "---:|---:|"
	}
	w.WriteString("\n" + rule + "\n")
	for i := range r.Series {
		s := &r.Series[i]
		if s.Part != p.name {
			continue
		}
		fmt.Fprintf(w, "| %s | %s | %s | %.0f %% | %.2f | %s |", s.Point, s.Contestant, figure(s.median(rate)*p.scale), s.spread()*100,
			r.ratio(s), timeFigure(s.median(cpu)))
		if latency {
			fmt.Fprintf(w, " %s | %s |", timeFigure(s.median(p50)), timeFigure(s.median(p99)))
		}
		w.WriteString("\n")
	}
	fmt.Fprintf(w, "\nThe ratio is that of the medians, to %s.\n", contestants[len(contestants)-1].name)
}

// ratio returns the series' median rate over that of the last contestant on the same point.
func (r *report) ratio(s *Series) float64 {
	for i := range r.Series {
		o := &r.Series[i]
		if o.Part == s.Part && o.Point == s.Point && o.Contestant == contestants[len(contestants)-1].name {
			return s.median(rate) / o.median(rate)
		}
	}
	return 0
}

// warn says what is not to be relied on.
func (r *report) warn(w *strings.Builder) {
	var lines []string
	for i := range r.Series {
		s := &r.Series[i]
		if s.spread() > noisy {
			lines = append(lines, fmt.Sprintf("- %s, %s, %s: the rounds lie %.0f %% apart.", s.Part, s.Point, s.Contestant, s.spread()*100))
		}
		if n := s.errors(); n > 0 {
			lines = append(lines, fmt.Sprintf("- %s, %s, %s: %d connections failed.", s.Part, s.Point, s.Contestant, n))
		}
	}
	if len(lines) > 0 {
		fmt.Fprintf(w, "\n## Warnings\n\nA spread above %.0f %% means that something else kept the machine busy, or that the contestant is not steady.\n\n%s\n",
			noisy*100, strings.Join(lines, "\n"))
	}
}

// timeFigure writes nanoseconds for people.
func timeFigure(ns float64) string {
	switch {
	case ns >= 1e9:
		return figure(ns/1e9) + " s"
	case ns >= 1e6:
		return figure(ns/1e6) + " ms"
	}
	return figure(ns/1e3) + " us"
}
