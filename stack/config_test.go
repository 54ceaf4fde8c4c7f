package stack

import (
	"errors"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/rate"
	"github.com/unet-go/unet/stack/tcp"
)

// numbers calls do with each number and time that stands in the struct that v is of, by its name.
func numbers(v reflect.Value, prefix string, do func(name string, field reflect.Value)) {
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue
		}
		name, f := prefix+v.Type().Field(i).Name, v.Field(i)
		switch f.Kind() {
		case reflect.Struct:
			numbers(f, name+".", do)
		case reflect.Int, reflect.Int64, reflect.Uint8, reflect.Int32, reflect.Uint32:
			do(name, f)
		default: // no number
		}
	}
}

// TestConfigRange gives each number and time of Config values that no program means: it is an error that names it, or
// it has a meaning, which Config then tells.
func TestConfigRange(t *testing.T) {
	bounded := []string{"ICMPRate", "ResetRate"} // negative for no bound
	var zero Config
	numbers(reflect.ValueOf(&zero).Elem(), "", func(name string, f reflect.Value) {
		if f.Kind() == reflect.Uint8 {
			return // any TTL will do; ECN is below
		}
		values := []int64{-1, math.MinInt64, 1, 2, math.MaxInt64}
		for _, value := range values {
			f.SetInt(value)
			h, err := New(zero)
			var config *ConfigError
			switch negative := value < 0 && name != bounded[0] && name != bounded[1]; {
			case err == nil && negative:
				t.Errorf("%s = %d is taken", name, value)
			case err != nil && value > 0 && f.Type() != reflect.TypeFor[time.Duration]():
				t.Errorf("%s = %d: %v", name, value, err)
			case err != nil && (!errors.Is(err, syscall.EINVAL) || !errors.As(err, &config) || config.Field != name ||
				!strings.Contains(err.Error(), "Config."+name+" is ")):
				t.Errorf("%s = %d: %v", name, value, err)
			}
			if h != nil {
				if value == 1 || value == math.MaxInt64 {
					works(t, name, h)
				}
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		f.SetInt(0)
	})
	if _, err := New(Config{TCP: tcp.Config{ECN: 99}}); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("ECN 99: %v", err)
	}
	for _, x := range []struct{ given, want int }{{1, 1}, {3, 4}, {4096, 4096}, {4097, 4096}, {8192, 4096}, {math.MaxInt, 4096}} {
		h, err := New(Config{Shards: x.given})
		if err != nil {
			t.Fatal(err)
		}
		if told, real := h.Config().Shards, len(h.tcp.shards); told != x.want || real != x.want {
			t.Errorf("of %d shards there are %d, and Config says %d", x.given, real, told)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Run("what Config says holds", func(t *testing.T) {
		h, err := New(Config{ICMPRate: -7, ResetRate: math.MaxInt, Shards: 8, MaxTimeWait: 30, NeighborReachable: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		if c := h.Config(); c.ICMPRate != -1 || c.ResetRate != rate.Max || c.MaxTimeWait != 24 || c.NeighborReachable != time.Millisecond ||
			c.TCP != h.tcp.config {
			t.Errorf("%+v", c)
		}
	})
}

// works demands that two sockets of a host can talk.
func works(t *testing.T, name string, h *Host) {
	t.Helper()
	b, err := h.BindTCP(netip.MustParseAddrPort("127.0.0.1:80"), BindOptions{})
	if err != nil {
		t.Fatal(name, err)
	}
	l, err := h.ListenTCP(b, 4, tcp.DefaultOptions())
	if err != nil {
		t.Fatal(name, err)
	}
	c, err := h.ConnectTCP(nil, netip.MustParseAddrPort("127.0.0.1:80"), tcp.DefaultOptions())
	if err != nil {
		t.Fatal(name, err)
	}
	c.SetWriteDeadline(time.Now().Add(time.Minute))
	if err := c.WaitConnect(); err != nil {
		t.Fatal(name, err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(name, err)
	}
	s.SetReadDeadline(time.Now().Add(time.Minute))
	text := []byte("hello")
	if n, err := c.Write(text); n != len(text) || err != nil {
		t.Fatal(name, n, err)
	}
	if n, err := s.Read(text); n == 0 || err != nil {
		t.Errorf("%s: read %d octets, %v", name, n, err)
	}
	u, err := h.ListenUDP(netip.MustParseAddrPort("127.0.0.1:53"), BindOptions{})
	if err != nil {
		t.Fatal(name, err)
	}
	if _, err := u.WriteTo(text, netip.MustParseAddrPort("127.0.0.1:53")); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if err := u.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Error(err)
	}
	if n, _, _, err := u.ReadFrom(text); n != len(text) || err != nil {
		t.Errorf("%s: a datagram of %d octets, %v", name, n, err)
	}
}
