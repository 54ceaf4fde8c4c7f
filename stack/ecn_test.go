package stack

import (
	"testing"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/tcp"
)

// marked is a segment with what its IP header says of congestion.
type marked struct {
	flags    uint16
	seq, ack uint32
	text     string
	ecn      uint8
}

// inject hands a marked segment from port 1000 to our port 80 to the host, and returns what it answers.
func (m marked) inject(b *bed) []marked {
	b.Helper()
	h := wire.TCP{SrcPort: 1000, DstPort: 80, Seq: m.seq, Ack: m.ack, Flags: m.flags, Window: 65535}
	segment, tos := frames.TCP(b.peer(), b.ours(), h, []byte(m.text)), 0x28|m.ecn
	if b.peer().Is4() {
		header := fromPeer(wire.ProtocolTCP)
		header.TOS = tos
		b.inject(b.framed(frames.IPv4(header, segment)))
	} else {
		header := wire.IPv6{NextHeader: wire.ProtocolTCP, Src: b.peer().As16(), Dst: b.ours().As16(), TrafficClass: tos}
		b.inject(b.framed(frames.IPv6(header, segment)))
	}
	return marks(b)
}

// marks returns the segments that have left the host.
func marks(b *bed) (out []marked) {
	b.Helper()
	for _, f := range b.take() {
		p := b.parsed(f)
		var h wire.TCP
		text, err := h.Parse(p.Payload)
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, marked{h.Flags, h.Seq, h.Ack, string(text), p.TOS & 3})
	}
	return out
}

func TestECNBits(t *testing.T) {
	const syn, ack, psh, ece, cwr = wire.TCPSyn, wire.TCPAck, wire.TCPPsh, wire.TCPEce, wire.TCPCwr
	want := func(b *bed, got []marked, want ...marked) {
		b.Helper()
		if len(got) != len(want) {
			b.Fatalf("out %+v, want %+v", got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				b.Errorf("out %+v, want %+v", got[i], want[i])
			}
		}
	}
	withPeers(t, "C-ECN-1 C-ECN-2 C-ECN-3 SHLD-8 the bits of the IP header reach TCP and come from it", Config{}, func(b *bed) {
		l := b.listenTCP(80, 1)
		out := marked{flags: syn | ece | cwr, seq: 100}.inject(b)
		if len(out) != 1 || out[0].flags != syn|ack|ece || out[0].ecn != notECT {
			b.Fatalf("SYN-ACK %+v", out)
		}
		iss := out[0].seq
		want(b, marked{flags: ack, seq: 101, ack: iss + 1}.inject(b))
		c, err := l.TryAccept()
		if err != nil {
			b.Fatal(err)
		}
		if !c.Info().ECN {
			b.Error("no ECN")
		}
		if _, err := c.Write([]byte("text")); err != nil {
			b.Fatal(err)
		}
		want(b, marks(b), marked{ack | psh, iss + 1, 101, "text", ect0})
		want(b, marked{flags: ack, seq: 101, ack: iss + 5, text: "x", ecn: ect0}.inject(b), marked{ack, iss + 5, 102, "", notECT})
		want(b, marked{flags: ack, seq: 102, ack: iss + 5, text: "x", ecn: ce}.inject(b), marked{ack | ece, iss + 5, 103, "", notECT})
		want(b, marked{flags: ack | cwr, seq: 103, ack: iss + 5, text: "x", ecn: ect0}.inject(b), marked{ack, iss + 5, 104, "", notECT})
		c.Abort()
		l.Close()
	})
	withPeers(t, "C-ECN-1 a host that asks", Config{TCP: tcp.Config{ECN: tcp.ECNActive}}, func(b *bed) {
		binding, err := b.h.BindTCP(b.here(80), BindOptions{})
		if err != nil {
			b.Fatal(err)
		}
		c, err := b.h.ConnectTCP(binding, b.there(1000), tcp.DefaultOptions())
		if err != nil {
			b.Fatal(err)
		}
		out := marks(b)
		if len(out) != 1 || out[0].flags != syn|ece|cwr || out[0].ecn != notECT {
			b.Fatalf("SYN %+v", out)
		}
		c.Abort()
	})
}
