package ip

import (
	"net/netip"
	"testing"
)

// The examples of RFC 6724 10.1, and what follows from its rules beside them.
func TestSource6(t *testing.T) {
	for _, c := range []struct {
		name  string
		dst   string
		addrs []string // with their prefix lengths; "-" before one says that it is deprecated
		want  string
	}{
		{"B-SLA-7 rule 1, the same address", "2001:db8:1::1", []string{"2001:db8:3::2/64", "2001:db8:1::1/64"}, "2001:db8:1::1"},
		{"B-SLA-7 rule 2, the scope of the world", "2001:db8:1::1", []string{"2001:db8:3::1/64", "fe80::1/64"}, "2001:db8:3::1"},
		{"B-SLA-7 rule 2, a link-local address last", "ff05::1", []string{"fe80::1/64", "2001:db8:3::1/64"}, "2001:db8:3::1"},
		{"B-SLA-7 rule 2, the scope of the link", "fe80::1", []string{"2001:db8:3::1/64", "fe80::2/64"}, "fe80::2"},
		{"B-SLA-7 rule 3, a deprecated one last", "2001:db8:1::1", []string{"-2001:db8:1::2/64", "2001:db8:3::1/64"}, "2001:db8:3::1"},
		{"B-SLA-7 rule 3, where there is no other", "2001:db8:1::1", []string{"-2001:db8:1::2/64", "fe80::1/64"}, "2001:db8:1::2"},
		{"B-SLA-7 rule 6, 6to4 to 6to4", "2002:c633:6401::1", []string{"2001:db8:1::2/64", "2002:c633:6401::d5e3:7953:13eb:22e8/64"}, "2002:c633:6401:0:d5e3:7953:13eb:22e8"},
		{"B-SLA-7 rule 6, unique local to unique local", "fd12::1", []string{"2001:db8:1::2/64", "fd99::2/64"}, "fd99::2"},
		{"B-SLA-7 rule 6, the world to the world", "2001:db8::1", []string{"fd99::2/64", "2600::2/64"}, "2600::2"},
		{"B-SLA-7 rule 8, the longest prefix", "2001:db8:1::1", []string{"2001:db8:1::2/64", "2001:db8:3::2/64"}, "2001:db8:1::2"},
		{"B-SLA-7 rule 8, no further than the prefix", "2001:db8:1::d5e3:0:0:1", []string{"2001:db8:1::2/64", "2001:db8:1::d5e3:7953:13eb:22e8/64"}, "2001:db8:1::2"},
		{"B-SLA-7 no address of IPv6", "2001:db8:1::1", []string{"10.0.0.2/24"}, "invalid IP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var addrs []address
			for _, s := range c.addrs {
				a := address{}
				if s[0] == '-' {
					a.state, s = AddrDeprecated, s[1:]
				}
				a.prefix = netip.MustParsePrefix(s)
				a.addr = scoped(a.prefix.Addr(), "")
				addrs = append(addrs, a)
			}
			if got := sourceOf(addrs, netip.Addr{}, netip.MustParseAddr(c.dst)).String(); got != c.want {
				t.Errorf("from %s, want %s", got, c.want)
			}
		})
	}
}

func TestPolicies(t *testing.T) {
	for _, c := range []struct {
		addr              string
		precedence, label uint8
		scope             uint8
	}{
		{"::1", 50, 0, 2}, {"2001:db8::1", 40, 1, 14}, {"10.0.0.1", 35, 4, 14}, {"::ffff:10.0.0.1", 35, 4, 14},
		{"2002::1", 30, 2, 14}, {"2001::1", 5, 5, 14}, {"fd00::1", 3, 13, 14}, {"::9", 1, 3, 14}, {"fec0::1", 1, 11, 5},
		{"3ffe::1", 1, 12, 14}, {"fe80::1", 40, 1, 2}, {"169.254.1.1", 35, 4, 2}, {"127.0.0.1", 35, 4, 2}, {"ff05::1", 40, 1, 5},
	} {
		a := netip.MustParseAddr(c.addr)
		p, l := Policy(a)
		if s := Scope(a); p != c.precedence || l != c.label || s != c.scope {
			t.Errorf("B-SLA-7 %s: precedence %d, label %d, scope %d; want %d, %d, %d", c.addr, p, l, s, c.precedence, c.label, c.scope)
		}
	}
}

func TestLinkLocalAddresses(t *testing.T) {
	onBed6(t, func(b *bed6) {
		for _, c := range []struct{ local, remote, want string }{
			{"", "fe80::1%tun0", "fe80::2%tun0"},
			{"fe80::2%tun0", "fe80::1", "fe80::2%tun0"}, // the zone of the one is the other's
			{"", "fe80::1", "invalid argument"},
			{"", "fe80::1%nosuch", "network is unreachable"},
			{"fe80::2%nosuch", "fe80::1%tun0", "invalid argument"},
			{"", "fe80::1%mem0", "network is unreachable"}, // which has no IPv6
			{"", "2001:db8::1%tun0", "fd00::2"},            // no zone is needed
			{"", "fe80::2%tun0", "fe80::2%tun0"},
			{"fd00::3", "fd00::1", "network is unreachable"},
			{"", "::", "::1"},
		} {
			var local netip.Addr
			if c.local != "" {
				local = netip.MustParseAddr(c.local)
			}
			r, err := b.l.HostRoute(local, netip.MustParseAddr(c.remote))
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				got = r.Local().String()
			}
			if got != c.want {
				t.Errorf("from %q to %s: %s, want %s", c.local, c.remote, got, c.want)
			}
		}
	})
}
