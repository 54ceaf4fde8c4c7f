package ip

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/wire"
)

var (
	querier     = netip.MustParseAddr("fe80::9%mem0")
	oneGroup    = netip.MustParseAddr("ff02::1:ff00:2")
	secondOur   = netip.MustParseAddr("2001:db8::7:9")
	secondGroup = netip.MustParseAddr("ff02::1:ff07:9")
)

const (
	isExclude = "33:33:00:00:00:16 fe80::ff:fe00:2 > ff02::16 report 2(ff02::1:ff00:2)"
	toExclude = "33:33:00:00:00:16 fe80::ff:fe00:2 > ff02::16 report 4(ff02::1:ff00:2)"
	oldReport = "33:33:ff:00:00:02 fe80::ff:fe00:2 > ff02::1:ff00:2 131 ff02::1:ff00:2"
)

// query returns a query for a group, for all where that is ::, of a version, with the longest time to answer in ms.
func query(version, ms int, group netip.Addr) message {
	var b [wire.MLDQueryLen]byte
	q := wire.MLDQuery{Version: version, MaxResponse: ms, Group: group.As16(), Robustness: 2, Interval: 125}
	n := q.Marshal(b[:])
	dst := group
	if group.IsUnspecified() {
		dst = allNodes
	}
	return message{src: querier, dst: dst, hops: 1, body: b[:n], before: routerAlert[:], next: wire.IPv6HopByHop}
}

// within returns when what was sent in a time was sent, in whole milliseconds from now.
func (n *nodes) within(d time.Duration) (list []string, at []time.Duration) {
	n.Helper()
	begin := time.Now()
	for time.Since(begin) < d {
		n.sleep(time.Millisecond)
		for _, s := range n.sent() {
			list, at = append(list, s), append(at, time.Since(begin))
		}
	}
	return list, at
}

func TestMLDQueries(t *testing.T) {
	for _, tt := range []struct {
		name string
		m    message
		want []string
		last time.Duration
	}{
		{"a general query", query(2, 1000, unspecified), []string{isExclude}, time.Second},
		{"a query for the group", query(2, 500, oneGroup), []string{isExclude}, 500 * time.Millisecond},
		{"a query for another group", query(2, 500, netip.MustParseAddr("ff02::1:ff00:3")), nil, 0},
		{"a query that is to be answered at once", query(2, 0, unspecified), []string{isExclude}, time.Millisecond},
		{"a general query of version 1", query(1, 1000, unspecified), []string{oldReport}, time.Second},
		{"a query for the group of version 1", query(1, 1000, oneGroup), []string{oldReport}, time.Second},
		{"a query with a code that is an exponent", query(2, 65536, unspecified), []string{isExclude}, 65536 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			settled(t, Config{}, func(n *nodes) {
				n.give(tt.m)
				list, at := n.within(tt.last + time.Second)
				if !slices.Equal(list, tt.want) || len(at) > 0 && at[0] > tt.last {
					t.Errorf("sent %q after %v, want %q within %v", list, at, tt.want, tt.last)
				}
			})
		})
	}
	for _, tt := range []struct {
		name   string
		change func(m *message)
	}{
		{"from an address of another network", func(m *message) { m.src = ndPeer }},
		{"with hop limit 2", func(m *message) { m.hops = 2 }},
		{"without a router alert", func(m *message) { m.before = nil }},
		{"too short for version 1", func(m *message) { m.body = m.body[:23] }},
		{"between the lengths of the versions", func(m *message) { m.body = m.body[:26] }},
		{"with more sources than there are", func(m *message) { m.body[27] = 1 }},
	} {
		t.Run("a query "+tt.name, func(t *testing.T) {
			settled(t, Config{}, func(n *nodes) {
				m := query(2, 100, unspecified)
				tt.change(&m)
				n.give(m)
				n.dropped(drop.MLDMalformed, 1)
				n.sleep(time.Second)
				n.want()
			})
		})
	}
	t.Run("reports of others keep nothing back", func(t *testing.T) {
		settled(t, Config{}, func(n *nodes) {
			n.give(query(1, 1000, oneGroup))
			body := make([]byte, wire.MLDLen)
			(&wire.MLDGroup{Group: oneGroup.As16()}).Marshal(body, wire.ICMPv6MLDv1Report)
			n.give(message{src: peerLink, dst: oneGroup, hops: 1, body: body, before: routerAlert[:], next: wire.IPv6HopByHop})
			n.sleep(time.Second)
			n.want(oldReport)
		})
	})
	t.Run("a querier of version 1 is forgotten when it is silent", func(t *testing.T) {
		settled(t, Config{}, func(n *nodes) {
			n.give(query(1, 1, unspecified))
			n.sleep(time.Second)
			n.give(query(2, 1, unspecified))
			n.sleep(time.Second)
			n.want(oldReport, oldReport)
			n.sleep(mldOldQuerier)
			n.give(query(2, 1, unspecified))
			n.sleep(time.Second)
			n.want(isExclude)
		})
	})
	t.Run("D-MISC-2 a flood of queries makes no flood of answers", func(t *testing.T) {
		settled(t, Config{}, func(n *nodes) {
			for i := range 10_000 {
				n.give(query(2, 0, []netip.Addr{unspecified, oneGroup}[i%2]))
				if i%10 == 0 {
					n.sleep(time.Millisecond)
				}
			}
			n.sleep(time.Second)
			if got := len(n.sent()); got < 2 || got > 12 {
				t.Errorf("%d answers in a second", got)
			}
		})
	})
}

