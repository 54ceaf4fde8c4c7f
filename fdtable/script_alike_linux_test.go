package fdtable_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// expect compares the next packets with a > line.
func (l *live) expect(st *statement, due time.Time) error {
	f, err := l.flow(st.flow)
	if err != nil {
		return err
	}
	slack := l.tolerance(due)
	for range st.times {
		got, came := l.await(due.Add(slack))
		expected, seen, err := l.compareFrame(st, f, got, came)
		if err != nil {
			return err
		}
		switch {
		case came && got.at.Before(due.Add(-slack)):
			seen += " (early)"
		case came && got.at.After(due.Add(slack)):
			seen += " (late)"
		}
		expected = l.stamp(due.Sub(l.began), expected)
		if came {
			seen = l.stamp(got.at.Sub(l.began), seen)
		}
		_, want, _ := strings.Cut(expected, " ")
		if _, is, _ := strings.Cut(seen, " "); want != is {
			return l.differ(expected, seen)
		}
		l.done = append(l.done, [2]string{expected, seen})
		if got.at.After(l.at) {
			l.at = got.at
		}
		l.spoke, l.acted = l.at, l.at
	}
	return nil
}

// await returns the next packet. It waits a little longer than the tolerance allows, so that a failure can show a late packet.
func (l *live) await(until time.Time) (frame, bool) {
	for _, end := range []time.Time{time.Now(), until, until.Add(300 * time.Millisecond)} {
		for {
			if got, ok := l.take(); ok {
				return got, true
			}
			if time.Now().After(end) {
				break
			}
			l.pump(minTime(end, time.Now().Add(20*time.Millisecond)))
		}
	}
	return frame{}, false
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// compareFrame returns the text of a > line and of the packet that came, both without the fields in which they may differ.
func (l *live) compareFrame(st *statement, f *flow, got frame, came bool) (expected, seen string, err error) {
	if len(st.args) > 1 && st.args[0] == "arp" {
		if !came {
			return st.text, "nothing", nil
		}
		return st.text, l.describe(got), nil
	}
	var s *segment
	if came && got.neighbor == nil && isTCP(got.packet) {
		s, _ = readSegment(got.packet)
	}
	args := st.args
	if st.times > 1 && s != nil {
		args = without(args, "seq")
	}
	if s != nil && s.flags&syn != 0 && !f.issKnown && l.flowOf(s) == f {
		f.hostNext = 0
	}
	want, err := f.expect(args)
	switch {
	case err != nil:
		return "", "", err
	case !came:
		return "> " + want.String(), "nothing", nil
	case s == nil || l.flowOf(s) != f:
		return "> " + want.String(), l.describe(got), nil
	}
	is := f.see(s, want)
	l.alike(f, want, is)
	return "> " + want.String(), "> " + is.String(), nil
}

// alike removes from both views the fields in which the kernel may differ from the script: identifications, the sizes of
// windows, the shift of a window, and the host's timestamps, which it remembers for actualStamps.
func (l *live) alike(f *flow, want, is view) {
	if wanted, _, ok := strings.Cut(want["ts"], "/"); ok {
		if actual, _, ok := strings.Cut(is["ts"], "/"); ok {
			if l.stamps[f.name] == nil {
				l.stamps[f.name] = make(map[string]string)
			}
			l.stamps[f.name][wanted] = actual
		}
	}
	if is["len"] != "" && is["len"] == want["len"] && l.full(f, is) {
		want["flags"] = strings.Replace(want["flags"], "P", "", 1)
		is["flags"] = strings.Replace(is["flags"], "P", "", 1)
	}
	for _, v := range []view{want, is} {
		delete(v, "id")
		if v["win"] != "0" || strings.Contains(v["flags"], "R") {
			v["win"] = "*"
		}
		if _, there := v["ws"]; there {
			v["ws"] = "*"
		}
		if _, echo, ok := strings.Cut(v["ts"], "/"); ok {
			v["ts"] = "*/" + echo
		}
	}
}

// full says whether a segment is as long as the longest of its flow so far, at least 500 octets: where among these a
// sender sets PSH is its own choice (RFC 9293 3.9.1.2).
func (l *live) full(f *flow, is view) bool {
	n, _ := strconv.Atoi(is["len"])
	l.fullest[f.name] = max(l.fullest[f.name], n, 500)
	return n == l.fullest[f.name]
}

// actualStamps returns the arguments of a segment to the host, with the timestamps that they echo replaced by those that
// the kernel really sent.
func (l *live) actualStamps(st *statement) []string {
	args := slices.Clone(st.args)
	for i, a := range args {
		value, echo, both := strings.Cut(a, "/")
		if actual, known := l.stamps[st.flow][echo]; both && known && strings.HasPrefix(a, "ts=") {
			args[i] = value + "/" + actual
		}
	}
	return args
}

// check compares an info line with the kernel's TCP_INFO of a descriptor, or a stats line with the namespace's counters.
func (l *live) check(st *statement) error {
	if st.verb == "stats" {
		return l.compareValues(st, 1, l.script.family.kernelStat)
	}
	fd, err := number(st.args[0])
	if err != nil {
		return err
	}
	info, err := kernelInfo(l.kernel.fd(fd))
	if err != nil {
		return err
	}
	return l.compareValues(st, 2, func(name string) (string, bool) {
		v, known := info[name]
		return fmt.Sprint(v), known
	})
}

// compareValues compares the words NAME=VALUE of a line, from word number first on, with the kernel's values. Names for
// which the kernel has no value are skipped. Times may differ as much as those of segments.
func (l *live) compareValues(st *statement, first int, say func(name string) (string, bool)) error {
	words := strings.Fields(st.text)
	for i, w := range words {
		name, value, ok := strings.Cut(w, "=")
		if i < first || !ok {
			continue
		}
		if is, known := say(name); known && !same(value, is) {
			words[i] = name + "=" + is
		}
	}
	if seen := strings.Join(words, " "); seen != strings.Join(strings.Fields(st.text), " ") {
		return l.differ(l.stamp(l.now(), st.text), l.stamp(l.now(), seen))
	}
	return nil
}

func same(want, is string) bool {
	if a, err := time.ParseDuration(want); err == nil {
		b, err := time.ParseDuration(is)
		return err == nil && (a-b).Abs() <= max(20*time.Millisecond, a*3/10)
	}
	if n, err := strconv.ParseUint(is, 10, 64); err == nil && n > 1<<30 {
		return true // there is no threshold yet
	}
	return want == is
}
