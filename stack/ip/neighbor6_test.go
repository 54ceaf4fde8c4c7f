package ip

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/stack/link"
)

// What an advertisement makes of a neighbour (RFC 4861 7.2.5, appendix C), by its flags S and O, with R set and not.
func TestAdvertisements(t *testing.T) {
	const old, other = "02:00:00:00:00:01", "02:00:00:00:06:06"
	for _, tt := range []struct {
		before string // "none", "INCOMPLETE", "STALE", "REACHABLE" or "FAILED"
		mac    string // "same", "other" or "none"
		flags  string
		after  string // R of the advertisement is believed where it ends with "+"
	}{
		{"none", "other", "S O", "none"},
		{"none", "other", "", "none"},
		{"INCOMPLETE", "none", "S O", "INCOMPLETE"},
		{"INCOMPLETE", "none", "", "INCOMPLETE"},
		{"INCOMPLETE", "other", "S", "REACHABLE " + other + "+"},
		{"INCOMPLETE", "other", "S O", "REACHABLE " + other + "+"},
		{"INCOMPLETE", "other", "", "DELAY " + other + "+"},
		{"INCOMPLETE", "other", "O", "DELAY " + other + "+"},
		{"REACHABLE", "same", "", "REACHABLE " + old + "+"},
		{"REACHABLE", "same", "O", "REACHABLE " + old + "+"},
		{"REACHABLE", "same", "S", "REACHABLE " + old + "+"},
		{"REACHABLE", "same", "S O", "REACHABLE " + old + "+"},
		{"REACHABLE", "none", "", "REACHABLE " + old + "+"},
		{"REACHABLE", "none", "O", "REACHABLE " + old + "+"},
		{"REACHABLE", "none", "S", "REACHABLE " + old + "+"},
		{"REACHABLE", "none", "S O", "REACHABLE " + old + "+"},
		{"REACHABLE", "other", "", "STALE " + old},
		{"REACHABLE", "other", "S", "STALE " + old},
		{"REACHABLE", "other", "O", "PROBE " + old},   // RFC 4861: STALE at the other; here the old one is asked first
		{"REACHABLE", "other", "S O", "PROBE " + old}, // RFC 4861: REACHABLE at the other
		{"STALE", "same", "", "STALE " + old + "+"},
		{"STALE", "same", "O", "STALE " + old + "+"},
		{"STALE", "same", "S", "REACHABLE " + old + "+"},
		{"STALE", "none", "S O", "REACHABLE " + old + "+"},
		{"STALE", "other", "", "STALE " + old},
		{"STALE", "other", "S", "STALE " + old},
		{"STALE", "other", "O", "STALE " + other + "+"},
		{"STALE", "other", "S O", "STALE " + other + "+"}, // RFC 4861: REACHABLE, although nobody asked
		{"FAILED", "other", "S O", "FAILED"},
		{"FAILED", "other", "", "FAILED"},
	} {
		for _, router := range []string{"", "R"} {
			t.Run(fmt.Sprintf("B-ND-7 %s, %s link address, flags %s%s", tt.before, tt.mac, router, tt.flags), func(t *testing.T) {
				settled(t, Config{}, func(n *nodes) {
					n.bring(tt.before)
					var options [][]byte
					switch tt.mac {
					case "same":
						options = append(options, targetOption(peerMAC))
					case "other":
						options = append(options, targetOption(strangerMAC))
					}
					n.give(message{from: strangerMAC, src: ndPeer, dst: ndOur, body: na(router+tt.flags, ndPeer, options...)})
					want := tt.after
					if strings.HasSuffix(want, "+") {
						want = strings.TrimSuffix(want, "+")
						if router != "" {
							want += " router"
						}
					}
					if got := n.neighbor(ndPeer); got != want {
						t.Errorf("the neighbour is %s, want %s", got, want)
					}
				})
			})
		}
	}
}

