package stack

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// watchSegments calls see with each TCP segment that somebody sends on a wire, one at a time, until stop.
func watchSegments(s *sim.Segment, see func(ip *frames.Packet, h *wire.TCP, text []byte)) (stop func()) {
	return s.Tap(func(r sim.Record) {
		var h wire.TCP
		if p, ok := segmentOf(r.Frame); ok {
			if text, err := h.Parse(p.Payload); err == nil {
				see(&p, &h, text)
			}
		}
	})
}

// segmentOf returns the packet of a frame with a TCP segment, of either family.
func segmentOf(frame []byte) (p frames.Packet, ok bool) {
	var ether wire.Ethernet
	packet, err := ether.Parse(frame)
	if err != nil || ether.Type != wire.EtherTypeIPv4 && ether.Type != wire.EtherTypeIPv6 {
		return p, false
	}
	p, err = frames.ParseIP(packet)
	return p, err == nil && p.Protocol == wire.ProtocolTCP
}

// A host announces the MSS of the interface that a connection goes over, in both directions of opening. An interface's
// MTU is given when it is attached, and may be less than the device's.
func TestAnnouncedMSS(t *testing.T) {
	t.Run("SHLD-6 a lower MTU of the interface shows in each SYN over it, and in no other", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := &network{T: t, family: ipv4}
			b, err := New(Config{})
			n.must(err)
			defer b.Close()
			for i, mtu := range []int{0, 1400} { // zero: the device's
				seen := map[string]uint16{}
				n.wire = sim.NewSegment(sim.Config{Delay: time.Millisecond})
				defer n.wire.Close()
				stop := watchSegments(n.wire, func(ip *frames.Packet, h *wire.TCP, _ []byte) {
					if h.Flags&wire.TCPSyn != 0 {
						seen[fmt.Sprintf("%v ack=%v", ip.Src, h.Flags&wire.TCPAck != 0)] = h.Options.MSS
					}
				})
				here, there := netip.AddrFrom4([4]byte{10, 0, byte(i), 2}), netip.AddrFrom4([4]byte{10, 0, byte(i), 1})
				n.must(b.Attach(n.wire.Port(), Interface{Addrs: []netip.Prefix{netip.PrefixFrom(here, 24)}, MTU: mtu}))
				a := n.host(Config{}, there)
				defer a.Close()
				for _, d := range []struct {
					from, to *Host
					addr     netip.Addr
				}{{a, b, here}, {b, a, there}} {
					bound, err := d.to.BindTCP(netip.AddrPortFrom(d.addr, 80), BindOptions{ReuseAddr: true})
					n.must(err)
					l, err := d.to.ListenTCP(bound, 4, tcp.DefaultOptions())
					n.must(err)
					c, err := d.from.ConnectTCP(nil, l.Addr(), tcp.DefaultOptions())
					n.must(err)
					n.must(c.WaitConnect())
				}
				stop()
				want := uint16(1460 - i*100)
				for syn, mss := range map[string]uint16{fmt.Sprint(here, " ack=false"): want, fmt.Sprint(here, " ack=true"): want,
					fmt.Sprint(there, " ack=false"): 1460, fmt.Sprint(there, " ack=true"): 1460} {
					if seen[syn] != mss {
						t.Errorf("MTU %d, SYN of %s: MSS %d, want %d", mtu, syn, seen[syn], mss)
					}
				}
			}
		})
	})
}

