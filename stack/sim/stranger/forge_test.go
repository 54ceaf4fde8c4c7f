package stranger

import (
	"math/rand/v2"

	"github.com/unet-go/unet/internal/wire"
)

// far is farther than any window reaches.
const far = 1 << 30

// last returns the number behind a flow's FIN, if its user writes all.
func (s *stranger) last(f *flow) uint32 {
	return f.iss + 2 + uint32(s.world.talks[f.talk].plans[f.end].size)
}

// forgery is a segment that the stranger makes up for the receiver of a flow, in the sender's name.
type forgery struct {
	*stranger
	*flow
	back *flow // the receiver's own
	r    *rand.Rand
	h    wire.TCP
	bad  bool // the checksum is to be wrong
	text []byte
}

// lie gives the forgery n octets that the sender has never sent.
func (g *forgery) lie(n int) {
	g.text = g.stranger.text(g.flow, g.h.Seq, uint32(n))
	for i := range g.text {
		g.text[i] |= 0x80
	}
}

// tell sends a forged segment beside the sender's own.
func (s *stranger) tell(f *flow, r *rand.Rand) {
	back := s.reverse(f)
	if !back.synchronized {
		return // in SYN-SENT or LISTEN anything counts
	}
	g := &forgery{stranger: s, flow: f, back: back, r: r, h: f.last}
	g.h.Options.Has &= wire.TCPOptTimestamps
	g.h.Flags = wire.TCPAck
	if s.world.temper == hostile && r.IntN(2) == 0 {
		g.abuse()
	} else if !g.blind() {
		return
	}
	s.forged++
	p := f.ip.pack(&g.h, g.text)
	if g.bad {
		p[f.ip.headerLen+16+r.IntN(2)] ^= byte(1 + r.IntN(255))
	}
	s.send(f.to, p)
}

// blind makes a segment that a receiver must survive. It returns false where too little is known for that.
func (g *forgery) blind() bool {
	h, r, n := &g.h, g.r, 1+g.r.IntN(400)
	acked, end := g.back.ack, g.stranger.last(g.flow)
	beyond := func() uint32 { return end + 2 + uint32(r.IntN(60_000)) } // perhaps in the window, never at RCV.NXT
	old := func() uint32 { return acked - 1 - uint32(r.IntN(60_000)) }
	switch r.IntN(16) {
	case 0: // a RST in the window (RFC 5961 3.2)
		h.Seq, h.Flags = beyond(), wire.TCPRst|uint16(r.IntN(2))*wire.TCPAck
	case 1: // a RST before the window
		h.Seq, h.Flags = old(), wire.TCPRst|uint16(r.IntN(2))*wire.TCPAck
	case 2: // a SYN (RFC 5961 4.2)
		h.Seq, h.Flags = []uint32{beyond(), old(), acked, r.Uint32()}[r.IntN(4)], wire.TCPSyn|uint16(r.IntN(2))*wire.TCPAck
		h.Options.Has, h.Options.MSS = wire.TCPOptMSS, uint16(r.Uint32())
	case 3: // other text than was sent, where all has been read
		h.Seq = old()
		g.lie(min(n, int(acked-h.Seq)))
	case 4: // the same, with the right text behind it
		if acked-g.iss-1 < uint32(n) || int32(g.nxt-acked) <= 0 {
			return false
		}
		h.Seq = acked - uint32(n)
		g.lie(n)
		g.text = append(g.text, g.stranger.text(g.flow, acked, min(g.nxt-acked, 300))...)
	case 5: // an acknowledgment of what was never sent (RFC 9293 3.10.7.4, RFC 5961 5.2)
		h.Seq, h.Ack = acked+uint32(r.IntN(1000)), g.stranger.last(g.back)+2+uint32(r.IntN(60_000))
		g.lie(n)
	case 6: // an acknowledgment of long ago (RFC 5961 5.2)
		h.Seq, h.Ack = acked+uint32(r.IntN(1000)), h.Ack-far-uint32(r.IntN(far/2))
		g.lie(n)
	case 7: // an old timestamp (RFC 7323 5.3)
		if !g.hasTS {
			return false
		}
		h.Seq, h.Options.TSVal = acked+uint32(r.IntN(1000)), g.tsVal-1-uint32(r.IntN(1<<20))
		g.lie(n)
		h.Flags |= uint16(r.IntN(2)) * wire.TCPFin
	case 8: // far from the window, with any flags
		h.Seq, h.Flags = acked+far+uint32(r.IntN(far)), uint16(r.Uint32())&0x1ff
		g.lie(n * r.IntN(2))
	case 9: // a wrong checksum, with right numbers
		h.Seq, h.Flags, g.bad = acked, wire.TCPAck|[]uint16{0, wire.TCPFin, wire.TCPRst, wire.TCPSyn}[r.IntN(4)], true
		g.lie(n)
	case 10: // blocks of what was never sent
		h.Options.Has |= wire.TCPOptSACK
		h.Options.NumSACK = uint8(1 + r.IntN(3))
		for i := range h.Options.NumSACK {
			at := []uint32{g.stranger.last(g.back) + 2, h.Ack - 100_000, r.Uint32()&(far-1) + h.Ack + far}[r.IntN(3)]
			h.Options.SACK[i] = wire.SACKBlock{Left: at + uint32(r.IntN(1000)), Right: at + uint32(r.IntN(60_000))}
		}
	case 11: // blocks of what may not have come (RFC 2018 8)
		h.Options.Has |= wire.TCPOptSACK
		h.Options.NumSACK = 1
		at := h.Ack + uint32(r.IntN(5000))
		h.Options.SACK[0] = wire.SACKBlock{Left: at, Right: at + uint32(r.IntN(5000))}
	case 12: // another window
		h.Window = uint16(r.Uint32() >> r.IntN(17))
	case 13: // congestion
		h.Flags |= []uint16{wire.TCPEce, wire.TCPCwr, wire.TCPEce | wire.TCPCwr, wire.TCPAE}[r.IntN(4)]
	case 14: // without ACK
		h.Seq, h.Flags = acked+uint32(r.IntN(1000)), uint16(r.IntN(2))*(wire.TCPFin|wire.TCPPsh)
		g.lie(n)
	case 15: // a FIN in what has been read
		h.Seq = acked - 2 - uint32(r.IntN(3000))
		g.lie(min(n, int(acked-h.Seq)-1))
		h.Flags |= wire.TCPFin
	}
	return true
}

