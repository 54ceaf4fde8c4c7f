package stack

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
)

func TestLoopback(t *testing.T) {
	t.Run("datagrams of many senders arrive, each sender's in order", func(t *testing.T) {
		h, err := New(Config{UDPBuffer: 64 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}()
		const senders, each = 8, 500
		s, err := h.ListenUDP(netip.MustParseAddrPort("127.0.0.1:7"), BindOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range senders {
			c, err := h.ListenUDP(netip.MustParseAddrPort("127.0.0.1:0"), BindOptions{})
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				for i := range each {
					var p [4]byte
					binary.BigEndian.PutUint32(p[:], uint32(i))
					if _, err := c.WriteTo(p[:], s.Local()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		next := map[netip.AddrPort]uint32{}
		for range senders * each {
			var p [4]byte
			_, from, _, err := s.ReadFrom(p[:])
			if err != nil {
				t.Fatal(err)
			}
			if n := binary.BigEndian.Uint32(p[:]); n != next[from] {
				t.Fatalf("datagram %d of %v, want %d", n, from, next[from])
			}
			next[from]++
		}
		all.Wait()
	})
}
