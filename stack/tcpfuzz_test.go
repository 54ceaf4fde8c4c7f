package stack

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// FuzzTCPInput sends segments of all kinds, near the numbers that count, to a host with a listener and to the
// connections that come of it, between calls of their owner. The gauges must add up, and everything must be
// gone in the end.
func FuzzTCPInput(f *testing.F) {
	f.Add([]byte{0, 2, 0, 0, 1, 16, 1, 1, 1, 24, 1, 1, 5, 0, 0, 0, 3, 17, 6, 1})
	f.Add([]byte{0, 2, 0, 0, 0, 16, 1, 1, 6, 9, 9, 9, 7, 0, 0, 0, 0, 4, 1, 1, 5, 1, 1, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		synctest.Test(t, func(t *testing.T) { runScript(t, script[:min(len(script), 1200)]) })
	})
}

// runScript takes four octets for each step: what, flags, and where SEQ and ACK stand.
func runScript(t *testing.T, script []byte) {
	h, err := New(Config{Shards: 1, ICMPRate: -1, ResetRate: -1})
	if err != nil {
		t.Fatal(err)
	}
	dev := newMemDevice(link.Info{Name: "mem0", Kind: link.IP, MTU: 1500})
	b := &bed{T: t, family: ipv4, h: h, dev: dev}
	if err := h.Attach(dev, Interface{Addrs: []netip.Prefix{ourNet}}); err != nil {
		t.Fatal(err)
	}
	l := b.listenTCP(80, 2)
	var conns []*TCPConn
	var nxt, una uint32 = 1 << 20, 0 // as the peer sees them
	for ; len(script) >= 4; script = script[4:] {
		what, flags, seq, ack := script[0], script[1], script[2], script[3]
		switch what % 8 {
		case 5:
			if c, err := l.TryAccept(); err == nil {
				conns = append(conns, c)
			}
			for _, c := range conns {
				_, _ = c.TryRead(make([]byte, int(seq)))
				_, _ = c.TryWrite(make([]byte, int(ack)*64))
			}
		case 6:
			if len(conns) > 0 {
				c := conns[int(seq)%len(conns)]
				switch flags % 4 {
				case 0:
					_ = c.CloseWrite()
				case 1:
					_ = c.CloseRead()
				case 2:
					_ = c.Close()
				case 3:
					c.Abort()
				}
			}
		case 7:
			time.Sleep(time.Duration(flags) * time.Duration(seq) * time.Millisecond)
		default:
			header := wire.TCP{SrcPort: 1000 + uint16(what>>3)%2, DstPort: 80 + uint16(what>>4)%2, Flags: uint16(flags),
				Seq: nxt + uint32(int8(seq)), Ack: una + uint32(int8(ack)), Window: uint16(seq) << 8}
			text := make([]byte, int(what>>2))
			if header.Flags&wire.TCPSyn != 0 {
				header.Seq, nxt = nxt, nxt+1
			}
			b.inject(ip4(fromPeer(wire.ProtocolTCP), tcp4(peerIP, ourIP, header, text)))
		}
		for _, p := range b.take() {
			if len(p) >= 40 && p[9] == wire.ProtocolTCP {
				una = binary.BigEndian.Uint32(p[24:]) + 1
			}
		}
		checkGauges(t, h)
	}
	for _, c := range conns {
		c.Abort()
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if g := h.Stats().TCPGauges; g != (TCPGauges{ListenOverflows: g.ListenOverflows, SYNCookies: g.SYNCookies,
		CookiesOK: g.CookiesOK, ResetsHeldBack: g.ResetsHeldBack, Malformed: g.Malformed, BadChecksum: g.BadChecksum, Dropped: g.Dropped}) {
		t.Errorf("left: %+v", g)
	}
}

// checkGauges compares the gauges with what the tables hold.
func checkGauges(t *testing.T, h *Host) {
	t.Helper()
	g := h.Stats().TCPGauges
	flows := 0
	for i := range h.tcp.shards {
		s := &h.tcp.shards[i]
		s.mu.Lock()
		flows += s.flows.len
		for _, f := range s.flows.all(func(f *flow) bool { return f.kind == connFlow }) {
			if c := f.conn(); c.bits&inTable == 0 || c.state != c.tcp.State() || c.state == tcp.Closed {
				t.Errorf("in the table in %v, the TCB in %v, bits %b", c.state, c.tcp.State(), c.bits)
			}
		}
		s.mu.Unlock()
	}
	if want := g.Connections() + g.States[tcp.TimeWaitState]; flows != want {
		t.Errorf("%d flows, the gauges say %d: %+v", flows, want, g)
	}
	for state, n := range g.States {
		if n < 0 {
			t.Errorf("%d in %v", n, tcp.State(state))
		}
	}
}
