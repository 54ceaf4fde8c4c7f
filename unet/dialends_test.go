package unet

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"

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