// What is sent again has an identification of its own, where it has one: where it may be cut (RFC 6864 4.1).
func TestRetransmittedIdentification(t *testing.T) {
	for _, discover := range []tcp.PathMTUDiscovery{tcp.DiscoverWant, tcp.DiscoverDont} {
		inNetwork4(t, fmt.Sprintf("MAY-4 segments that may be cut: %v", discover.Off()), sim.Config{Delay: time.Millisecond}, func(n *network) {
			client, _ := n.connect()
			n.must(client.Update(func(o *tcp.Options) { o.Discover = discover }))
			sent, ids := 0, map[uint16]bool{}
			stop := n.wire.Tap(func(r sim.Record) {
				var ip wire.IPv4
				var h wire.TCP
				if r.Frame[12] != 8 || r.Frame[13] != 0 || r.To != nil { // it has a record already
					return
				}
				segment, err := ip.Parse(r.Frame[wire.EthernetLen:])
				if err != nil || ip.Protocol != wire.ProtocolTCP {
					return
				}
				if text, err := h.Parse(segment); err == nil && len(text) > 0 {
					sent++
					ids[ip.ID] = true
					if ip.DF == discover.Off() {
						n.Errorf("DF %v", ip.DF)
					}
				}
			})
			n.cable(n.b).Unplug(true)
			n.write(client, "again and again")
			time.Sleep(10 * time.Second)
			stop()
			if discover.Off() && len(ids) != sent || !discover.Off() && (len(ids) != 1 || !ids[0]) || sent < 5 {
				n.Errorf("%d transmissions, identifications %v", sent, ids)
			}
			client.Abort()
		})
	}
}

// Somebody who sends a thousand claims that packets are too big, half of them with a number that is in flight, gets no
// segments below the least MTU that is believed, and takes no more than what their headers cost.
func TestForgedTooBig(t *testing.T) {
	const octets = 4_000_000
	var took [2][2]time.Duration // by family, without and with
	for forged, name := range []string{"without forgeries", "D-ICMP-3 a thousand forged messages leave nine tenths of the throughput"} {
		// A flight of 6000 octets, all of which is sent again each time that a lower MTU is believed.
		cfg := Config{TCP: tcp.Config{RecvBuffer: 6000, MaxRecvBuffer: 6000, NoTimestamps: true}}
		inHosts(t, name, sim.Config{Delay: time.Millisecond, Rate: 10_000_000}, cfg, func(n *network) {
			least := max(552, map[bool]int{true: 1280}[n.any.Is6()]) - n.headerLen - wire.TCPLen
			client, server := n.connect()
			var mu sync.Mutex
			var last uint32 // number sent
			defer watchSegments(n.wire, func(ip *frames.Packet, h *wire.TCP, text []byte) {
				if ip.Src == n.addrA && len(text) > 0 {
					mu.Lock()
					defer mu.Unlock()
					last = h.Seq
				}
			})()
			go func() {
				if k, err := client.Write(make([]byte, octets)); k != octets || err != nil {
					n.Errorf("Write: %d, %v", k, err)
				}
				n.must(client.CloseWrite())
			}()
			r := rand.New(rand.NewPCG(1, 2))
			for range 1000 * forged {
				time.Sleep(500 * time.Microsecond)
				mu.Lock()
				seq := tcp.Seq(last)
				mu.Unlock()
				if r.IntN(2) == 0 {
					seq = tcp.Seq(r.Uint32())
				}
				n.a.tcp.errorArrives(transportError{client.Local(), client.Remote(), tcp.ICMPError{MTU: 1 + r.IntN(1500), Seq: seq}})
				if mss := client.Info().SndMSS; mss < least {
					n.Fatalf("segments of %d octets", mss)
				}
			}
			began := time.Now().Add(-time.Duration(1000*forged) * 500 * time.Microsecond)
			if got, err := io.ReadAll(connReader{server}); len(got) != octets || err != nil {
				n.Errorf("read %d, %v", len(got), err)
			}
			took[n.bits/64][forged] = time.Since(began)
			if info := client.Info(); forged == 1 && info.SndMSS != least {
				n.Errorf("segments of %d octets, want %d: no forgery was believed", info.SndMSS, least)
			}
			n.must(client.Close())
			n.must(server.Close())
		})
	}
	for _, took := range took {
		if took[1] > took[0]*10/9 {
			t.Errorf("with forgeries it took %v, without %v", took[1], took[0])
		}
	}
}
