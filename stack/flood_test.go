package stack

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

// attacker is a station that keeps no state: it answers what comes so as to make its victim hold as much as it
// can.
type attacker struct {
	*network
	port  *sim.Port
	mac   link.MAC   // the victim's
	ip    netip.Addr // its own
	mu    sync.Mutex // one Write at a time
	rnd   *rand.Rand
	ended chan struct{}
}

// Connections from ports below starvers ask for a response and take none of it; the others send text with gaps.
const starvers = 10_000

func newAttacker(n *network) *attacker {
	a := &attacker{network: n, port: n.wire.NewPort(sim.PortConfig{Name: "attacker", Queue: 1 << 16}), rnd: rand.New(rand.NewPCG(6, 6)),
		mac: n.wire.Ports()[1].Info().MAC, ended: make(chan struct{})}
	a.ip = a.station(0x66)
	go a.answer()
	a.introduce(true)
	settle()
	return a
}

func (a *attacker) send(frames ...[]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := a.port.Write(linkFrames(frames)); err != nil {
		a.Error(err)
	}
}

// station returns the address of that number on the link.
func (a *attacker) station(number byte) netip.Addr {
	if a.addrB.Is6() {
		b := a.addrB.As16()
		b[15] = number
		return netip.AddrFrom16(b)
	}
	return netip.AddrFrom4([4]byte{10, 0, 0, number})
}

// introduce tells the victim where the attacker is: by a question to it, or by the answer to its own.
func (a *attacker) introduce(ask bool) {
	mac := a.port.Info().MAC
	if a.ip.Is4() {
		p := wire.ARP{Op: wire.ARPReply, SenderMAC: mac, SenderIP: a.ip.As4(), TargetMAC: a.mac, TargetIP: a.addrB.As4()}
		if ask {
			p.Op = wire.ARPRequest
		}
		a.send(arpFrame(a.mac, mac, p))
		return
	}
	typ, option, target := uint8(wire.ICMPv6NeighborAdvertisement), uint8(wire.NDOptTargetLinkAddr), a.ip
	if ask {
		typ, option, target = wire.ICMPv6NeighborSolicitation, wire.NDOptSourceLinkAddr, a.addrB
	}
	message := make([]byte, wire.NDNeighborLen+8)
	n := (&wire.NDNeighbor{Solicited: !ask, Override: !ask, Target: target.As16()}).Marshal(message, typ)
	(&wire.NDOption{Type: option, Data: mac[:]}).Marshal(message[n:])
	wire.PutICMPv6Checksum(message, a.ip.As16(), a.addrB.As16())
	h := wire.IPv6{NextHeader: wire.ProtocolICMPv6, HopLimit: 255, Src: a.ip.As16(), Dst: a.addrB.As16()}
	a.send(frames.Ethernet(a.mac, mac, frames.IPv6(h, message)))
}

// packet makes a frame with a packet to the victim.
func (a *attacker) packet(src netip.Addr, proto uint8, payload []byte) []byte {
	return frames.Ethernet(a.mac, a.port.Info().MAC, frames.IP(src, a.addrB, proto, payload))
}

// fragment makes a frame with a fragment of a datagram that is never complete.
func (a *attacker) fragment(src netip.Addr, id uint32, offset int, payload []byte) []byte {
	mac := a.port.Info().MAC
	if src.Is4() {
		h := wire.IPv4{Protocol: wire.ProtocolUDP, TTL: 64, ID: uint16(id), MF: true, FragmentOffset: offset, Src: src.As4(), Dst: a.addrB.As4()}
		return frames.Ethernet(a.mac, mac, frames.IPv4(h, payload))
	}
	b := make([]byte, wire.IPv6FragmentLen)
	(&wire.IPv6Fragment{NextHeader: wire.ProtocolUDP, Offset: offset, More: true, ID: id}).Marshal(b)
	h := wire.IPv6{NextHeader: wire.IPv6Fragments, HopLimit: 64, Src: src.As16(), Dst: a.addrB.As16()}
	return frames.Ethernet(a.mac, mac, frames.IPv6(h, append(b, payload...)))
}