// bring brings the neighbour at ndPeer into a state.
func (n *nodes) bring(state string) {
	n.Helper()
	switch state {
	case "INCOMPLETE":
		n.sendUDP(ndPeer)
	case "REACHABLE":
		n.know(ndPeer, peerMAC)
	case "STALE":
		n.give(message{src: ndPeer, dst: ndOur, body: ns(ndOur, sourceOption(peerMAC))})
	case "FAILED":
		n.sendUDP(ndPeer)
		n.sleep(4 * time.Second)
	}
	n.sent()
	if got := n.neighbor(ndPeer); !strings.HasPrefix(got, state) {
		n.Fatalf("the neighbour is %s, want %s", got, state)
	}
}

func TestAdvertisementForm(t *testing.T) {
	for _, tt := range []struct {
		name   string
		m      message
		reason drop.Reason
	}{
		{"B-ND-4 a target that is a group", message{src: ndPeer, dst: ndOur, body: na("SO", allNodes, targetOption(strangerMAC))}, drop.NDMalformed},
		{"B-ND-4 solicited, and to a group", message{src: ndPeer, dst: allNodes, body: na("SO", ndPeer, targetOption(strangerMAC))}, drop.NDMalformed},
		{"B-ND-4 too short", message{src: ndPeer, dst: ndOur, body: na("SO", ndPeer)[:23]}, drop.NDMalformed},
		{"from ::", message{src: unspecified, dst: allNodes, body: na("O", ndPeer, targetOption(strangerMAC))}, drop.NDMalformed},
		{"with a group's link address", message{src: ndPeer, dst: ndOur, body: na("SO", ndPeer, targetOption(link.MAC{0x33, 0x33, 0, 0, 0, 1}))}, drop.NDSender},
		{"with our link address", message{src: ndPeer, dst: ndOur, body: na("SO", ndPeer, targetOption(ourMAC))}, drop.NDSender},
		{"from our address", message{src: ndOur, dst: ndOur, body: na("SO", ndPeer, targetOption(strangerMAC))}, drop.NDSender},
		{"for the loopback address", message{src: ndPeer, dst: ndOur, body: na("SO", netip.IPv6Loopback(), targetOption(strangerMAC))}, drop.NDSender},
	} {
		t.Run(tt.name, func(t *testing.T) {
			settled(t, Config{}, func(n *nodes) {
				n.sendUDP(ndPeer)
				n.sent()
				n.give(tt.m)
				n.want()
				n.dropped(tt.reason, 1)
				if got := n.neighbor(ndPeer); got != "INCOMPLETE" {
					t.Errorf("the neighbour is %s", got)
				}
			})
		})
	}
}

const (
	multicastNS = "33:33:ff:00:00:01 2001:db8::2 > ff02::1:ff00:1 NS 2001:db8::1 source 02:00:00:00:00:02"
	unicastNS   = "02:00:00:00:00:01 2001:db8::2 > 2001:db8::1 NS 2001:db8::1 source 02:00:00:00:00:02"
	dataTo6     = "02:00:00:00:00:01 2001:db8::2 > 2001:db8::1 protocol 17"
)

