package unet

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

func TestKeepAliveOptions(t *testing.T) {
	off := tcp.Options{Linger: -1, NoDelay: true}
	on := func(idle, interval uint16, count uint8) tcp.Options {
		return tcp.Options{Linger: -1, NoDelay: true, KeepAlive: true, KeepIdle: idle, KeepInterval: interval, KeepCount: count}
	}
	tests := []struct {
		name   string
		period time.Duration
		cfg    net.KeepAliveConfig
		want   tcp.Options
	}{
		{"default", 0, net.KeepAliveConfig{}, on(15, 15, 9)},
		{"a period is the idle time alone", 90 * time.Second, net.KeepAliveConfig{}, on(90, 15, 9)},
		{"rounded up", 1100 * time.Millisecond, net.KeepAliveConfig{}, on(2, 15, 9)},
		{"off", -1, net.KeepAliveConfig{}, off},
		{"off whatever is configured", -1, net.KeepAliveConfig{Idle: time.Second}, off},
		{"a configuration wins over a period", -1, net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: 2 * time.Second, Count: 3}, on(1, 2, 3)},
		{"negative fields leave the system's", 0, net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}, on(0, 0, 0)},
		{"an idle time that the kernel refuses ends the steps", 0, net.KeepAliveConfig{Enable: true, Idle: 40000 * time.Second}, on(0, 0, 0)},
		{"an endless idle time does not overflow", 1<<63 - 1, net.KeepAliveConfig{}, on(0, 0, 0)},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, tcpOptions(tt.period, tt.cfg)); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.name, diff)
		}
	}
	var o tcp.Options
	if err := setKeepAlive(&o, net.KeepAliveConfig{Count: 128}); err != syscall.EINVAL {
		t.Errorf("count 128: %v", err)
	}
}

// writes records each Write, and fails with err once limit octets are taken.
type writes struct {
	calls [][]byte
	limit int
	err   error
}

func (w *writes) Write(p []byte) (int, error) {
	n := min(len(p), w.limit)
	w.limit -= n
	w.calls = append(w.calls, bytes.Clone(p[:n]))
	if n < len(p) {
		return n, w.err
	}
	return n, nil
}

func TestWritev(t *testing.T) {
	sizes := func(w writes) (n []int) {
		for _, c := range w.calls {
			n = append(n, len(c))
		}
		return n
	}
	text := func(lengths ...int) (bufs [][]byte) {
		rng := rand.NewChaCha8([32]byte{1})
		for _, n := range lengths {
			b := make([]byte, n)
			rng.Read(b)
			bufs = append(bufs, b)
		}
		return bufs
	}
	const full = link.MaxBuffer
	tests := []struct {
		name string
		bufs [][]byte
		want []int
	}{
		{"none", nil, nil},
		{"empty ones", text(0, 0), nil},
		{"small ones share a write", text(10, 0, 20, 30), []int{60}},
		{"one large is written from where it stands", text(full * 2), []int{full * 2}},
		{"small, large, small", text(10, full, 20), []int{full, 30}},
		{"just full", text(full-1, 1), []int{full}},
	}
	for _, tt := range tests {
		w := writes{limit: 1 << 30}
		n, err := writev(&w, tt.bufs)
		want := bytes.Join(tt.bufs, nil)
		if got := bytes.Join(w.calls, nil); err != nil || n != int64(len(want)) || !bytes.Equal(got, want) {
			t.Errorf("%s: %d of %d octets, %v", tt.name, n, len(want), err)
		}
		if diff := cmp.Diff(tt.want, sizes(w)); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.name, diff)
		}
	}
	t.Run("an error ends it with the octets taken", func(t *testing.T) {
		w := writes{limit: full + 5, err: io.ErrClosedPipe}
		n, err := writev(&w, text(10, full, full))
		if n != full+5 || !errors.Is(err, io.ErrClosedPipe) || len(w.calls) != 2 {
			t.Errorf("%d, %v after %v", n, err, sizes(w))
		}
	})
}
