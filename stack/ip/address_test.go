package ip

import (
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// give adds an address to the interface as a later call of the host's would.
func give(t *testing.T, l *Layer, a address) {
	t.Helper()
	ifc := l.Interfaces()[1]
	a.addr = a.prefix.Addr()
	if err := l.change(func(top *topology) error { return top.addAddress(ifc, a) }); err != nil {
		t.Fatal(err)
	}
	l.Clock.Wake() // it looks at the lifetimes
}

// from returns the source address of what the host sends to an address.
func from(t *testing.T, l *Layer, to string) string {
	t.Helper()
	r, err := l.HostRoute(netip.Addr{}, netip.MustParseAddr(to))
	if err != nil {
		return err.Error()
	}
	return r.Local().String()
}

func TestAddressLifetimes(t *testing.T) {
	t.Run("B-SLA-5 a deprecated address stays for what uses it", func(t *testing.T) {
		inBubble(t, func(l *Layer, _ *device) {
			now := l.now()
			give(t, l, address{prefix: netip.MustParsePrefix("10.0.7.2/24"), preferredUntil: now.Add(time.Hour),
				validUntil: now.Add(2 * time.Hour)})
			give(t, l, address{prefix: netip.MustParsePrefix("10.0.7.3/24")})
			old, err := l.HostRoute(netip.Addr{}, netip.MustParseAddr("10.0.7.9"))
			if err != nil || old.Local().String() != "10.0.7.2" {
				t.Fatalf("from %v, %v; want from the first address", old, err)
			}

			time.Sleep(time.Hour)
			synctest.Wait()
			if got := from(t, l, "10.0.7.9"); got != "10.0.7.3" {
				t.Errorf("when the first address is deprecated: from %s, want from the second", got)
			}
			bound, err := l.HostRoute(netip.MustParseAddr("10.0.7.2"), netip.MustParseAddr("10.0.7.9"))
			if err != nil || bound.Local().String() != "10.0.7.2" || !l.IsLocal(bound.Local()) {
				t.Errorf("from the deprecated address by name: %v, %v", bound, err)
			}

			time.Sleep(time.Hour)
			synctest.Wait()
			if _, err := l.HostRoute(netip.MustParseAddr("10.0.7.2"), netip.MustParseAddr("10.0.7.9")); err != syscall.ENETUNREACH {
				t.Errorf("from an address that has gone: %v, want ENETUNREACH", err)
			}
			if got := from(t, l, "10.0.7.9"); got != "10.0.7.3" {
				t.Errorf("when the first address has gone: from %s, want from the second, whose network is still there", got)
			}
			if want := []netip.Prefix{ourNet, netip.MustParsePrefix("10.0.7.3/24")}; !slices.Equal(l.Addrs(), want) {
				t.Errorf("addresses %v, want %v", l.Addrs(), want)
			}
			if !l.IsBroadcast(netip.MustParseAddr("10.0.7.255")) {
				t.Error("the network has lost its broadcast address with one of two addresses")
			}
		})
	})
}

func TestLastAddressOfNetwork(t *testing.T) {
	inBubble(t, func(l *Layer, _ *device) {
		give(t, l, address{prefix: netip.MustParsePrefix("10.0.7.2/24"), validUntil: l.now().Add(time.Minute)})
		if got := from(t, l, "10.0.7.9"); got != "10.0.7.2" {
			t.Errorf("from %s", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := from(t, l, "10.0.7.9"); got != syscall.ENETUNREACH.Error() {
			t.Errorf("from %s, want no way to the network of an address that has gone", got)
		}
		if l.IsBroadcast(netip.MustParseAddr("10.0.7.255")) {
			t.Error("its broadcast address is left")
		}
	})
}

func TestDeprecatedSource(t *testing.T) {
	inBubble(t, func(l *Layer, _ *device) {
		for _, tt := range []struct {
			name  string
			addrs []address
			to    string
			want  string
		}{
			{"a deprecated one where there is no other", []address{{prefix: netip.MustParsePrefix("192.0.2.2/24"), state: AddrDeprecated}}, "192.0.2.1", "192.0.2.2"},
			{"a preferred one of another network before a deprecated one of the same", []address{
				{prefix: netip.MustParsePrefix("192.0.2.2/24"), state: AddrDeprecated}, {prefix: netip.MustParsePrefix("198.51.100.2/24")}}, "192.0.2.1", "198.51.100.2"},
			{"the first of two", []address{
				{prefix: netip.MustParsePrefix("192.0.2.2/24")}, {prefix: netip.MustParsePrefix("192.0.2.3/24")}}, "192.0.2.1", "192.0.2.2"},
			{"one of the same network", []address{
				{prefix: netip.MustParsePrefix("198.51.100.2/24")}, {prefix: netip.MustParsePrefix("192.0.2.3/24")}}, "192.0.2.1", "192.0.2.3"},
		} {
			top := l.topology.Load().clone()
			ifc := l.Interfaces()[1]
			top.addrs[ifc.index] = nil
			for _, a := range tt.addrs {
				a.addr = a.prefix.Addr()
				if err := top.addAddress(ifc, a); err != nil {
					t.Fatal(err)
				}
			}
			if got := top.source(ifc, netip.MustParseAddr(tt.to), netip.MustParseAddr(tt.to)).String(); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
			}
		}
	})
}