func TestUnreachability(t *testing.T) {
	t.Run("B-ND-9 B-ND-10 three questions a second apart, and then what waits is reported", func(t *testing.T) {
		settled(t, Config{}, func(n *nodes) {
			n.sendUDP(ndPeer)
			n.want(multicastNS)
			n.sleep(time.Second)
			n.want(multicastNS)
			n.sleep(time.Second)
			n.want(multicastNS)
			n.sleep(time.Second)
			n.want()
			n.dropped(drop.NeighborFailed, 1)
			if got := n.neighbor(ndPeer); got != "FAILED" {
				t.Errorf("the neighbour is %s", got)
			}
		})
	})
	t.Run("B-ND-10 what waits leaves in order with the answer", func(t *testing.T) {
		settled(t, Config{}, func(n *nodes) {
			n.sendUDP(ndPeer)
			n.sendUDP(ndPeer)
			n.want(multicastNS)
			n.give(message{src: ndPeer, dst: ndOur, body: na("S", ndPeer, targetOption(peerMAC))})
			n.want(dataTo6, dataTo6)
		})
	})
	t.Run("B-ND-11 REACHABLE, STALE, DELAY for 5 s, PROBE three times by unicast, and gone", func(t *testing.T) {
		settled(t, Config{}, func(n *nodes) {
			n.know(ndPeer, peerMAC)
			n.sleep(15*time.Second - time.Nanosecond)
			if got := n.neighbor(ndPeer); got != "REACHABLE 02:00:00:00:00:01" {
				t.Errorf("before half of the reachable time %s", got)
			}
			n.sleep(30 * time.Second)
			if got := n.neighbor(ndPeer); got != "STALE 02:00:00:00:00:01" {
				t.Errorf("after one and a half of it %s", got)
			}
			n.sendUDP(ndPeer)
			n.want(dataTo6)
			n.sleep(5*time.Second - time.Nanosecond)
			n.want()
			if got := n.neighbor(ndPeer); got != "DELAY 02:00:00:00:00:01" {
				t.Errorf("after a packet %s", got)
			}
			n.sleep(time.Nanosecond)
			n.want(unicastNS)
			n.sleep(time.Second)
			n.want(unicastNS)
			n.sleep(time.Second)
			n.want(unicastNS)
			n.sleep(time.Second)
			n.want(multicastNS) // it may have another link address now
			n.sleep(3 * time.Second)
			n.want(multicastNS, multicastNS)
			if got := n.neighbor(ndPeer); got != "FAILED 02:00:00:00:00:01" {
				t.Errorf("in the end %s", got)
			}
		})
	})
	t.Run("B-ND-11 a flow whose text is acknowledged asks nothing", func(t *testing.T) {
		settled(t, Config{}, func(n *nodes) {
			n.know(ndPeer, peerMAC)
			r := n.sendUDP(ndPeer)
			for range 600 {
				n.sleep(time.Second)
				r.Confirm(n.l.now())
				n.sendBy(r)
			}
			for _, s := range n.sent() {
				if s != dataTo6 {
					t.Fatalf("sent %s", s)
				}
			}
		})
	})
	t.Run("B-ND-11 an answer to a probe makes it REACHABLE", func(t *testing.T) {
		settled(t, Config{}, func(n *nodes) {
			n.bring("STALE")
			n.sendUDP(ndPeer)
			n.sleep(5 * time.Second)
			n.want(dataTo6, unicastNS)
			n.give(message{src: ndPeer, dst: ndOur, body: na("S", ndPeer)})
			if got := n.neighbor(ndPeer); got != "REACHABLE 02:00:00:00:00:01" {
				t.Errorf("it is %s", got)
			}
		})
	})
}

// A neighbour's address that another host claims stays with the one that answers, and goes if it does not.
func TestClaims(t *testing.T) {
	claim := message{from: strangerMAC, src: ndPeer, dst: allNodes, body: na("O", ndPeer, targetOption(strangerMAC))}
	t.Run("D-MISC-2 B-ND-7 a forged advertisement moves nothing", func(t *testing.T) {
		settled(t, Config{}, func(n *nodes) {
			n.know(ndPeer, peerMAC)
			r := n.sendUDP(ndPeer)
			n.sent()
			answer := func() {
				n.Helper()
				for _, s := range n.sent() {
					switch s {
					case unicastNS:
						n.give(message{src: ndPeer, dst: ndOur, body: na("S", ndPeer, targetOption(peerMAC))})
					case dataTo6:
					default:
						n.Fatalf("sent %s", s)
					}
				}
			}
			for range 500 {
				n.give(claim)
				answer()
				n.sleep(20 * time.Millisecond)
				n.sendBy(r)
				answer()
			}
		})
	})
	t.Run("B-ND-7 a neighbour that has another link address now is found there", func(t *testing.T) {
		settled(t, Config{}, func(n *nodes) {
			n.know(ndPeer, peerMAC)
			n.give(claim)
			n.want(unicastNS)
			n.sleep(contestTime)
			n.want(multicastNS)
			n.give(message{from: strangerMAC, src: ndPeer, dst: ndOur, body: na("SO", ndPeer, targetOption(strangerMAC))})
			if got := n.neighbor(ndPeer); got != "REACHABLE 02:00:00:00:06:06" {
				t.Errorf("it is %s", got)
			}
		})
	})
}
