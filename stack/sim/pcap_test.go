package sim_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

const us = time.Microsecond

// afterAll is ready when everything that can happen in a bubble has happened.
func afterAll() <-chan time.Time { return time.After(time.Hour) }

// captured is a packet of a capture.
type captured struct {
	At      time.Duration
	Port    string
	Data    []byte
	Comment string
	Inbound bool
}

func readPcap(t *testing.T, data []byte, start time.Time) []captured {
	t.Helper()
	r, err := pcapgo.NewNgReader(bytes.NewReader(data), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	var all []captured
	for {
		data, ci, opts, err := r.ReadPacketDataWithOptions()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		intf, err := r.Interface(ci.InterfaceIndex)
		if err != nil || intf.LinkType != layers.LinkTypeEthernet {
			t.Fatal(intf, err)
		}
		if opts.Flags == nil || opts.Flags.Direction == pcapgo.NgEpbFlagDirectionUnknown {
			t.Fatalf("flags %v", opts.Flags)
		}
		c := captured{At: ci.Timestamp.Sub(start), Port: intf.Name, Data: data}
		c.Inbound = opts.Flags.Direction == pcapgo.NgEpbFlagDirectionInbound
		if len(opts.Comments) > 0 {
			c.Comment = opts.Comments[0]
		}
		all = append(all, c)
	}
}

func TestWritePcap(t *testing.T) {
	verdicts := []sim.Verdict{sim.Pass, sim.Drop, sim.Pass, sim.Reorder, sim.Duplicate}
	cfg := sim.Config{Delay: ms, Filter: func(*sim.Port, []byte) sim.Verdict {
		v := verdicts[0]
		verdicts = verdicts[1:]
		return v
	}}
	pair(t, cfg, func(s *sim.Segment, a, b *sim.Port, r *reader) {
		start := time.Now()
		var file bytes.Buffer
		stop := s.WritePcap(&file)
		var want []captured
		put := func(from, to *sim.Port, n int, comment string) {
			f := newFrame(to.Info().MAC, from.Info().MAC, n, 7)
			want = append(want, captured{time.Since(start), from.Name(), bytes.Clone(f.Header), comment, false})
			f.Release()
			send(t, from, to, n, 7)
		}
		put(a, b, 60, "")
		time.Sleep(3*ms + 7)
		put(b, a, 61, "dropped: filtered")
		put(b, a, 62, "")
		put(a, b, 63, "reordered")
		put(a, b, 64, "duplicated")
		put(a, b, 1515, "dropped: oversize")
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		s.Update(func(c *sim.Config) { c.Filter = nil })
		send(t, a, b, 60, 0)
		if diff := cmp.Diff(want, readPcap(t, file.Bytes(), start)); diff != "" {
			t.Errorf("capture (-want +got):\n%s", diff)
		}
		r.stop(t)
	})
}

func TestReplayIsBitIdentical(t *testing.T) {
	run := func(seed int64) (file bytes.Buffer) {
		cfg := sim.Config{Seed: seed, Delay: 5 * ms, Jitter: 3 * ms, Rate: 1e7, Loss: 0.1, Duplicate: 0.1, Corrupt: 0.1, Reorder: 0.1}
		pair(t, cfg, func(s *sim.Segment, a, b *sim.Port, r *reader) {
			defer s.WritePcap(&file)()
			for i := range uint32(300) {
				send(t, a, b, 60+int(i), i)
				time.Sleep(ms)
				send(t, b, a, 60, i)
				synctest.Wait()
			}
		})
		return file
	}
	first, again, other := run(1), run(1), run(2)
	t.Run("the same seed replays to the same capture, bit for bit", func(t *testing.T) {
		if !bytes.Equal(first.Bytes(), again.Bytes()) {
			t.Error("two runs with one seed differ")
		}
		if bytes.Equal(first.Bytes(), other.Bytes()) {
			t.Error("two seeds gave the same capture")
		}
	})
}

type brokenWriter struct{ left int }

var errBroken = errors.New("disk full")

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left == 0 {
		return 0, errBroken
	}
	w.left--
	return len(p), nil
}

func TestPcapErrorDisturbsNoTraffic(t *testing.T) {
	s := sim.NewSegment(sim.Config{})
	defer s.Close()
	a, b := s.Port(), s.Port()
	stop := s.WritePcap(&brokenWriter{left: 2})
	for i := range uint32(3) {
		send(t, a, b, 60, i)
	}
	if err := stop(); !errors.Is(err, errBroken) {
		t.Errorf("stop() = %v", err)
	}
	if got := b.Stats().Delivered; got != 3 {
		t.Errorf("Delivered = %d", got)
	}
}

func TestTapSeesFateAndStops(t *testing.T) {
	s := sim.NewSegment(sim.Config{Corrupt: 1})
	defer s.Close()
	a, b := s.Port(), s.Port()
	var seen []sim.Record
	stop := s.Tap(func(r sim.Record) {
		r.Frame = bytes.Clone(r.Frame)
		seen = append(seen, r)
	})
	other := 0
	defer s.Tap(func(sim.Record) { other++ })()
	send(t, a, b, 60, 1)
	stop()
	stop()
	send(t, a, b, 60, 2)
	if len(seen) != 1 || other != 2 {
		t.Fatalf("saw %d and %d frames", len(seen), other)
	}
	got := make([]link.Frame, 1)
	if n, err := b.Read(got); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if r := seen[0]; r.From != a || !r.Corrupted || r.Dropped != sim.None || !bytes.Equal(r.Frame, got[0].Header) {
		t.Errorf("tap saw %+v, the receiver %x", r, got[0].Header)
	}
	got[0].Release()
}

func TestReasonsHaveNames(t *testing.T) {
	seen := make(map[string]bool)
	for r := sim.None; r <= sim.Partitioned; r++ {
		seen[r.String()] = true
	}
	if len(seen) != int(sim.Partitioned)+1 || sim.None.String() != "" || sim.Reason(99).String() != "unknown reason" {
		t.Errorf("%v", seen)
	}
}
