package stack

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

var thirdMAC = link.MAC{2, 0, 0, 0, 0, 0x77}

// claims are the ARP packets by which other claims the peer's address.
func claims(other link.MAC) map[string][]byte {
	to := func(dst link.MAC, op uint16, target netip.Addr) []byte {
		return arpFrame(dst, other, wire.ARP{Op: op, SenderMAC: other, SenderIP: peerIP.As4(), TargetMAC: ourMAC, TargetIP: target.As4()})
	}
	return map[string][]byte{
		"request":            request(peerIP, other, ourIP),
		"unicast request":    to(ourMAC, wire.ARPRequest, ourIP),
		"reply":              reply(peerIP, other),
		"broadcast reply":    to(wire.BroadcastMAC, wire.ARPReply, ourIP),
		"gratuitous request": request(peerIP, other, peerIP),
		"gratuitous reply":   to(wire.BroadcastMAC, wire.ARPReply, peerIP),
	}
}

// askPeer is our request for the peer's MAC.
func askPeer(dst link.MAC) []byte {
	return arpFrame(dst, ourMAC, wire.ARP{Op: wire.ARPRequest, SenderMAC: ourMAC, SenderIP: ourIP.As4(), TargetIP: peerIP.As4()})
}

// claimed is a bed whose host sends datagrams to what the peer's address leads to.
type claimed struct {
	*bed
	socket *UDPSocket
	to     netip.AddrPort
	asked  int // how often the peer was asked by unicast
}

// withClaims runs body on a host that knows the peer as a neighbour and as its gateway: to is the one or lies beyond it.
func withClaims(t *testing.T, name string, body func(b *claimed)) {
	for _, to := range []netip.Addr{peerIP, netip.MustParseAddr("192.0.2.1")} {
		t.Run(name+", "+to.String(), func(t *testing.T) {
			withPeer(t, Config{}, func(b *bed) {
				if err := b.h.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), peerIP); err != nil {
					t.Fatal(err)
				}
				body(&claimed{bed: b, socket: b.listenUDP("10.0.0.2:7"), to: netip.AddrPortFrom(to, 9)})
			})
		})
	}
}

// send sends a datagram and fails the test if it does not leave to mac, alone.
func (b *claimed) send(mac link.MAC) {
	b.Helper()
	b.writeTo(b.socket, []byte("x"), b.to)
	out := b.take()
	if len(out) != 1 || link.MAC(out[0][:6]) != mac || out[0][13] != 0 {
		b.Fatalf("sent %x, want one datagram to %v", out, mac)
	}
}

// claim injects a claim, and counts the questions to the owner that follow.
func (b *claimed) claim(frame []byte) {
	b.Helper()
	b.inject(frame)
	for _, f := range b.take() {
		if f[13] == 6 && f[21] == byte(wire.ARPReply) {
			continue // who asks for us is answered
		}
		if string(f) != string(askPeer(peerMAC)) {
			b.Fatalf("a claim is answered by %x", f)
		}
		b.asked++
	}
}

