package stack

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// announcing is a device that asks its hosts to announce their addresses, as a TAP device does.
type announcing struct{ *memDevice }

func (announcing) Announces() bool { return true }

// announced is the announcement of an address of ours, packet for packet (RFC 5227 3).
func announced(addr netip.Addr) []byte {
	return arpFrame(wire.BroadcastMAC, ourMAC, wire.ARP{Op: wire.ARPRequest, SenderMAC: ourMAC, SenderIP: addr.As4(),
		TargetIP: addr.As4()})
}

// watch returns what is sent within d, each frame with the time since start.
func (b *bed) watch(start time.Time, step, d time.Duration) (seen []string) {
	for until := time.Now().Add(d); ; time.Sleep(step) {
		for _, f := range b.take() {
			seen = append(seen, fmt.Sprintf("%v %x", time.Since(start), f))
		}
		if !time.Now().Before(until) {
			return seen
		}
	}
}

func at(d time.Duration, f []byte) string { return fmt.Sprintf("%v %x", d, f) }

// withMode runs f with a host that is attached in a mode, to a device that asks for announcements or does not.
func withMode(t *testing.T, mode AnnounceMode, asks bool, cfg Config, f func(b *bed, start time.Time)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}()
		b := &bed{T: t, family: ipv4, h: h, dev: newMemDevice(link.Info{Name: "mem0", Kind: link.Ethernet, MAC: ourMAC, MTU: 1500})}
		var dev link.Device = b.dev
		if asks {
			dev = announcing{b.dev}
		}
		start := time.Now()
		addrs := []netip.Prefix{ourNet, netip.MustParsePrefix("192.168.1.1/32")}
		if err := h.Attach(dev, Interface{Addrs: addrs, Announce: mode}); err != nil {
			t.Fatal(err)
		}
		f(b, start)
	})
}

var secondIP = netip.MustParseAddr("192.168.1.1")

func TestAnnouncements(t *testing.T) {
	const tick = 100 * time.Millisecond
	twice := func(from time.Duration) []string {
		return []string{at(from, announced(ourIP)), at(from, announced(secondIP)),
			at(from+2*time.Second, announced(ourIP)), at(from+2*time.Second, announced(secondIP))}
	}
	for _, tt := range []struct {
		name string
		mode AnnounceMode
		asks bool
		want []string
	}{
		{"B-ARP-9 each address is announced twice, two seconds apart, when the interface gets it", AnnounceAlways, false, twice(0)},
		{"B-ARP-9 the device asks for it", AnnounceAuto, true, twice(0)},
		{"B-ARP-9 nobody asks for it", AnnounceAuto, false, nil},
		{"B-ARP-9 never", AnnounceNever, true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withMode(t, tt.mode, tt.asks, Config{}, func(b *bed, start time.Time) {
				if diff := cmp.Diff(tt.want, b.watch(start, tick, time.Minute)); diff != "" {
					t.Errorf("sent (-want +got):\n%s", diff)
				}
			})
		})
	}
	t.Run("B-ARP-9 all over again when the carrier returns, and what was left before is forgotten", func(t *testing.T) {
		withMode(t, AnnounceAlways, false, Config{}, func(b *bed, start time.Time) {
			b.watch(start, tick, time.Second)
			b.h.ip.Interfaces()[1].Announce()
			b.h.flush()
			if diff := cmp.Diff(twice(time.Second), b.watch(start, tick, time.Minute)); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
		})
	})
	t.Run("B-ARP-9 one address that comes later", func(t *testing.T) {
		withMode(t, AnnounceAlways, false, Config{}, func(b *bed, start time.Time) {
			b.watch(start, tick, time.Second)
			b.h.ip.Interfaces()[1].Announce(secondIP)
			b.h.flush()
			want := []string{at(time.Second, announced(secondIP)), at(2*time.Second, announced(ourIP)),
				at(3*time.Second, announced(secondIP))}
			if diff := cmp.Diff(want, b.watch(start, tick, time.Minute)); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
		})
	})
	t.Run("a device without link addresses has nothing to announce", func(t *testing.T) {
		onDevice(t, Config{}, link.Info{Name: "tun0", Kind: link.IP, MTU: 1500}, func(b *bed) {
			b.h.ip.Interfaces()[1].Announce()
			b.h.flush()
			b.want()
		})
	})
	t.Run("a mode that does not exist", func(t *testing.T) {
		onBed(t, Config{}, func(b *bed) {
			dev := newMemDevice(link.Info{Name: "mem1", Kind: link.Ethernet, MAC: otherMAC, MTU: 1500})
			if err := b.h.Attach(dev, Interface{Announce: AnnounceNever + 1}); err != syscall.EINVAL {
				t.Errorf("Attach = %v, want EINVAL", err)
			}
		})
	})
}