// Joining and leaving a group is reported twice, the second time within a second.
func TestMLDChanges(t *testing.T) {
	count := func(list []string, what string) (n int) {
		for _, s := range list {
			if strings.HasSuffix(s, what) {
				n++
			}
		}
		return n
	}
	add := func(n *nodes) {
		n.Helper()
		ifc := n.l.Interfaces()[1]
		a := newAddress(netip.PrefixFrom(secondOur, 64), "mem0")
		a.validUntil = n.l.now().Add(time.Minute)
		if err := n.l.change(func(t *topology) error { return t.addAddress(ifc, a) }); err != nil {
			n.Fatal(err)
		}
		n.l.joinGroups(ifc)
		n.l.Flush()
		n.l.Clock.Wake()
	}
	const joined, left = "ff02::16 report 4(ff02::1:ff07:9)", "ff02::16 report 3(ff02::1:ff07:9)"
	t.Run("B-ND-17 an address that comes and goes", func(t *testing.T) {
		settled(t, Config{}, func(n *nodes) {
			add(n)
			if got := n.sent(); len(got) != 1 || count(got, joined) != 1 {
				t.Errorf("sent %q", got)
			}
			if list, at := n.within(10 * time.Second); len(list) != 1 || count(list, joined) != 1 || at[0] > time.Second+time.Millisecond {
				t.Errorf("sent %q at %v", list, at)
			}
			n.give(message{src: ndPeer, dst: secondGroup, body: ns(secondOur, sourceOption(peerMAC))})
			if got := n.sent(); len(got) != 1 {
				t.Errorf("a question to the group: %q", got)
			}
			list, _ := n.within(time.Minute)
			if len(list) != 2 || count(list, left) != 2 {
				t.Errorf("when the address's lifetime is over: %q", list)
			}
			n.give(query(2, 1, secondGroup))
			n.sleep(time.Second)
			n.want()
		})
	})
	t.Run("a router of version 1 is told with its own messages", func(t *testing.T) {
		settled(t, Config{}, func(n *nodes) {
			n.give(query(1, 1, unspecified))
			n.sleep(time.Second)
			n.want(oldReport)
			add(n)
			n.sleep(10 * time.Second)
			if got := n.sent(); len(got) != 2 || count(got, "> ff02::1:ff07:9 131 ff02::1:ff07:9") != 2 {
				t.Errorf("sent %q", got)
			}
			n.sleep(time.Minute)
			if got := n.sent(); len(got) != 2 || count(got, "> ff02::2 132 ff02::1:ff07:9") != 2 {
				t.Errorf("sent %q", got)
			}
		})
	})
	t.Run("B-ND-17 from :: until the link-local address is known to be unique, and then again", func(t *testing.T) {
		onLink(t, Config{}, InterfaceConfig{}, func(n *nodes) {
			n.sleep(999 * time.Millisecond)
			for _, s := range n.sent() {
				if strings.Contains(s, "report") && !strings.Contains(s, " :: > ff02::16 report 4(ff02::1:ff00:2)") {
					t.Errorf("sent %s", s)
				}
			}
			n.sleep(time.Millisecond)
			if got := n.sent(); count(got, toExclude) != 1 {
				t.Errorf("sent %q", got)
			}
		})
	})
	t.Run("B-ND-17 again when the carrier returns", func(t *testing.T) {
		settled(t, Config{}, func(n *nodes) {
			ifc := n.l.Interfaces()[1]
			ifc.CarrierChanged(false)
			ifc.CarrierChanged(true)
			n.want(toExclude)
		})
	})
	t.Run("octet for octet", func(t *testing.T) {
		settled(t, Config{}, func(n *nodes) {
			n.give(query(2, 0, unspecified))
			n.sleep(time.Millisecond)
			out := n.dev.take()
			if want := octets(`333300000016 020000000002 86dd 60000000 0024 00 01 fe80000000000000000000fffe000002 ff020000000000000000000000000016
				3a00 0502 0000 0100 8f00 7405 0000 0001 02000000 ff0200000000000000000001ff000002`); len(out) != 1 || string(out[0]) != want {
				t.Errorf("sent\n%x\nwant\n%x", out, want)
			}
		})
	})
}
