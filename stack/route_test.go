package stack

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/link"
)

// takeTCP returns the sequence numbers and lengths of the segments that have left over a device without link header.
func (d *memDevice) takeTCP(b *bed) (out []seg) {
	b.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, packet := range d.out {
		var header wire.IPv4
		payload, err := header.Parse(packet)
		if err != nil || header.Src != ourIP.As4() || header.Dst != peerIP.As4() {
			b.Fatalf("sent %x: %v", packet, err)
		}
		var h wire.TCP
		text, err := h.Parse(payload)
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, seg{seq: h.Seq, text: string(text)})
	}
	d.out = nil
	return out
}

// moveTo gives c the present route between two addresses.
func (b *bed) moveTo(c *TCPConn, local, remote netip.Addr) (r *ip.Route, moved bool) {
	b.Helper()
	r, err := b.h.ip.HostRoute(local, remote)
	if err != nil {
		b.Fatal(err)
	}
	c.lock()
	defer c.unlock()
	c.setRouteLocked(r, c.now())
	return r, c.route.Load() == r
}

func TestSetRoute(t *testing.T) {
	withPeer(t, Config{}, func(b *bed) {
		c, iss := b.accepted() // whose peer has named no MSS: 536
		defer c.Abort()
		text := make([]byte, 536)
		if _, err := c.Write(text); err != nil {
			t.Fatal(err)
		}
		if out := b.sent(); len(out) != 1 || len(out[0].text) != len(text) {
			t.Fatalf("sent %v, want one segment of %d octets", out, len(text))
		}
		// The same peer by another interface, whose packets have at most 300 octets.
		const most = 300 - 40
		narrow := newMemDevice(link.Info{Name: "mem1", Kind: link.IP, MTU: 300})
		if err := b.h.Attach(narrow, Interface{Addrs: []netip.Prefix{netip.MustParsePrefix("10.1.0.1/24")}}); err != nil {
			t.Fatal(err)
		}
		b.addRoutes(Route{Dst: netip.PrefixFrom(peerIP, 32), Device: "mem1"})

		if r, moved := b.moveTo(c, ourIP, peerIP); !moved || c.route.Load() != r || r.Interface().Name() != "mem1" {
			t.Errorf("moved to %v: %t", r.Interface().Name(), moved)
		}
		if got := c.Info().SndMSS; got != most {
			t.Errorf("after the move the MSS is %d, want %d", got, most)
		}
		if _, err := c.Write(text[:2*most]); err != nil {
			t.Fatal(err)
		}
		seen := make([]bool, len(text)+2*most)
		note := func(out []seg) {
			for _, s := range out {
				if len(s.text) > most {
					t.Errorf("a segment of %d octets at %d, more than %d", len(s.text), s.seq-iss-1, most)
				}
				for i := range s.text {
					seen[int(s.seq-iss-1)+i] = true
				}
			}
		}
		out := narrow.takeTCP(b)
		if len(out) != 2 || out[0].seq != iss+1+uint32(len(text)) {
			t.Errorf("new text left in %d segments, want 2 behind what is in flight", len(out))
		}
		note(out)
		time.Sleep(10 * time.Second) // the retransmission timer sends what was in flight on the old way
		note(narrow.takeTCP(b))
		// One segment at a time: the peer acknowledges what is there of the rest.
		for at := range seen {
			if !seen[at] {
				b.inject(b.frame(seg{flags: "A", seq: 101, ack: iss + 1 + uint32(at)}))
				note(narrow.takeTCP(b))
			}
			if !seen[at] {
				t.Fatalf("octet %d was not sent again", at)
			}
		}
		if out := b.sent(); len(out) != 0 {
			t.Errorf("%v left on the old way", out)
		}
		b.inject(b.frame(seg{flags: "A", seq: 101, ack: iss + 1 + uint32(len(seen))}))
		if n := c.Unsent(); n != 0 {
			t.Errorf("%d octets are not acknowledged", n)
		}
	})
}