func TestAddressConflict(t *testing.T) {
	// Each of these comes from a host at otherMAC that has our address as well.
	packets := map[string][]byte{
		"announcement": request(ourIP, otherMAC, ourIP),
		"request":      request(ourIP, otherMAC, peerIP),
		"reply to us":  reply(ourIP, otherMAC),
		"reply to all": arpFrame(wire.BroadcastMAC, otherMAC, wire.ARP{Op: wire.ARPReply, SenderMAC: otherMAC,
			SenderIP: ourIP.As4(), TargetMAC: peerMAC, TargetIP: peerIP.As4()}),
	}
	for name, p := range packets {
		t.Run("B-ARP-9 an address is defended once in ten seconds, for ever: "+name, func(t *testing.T) {
			l := newLogged()
			withMode(t, AnnounceAuto, false, Config{Logger: l}, func(b *bed, start time.Time) {
				b.inject(request(peerIP, peerMAC, ourIP)) // a neighbour that asked us
				b.take()
				var seen, want []string
				for i := range 350 {
					b.inject(p)
					for _, f := range b.take() {
						seen = append(seen, at(time.Since(start), f))
					}
					if i%100 == 0 {
						want = append(want, at(time.Duration(i)*100*time.Millisecond, announced(ourIP)))
					}
					time.Sleep(100 * time.Millisecond)
				}
				if diff := cmp.Diff(want, seen); diff != "" {
					t.Errorf("sent (-want +got):\n%s", diff)
				}
				b.wantDrop(DropARPConflict, 350)
				line := `level=WARN msg="another host uses our address" interface=mem0 address=10.0.0.2 mac=02:00:00:00:00:09 ours=02:00:00:00:00:02`
				if got := l.take(); strings.Join(got, "\n") != strings.Repeat(line+"\n", 3)+line {
					t.Errorf("logged %q, want four times %q", got, line)
				}
				// It has poisoned nothing: neither is our address anybody's, nor has the neighbour's changed.
				if _, _, ok := b.entry(ourIP); ok {
					t.Error("our own address is in the neighbour cache")
				}
				if mac, _, ok := b.entry(peerIP); !ok || mac != peerMAC {
					t.Errorf("the neighbour's entry is %v, %v", mac, ok)
				}
				b.inject(request(peerIP, peerMAC, ourIP)) // and we still answer for it
				if got := b.take(); len(got) != 1 || got[0][21] != wire.ARPReply {
					t.Errorf("a request was answered by %x", got)
				}
			})
		})
	}
	t.Run("B-ARP-9 each address has its own ten seconds", func(t *testing.T) {
		withMode(t, AnnounceAuto, false, Config{}, func(b *bed, start time.Time) {
			b.inject(packets["request"], packets["request"])
			b.want(announced(ourIP))
			b.inject(request(secondIP, otherMAC, peerIP), packets["request"])
			b.want(announced(secondIP))
			b.wantDrop(DropARPConflict, 4)
		})
	})
	t.Run("B-ARP-9 what is no conflict", func(t *testing.T) {
		withMode(t, AnnounceAuto, false, Config{}, func(b *bed, start time.Time) {
			b.inject(request(netip.IPv4Unspecified(), otherMAC, ourIP)) // a probe: it is told
			if got := b.take(); len(got) != 1 || got[0][21] != wire.ARPReply {
				t.Errorf("a probe was answered by %x", got)
			}
			b.inject(
				arpFrame(wire.BroadcastMAC, otherMAC, wire.ARP{Op: wire.ARPRequest, SenderMAC: ourMAC, SenderIP: ourIP.As4(),
					TargetIP: ourIP.As4()}), // our own, sent on by somebody
				request(ourIP, wire.BroadcastMAC, ourIP), // nobody's
				request(ourIP, link.MAC{}, ourIP),
			)
			b.want()
			b.wantDrop(DropARPConflict, 0)
		})
	})
	t.Run("B-ARP-9 another interface of ours on the same link is no other host", func(t *testing.T) {
		withMode(t, AnnounceAuto, false, Config{}, func(b *bed, start time.Time) {
			dev := newMemDevice(link.Info{Name: "mem1", Kind: link.Ethernet, MAC: otherMAC, MTU: 1500})
			if err := b.h.Attach(dev, Interface{}); err != nil {
				t.Fatal(err)
			}
			b.inject(request(ourIP, otherMAC, peerIP))
			b.want()
			b.wantDrop(DropARPConflict, 0)
		})
	})
	t.Run("B-ARP-9 a host that never announces counts alone", func(t *testing.T) {
		withMode(t, AnnounceNever, true, Config{}, func(b *bed, start time.Time) {
			b.inject(packets["request"])
			b.want()
			b.wantDrop(DropARPConflict, 1)
		})
	})
}
