package cmsg

import (
	"net/netip"
	"testing"

	"github.com/unet-go/unet/stack"
)

// FuzzParse reads messages of a program, which may say anything, and checks that what Append has written is read as it was.
func FuzzParse(f *testing.F) {
	for _, ipv6 := range []bool{false, true} {
		f.Add(Append(nil, ipv6, &stack.DatagramControl{Interface: 2, TTL: 9, TOS: 3, HasTOS: true, SegmentSize: 1200}), ipv6, true)
	}
	f.Add([]byte{16}, false, false)
	f.Fuzz(func(t *testing.T, b []byte, ipv6, inet6 bool) {
		_, _, _ = ParseReceived(b)
		_ = ValidForStream(b)
		c, err := Parse(b, ipv6, inet6)
		if err != nil {
			return
		}
		again, err := Parse(Append(nil, ipv6, &c), ipv6, inet6)
		c.DontFragment = false // which Append does not write
		if c.Interface != 0 && !c.Source.IsValid() && !ipv6 {
			c.Source = netip.IPv4Unspecified()
		}
		if err != nil || again != c {
			t.Errorf("%+v is read as %+v, %v", c, again, err)
		}
	})
}

// FuzzPut writes messages into any room, and reads them.
func FuzzPut(f *testing.F) {
	f.Add(uint16(100), uint16(0xff), uint8(9), uint8(3), uint16(1200), true)
	f.Add(uint16(17), uint16(0xff), uint8(0), uint8(0), uint16(0), false)
	f.Fuzz(func(t *testing.T, room, wants uint16, ttl, tos uint8, segment uint16, ipv6 bool) {
		d := stack.Datagram{To: netip.MustParseAddr("10.0.0.2"), Interface: 2, TTL: ttl, TOS: tos, SegmentSize: int(segment)}
		if ipv6 {
			d.To = netip.MustParseAddr("fd00::2")
		}
		d.Local = d.To
		b := make([]byte, room)
		n, flags := Put(b, Wants(wants), &d)
		if n > len(b) || flags&^flagCtrunc != 0 {
			t.Fatalf("%d octets in %d, flags %#x", n, len(b), flags)
		}
		got, _, err := ParseReceived(b[:n])
		if err != nil || got.To.IsValid() && got.To != d.To || got.TTL != 0 && got.TTL != ttl || got.TOS != 0 && got.TOS != tos {
			t.Errorf("%+v, %v of %+v", got, err, d)
		}
	})
}
