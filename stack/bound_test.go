package stack

import (
	"net/netip"
	"syscall"
	"testing"
)

// TestPeer checks what a remote address means to a socket, by what the socket is bound to.
func TestPeer(t *testing.T) {
	const wildcard, only6 = "::", true
	for _, x := range []struct {
		bound  string
		v6only bool
		remote string
		want   string
		err    syscall.Errno
	}{
		{wildcard, false, "10.0.0.1", "10.0.0.1", 0},
		{wildcard, false, "::ffff:10.0.0.1", "10.0.0.1", 0},
		{wildcard, false, "2001:db8::1", "2001:db8::1", 0},
		{wildcard, false, "2001:db8::1%eth0", "2001:db8::1", 0},
		{wildcard, false, "::", "::1", 0},
		{wildcard, false, "0.0.0.0", "0.0.0.0", 0},
		{wildcard, false, "fe80::1", "", syscall.EINVAL},
		{wildcard, false, "fe80::1%eth0", "fe80::1%eth0", 0},
		{wildcard, false, "ff02::1", "", syscall.EINVAL},
		{wildcard, only6, "10.0.0.1", "", syscall.ENETUNREACH},
		{wildcard, only6, "::ffff:10.0.0.1", "", syscall.ENETUNREACH},
		{wildcard, only6, "::", "::1", 0},
		{"0.0.0.0", false, "2001:db8::1", "", syscall.EAFNOSUPPORT},
		{"0.0.0.0", false, "::", "127.0.0.1", 0},
		{"10.0.0.2", false, "2001:db8::1", "", syscall.EAFNOSUPPORT},
		{"2001:db8::2", false, "10.0.0.1", "", syscall.ENETUNREACH},
		{"2001:db8::2", only6, "10.0.0.1", "", syscall.ENETUNREACH},
		{"fe80::2%eth0", false, "fe80::1", "fe80::1%eth0", 0},
		{"fe80::2%eth0", false, "fe80::1%eth1", "", syscall.EINVAL},
		{"fe80::2%eth0", false, "2001:db8::1", "2001:db8::1", 0},
	} {
		got, err := peer(netip.MustParseAddr(x.bound), x.v6only, netip.MustParseAddr(x.remote))
		errno, _ := err.(syscall.Errno)
		if errno != x.err || err == nil && got != netip.MustParseAddr(x.want) {
			t.Errorf("%s, V6Only %t, to %s: %v, %v; want %s, %v", x.bound, x.v6only, x.remote, got, err, x.want, x.err)
		}
	}
}

// TestSharePackets compares the rule of clashes with the packets that each socket takes.
func TestSharePackets(t *testing.T) {
	type socket struct {
		addr   string
		v6only bool
	}
	sockets := []socket{{"0.0.0.0", false}, {"10.0.0.1", false}, {"10.0.0.2", false}, {"::", false}, {"::", true},
		{"2001:db8::1", false}, {"fe80::1%eth0", false}, {"fe80::1%eth1", false}}
	packets := []string{"10.0.0.1", "10.0.0.2", "2001:db8::1", "fe80::1%eth0", "fe80::1%eth1"}
	takes := func(s socket, to netip.AddrPort) bool {
		u := &UDPSocket{opt: BindOptions{V6Only: s.v6only}}
		u.setPair(netip.AddrPortFrom(netip.MustParseAddr(s.addr), 7), netip.AddrPort{})
		return u.score(to, netip.AddrPort{}) > 0
	}
	for _, a := range sockets {
		for _, b := range sockets {
			shared := false
			for _, p := range packets {
				to := netip.AddrPortFrom(netip.MustParseAddr(p), 7)
				shared = shared || takes(a, to) && takes(b, to)
			}
			got := sharePackets(netip.MustParseAddr(a.addr), a.v6only, netip.MustParseAddr(b.addr), b.v6only)
			if got != shared {
				t.Errorf("%v and %v: %t, but they share a packet: %t", a, b, got, shared)
			}
		}
	}
}

// TestScore checks which of several sockets gets a datagram (E-LIS-10).
func TestScore(t *testing.T) {
	at := netip.MustParseAddrPort
	socket := func(local, remote string) *UDPSocket {
		s := new(UDPSocket)
		var peer netip.AddrPort
		if remote != "" {
			peer = at(remote)
		}
		s.setPair(at(local), peer)
		return s
	}
	for _, x := range []struct {
		local, remote string
		order         [][2]string // each goes before the next
	}{
		{"10.0.0.1:7", "10.0.0.9:9", [][2]string{{"10.0.0.1:7", "10.0.0.9:9"}, {"10.0.0.1:7", ""}, {"0.0.0.0:7", ""}, {"[::]:7", ""}}},
		{"[fd00::1]:7", "[fd00::9]:9", [][2]string{{"[fd00::1]:7", "[fd00::9]:9"}, {"[fd00::1]:7", ""}, {"[::]:7", ""}}},
		{"[fe80::1%e]:7", "[fe80::9%e]:9", [][2]string{{"[fe80::1%e]:7", "[fe80::9%e]:9"}, {"[fe80::1%e]:7", ""}, {"[::]:7", ""}}},
	} {
		last := 100
		for _, o := range x.order {
			score := socket(o[0], o[1]).score(at(x.local), at(x.remote))
			if score <= 0 || score >= last {
				t.Errorf("%s from %s: %v has score %d, after %d", x.local, x.remote, o, score, last)
			}
			last = score
		}
	}
	for _, not := range [][2]string{{"0.0.0.0:7", ""}, {"10.0.0.1:7", ""}, {"[fe80::1%f]:7", ""}, {"[fe80::1%e]:7", "[fe80::9%f]:9"}} {
		if score := socket(not[0], not[1]).score(at("[fe80::1%e]:7"), at("[fe80::9%e]:9")); score != 0 {
			t.Errorf("%v has score %d for a datagram that is not for it", not, score)
		}
	}
}
