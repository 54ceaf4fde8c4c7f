package stack

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/internal/wire"
)

// cut makes fragments of a datagram from the peer, each of size octets of payload.
func cut(h wire.IPv4, payload []byte, size int) [][]byte {
	var out [][]byte
	for at := 0; at < len(payload); at += size {
		n := min(size, len(payload)-at)
		out = append(out, piece(h, payload, at, n))
	}
	return out
}

// piece makes one fragment, the last one where it ends the payload.
func piece(h wire.IPv4, payload []byte, at, n int) []byte {
	h.TotalLen, h.FragmentOffset, h.MF = 0, at, at+n < len(payload)
	return in4(ip4(h, payload[at:at+n]))
}

func TestReassembly(t *testing.T) {
	data := octets(100)
	whole := udp4(peerIP, ourIP, 5, 7, data) // 108 octets
	header := fromPeer(wire.ProtocolUDP)
	header.ID = 77
	// run gives frames to a host with a socket on port 7 and checks what arrived and that nothing is left.
	run := func(t *testing.T, frames [][]byte, delivered int) {
		t.Helper()
		withPeer(t, Config{}, func(b *bed) {
			s := b.listenUDP("10.0.0.2:7")
			b.inject(frames...)
			for range delivered {
				b.wantDatagram(s, data)
			}
			b.wantNoDatagram(s)
			time.Sleep(31 * time.Second)
			if n := b.h.Stats().ReassemblyBytes; n != 0 {
				t.Errorf("%d octets left", n)
			}
		})
	}
	for _, n := range []int{1500, 65507} {
		t.Run("B-IP4-12 large datagrams are put together", func(t *testing.T) {
			withPeer(t, Config{}, func(b *bed) {
				s := b.listenUDP("10.0.0.2:7")
				b.inject(cut(header, udp4(peerIP, ourIP, 5, 7, octets(n)), 1480)...)
				b.wantDatagram(s, octets(n))
				if got := b.h.Stats(); got.Reassembled != 1 || got.ReassemblyBytes != 0 {
					t.Errorf("reassembled %d, %d octets held", got.Reassembled, got.ReassemblyBytes)
				}
			})
		})
	}
	t.Run("B-IP4-13 fragments of another source, protocol or identification do not mix", func(t *testing.T) {
		other := header
		other.ID = 78
		src := header
		src.Src = otherIP.As4()
		proto := header
		proto.Protocol = 99
		run(t, [][]byte{piece(header, whole, 0, 56), piece(other, whole, 56, 52), piece(src, whole, 56, 52),
			piece(proto, whole, 56, 52)}, 0)
		run(t, [][]byte{piece(header, whole, 0, 56), piece(other, whole, 56, 52), piece(header, whole, 56, 52)}, 1)
	})
	t.Run("B-IP4-14 any order and exact duplicates are accepted", func(t *testing.T) {
		f := cut(header, whole, 24)
		run(t, [][]byte{f[4], f[3], f[2], f[1], f[0]}, 1)
		run(t, [][]byte{f[2], f[2], f[0], f[4], f[4], f[0], f[1], f[2], f[3]}, 1)
	})
	t.Run("B-IP4-15 D-FRAG-2 an overlap drops the whole datagram", func(t *testing.T) {
		changed := append([]byte(nil), whole...)
		changed[30] ^= 1
		f := cut(header, whole, 24)
		for _, bad := range [][]byte{
			piece(header, whole, 16, 24),   // overlaps by 8 on both sides
			piece(header, whole, 0, 48),    // includes two
			piece(header, whole, 32, 8),    // within one
			piece(header, changed, 24, 24), // the same place, other octets
		} {
			run(t, [][]byte{f[0], f[1], bad, f[2], f[3], f[4]}, 0)
			run(t, [][]byte{f[4], f[1], bad, f[0], f[2], f[3], f[1], bad}, 0)
		}
		for _, pair := range [][2][]byte{
			{f[0], piece(header, whole, 16, 16)}, // into what follows
			{f[1], piece(header, whole, 16, 16)}, // into what is before
			{f[1], piece(header, whole, 24, 16)},
			{f[1], piece(header, whole, 32, 16)},
			{f[1], piece(header, whole, 24, 32)},
		} {
			withPeer(t, Config{}, func(b *bed) {
				b.inject(pair[0], pair[1])
				b.wantDrop(DropFragmentOverlap, 1)
				if n := b.h.Stats().ReassemblyBytes; n != datagramCost {
					t.Errorf("%d octets held after an overlap, want the record alone, %d", n, datagramCost)
				}
			})
		}
		// Two ends that disagree.
		run(t, [][]byte{f[0], f[4], piece(header, whole[:96], 72, 24), f[1], f[2], f[3]}, 0)
		run(t, [][]byte{f[0], f[4], piece(header, octets(200), 120, 24), f[1], f[2], f[3]}, 0)
		run(t, [][]byte{piece(header, octets(200), 120, 24), f[4], f[1], f[2], f[3], f[0]}, 0)
	})
	t.Run("B-IP4-16 the deadline is 30 s from the first fragment", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			s := b.listenUDP("10.0.0.2:7")
			f := cut(header, whole, 24)
			b.inject(f[1])
			time.Sleep(20 * time.Second)
			b.inject(f[2])
			time.Sleep(10*time.Second - time.Nanosecond)
			if b.h.Stats().ReassemblyBytes == 0 {
				t.Error("given up before 30 s")
			}
			time.Sleep(time.Nanosecond)
			b.take()
			if n := b.h.Stats().ReassemblyBytes; n != 0 {
				t.Errorf("%d octets left after 30 s", n)
			}
			b.inject(f[0], f[3], f[4])
			b.wantNoDatagram(s)
			b.wantDrop(DropReassemblyTimeout, 1)
		})
	})
	t.Run("B-IP4-16 the deadline of a host that has nothing else to do", func(t *testing.T) {
		onBed(t, Config{}, func(b *bed) {
			time.Sleep(time.Hour) // the clock sleeps for minutes now
			b.inject(cut(header, whole, 24)[1])
			time.Sleep(30 * time.Second)
			synctest.Wait()
			if n := b.h.Stats().ReassemblyBytes; n != 0 {
				t.Errorf("%d octets left after 30 s", n)
			}
		})
	})
	t.Run("B-IP4-17 expiry is reported only with the first fragment", func(t *testing.T) {
		f := cut(header, whole, 24)
		withPeer(t, Config{}, func(b *bed) {
			b.inject(f[1], f[2])
			time.Sleep(time.Minute)
			b.want()
		})
		onBed(t, Config{NeighborReachable: time.Hour}, func(b *bed) {
			b.h.findNeighbor(b, peerIP)
			b.inject(f[1], f[0])
			time.Sleep(time.Minute)
			out := b.take()
			if len(out) != 1 {
				t.Fatalf("%d frames, want one error", len(out))
			}
			if _, body := b.parsed4(out[0]); string(body) != string(icmp4(11, 1, [4]byte{}, f[0][14:])) {
				t.Errorf("sent %x", body)
			}
		})
	})
	t.Run("B-IP4-18 D-FRAG-2 illegal offsets and lengths are dropped", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			death := header
			death.FragmentOffset = 65528
			odd := header
			odd.MF = true
			empty := header
			empty.MF = true
			b.inject(in4(ip4(death, octets(100))), in4(ip4(odd, octets(23))), in4(ip4(empty, nil)))
			b.want()
			b.wantDrop(DropFragment, 3)
			if n := b.h.Stats().ReassemblyBytes; n != 0 {
				t.Errorf("%d octets held", n)
			}
		})
	})
	t.Run("B-IP4-19 D-FRAG-2 TCP fragments that hide the flags are dropped", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			h := fromPeer(wire.ProtocolTCP)
			seg := tcp4(peerIP, ourIP, wire.TCP{SrcPort: 5, DstPort: 80, Flags: wire.TCPSyn}, octets(20))
			b.inject(cut(h, seg, 8)...)
			b.want()
			b.wantDrop(DropFragment, 2) // offsets 0 and 8
			b.inject(cut(h, seg, 32)...)
		})
	})
	t.Run("D-FRAG-1 a flood of fragments stays in its memory and an honest datagram passes", func(t *testing.T) {
		const limit = 1 << 20
		withPeer(t, Config{ReassemblyBytes: limit}, func(b *bed) {
			s := b.listenUDP("10.0.0.2:7")
			random := rand.New(rand.NewPCG(1, 2))
			honest := 0
			for i := range 1000 {
				var frames [][]byte
				for range 50 {
					h := header
					h.Src = netip.AddrFrom4([4]byte{byte(11 + random.IntN(80)), byte(random.Uint32()), 1, 1}).As4()
					h.ID = uint16(random.Uint32())
					frames = append(frames, piece(h, octets(4000), 8*random.IntN(400), 8+8*random.IntN(100)))
				}
				if i%50 == 0 { // an honest pair, with some of the flood between its halves
					f := cut(header, whole, 56)
					frames = append(append([][]byte{f[0]}, frames...), f[1])
				}
				b.inject(frames...)
				if n := b.h.Stats().ReassemblyBytes; n > limit {
					t.Fatalf("%d octets held, the cap is %d", n, limit)
				}
				if _, _, _, err := s.TryReadFrom(make([]byte, 200)); err == nil {
					honest++
				}
			}
			if honest != 20 {
				t.Errorf("%d of 20 honest datagrams arrived", honest)
			}
		})
	})
	t.Run("D-FRAG-1 one source gets a quarter and cannot push out the others", func(t *testing.T) {
		const limit = 1 << 20
		withPeer(t, Config{ReassemblyBytes: limit}, func(b *bed) {
			s := b.listenUDP("10.0.0.2:7")
			f := cut(header, whole, 56)
			b.inject(f[0])
			for i := range 5000 {
				h := header
				h.Src, h.ID = otherIP.As4(), uint16(i)
				b.inject(piece(h, octets(4000), 8, 1480))
			}
			if n := b.h.Stats().ReassemblyBytes; n > limit/4+4096 {
				t.Errorf("%d octets held for one source and a bit", n)
			}
			b.inject(f[1])
			b.wantDatagram(s, data)
		})
	})
	t.Run("D-FRAG-1 one datagram of tiny fragments cannot take everything", func(t *testing.T) {
		withPeer(t, Config{}, func(b *bed) {
			for at := 0; at < 65000; at += 16 { // every other piece
				h := header
				b.inject(piece(h, octets(65400), at, 8))
				if n := b.h.Stats().ReassemblyBytes; n > 1<<20+512 {
					t.Fatalf("%d octets held", n)
				}
			}
		})
	})
}