func TestClaimedAddress(t *testing.T) {
	t.Run("B-ARP-2 an owner that answers keeps its address", func(t *testing.T) {
		for name, frame := range claims(otherMAC) {
			withClaims(t, name, func(b *claimed) {
				b.claim(frame)
				b.send(peerMAC)
				for range 1000 {
					b.claim(frame)
				}
				if b.asked != 1 {
					t.Fatalf("the owner was asked %d times, want once", b.asked)
				}
				time.Sleep(contestTime - time.Millisecond)
				b.inject(reply(peerIP, peerMAC))
				b.send(peerMAC)
				b.claim(frame) // it is too soon to ask again, but not forgotten
				time.Sleep(retransInterval - contestTime)
				if b.asked != 1 {
					t.Fatalf("the owner was asked %d times within a second", b.asked)
				}
				time.Sleep(2 * time.Millisecond)
				b.want(askPeer(peerMAC))
				b.inject(reply(peerIP, peerMAC))
				b.send(peerMAC)
				time.Sleep(10 * time.Second)
				b.want()
				b.send(peerMAC)
			})
		}
	})
	// What the neighbour's entry is like when the claim comes, long after the last answer.
	states := map[string]func(b *claimed){
		"REACHABLE": func(*claimed) { time.Sleep(heardLately + time.Millisecond) },
		"STALE":     func(*claimed) { time.Sleep(46 * time.Second) },
		"DELAY": func(b *claimed) {
			time.Sleep(46 * time.Second)
			b.send(peerMAC)
		},
	}
	t.Run("B-ARP-2 an owner that was not heard of lately is looked for, and what is sent to it waits", func(t *testing.T) {
		for state, arrive := range states {
			for name, frame := range claims(otherMAC) {
				for _, owner := range []link.MAC{peerMAC, otherMAC} {
					withClaims(t, fmt.Sprint(state, ", ", name, ", ", owner), func(b *claimed) {
						arrive(b)
						b.inject(frame)
						if out := b.take(); len(out) == 0 || string(out[0]) != string(askPeer(wire.BroadcastMAC)) {
							t.Fatalf("sent %x, want a question to all", out)
						}
						b.writeTo(b.socket, []byte("x"), b.to)
						b.want()
						b.inject(reply(peerIP, owner))
						if out := b.take(); len(out) != 1 || link.MAC(out[0][:6]) != owner {
							t.Fatalf("what waited left as %x", out)
						}
						b.send(owner)
					})
				}
			}
		}
	})
	t.Run("B-ARP-2 an address that has gone to another MAC is found there within the time of a contest", func(t *testing.T) {
		for name, frame := range claims(otherMAC) {
			withClaims(t, name, func(b *claimed) {
				b.send(peerMAC)
				b.claim(frame)
				time.Sleep(contestTime - time.Millisecond)
				b.send(peerMAC)
				time.Sleep(2 * time.Millisecond)
				b.want(askPeer(wire.BroadcastMAC))
				b.writeTo(b.socket, []byte("x"), b.to)
				b.want()
				for _, other := range claims(thirdMAC) { // hearsay decides nothing
					if other[21] == byte(wire.ARPRequest) || link.MAC(other[:6]) == wire.BroadcastMAC && netip.AddrFrom4([4]byte(other[38:42])) == peerIP {
						b.claim(other)
					}
				}
				b.inject(reply(peerIP, otherMAC))
				if out := b.take(); len(out) != 1 || link.MAC(out[0][:6]) != otherMAC {
					t.Fatalf("what waited left as %x", out)
				}
				b.send(otherMAC)
				if _, state, _ := b.entry(peerIP); state != reachable {
					t.Errorf("state %s, want REACHABLE", state)
				}
			})
		}
	})
	withClaims(t, "B-ARP-2 a move soon after a claim that was false is noticed within a second", func(b *claimed) {
		b.claim(request(peerIP, thirdMAC, ourIP))
		b.inject(reply(peerIP, peerMAC))
		time.Sleep(100 * time.Millisecond)
		b.claim(request(peerIP, otherMAC, peerIP)) // once
		time.Sleep(retransInterval - 100*time.Millisecond)
		b.want(askPeer(peerMAC))
		time.Sleep(contestTime)
		b.want(askPeer(wire.BroadcastMAC))
		b.inject(reply(peerIP, otherMAC))
		b.send(otherMAC)
	})
	withClaims(t, "B-ARP-2 a claim while the owner is polled hastens the search for it", func(b *claimed) {
		time.Sleep(46 * time.Second)
		b.send(peerMAC)
		time.Sleep(delayFirstProbe)
		b.want(askPeer(peerMAC))
		b.claim(request(peerIP, otherMAC, peerIP))
		time.Sleep(contestTime)
		b.want(askPeer(wire.BroadcastMAC))
	})
	withClaims(t, "B-ARP-2 an owner whose acknowledgments come keeps its address without an answer", func(b *claimed) {
		r, err := b.h.ip.HostRoute(ourIP, b.to.Addr())
		if err != nil {
			t.Fatal(err)
		}
		b.send(peerMAC)
		b.claim(request(peerIP, otherMAC, ourIP))
		time.Sleep(contestTime / 2)
		r.Confirm(b.h.clock.Now())
		time.Sleep(contestTime)
		b.want()
		b.send(peerMAC)
		if _, state, _ := b.entry(peerIP); state != reachable {
			t.Errorf("state %s, want REACHABLE", state)
		}
	})
	withClaims(t, "B-ARP-2 a neighbour known by hearsay alone is asked once it is used", func(b *claimed) {
		time.Sleep(staleLifetime + 46*time.Second) // the entry is gone
		b.inject(request(peerIP, thirdMAC, ourIP))
		b.inject(request(peerIP, otherMAC, ourIP)) // believed: nothing is sent there
		b.take()
		b.send(otherMAC)
		b.inject(request(peerIP, peerMAC, ourIP)) // the owner
		if out := b.take(); len(out) != 2 || string(out[0]) != string(askPeer(wire.BroadcastMAC)) {
			t.Fatalf("sent %x, want a question to all and an answer", out)
		}
		b.inject(reply(peerIP, peerMAC))
		b.send(peerMAC)
	})
}

// TestARPFlood floods both hosts of a transfer with ARP that says that everybody's address is somewhere else.
func TestARPFlood(t *testing.T) {
	inHosts4(t, "B-ARP-10 under a flood of forged ARP a flow keeps its rate", sim.Config{Delay: time.Millisecond, Rate: 100e6}, Config{MaxNeighbors: 256},
		func(n *network) {
			alone := [2]time.Duration{n.transfer(4<<20, false), n.transfer(4<<20, true)}
			port := n.wire.NewPort(sim.PortConfig{Name: "forger", Queue: 1 << 16})
			stop, done := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
					}
					var frames [][]byte
					for _, pair := range [][2]netip.Addr{{addrA, addrB}, {addrB, addrA}} {
						for k := range 4 {
							mac := link.MAC{2, 0xbb, byte(i), byte(i >> 8), byte(k), 1}
							p := wire.ARP{Op: wire.ARPRequest, SenderMAC: mac, SenderIP: pair[0].As4(), TargetIP: pair[1].As4()}
							dst := wire.BroadcastMAC
							switch k {
							case 1:
								p.TargetIP = p.SenderIP
							case 2:
								p.Op, dst = wire.ARPReply, n.macOf(pair[1])
							case 3:
								p.SenderIP = [4]byte{10, 0, 0, byte(100 + i%100)}
							}
							frames = append(frames, arpFrame(dst, mac, p))
						}
					}
					if _, err := port.Write(linkFrames(frames)); err != nil {
						n.Error(err)
					}
				}
			}()
			for i, down := range []bool{false, true} {
				if under := n.transfer(4<<20, down); under > alone[i]*5/4 {
					n.Errorf("down %v: %v in the flood, %v alone", down, under, alone[i])
				}
			}
			close(stop)
			<-done
			n.must(port.Close())
			settle()
		})
}

// macOf returns the MAC of the host that has an address.
func (n *network) macOf(a netip.Addr) link.MAC {
	if a == addrA {
		return n.wire.Ports()[0].Info().MAC
	}
	return n.wire.Ports()[1].Info().MAC
}
