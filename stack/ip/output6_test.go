package ip

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/internal/wire"
)

func TestReassembly6(t *testing.T) {
	data := make([]byte, 4000)
	for i := range data {
		data[i] = byte(i / 8)
	}
	cut := func(from, to int, id uint32) []byte {
		return packet6(peer6, our6, dest, options(wire.IPv6Fragments, 1, 0), piece(17, from, to < len(data), id), data[from:to])
	}
	whole := func(b *bed6) {
		b.t.Helper()
		p := &b.in.Packet
		if p.Protocol != 17 || !bytes.Equal(p.Payload, data) || p.Src != peer6 || p.Dst != our6 {
			b.t.Errorf("got %d octets of protocol %d", len(p.Payload), p.Protocol)
		}
	}
	t.Run("B-IP6-9 any order, duplicates, a chain in front", func(t *testing.T) {
		onBed6(t, func(b *bed6) {
			for _, p := range [][]byte{cut(2400, 4000, 5), cut(0, 1200, 5), cut(0, 1200, 5)} {
				if got := b.give(p); got != Taken {
					t.Fatalf("outcome %d", got)
				}
			}
			if got := b.give(cut(1200, 2400, 5)); got != ForTransport {
				t.Fatalf("outcome %d, dropped %v", got, b.l.Drops.Load())
			}
			whole(b)
			b.in.End()
			if n := b.l.Stats().ReassemblyBytes; n != 0 {
				t.Errorf("%d octets are left", n)
			}
		})
	})
	t.Run("B-IP6-10 an overlap drops all, in silence, and later ones", func(t *testing.T) {
		onBed6(t, func(b *bed6) {
			b.give(cut(0, 1200, 5))
			b.give(cut(1192, 2400, 5))
			b.give(cut(1200, 2400, 5))
			if got := b.give(cut(2400, 4000, 5)); got != Taken {
				t.Errorf("outcome %d", got)
			}
			if out := b.sent(); len(out) != 0 {
				t.Errorf("sent %x", out)
			}
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if out := b.sent(); len(out) != 0 {
				t.Errorf("sent %x", out)
			}
		})
	})
	t.Run("B-IP6-9 sixty seconds, then the first fragment is sent back", func(t *testing.T) {
		onBed6(t, func(b *bed6) {
			first := cut(0, 1200, 5)
			b.give(cut(2400, 4000, 5))
			b.give(first)
			b.give(cut(2400, 4000, 6)) // without its first fragment nobody is told
			time.Sleep(time.Minute - time.Nanosecond)
			synctest.Wait()
			if out := b.sent(); len(out) != 0 {
				t.Fatalf("sent %x before the time is over", out)
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			out := b.sent()
			if len(out) != 1 || out[0][40] != 3 || out[0][41] != 1 || !bytes.Equal(out[0][48:], first[:leastMTU6-48][:min(len(first), leastMTU6-48)]) {
				t.Errorf("sent %s", hex.EncodeToString(bytes.Join(out, nil)))
			}
		})
	})
	t.Run("B-IP6-12 an atomic fragment does not disturb others", func(t *testing.T) {
		onBed6(t, func(b *bed6) {
			b.give(cut(0, 2400, 5))
			atomic := packet6(peer6, our6, wire.IPv6Fragments, piece(17, 0, false, 5), data[:100])
			if got := b.give(atomic); got != ForTransport || len(b.in.Packet.Payload) != 100 || !b.in.Packet.fragmented {
				t.Fatalf("outcome %d", got)
			}
			if got := b.give(cut(2400, 4000, 5)); got != ForTransport {
				t.Fatalf("outcome %d", got)
			}
			whole(b)
		})
	})
	t.Run("B-IP6-9 a fragment within fragments", func(t *testing.T) {
		onBed6(t, func(b *bed6) {
			inner := append(piece(17, 0, true, 9), make([]byte, 24)...)
			b.give(packet6(peer6, our6, wire.IPv6Fragments, piece(wire.IPv6Fragments, 0, true, 5), inner))
			if got := b.give(packet6(peer6, our6, wire.IPv6Fragments, piece(wire.IPv6Fragments, 32, false, 5), inner)); got != Taken {
				t.Errorf("outcome %d", got)
			}
			if n := b.l.Stats().ReassemblyBytes; n != 0 {
				t.Errorf("%d octets are left", n)
			}
		})
	})
}

func TestFragmentsOut6(t *testing.T) {
	t.Run("B-IP6-14 a datagram is cut by its source, each with an identification of its own", func(t *testing.T) {
		onBed6(t, func(b *bed6) {
			ids := make(map[uint32]bool)
			for _, to := range []netip.Addr{peer6, elsewhere6, peer6} {
				r, err := b.l.HostRoute(netip.Addr{}, to)
				if err != nil {
					t.Fatal(err)
				}
				header := make([]byte, 4000)
				copy(header, []byte{0, 7, 0, 9, 0x0f, 0xa0})
				r.Send(&OutPacket{Protocol: wire.ProtocolUDP, Header: header, ChecksumOffset: 6})
				out, at := b.sent(), 0
				for i, p := range out {
					var f wire.IPv6Fragment
					var h wire.IPv6
					rest, err := h.Parse(p)
					if err != nil || h.NextHeader != wire.IPv6Fragments || h.FlowLabel == 0 {
						t.Fatalf("header %+v, %v", h, err)
					}
					data, err := f.Parse(rest)
					if err != nil || f.Offset != at || f.More != (i < 2) || f.NextHeader != wire.ProtocolUDP {
						t.Errorf("fragment %d: %+v, %v", i, f, err)
					}
					at += len(data)
					if i == 0 && ids[f.ID] {
						t.Errorf("identification %d again", f.ID)
					}
					ids[f.ID] = true
				}
				if at != 4000 || len(out) != 3 {
					t.Errorf("%d octets in %d fragments", at, len(out))
				}
			}
			if len(ids) != 3 {
				t.Errorf("%d identifications of three datagrams", len(ids))
			}
		})
	})
}

func TestFlowLabels(t *testing.T) {
	t.Run("B-IP6-15 the label is the flow's", func(t *testing.T) {
		onBed6(t, func(b *bed6) {
			labels := make(map[uint32]int)
			for port := range 256 {
				r, err := b.l.HostRoute(netip.Addr{}, elsewhere6)
				if err != nil {
					t.Fatal(err)
				}
				var own uint32
				for i := range 2 {
					header := make([]byte, 20)
					header[3], header[10] = byte(port), byte(i)
					r.Send(&OutPacket{Protocol: wire.ProtocolTCP, Header: header, ChecksumOffset: 16})
					label := binary.BigEndian.Uint32(b.sent()[0]) & 0xfffff
					if i == 1 && label != own {
						t.Errorf("port %d: labels %x and %x", port, own, label)
					}
					own = label
				}
				labels[own]++
			}
			if labels[0] != 0 || len(labels) < 250 {
				t.Errorf("%d labels for 256 flows, %d of them 0", len(labels), labels[0])
			}
		})
	})
}

// TestEchoReplyFitsPath6 checks that an echo reply is cut to what the path carries, since no router does that.
func TestEchoReplyFitsPath6(t *testing.T) {
	onBed6(t, func(b *bed6) {
		r, err := b.l.HostRoute(our6, elsewhere6)
		if err != nil {
			t.Fatal(err)
		}
		r.LearnPathMTU(1280)
		m := append([]byte{128, 0, 0, 0, 0, 7, 0, 1}, make([]byte, 1400)...)
		b.give(packet6(elsewhere6, our6, wire.ProtocolICMPv6, icmp6(elsewhere6, our6, m)))
		out := b.sent()
		if len(out) != 2 {
			t.Errorf("%d packets, want two fragments", len(out))
		}
		for _, p := range out {
			if len(p) > 1280 {
				t.Errorf("a packet of %d octets", len(p))
			}
		}
	})
}
