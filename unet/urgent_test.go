package unet

import (
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/unet-go/unet/stack/sim"
)

// What a peer sends as urgent arrives whole, and there is nothing to send or receive it by.
func TestUrgentData(t *testing.T) {
	t.Run("MUST-31 an urgent octet stays in the stream", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server, _ := pair(t, sim.Config{})
			c, s := connection(t, client, server)
			for range 3 {
				if n, err := c.conn.WriteUrgent([]byte("urgent!")); n != 7 || err != nil {
					t.Fatalf("%d, %v", n, err)
				}
			}
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(s)
			if want := strings.Repeat("urgent!", 3); string(text) != want || err != nil {
				t.Errorf("read %q, %v; want %q", text, err, want)
			}
		})
	})
	t.Run("SHLD-13 no call for urgent data", func(t *testing.T) {
		for _, v := range []any{&TCPConn{}, &TCPListener{}, &Dialer{}, &ListenConfig{}, &Host{}} {
			for i, typ := 0, reflect.TypeOf(v); i < typ.NumMethod(); i++ {
				name := strings.ToLower(typ.Method(i).Name)
				if strings.Contains(name, "urgent") || strings.Contains(name, "oob") {
					t.Errorf("%v has %s", typ, typ.Method(i).Name)
				}
			}
		}
	})
}
