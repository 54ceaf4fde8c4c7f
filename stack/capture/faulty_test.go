package capture_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"

	"github.com/unet-go/unet/stack/capture"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

var errPassing = errors.New("an error that passes")

// call has the results of a call of a device.
type call struct {
	n   int
	err error
}

// faulty is a device whose calls return the results that the test sets, and move as many frames as these say.
type faulty struct {
	link.Device
	reads, writes []call
}

func (d *faulty) Read([]link.Frame) (int, error) {
	c := d.reads[0]
	d.reads = d.reads[1:]
	return c.n, c.err
}

func (d *faulty) Write(frames []link.Frame) (int, error) {
	c := d.writes[0]
	d.writes = d.writes[1:]
	if n := min(max(c.n, 0), len(frames)); n > 0 {
		if _, err := d.Device.Write(frames[:n]); err != nil {
			return 0, err
		}
	}
	return c.n, c.err
}

// A frame that the device did not take is written to it again, and stands in the capture once.
func TestFramesOfASecondTryAreWrittenOnce(t *testing.T) {
	for _, tt := range []struct {
		name  string
		calls []call
	}{
		{"all at once", []call{{3, nil}}},
		{"one by one", []call{{1, nil}, {1, nil}, {1, nil}}},
		{"errors first", []call{{0, errPassing}, {0, errPassing}, {3, nil}}},
		{"an error beside frames", []call{{2, errPassing}, {1, nil}}},
		{"a count below zero", []call{{-1, nil}, {3, nil}}},
		{"errors between", []call{{1, nil}, {0, errPassing}, {1, errPassing}, {0, nil}, {1, nil}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := sim.NewSegment(sim.Config{})
			defer s.Close()
			var file bytes.Buffer
			dev := &faulty{Device: s.Port(), writes: append(tt.calls, call{2, nil})}
			d, err := capture.New(dev, &file)
			if err != nil {
				t.Fatal(err)
			}
			var want [][]byte
			frames := make([]link.Frame, 3)
			for i := range frames {
				want = append(want, udp(t, 10+i))
				frames[i] = frame(want[i], 0)
			}
			for left := frames; len(left) > 0; {
				n, _ := d.Write(left)
				left = left[max(n, 0):]
			}
			next := []link.Frame{frame(udp(t, 20), 0), frame(udp(t, 21), 0)}
			if n, err := d.Write(next); n != 2 || err != nil {
				t.Fatalf("Write = %d, %v", n, err)
			}
			want = append(want, udp(t, 20), udp(t, 21))
			for _, f := range append(frames, next...) {
				f.Release()
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			_, got := readFile(t, file.Bytes(), time.Now())
			if len(got) != len(want) {
				t.Fatalf("%d frames in the file, want %d", len(got), len(want))
			}
			for i := range got {
				if got[i].Dir != pcapgo.NgEpbFlagDirectionOutbound || !bytes.Equal(got[i].Data, want[i]) {
					t.Errorf("frame %d is %x, want %x", i, got[i].Data, want[i])
				}
			}
		})
	}
}

// Impossible results of a device are passed on: the reader of the device knows how to treat them.
func TestReadOfWhatCannotBe(t *testing.T) {
	s := sim.NewSegment(sim.Config{})
	defer s.Close()
	var file bytes.Buffer
	calls := []call{{-1, nil}, {3, nil}, {0, errPassing}, {1000, errPassing}}
	d, err := capture.New(&faulty{Device: s.Port(), reads: calls}, &file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range calls {
		if n, err := d.Read(make([]link.Frame, 2)); n != want.n || err != want.err {
			t.Errorf("Read = %d, %v, want %d, %v", n, err, want.n, want.err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, got := readFile(t, file.Bytes(), time.Now()); len(got) != 0 {
		t.Errorf("%d frames in the file", len(got))
	}
}
