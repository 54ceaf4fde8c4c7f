//go:build linux

package main

import (
	"encoding/json"
	"errors"
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

// noisy is the spread from which on a series is not reliable.
const noisy = 0.15

// report holds the results of a run, and the machine and versions with which they were measured.
type report struct {
	Time                time.Time
	Command             string
	CPU, Kernel         string
	CPUs                int
	Memory              string
	Load                string // before the run
	Go, FastHTTP        string
	Client              string
	Revision            string
	Base                string `json:",omitzero"` // the revision of the contestant base
	Missing             []string
	Options             *options
	CongestionOfKernels string
	Series              []Series
}

func newReport(o *options, l *lab) *report {
	r := &report{Time: time.Now().UTC().Truncate(time.Second), Command: o.command, CPUs: runtime.NumCPU(), Go: runtime.Version(),
		Options: o, CongestionOfKernels: l.control, FastHTTP: l.fasthttp, Revision: l.Revision, Base: l.Base, Missing: l.Missing}
	r.Client = "built-in"
	if l.Wrk != "" {
		r.Client = l.WrkVersion + " for requests and connections, built-in for the rest"
		if o.Client == "auto" {
			r.Client += fmt.Sprintf(" and for more than %d connections, whose opening wrk counts", wrkMost)
		}
	}
	r.CPU = lineOf("/proc/cpuinfo", "model name")
	r.Memory = lineOf("/proc/meminfo", "MemTotal")
	if kib, err := strconv.Atoi(strings.TrimSuffix(r.Memory, " kB")); err == nil {
		r.Memory = fmt.Sprintf("%.1f GiB", float64(kib)/(1<<20))
	}
	if version, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		r.Kernel = strings.TrimSpace(string(version))
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		r.Load, _, _ = strings.Cut(string(load), " ")
	}
	return r
}

// lineOf returns the text after the colon of the named line of a file in /proc.
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

// The names of the files that are written, in the folder of -out.
const (
	pageFile = "RESULTS.md"
	dataFile = "results.json"
	plotsDir = "plots"
)

