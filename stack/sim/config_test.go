package sim

import (
	"testing"
	"time"

	"github.com/unet-go/unet/stack/link"
)

func TestConfigBelowZero(t *testing.T) {
	s := NewSegment(Config{MTU: -1, Rate: -1, Queue: -1, Delay: -time.Hour, Jitter: -1, Loss: -1, Burst: Burst{Enter: -1, Leave: -1, Loss: -1},
		Corrupt: -1, Duplicate: -1, Reorder: -1, ReorderDelay: -1})
	defer s.Close()
	a, b := s.NewPort(PortConfig{Queue: -1}), s.NewPort(PortConfig{Queue: -5})
	if mtu := a.Info().MTU; mtu != DefaultMTU {
		t.Errorf("MTU %d", mtu)
	}
	p := make([]byte, 14+100)
	to, from := b.Info().MAC, a.Info().MAC
	copy(p, to[:])
	copy(p[6:], from[:])
	p[12], p[13] = 8, 6
	buf := link.NewBuffer(link.Headroom + len(p))
	copy(buf.Bytes()[link.Headroom:], p)
	var f [1]link.Frame
	f[0].Set(buf, link.Headroom, link.Headroom+len(p))
	if n, err := a.Write(f[:]); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	f[0].Release()
	if n, err := b.Read(f[:]); n != 1 || err != nil || string(f[0].Header) != string(p) {
		t.Fatal(n, err)
	}
	f[0].Release()
}
