package stack

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

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
	mu    sync.Mutex // one Write at a time
	rnd   *rand.Rand
	ended chan struct{}
}

var attackerIP = netip.MustParseAddr("10.0.0.66")

// Connections from ports below starvers ask for a response and take none of it; the others send text with gaps.
const starvers = 10_000

func newAttacker(n *network) *attacker {
	a := &attacker{network: n, port: n.wire.NewPort(sim.PortConfig{Name: "attacker", Queue: 1 << 16}), rnd: rand.New(rand.NewPCG(6, 6)),
		mac: n.wire.Ports()[1].Info().MAC, ended: make(chan struct{})}
	go a.answer()
	request := wire.ARP{Op: wire.ARPRequest, SenderMAC: a.port.Info().MAC, SenderIP: attackerIP.As4(), TargetIP: addrB.As4()}
	a.send(arpFrame(wire.BroadcastMAC, a.port.Info().MAC, request))
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

// packet makes a frame with an IPv4 packet to the victim.
func (a *attacker) packet(src netip.Addr, h wire.IPv4, payload []byte) []byte {
	h.TTL, h.Src, h.Dst = 64, src.As4(), addrB.As4()
	return ethFrame(a.mac, a.port.Info().MAC, wire.EtherTypeIPv4, ip4(h, payload))
}

func (a *attacker) segment(src netip.Addr, h wire.TCP, text []byte) []byte {
	h.DstPort = 80
	return a.packet(src, wire.IPv4{Protocol: wire.ProtocolTCP}, tcp4(src, addrB, h, text))
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
	var eth wire.Ethernet
	body, err := eth.Parse(f)
	if err != nil {
		return
	}
	if eth.Type == wire.EtherTypeARP {
		var p wire.ARP
		if p.Parse(body) != nil {
			return
		}
		if p.Op == wire.ARPRequest && p.TargetIP == attackerIP.As4() {
			mac := a.port.Info().MAC
			a.send(arpFrame(p.SenderMAC, mac, wire.ARP{Op: wire.ARPReply, SenderMAC: mac, SenderIP: attackerIP.As4(),
				TargetMAC: p.SenderMAC, TargetIP: p.SenderIP}))
		}
		return
	}
	var ip wire.IPv4
	var h wire.TCP
	segment, err := ip.Parse(body)
	if err != nil || ip.Protocol != wire.ProtocolTCP || ip.Dst != attackerIP.As4() {
		return
	}
	if _, err := h.Parse(segment); err != nil || h.Flags&wire.TCPRst != 0 {
		return
	}
	back := wire.TCP{SrcPort: h.DstPort, Seq: h.Ack, Ack: h.Seq, Flags: wire.TCPAck}
	switch {
	case h.Flags&wire.TCPSyn == 0: // a probe, or text that finds no window
		if h.DstPort < starvers {
			a.send(a.segment(attackerIP, back, nil))
		}
	case h.DstPort < starvers:
		back.Ack++
		a.send(a.segment(attackerIP, back, []byte("GET")))
	default:
		back.Ack++
		a.send(a.segment(attackerIP, back, nil))
		for at := uint32(2); at < 64_000; at += 1400 {
			gap := back
			gap.Seq += at
			gap.Window = 65535
			a.send(a.segment(attackerIP, gap, make([]byte, 1400)))
		}
	}
}

// flood sends a round of everything.
func (a *attacker) flood(round int) {
	stranger := func() netip.Addr {
		return netip.AddrFrom4([4]byte{10, 0, 0, byte(100 + a.rnd.IntN(100))})
	}
	for i := range 8 {
		syn := wire.TCP{Seq: a.rnd.Uint32(), Flags: wire.TCPSyn, Window: 65535}
		syn.SrcPort = uint16(1000 + round*8 + i)
		a.send(a.segment(attackerIP, syn, nil))
		syn.SrcPort += starvers
		a.send(a.segment(attackerIP, syn, nil))
	}
	for range 100 {
		a.send(a.segment(stranger(), wire.TCP{SrcPort: uint16(a.rnd.Uint32()), Seq: a.rnd.Uint32(), Flags: wire.TCPSyn}, nil))
		h := wire.IPv4{Protocol: wire.ProtocolUDP, ID: uint16(a.rnd.Uint32()), MF: true, FragmentOffset: 8 * a.rnd.IntN(100)}
		a.send(a.packet(stranger(), h, make([]byte, 1400)))
		text := make([]byte, 1000)
		binary.BigEndian.PutUint32(text, a.rnd.Uint32())
		src := stranger()
		a.send(a.packet(src, wire.IPv4{Protocol: wire.ProtocolUDP}, udp4(src, addrB, 9, 7, text)))
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
			s, err := n.b.ListenUDP(netip.AddrPortFrom(addrB, 7), BindOptions{})
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
