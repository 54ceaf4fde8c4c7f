package fdtable_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/internal/wire"
)

// history is how many lines that were as expected a failure shows before the one that was not.
const history = 8

// searchTime is for how long a failing script waits for a packet that did not come in time, to show it.
const searchTime = 5 * time.Minute

// pass notes that a line was as expected.
func (r *runner) pass(st *statement, seen string) {
	r.done = append(r.done, [2]string{r.stamp(r.now(), st.text), seen})
}

func (r *runner) stamp(at time.Duration, text string) string {
	return fmt.Sprintf("%.6f %s", at.Truncate(time.Microsecond).Seconds(), text)
}

// differ returns the error about a line that was not as expected. It shows the expected and the actual text side by side.
func (r *runner) differ(expected, seen string) error {
	rows := append([][2]string{{"expected", "seen"}}, r.done[max(0, len(r.done)-history):]...)
	rows = append(rows, [2]string{expected, seen})
	width := 0
	for _, row := range rows {
		width = max(width, len(row[0]))
	}
	var s strings.Builder
	s.WriteString("not as expected\n")
	for i, row := range rows {
		mark := "  "
		if i == len(rows)-1 {
			mark = "! "
		}
		s.WriteString(strings.TrimRight(fmt.Sprintf("%s%-*s | %s", mark, width, row[0], row[1]), " ") + "\n")
	}
	return errors.New(strings.TrimSuffix(s.String(), "\n"))
}

// expect compares the next packets with a > line.
func (r *runner) expect(st *statement) error {
	f, err := r.flow(st.flow)
	if err != nil {
		return err
	}
	due := r.now()
	for range st.times {
		if len(st.args) > 1 && st.args[0] == "arp" {
			err = r.expectOther(st, due)
		} else {
			err = r.expectSegment(st, f, due)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) expectSegment(st *statement, f *flow, due time.Duration) error {
	got, came := r.await()
	var s *segment
	if came && got.neighbor == nil && isTCP(got.packet) {
		s, _ = readSegment(got.packet) // an error is shown by describe
	}
	args := st.args
	if st.times > 1 && s != nil {
		args = without(args, "seq")
	}
	if s != nil && s.flags&syn != 0 && !f.issKnown && r.flowOf(s) == f {
		f.hostNext = 0
	}
	want, err := f.expect(args)
	if err != nil {
		return err
	}
	expected := r.stamp(due, "> "+want.String())
	if !came {
		return r.differ(expected, "nothing")
	}
	seen := r.describe(got)
	if s != nil && r.flowOf(s) == f {
		seen = "> " + f.see(s, want).String()
	}
	seen = r.stamp(got.at.Sub(r.began), seen)
	if expected != seen {
		return r.differ(expected, seen)
	}
	r.done = append(r.done, [2]string{expected, seen})
	return nil
}

// expectOther compares the next packet with a > line that does not describe a segment.
func (r *runner) expectOther(st *statement, due time.Duration) error {
	got, came := r.await()
	expected := r.stamp(due, st.text)
	if !came {
		return r.differ(expected, "nothing")
	}
	seen := r.stamp(got.at.Sub(r.began), r.describe(got))
	if expected != seen {
		return r.differ(expected, seen)
	}
	r.done = append(r.done, [2]string{expected, seen})
	return nil
}

// await returns the next packet: one that is there already, else one that comes within this microsecond, else, so that
// the failure can show it, the first one that comes later.
func (r *runner) await() (frame, bool) {
	if got, ok := r.take(); ok {
		return got, true
	}
	for _, d := range []time.Duration{time.Microsecond - 1, time.Second, searchTime} {
		for left := d; left > 0; left -= min(left, time.Second) {
			time.Sleep(min(left, time.Second))
			synctest.Wait()
			if got, ok := r.take(); ok {
				return got, true
			}
		}
	}
	return frame{}, false
}

// silent returns an error if a packet has come that no line before this one has expected.
func (r *runner) silent(st *statement) error {
	got, came := r.take()
	if !came {
		return nil
	}
	return r.differ(r.stamp(r.now(), st.text), r.stamp(got.at.Sub(r.began), r.describe(got)))
}

// describe returns the text of a packet that is not compared with a flow.
func (r *runner) describe(got frame) string {
	b := got.packet
	if got.neighbor != nil {
		return "> " + got.neighbor.String()
	}
	if h, _, err := readIP(b); err == nil && h.proto != wire.ProtocolTCP {
		return fmt.Sprintf("> IP protocol %d to %v, %d octets", h.proto, h.dst, len(b))
	}
	s, err := readSegment(b)
	if err != nil {
		return "> " + err.Error()
	}
	if f := r.flowOf(s); f != nil {
		return "> " + f.see(s, nil).String()
	}
	none := &flow{name: fmt.Sprintf("%v %v", s.src, s.dst), host: s.src, peer: s.dst}
	return "> " + none.see(s, nil).String()
}

// info runs a line "info FD NAME=VALUE...", which compares fields of a descriptor's TCP_INFO.
func (r *runner) info(st *statement) error {
	if len(st.args) < 2 {
		return fmt.Errorf("info takes a descriptor and what it shall say")
	}
	fd, err := number(st.args[0])
	if err != nil {
		return err
	}
	info, err := r.table.TCPInfo(fd)
	if err != nil {
		return err
	}
	return r.compare(st, "info "+st.args[0], reflect.ValueOf(info), st.args[1:])
}

// stats runs a line "stats NAME=VALUE...", which compares the host's counters.
func (r *runner) stats(st *statement) error {
	return r.compare(st, "stats", reflect.ValueOf(r.host.Stats()), st.args)
}

func (r *runner) compare(st *statement, head string, v reflect.Value, args []string) error {
	seen := []string{head}
	for _, a := range args {
		name, _, _ := strings.Cut(a, "=")
		value, err := lookUp(v, name)
		if err != nil {
			return err
		}
		seen = append(seen, name+"="+value)
	}
	if got := strings.Join(seen, " "); got != strings.Join(strings.Fields(st.text), " ") {
		return r.differ(r.stamp(r.now(), st.text), r.stamp(r.now(), got))
	}
	return nil
}
