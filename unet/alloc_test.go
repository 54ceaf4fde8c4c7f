//go:build !race

package unet

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
)

// The first call makes an address. A client of fasthttp asks for both after each request.
func TestAddressesAllocateOnce(t *testing.T) {
	client, server, _ := pair(t, sim.Config{})
	c, s := connection(t, client, server)
	u, err := client.DialUDP("udp", nil, &net.UDPAddr{IP: net.ParseIP(serverIP), Port: 53})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	l := listen(t, server)
	if n := testing.AllocsPerRun(100, func() {
		for _, c := range []net.Conn{c, s, u} {
			_, _ = c.LocalAddr(), c.RemoteAddr()
		}
		_ = l.Addr()
	}); n != 0 {
		t.Errorf("E-GO-18: %v allocations", n)
	}
}

// TestReadEndedByDeadlineAllocatesOnce does what a server of net/http does after each request.
func TestReadEndedByDeadlineAllocatesOnce(t *testing.T) {
	bubble(t, "a past deadline", sim.Config{}, func(t *testing.T, client, server *Host, _ *sim.Segment) {
		c, _ := connection(t, client, server)
		var b [1]byte
		var err error
		long := time.Unix(1, 0)
		if n := testing.AllocsPerRun(100, func() {
			_ = c.SetReadDeadline(long)
			_, err = c.Read(b[:])
			_ = c.SetReadDeadline(time.Time{})
		}); n != 1 {
			t.Errorf("%v allocations, want the error alone", n)
		}
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "read" || op.Net != "tcp" || op.Err != os.ErrDeadlineExceeded ||
			op.Source.String() != c.LocalAddr().String() || op.Addr.String() != c.RemoteAddr().String() {
			t.Errorf("%#v", err)
		}
	})
}