// abuse makes a segment from the sequence numbers that the stranger has learned.
func (g *forgery) abuse() {
	h, r := &g.h, g.r
	acked := g.back.ack
	switch r.IntN(8) {
	case 0:
		if r.IntN(8) == 0 {
			h.Seq, h.Flags = acked, wire.TCPRst
		}
	case 1:
		if r.IntN(8) == 0 {
			h.Seq, h.Flags = acked+uint32(r.IntN(2000)), wire.TCPFin|wire.TCPAck
		}
	case 2, 3: // text in the window
		h.Seq = acked + uint32(r.IntN(3000)) - uint32(r.IntN(1000))
		g.lie(1 + r.IntN(1400))
		h.Flags |= uint16(r.IntN(2)) * wire.TCPPsh
	case 4: // an acknowledgment of what has not come yet
		h.Ack += uint32(r.IntN(10_000))
	default:
		g.disturb()
	}
	if len(g.text) > 0 {
		g.plant(h.Seq, uint32(len(g.text)))
	}
}

// disturb changes one field or a few to anything near.
func (g *forgery) disturb() {
	h, r, o := &g.h, g.r, &g.h.Options
	near := func() uint32 {
		up, down := r.IntN(1<<r.IntN(17)), r.IntN(1<<r.IntN(17))
		return uint32(up - down)
	}
	for range 1 + r.IntN(3) {
		switch r.IntN(8) {
		case 0:
			if h.Flags&wire.TCPSyn == 0 {
				h.Seq += near()
			}
		case 1:
			h.Ack += near()
		case 2:
			h.Flags ^= 1 << r.IntN(9)
		case 3:
			h.Window = uint16(r.Uint32())
		case 4:
			o.TSVal += near()
		case 5:
			o.TSEcr += near()
		case 6:
			h.Urgent, h.Flags = uint16(r.IntN(3000)), h.Flags|wire.TCPUrg
		case 7:
			o.Has |= wire.TCPOptSACK
			o.NumSACK = uint8(1 + r.IntN(3))
			for i := range o.NumSACK {
				o.SACK[i] = wire.SACKBlock{Left: h.Ack + near(), Right: h.Ack + near()}
			}
		}
	}
	if h.Flags&wire.TCPSyn != 0 && !g.back.synchronized {
		h.Flags &^= wire.TCPSyn
	}
}

// change forwards a segment of the host after changing it.
func (s *stranger) change(f *flow, ip *header, h *wire.TCP, text []byte) {
	g := &forgery{stranger: s, flow: f, back: s.reverse(f), r: s.dice[1-f.to], h: *h}
	s.forged++
	if h.Flags&wire.TCPSyn != 0 { // its number is where the stream begins
		g.h.Window, g.h.Options.MSS, g.h.Options.WScale = uint16(g.r.Uint32()), uint16(g.r.Uint32()), uint8(g.r.Uint32())
		s.send(f.to, ip.pack(&g.h, text))
		return
	}
	g.disturb()
	if len(text) > 0 && g.h.Flags&wire.TCPSyn == 0 {
		g.lie(len(text))
		f.plant(g.h.Seq, uint32(len(text)))
	}
	s.send(f.to, ip.pack(&g.h, g.text))
}
