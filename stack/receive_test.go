package stack

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unet-go/unet/stack/link"
)

// askedDevice notes how many frames its reader asks for.
type askedDevice struct {
	*memDevice
	bursts [][]int // the sizes of the frames of each burst that is still to come
	asked  []int
}

func (d *askedDevice) Read(frames []link.Frame) (int, error) {
	d.asked = append(d.asked, len(frames))
	if len(d.bursts) == 0 {
		return d.memDevice.Read(frames) // until Close
	}
	sizes := d.bursts[0]
	d.bursts = d.bursts[1:]
	for i, size := range sizes {
		b := link.NewBuffer(link.Headroom + size)
		clear(b.Bytes()[:link.Headroom+size]) // no packet of ours
		frames[i].Set(b, link.Headroom, link.Headroom+size)
	}
	return len(sizes), nil
}

func TestBurstLength(t *testing.T) {
	t.Run("the loop asks for as many frames as the last burst says", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := &askedDevice{memDevice: newMemDevice(link.Info{Name: "asked", MTU: 1500, MAC: link.MAC{2, 0, 0, 0, 0, 1}}),
				bursts: [][]int{{65536}, {65536, 32768}, {1500, 1500}, {}}}
			h, err := New(Config{})
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Attach(d, Interface{Addrs: []netip.Prefix{netip.PrefixFrom(addrA, 24)}}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond) // the pause after a Read of nothing
			synctest.Wait()
			if err := h.Close(); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff([]int{burstFrames, 8, 10, burstFrames, burstFrames}, d.asked); diff != "" {
				t.Errorf("frames asked for, -want +got\n%s", diff)
			}
		})
	})
	for _, tt := range []struct {
		name                        string
		frames, octets, woken, want int
	}{
		{name: "small frames", frames: 64, octets: 64 * 1514, woken: 1, want: burstFrames},
		{name: "just not large", frames: 4, octets: 4*largeFrame - 1, woken: 1, want: burstFrames},
		{name: "one reader", frames: 4, octets: 4 * 65536, woken: 1, want: 8},
		{name: "the reader was not waiting", frames: 4, octets: 4 * 65536, woken: 0, want: 8},
		{name: "three readers", frames: 4, octets: 4 * 65536, woken: 3, want: 24},
		{name: "many readers", frames: 64, octets: 64 * 65536, woken: 64, want: burstFrames},
		{name: "a frame longer than that", frames: 1, octets: 2 * connOctets, woken: 1, want: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := roomFor(tt.frames, tt.octets, tt.woken); got != tt.want {
				t.Errorf("roomFor(%d, %d, %d) = %d, want %d", tt.frames, tt.octets, tt.woken, got, tt.want)
			}
		})
	}
}
