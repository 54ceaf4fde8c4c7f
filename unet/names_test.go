package unet

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/unet-go/unet/stack/capture"
	"github.com/unet-go/unet/stack/sim"
)

// Hosts on a segment dial one another by the names that the segment has, in a bubble, without a name server.
func TestNamesOfASegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		segment := sim.NewSegment(sim.Config{})
		defer segment.Close()
		open := func(config Config) *Host {
			config.Link = capture.NewText(segment.Port(), new(bytes.Buffer)) // which asks the port
			h, err := Open(config)
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		addrs := func(list ...string) (prefixes []netip.Prefix) {
			for _, a := range list {
				prefixes = append(prefixes, netip.MustParsePrefix(a))
			}
			return prefixes
		}
		client := open(Config{Addrs: addrs("10.0.0.1/24", "2001:db8::1/64")})
		defer client.Close()
		server := open(Config{Addrs: addrs("10.0.0.2/24", "2001:db8::2/64")})
		defer server.Close()
		segment.SetHost("Server.Example.", netip.MustParseAddr("::ffff:10.0.0.2"), netip.MustParseAddr("2001:db8::2"))
		segment.SetHost("four", netip.MustParseAddr("10.0.0.2"))
		l, err := server.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for _, c := range []struct{ network, address, want string }{
			{"tcp", "server.example:80", "[2001:db8::2]:80"}, // RFC 6724 prefers IPv6
			{"tcp4", "SERVER.example:80", "10.0.0.2:80"},
			{"tcp6", "server.example.:80", "[2001:db8::2]:80"},
			{"tcp", "four:80", "10.0.0.2:80"},
		} {
			conn, err := client.Dial(c.network, c.address)
			if err != nil {
				t.Errorf("%s %s: %v", c.network, c.address, err)
				continue
			}
			if got := conn.RemoteAddr().String(); got != c.want {
				t.Errorf("%s %s is %s, want %s", c.network, c.address, got, c.want)
			}
			conn.Close()
		}
		for _, c := range []struct{ network, address string }{{"tcp", "nobody:80"}, {"tcp6", "four:80"}} {
			_, err := client.Dial(c.network, c.address)
			_, dns := errors.AsType[*net.DNSError](err)
			_, family := errors.AsType[*net.AddrError](err)
			if dns != (c.address == "nobody:80") || family == dns {
				t.Errorf("%s %s: %v", c.network, c.address, err)
			}
		}
		lookUp(t, client)
		segment.SetHost("four")
		if _, err := client.Dial("tcp", "four:80"); err == nil {
			t.Error("a name that was taken away is still there")
		}
	})
}

// lookUp checks the lookups of a host whose segment has names.
func lookUp(t *testing.T, h *Host) {
	t.Helper()
	ctx := context.Background()
	if got, err := h.LookupHost("server.example"); err != nil || !slices.Equal(got, []string{"2001:db8::2", "10.0.0.2"}) {
		t.Errorf("LookupHost: %v, %v", got, err)
	}
	if got, err := h.LookupIP("four"); err != nil || len(got) != 1 || !got[0].Equal(net.IPv4(10, 0, 0, 2)) {
		t.Errorf("LookupIP: %v, %v", got, err)
	}
	if got, err := h.LookupIPAddr(ctx, "server.example"); err != nil || len(got) != 2 {
		t.Errorf("LookupIPAddr: %v, %v", got, err)
	}
	if got, err := h.LookupNetIP(ctx, "ip4", "server.example"); err != nil || !slices.Equal(got, []netip.Addr{netip.MustParseAddr("10.0.0.2")}) {
		t.Errorf("LookupNetIP: %v, %v", got, err)
	}
	_, err := h.LookupNetIP(ctx, "ip6", "four")
	if failed, ok := errors.AsType[*net.DNSError](err); !ok || !failed.IsNotFound || failed.Name != "four" {
		t.Errorf("LookupNetIP of the other family: %v", err)
	}
	if got, err := h.LookupHost("10.0.0.9"); err != nil || !slices.Equal(got, []string{"10.0.0.9"}) {
		t.Errorf("LookupHost of an address: %v, %v", got, err)
	}
}
