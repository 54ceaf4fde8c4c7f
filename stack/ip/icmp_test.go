package ip

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/internal/span"
	"github.com/unet-go/unet/internal/wire"
)

// Each reason has a type and a code, which mean it again.
func TestReasons(t *testing.T) {
	for r := range Prohibited {
		m := wire.ICMPv4{Type: errors4[r].typ, Code: errors4[r].code}
		if r == PacketTooBig {
			m.SetMTU(1400)
		}
		got, mtu, ok := meaning4(&m)
		if !ok || got != r {
			t.Errorf("reason %d is type %d code %d, which means %d, %v", r, m.Type, m.Code, got, ok)
		}
		if wantMTU := map[bool]int{true: 1400}[r == PacketTooBig]; mtu != wantMTU {
			t.Errorf("reason %d has the MTU %d, want %d", r, mtu, wantMTU)
		}
		if b := []byte{m.Type}; !family4.isICMPError(b) {
			t.Errorf("type %d counts as no error", m.Type)
		}
	}
}

// An error about a packet of ours comes back as a value, and nothing else happens.
func TestReport(t *testing.T) {
	inBubble(t, func(l *Layer, dev *device) {
		quoted := make([]byte, wire.IPv4Len+8)
		h := wire.IPv4{TTL: 1, Protocol: wire.ProtocolUDP, Src: ourIP.As4(), Dst: otherIP.As4(), TotalLen: 100}
		h.Marshal(quoted)
		copy(quoted[wire.IPv4Len:], []byte{0, 7, 0, 9, 0, 80, 1, 2})
		message := make([]byte, wire.ICMPLen+len(quoted))
		m := wire.ICMPv4{Type: wire.ICMPv4DestinationUnreachable, Code: wire.ICMPv4FragmentationNeeded}
		m.SetMTU(1280)
		m.Marshal(message)
		copy(message[wire.ICMPLen:], quoted)
		wire.PutICMPv4Checksum(message)

		in := input(l)
		f := frame(peerIP, ourIP, wire.IPv4{TTL: 64, Protocol: wire.ProtocolICMP}, message)
		if got := in.Frame(f); got != AboutOurs {
			t.Fatalf("outcome %d, want AboutOurs", got)
		}
		r := in.Report
		if r.Reason != PacketTooBig || r.MTU != 1280 || r.Local != ourIP || r.Remote != otherIP || r.Protocol != wire.ProtocolUDP ||
			string(r.Transport) != "\x00\x07\x00\x09\x00\x50\x01\x02" || r.Neighbor {
			t.Errorf("report %+v", r)
		}
		l.Reported(&r, false)
		l.Reported(&r, true)
		if n := l.Stats().ICMPErrorsIn; n != 1 {
			t.Errorf("%d errors counted as told, want 1", n)
		}
		in.End()
		f.Release()
		if out := dev.take(); len(out) != 0 {
			t.Errorf("%d frames sent for it", len(out))
		}
	})
}

// A neighbour that does not answer for three seconds is reported by Advance, which the clock calls.
func TestSilentNeighbor(t *testing.T) {
	withSource(t, func(l *Layer, dev *device, s *layerSource) {
		r, err := l.HostRoute(ourIP, otherIP)
		if err != nil {
			t.Fatal(err)
		}
		r.Send(&OutPacket{Protocol: wire.ProtocolUDP, Header: []byte{0, 7, 0, 9, 0, 9, 0, 0}, ChecksumOffset: 6,
			Payload: []span.Span{{Data: []byte("x")}}, PayloadLen: 1})
		l.Flush()
		time.Sleep(3*time.Second - time.Nanosecond)
		synctest.Wait()
		if len(s.taken()) != 0 {
			t.Fatalf("reported before three seconds are over: %+v", s.taken())
		}
		if n := len(dev.take()); n != 3 {
			t.Errorf("%d frames, want three requests", n)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if len(s.taken()) != 1 {
			t.Fatalf("%d reports, want one", len(s.taken()))
		}
		got := s.taken()[0]
		if !got.Neighbor || got.Reason != HostUnreachable || got.Local != ourIP || got.Remote != otherIP ||
			got.Protocol != wire.ProtocolUDP || string(got.Transport[:4]) != "\x00\x07\x00\x09" {
			t.Errorf("report %+v", got)
		}
		l.Reported(&got, true)
		if n := l.Stats().ICMPErrorsIn; n != 0 {
			t.Errorf("a silent neighbour counts as %d ICMP errors", n)
		}
	})
}
