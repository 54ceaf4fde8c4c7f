package unet

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
