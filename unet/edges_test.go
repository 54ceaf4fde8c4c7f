package unet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
)

// What programs ask of options and addresses at the edges of what these can be.
func TestEdgesOfOptions(t *testing.T) {
	client, server, _ := pair(t, sim.Config{})
	t.Run("a mapped address in WriteMsgUDPAddrPort", func(t *testing.T) {
		l, err := server.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(serverIP)})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := client.ListenUDP("udp", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		to := netip.AddrPortFrom(netip.MustParseAddr("::ffff:"+serverIP), l.LocalAddr().(*net.UDPAddr).AddrPort().Port())
		for range 2 {
			if n, _, err := c.WriteMsgUDPAddrPort([]byte("text"), nil, to); n != 4 || err != nil {
				t.Errorf("wrote %d, %v", n, err)
			}
			if n, err := l.Read(make([]byte, 8)); n != 4 || err != nil {
				t.Errorf("read %d, %v", n, err)
			}
		}
	})
	t.Run("two listeners on one group", func(t *testing.T) {
		at := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 1), Port: 5353}
		for range 2 {
			l, err := server.ListenUDP("udp", at)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
		}
	})
	t.Run("an empty Read of a closed socket", func(t *testing.T) {
		l, err := server.ListenUDP("udp", nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := l.Read(nil); n != 0 || err != nil {
			t.Errorf("read %d, %v", n, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if n, err := l.Read(nil); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("read %d, %v after Close; want net.ErrClosed", n, err)
		}
	})
	t.Run("an empty Read after the deadline", func(t *testing.T) {
		c, _ := connection(t, client, server)
		if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(nil); n != 0 || err != nil {
			t.Errorf("read %d, %v", n, err)
		}
	})
	t.Run("times that are negative, or no whole number", func(t *testing.T) {
		c, _ := connection(t, client, server)
		if err := errors.Join(c.SetLinger(-5), c.SetUserTimeout(1500*time.Microsecond)); err != nil {
			t.Fatal(err)
		}
		if o := c.conn.Options(); o.Linger != -1 || o.UserTimeout != 2 {
			t.Errorf("linger %d, user timeout %d ms; want -1 and 2", o.Linger, o.UserTimeout)
		}
		d := Dialer{Host: client, Timeout: -time.Second}
		if c, err := d.Dial("tcp", serverIP+":1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a dial with a negative timeout: %v, %v", c, err)
		}
	})
	t.Run("ports that do not exist", func(t *testing.T) {
		for _, port := range []int{-1, 65536, 65536 + 80} {
			var bad *net.AddrError
			if _, err := client.DialTCP("tcp", nil, &net.TCPAddr{IP: net.ParseIP(serverIP), Port: port}); !errors.As(err, &bad) {
				t.Errorf("dial of port %d: %v, want a *net.AddrError", port, err)
			}
		}
	})
	t.Run("what a listener does not know, and its backlog", func(t *testing.T) {
		lc := ListenConfig{Host: server, Control: func(string, string, syscall.RawConn) error { return nil }}
		if _, err := lc.ListenPacket(t.Context(), "udp", ":0"); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("ListenPacket with Control: %v, want errors.ErrUnsupported", err)
		}
		for _, tt := range []struct{ backlog, want int }{{0, 4096}, {-1, 4096}, {1, 1}, {70000, 65535}} {
			lc := ListenConfig{Host: server, Backlog: tt.backlog}
			l, err := lc.listen(t.Context(), "tcp", ":0")
			if err != nil {
				t.Fatal(err)
			}
			if got := l.listener.Backlog(); got != tt.want {
				t.Errorf("backlog %d is %d, want %d", tt.backlog, got, tt.want)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