func (a *attacker) segment(src netip.Addr, h wire.TCP, text []byte) []byte {
	h.DstPort = 80
	return a.packet(src, wire.ProtocolTCP, frames.TCP(src, a.addrB, h, text))
}

// answer serves what the victim sends until the port is closed.
func (a *attacker) answer() {
	defer close(a.ended)
	var frames [64]link.Frame
	for {
		n, err := a.port.Read(frames[:])
		if err != nil {
			return
		}
		for i := range frames[:n] {
			a.one(frames[i].Header)
			frames[i].Release()
		}
	}
}

func (a *attacker) one(f []byte) {
	var h wire.TCP
	p, ok := segmentOf(f)
	switch {
	case a.asked(f):
		a.introduce(false)
		return
	case !ok || p.Dst != a.ip:
		return
	}
	if _, err := h.Parse(p.Payload); err != nil || h.Flags&wire.TCPRst != 0 {
		return
	}
	back := wire.TCP{SrcPort: h.DstPort, Seq: h.Ack, Ack: h.Seq, Flags: wire.TCPAck}
	switch {
	case h.Flags&wire.TCPSyn == 0: // a probe, or text that finds no window
		if h.DstPort < starvers {
			a.send(a.segment(a.ip, back, nil))
		}
	case h.DstPort < starvers:
		back.Ack++
		a.send(a.segment(a.ip, back, []byte("GET")))
	default:
		back.Ack++
		a.send(a.segment(a.ip, back, nil))
		for at := uint32(2); at < 64_000; at += 1400 {
			gap := back
			gap.Seq += at
			gap.Window = 65535
			a.send(a.segment(a.ip, gap, make([]byte, 1400)))
		}
	}
}

// asked says whether a frame asks where the attacker is.
func (a *attacker) asked(f []byte) bool {
	var eth wire.Ethernet
	body, err := eth.Parse(f)
	switch {
	case err != nil:
		return false
	case eth.Type == wire.EtherTypeARP:
		var p wire.ARP
		return p.Parse(body) == nil && p.Op == wire.ARPRequest && a.ip.Is4() && p.TargetIP == a.ip.As4()
	case eth.Type != wire.EtherTypeIPv6:
		return false
	}
	p, err := frames.ParseIP(body)
	if err != nil || p.Protocol != wire.ProtocolICMPv6 || len(p.Payload) < wire.NDNeighborLen {
		return false
	}
	return p.Payload[0] == wire.ICMPv6NeighborSolicitation && netip.AddrFrom16([16]byte(p.Payload[8:24])) == a.ip
}

// flood sends a round of everything.
func (a *attacker) flood(round int) {
	stranger := func() netip.Addr { return a.station(byte(100 + a.rnd.IntN(100))) }
	for i := range 8 {
		syn := wire.TCP{Seq: a.rnd.Uint32(), Flags: wire.TCPSyn, Window: 65535}
		syn.SrcPort = uint16(1000 + round*8 + i)
		a.send(a.segment(a.ip, syn, nil))
		syn.SrcPort += starvers
		a.send(a.segment(a.ip, syn, nil))
	}
	for range 100 {
		a.send(a.segment(stranger(), wire.TCP{SrcPort: uint16(a.rnd.Uint32()), Seq: a.rnd.Uint32(), Flags: wire.TCPSyn}, nil))
		a.send(a.fragment(stranger(), a.rnd.Uint32(), 8*a.rnd.IntN(100), make([]byte, 1400)))
		text := make([]byte, 1000)
		binary.BigEndian.PutUint32(text, a.rnd.Uint32())
		src := stranger()
		a.send(a.packet(src, wire.ProtocolUDP, frames.UDP(src, a.addrB, 9, 7, text)))
	}
}

