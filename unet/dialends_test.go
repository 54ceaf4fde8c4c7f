package unet

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack/sim"
)

// A socket that was dialled may send to a broadcast address, as package net has it for all sockets.
func TestDialBroadcast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, segment := pair(t, sim.Config{})
		defer segment.Close()
		defer server.Close()
		defer client.Close()
		l, err := server.ListenPacket("udp", ":9")
		if err != nil {
			t.Fatal(err)
		}
		for _, address := range []string{"255.255.255.255:9", "10.0.0.255:9"} {
			c, err := client.Dial("udp", address)
			if err != nil {
				t.Error(err)
				continue
			}
			if _, err := c.Write([]byte("x")); err != nil {
				t.Error(err)
			}
			b := make([]byte, 2)
			if n, from, err := l.ReadFrom(b); n != 1 || err != nil || from.(*net.UDPAddr).Port != c.LocalAddr().(*net.UDPAddr).Port {
				t.Errorf("to %s: read %d from %v, %v", address, n, from, err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// A dial that fails leaves its local port to the next one.
func TestFailedDialLeavesPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, segment := pair(t, sim.Config{})
		defer segment.Close()
		defer server.Close()
		defer client.Close()
		l := listen(t, server)
		d := Dialer{Host: client, LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientIP), Port: 4000}}
		for _, tt := range []struct {
			address string
			want    error
		}{
			{"192.0.2.1:80", syscall.ENETUNREACH}, {"192.0.2.1:80", syscall.ENETUNREACH},
			{serverIP + ":1", syscall.ECONNREFUSED}, {serverIP + ":1", syscall.ECONNREFUSED},
		} {
			if _, err := d.Dial("tcp", tt.address); !errors.Is(err, tt.want) {
				t.Errorf("dial %s: %v, want %v", tt.address, err, tt.want)
			}
			if g := client.Stats().TCPGauges; g.Bindings != 0 || g.Connections() != 0 {
				t.Errorf("after a dial of %s %d bindings and %d connections are left", tt.address, g.Bindings, g.Connections())
			}
		}
		c, err := d.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Of several addresses none of which can be dialled the first one's error is told.
func TestFirstErrorOfAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, segment := pair(t, sim.Config{})
		defer segment.Close()
		defer server.Close()
		defer client.Close()
		a := attempt{Dialer: &Dialer{}, host: client, net: netTCP}
		refuses := &net.TCPAddr{IP: net.ParseIP(serverIP), Port: 1}
		unreachable := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}
		for _, tt := range []struct {
			addrs []net.Addr
			want  error
		}{
			{[]net.Addr{refuses, unreachable}, syscall.ECONNREFUSED},
			{[]net.Addr{unreachable, refuses}, syscall.ENETUNREACH},
		} {
			_, err := a.serial(context.Background(), tt.addrs)
			var op *net.OpError
			if !errors.As(err, &op) || op.Addr != tt.addrs[0] || !errors.Is(err, tt.want) {
				t.Errorf("dial of %v: %v, want %v of the first", tt.addrs, err, tt.want)
			}
		}
	})
}

// Addresses that do not answer share the time that there is, but each has two seconds as far as they last.
func TestTimeOfAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, segment := pair(t, sim.Config{Filter: func(_ *sim.Port, frame []byte) sim.Verdict {
			if frame[12] == 8 && frame[13] == 0 { // IPv4; ARP passes
				return sim.Drop
			}
			return sim.Pass
		}})
		defer segment.Close()
		defer server.Close()
		defer client.Close()
		var addrs []net.Addr
		for port := range 3 {
			addrs = append(addrs, &net.TCPAddr{IP: net.ParseIP(serverIP), Port: port + 1})
		}
		for _, tt := range []struct {
			timeout time.Duration
			want    []time.Duration // when the dial of each address has failed
		}{
			{9 * time.Second, []time.Duration{3 * time.Second, 6 * time.Second, 9 * time.Second}},
			{6 * time.Second, []time.Duration{2 * time.Second, 4 * time.Second, 6 * time.Second}},
			{5 * time.Second, []time.Duration{2 * time.Second, 4 * time.Second, 5 * time.Second}},
		} {
			began := time.Now()
			var failed []time.Duration
			ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
				ConnectDone: func(_, _ string, err error) { failed = append(failed, time.Since(began)) },
			})
			ctx, cancel := context.WithTimeout(ctx, tt.timeout)
			a := attempt{Dialer: &Dialer{}, host: client, net: netTCP}
			_, err := a.serial(ctx, addrs)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || !slices.Equal(failed, tt.want) {
				t.Errorf("within %v the dials ended after %v, want %v: %v", tt.timeout, failed, tt.want, err)
			}
			if g := client.Stats().TCPGauges; g.Connections() != 0 {
				t.Errorf("%d connections are left", g.Connections())
			}
		}
	})
}