// write prints the tables, and writes the files into the folder that was asked for.
func (r *report) write(o *options, out io.Writer) error {
	plots := r.plots()
	fmt.Fprintf(out, "\n%s", r.markdown(nil))
	if o.out == "" {
		return nil
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Join(o.out, plotsDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i := range pictures { // no plot of an earlier run stays beside those of this one
		if err := os.Remove(filepath.Join(dir, pictures[i].file+".svg")); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	for _, p := range plots {
		if err := os.WriteFile(filepath.Join(dir, p.file), []byte(p.svg()), 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(o.out, dataFile), append(data, '\n'), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(o.out, pageFile), []byte(r.markdown(plots)), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nwritten to %s, %s and %s in %s\n", pageFile, dataFile, plotsDir, filepath.ToSlash(o.out))
	return nil
}

// markdown is the report as a page that shows plots.
func (r *report) markdown(plots []plot) string {
	var s strings.Builder
	r.head(&s)
	r.targets(&s)
	for _, p := range parts {
		if !slices.ContainsFunc(r.Series, func(s Series) bool { return s.Part == p.name }) {
			continue
		}
		r.table(&s, p)
		for _, plot := range plots {
			if plot.part == p.name {
				fmt.Fprintf(&s, "\n![%s](%s/%s)\n", plot.title, plotsDir, plot.file)
			}
		}
	}
	r.warn(&s)
	return s.String()
}

// head writes what was measured, where and how.
func (r *report) head(w io.Writer) {
	fmt.Fprintf(w, "# Results\n\nWritten by `%s` on %s.\n\n", r.Command, r.Time.Format(time.RFC3339))
	fmt.Fprintf(w, "| machine | |\n|---|---|\n| processor | %s, %d of them, shared by server and client |\n", r.CPU, r.CPUs)
	fmt.Fprintf(w, "| memory | %s |\n| kernel | Linux %s, congestion control %s |\n", r.Memory, r.Kernel, r.CongestionOfKernels)
	fmt.Fprintf(w, "| load before the run | %s |\n| Go | %s |\n| servers | examples/http, fasthttp %s |\n", r.Load, r.Go, r.FastHTTP)
	fmt.Fprintf(w, "| client | %s |\n| unet | %s, congestion control cubic |\n\n", r.Client, r.Revision)
	for _, c := range contestants {
		if slices.ContainsFunc(r.Series, func(s Series) bool { return s.Contestant == c.name }) {
			fmt.Fprintf(w, "- **%s**: %s.\n", c.name, c.about)
			if c.base {
				fmt.Fprintf(w, "  The revision is %s.\n", r.Base)
			}
		}
	}
	for _, line := range r.Missing {
		fmt.Fprintf(w, "\n**%s**\n", line)
	}
	fmt.Fprintf(w, `
Client and server are processes of their own where a part does not say otherwise; the client is the kernel's TCP.
Each measurement has a server and a network of its own, started for it and ended after it: what one leaves behind is
in no other's figure. Before what counts the server is asked for a tenth of the time over up to %d connections.
Each figure is the median of %d rounds of %v, in which the contestants take turns (wrk takes whole seconds). The
spread is the distance from the lowest to the highest round, as a part of the median. GOMAXPROCS is the server's; a
dash is Go's own choice. The server's processor time is its process's own as /proc/PID/stat has it, to a hundredth of
a second: a hint, since the kernel charges the work of its TCP to whichever process it interrupts. That of the machine
is all that was not idle, the client's included.
`, atOnce, r.Options.Rounds, r.Options.Duration)
	if r.Options.Short {
		fmt.Fprint(w, "\n**A short run: not for comparison.**\n")
	}
}

// warn lists the results that are not reliable.
func (r *report) warn(w io.Writer) {
	var lines []string
	for i := range r.Series {
		s := &r.Series[i]
		if s.spread() > noisy {
			lines = append(lines, fmt.Sprintf("- %s: the rounds lie %.0f %% apart.", s.name(), s.spread()*100))
		}
		if n := s.errors(); n > 0 {
			lines = append(lines, fmt.Sprintf("- %s: %d connections failed.", s.name(), n))
		}
		for _, f := range s.Failures {
			lines = append(lines, fmt.Sprintf("- %s: a round failed: %s", s.name(), f))
		}
	}
	if len(lines) > 0 {
		fmt.Fprintf(w, "\n## Warnings\n\nA spread above %.0f %% means that something else kept the machine busy, or that the contestant is not steady.\n\n%s\n",
			noisy*100, strings.Join(lines, "\n"))
	}
}

// name returns the name of the series for readers.
func (s *Series) name() string {
	name := s.Part + ", " + s.Point + ", " + s.Contestant
	if s.Procs > 0 {
		name += fmt.Sprintf(", GOMAXPROCS %d", s.Procs)
	}
	return name
}

// find returns the series of a part's point, nil if there is none with samples.
func (r *report) find(part, at, contestant string, procs int) *Series {
	for i := range r.Series {
		s := &r.Series[i]
		if s.Part == part && s.Point == at && s.Contestant == contestant && s.Procs == procs && len(s.Samples) > 0 {
			return s
		}
	}
	return nil
}

// ratio returns the series' median over that of a contestant in the same place, 0 where there is none.
func (r *report) ratio(s *Series, contestant string, of func(*Sample) float64) float64 {
	o := r.find(s.Part, s.Point, contestant, s.Procs)
	if o == nil || o.median(of) == 0 {
		return 0
	}
	return s.median(of) / o.median(of)
}

// timeFigure writes nanoseconds in a unit that suits them.
func timeFigure(ns float64) string {
	switch {
	case ns >= 1e9:
		return figure(ns/1e9) + " s"
	case ns >= 1e6:
		return figure(ns/1e6) + " ms"
	}
	return figure(ns/1e3) + " us"
}