// transfer sends octets from host a to host b, or down from b to a, and returns how long that took.
func (n *network) transfer(octets int, down bool) time.Duration {
	n.Helper()
	l := n.listen(n.b, 81, 10)
	began := time.Now()
	client := n.dial(81)
	n.must(client.WaitConnect())
	server, err := l.Accept()
	n.must(err)
	from, to := client, server
	if down {
		from, to = server, client
	}
	go func() {
		n.write(from, string(make([]byte, octets)))
		n.must(from.CloseWrite())
	}()
	p, got := make([]byte, 64<<10), 0
	for {
		k, err := to.Read(p)
		n.must(err)
		if k == 0 {
			break
		}
		got += k
	}
	took := time.Since(began)
	if got != octets {
		n.Errorf("%d octets arrived of %d", got, octets)
	}
	n.must(server.Close())
	n.must(client.Close())
	n.must(l.Close())
	return took
}

func TestMixedFlood(t *testing.T) {
	const limit, fragments, halfOpen = 16 << 20, 512 << 10, 500
	cfg := Config{MaxBuffered: limit, ReassemblyBytes: fragments, MaxHalfOpen: halfOpen, MaxNeighbors: 256}
	inHosts(t, "F-MEM-1 under a flood of everything memory stays within its caps and an honest flow keeps half its rate",
		sim.Config{Delay: time.Millisecond, Rate: 100e6}, cfg, func(n *network) {
			alone := [2]time.Duration{n.transfer(2<<20, false), n.transfer(2<<20, true)}
			a := newAttacker(n)
			l := n.listen(n.b, 80, 4096)
			go func() { // a server that answers with more than the peer will take
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						if k, err := c.Read(make([]byte, 10)); k > 0 && err == nil {
							_, _ = c.Write(make([]byte, 1<<20))
						}
					}()
				}
			}()
			s, err := n.b.ListenUDP(netip.AddrPortFrom(n.addrB, 7), BindOptions{})
			n.must(err)
			stop, done := make(chan struct{}), make(chan struct{})
			var most int64
			go func() {
				defer close(done)
				for round := 0; ; round++ {
					select {
					case <-stop:
						return
					default:
					}
					if round < 40 {
						a.flood(round)
					}
					time.Sleep(50 * time.Millisecond)
					st := n.b.Stats()
					g := st.TCPGauges
					most = max(most, g.Buffered)
					if g.HalfOpen > halfOpen || st.ReassemblyBytes > fragments || st.Interfaces[1].Neighbors > 256 {
						n.Errorf("%d half-open, %d octets of fragments, %d neighbours", g.HalfOpen, st.ReassemblyBytes, st.Interfaces[1].Neighbors)
					}
				}
			}()
			time.Sleep(3 * time.Second) // the attacker has what it wants
			held := n.b.Stats().TCPGauges.Buffered
			under := [2]time.Duration{n.transfer(2<<20, false), n.transfer(2<<20, true)}
			close(stop)
			<-done
			n.Logf("alone %v, under attack %v; %d octets held at first, %d at most, %+v", alone, under, held, most, n.b.Stats().TCPGauges.States)
			if held < limit/4*3 {
				n.Errorf("the attack fills %d octets only", held)
			}
			if most > limit/2*3 {
				n.Errorf("%d octets held, the cap is %d", most, limit)
			}
			for i, way := range []string{"up", "down"} {
				if under[i] > 2*alone[i] {
					n.Errorf("%s: %v under attack, %v alone", way, under[i], alone[i])
				}
			}
			n.must(s.Close())
			n.must(a.port.Close())
			<-a.ended
			n.must(l.Close())
			for _, c := range n.b.tcp.everyone() {
				c.Abort()
			}
			settle()
		})
}

// everyone returns all connections.
func (l *tcpLayer) everyone() (all []*TCPConn) {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		for _, f := range s.flows.all(func(f *flow) bool { return f.kind == connFlow }) {
			all = append(all, f.conn())
		}
		s.mu.Unlock()
	}
	return all
}
