package stranger

import (
	"bytes"
	"math/rand/v2"
	"sync"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

const (
	// mostLost is how many frames of a flow are lost in a row, so that a bad path is never a dead one.
	mostLost = 3
	// mostPast is how many old packets of a flow are kept.
	mostPast = 64
)

// flowKey is one direction of a talk: from the dialling end, 0, or from the other one.
type flowKey struct{ talk, end int }

// flow holds what the stranger has learned about a direction.
type flow struct {
	flowKey
	to           int    // side
	iss          uint32 // of the sender
	nxt          uint32 // the number after the last octet that was sent, without a FIN
	began        bool   // it has sent a SYN
	synchronized bool   // it has sent an acknowledgment: it is neither in LISTEN nor in SYN-SENT
	ack          uint32 // the farthest that it has acknowledged
	tsVal        uint32 // the first that it has sent
	hasTS        bool   // its last segment, no SYN, has timestamps
	ip           header
	last         wire.TCP // its last segment that was no SYN
	ready        bool     // there is such a one
	lost         int      // in a row
	past         [][]byte // IP packets
	plants       []run
}

// run is a run of places in a stream.
type run struct{ from, n uint32 }

// stranger reads what either host sends and writes to the other whatever he likes.
type stranger struct {
	world *world
	ports [2]*sim.Port // on the hosts' segments
	dice  [2]*rand.Rand
	loops sync.WaitGroup

	mu     sync.Mutex
	quiet  bool // he does nothing more
	frames int
	forged int
	ids    uint32
	flows  map[flowKey]*flow

	// How often he does what, between 0 and 1.
	lose, flip, cut, fragment, overlap, replay, mark, forge float64
	strip                                                   uint16 // options that he takes off SYNs
}

func newStranger(w *world) *stranger {
	s := &stranger{world: w, flows: make(map[flowKey]*flow)}
	for i, side := range w.sides {
		s.ports[i] = side.segment.NewPort(sim.PortConfig{MAC: link.MAC{2, 0, 0, 0, 2, byte(i + 1)}, Name: "stranger"})
		s.dice[i] = rand.New(rand.NewPCG(w.seed, uint64(i)))
	}
	for _, p := range []*float64{&s.lose, &s.flip, &s.cut, &s.fragment, &s.overlap, &s.replay, &s.mark} {
		if w.one(2) {
			*p = 0.12 * w.rnd.Float64()
		}
	}
	for _, o := range []uint16{wire.TCPOptWScale, wire.TCPOptSACKPermitted, wire.TCPOptTimestamps} {
		if w.one(6) {
			s.strip |= o
		}
	}
	if w.temper != benign {
		s.forge = 0.02 + 0.3*w.rnd.Float64()
	}
	return s
}

// start begins to read both ports, until stop.
func (s *stranger) start() {
	for from, port := range s.ports {
		s.loops.Go(func() {
			frames := make([]link.Frame, 64)
			for {
				n, err := port.Read(frames)
				if err != nil {
					return
				}
				for i := range n {
					s.take(from, frames[i].Header)
					frames[i].Release()
				}
			}
		})
	}
}

func (s *stranger) stop() {
	for _, p := range s.ports {
		s.world.must(p.Close())
	}
	s.loops.Wait()
}

// take treats a frame of a host.
func (s *stranger) take(from int, frame []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frames++; s.frames > storm {
		if s.frames == storm+1 {
			s.world.fail("a storm: more than %d frames", storm)
		}
		return
	}
	var ether wire.Ethernet
	ip := header{family: s.world.family}
	var h wire.TCP
	packet, err := ether.Parse(frame)
	if err != nil || ether.Type != ip.etherType {
		s.write(1-from, frame)
		return
	}
	segment, isTCP, err := ip.parse(packet)
	if err != nil || !isTCP {
		s.write(1-from, frame)
		return
	}
	text, err := h.Parse(segment)
	f := s.flow(from, &h)
	if err != nil || f == nil {
		s.world.fail("%s sent %x", s.world.sides[from].name, frame)
		return
	}
	if h.Flags&wire.TCPSyn != 0 {
		h.Options.Has &^= s.strip
	}
	s.learn(f, &ip, &h, len(text))
	s.pass(f, ip, h, text)
}

// flow returns the flow of a segment that a side has sent, nil for none.
func (s *stranger) flow(from int, h *wire.TCP) *flow {
	for _, k := range s.world.talks {
		end := 0
		if from != k.dialer {
			end = 1
		}
		if port := [2]uint16{h.DstPort, h.SrcPort}[end]; port != k.port() {
			continue
		}
		key := flowKey{k.number, end}
		f := s.flows[key]
		if f == nil {
			f = &flow{flowKey: key, to: 1 - from}
			s.flows[key] = f
		}
		return f
	}
	return nil
}

// reverse returns the other direction of a flow; it knows nothing where nothing was sent yet.
func (s *stranger) reverse(f *flow) *flow {
	if g := s.flows[flowKey{f.talk, 1 - f.end}]; g != nil {
		return g
	}
	return &flow{}
}

// learn takes note of the numbers of a segment.
func (s *stranger) learn(f *flow, ip *header, h *wire.TCP, n int) {
	syn := h.Flags&wire.TCPSyn != 0
	switch {
	case h.Flags&wire.TCPRst != 0:
		return // its numbers may be anything
	case syn && !f.began:
		f.began, f.iss, f.nxt, f.tsVal = true, h.Seq, h.Seq+1, h.Options.TSVal
	case syn && h.Seq != f.iss:
		return // an answer to an old SYN
	}
	end := h.Seq + uint32(n)
	if syn {
		end++
	}
	if n > 0 && int32(end-f.nxt) > 0 { // an acknowledgment stands behind the FIN
		f.nxt = end
	}
	if h.Flags&wire.TCPAck != 0 && f.began {
		if g := s.reverse(f); g.began && h.Ack-g.iss <= g.nxt+1-g.iss && (!f.synchronized || int32(h.Ack-f.ack) > 0) {
			f.synchronized, f.ack = true, h.Ack
		}
	}
	if !syn {
		f.ip, f.last, f.ready = *ip, *h, true
		f.hasTS = h.Options.Has&wire.TCPOptTimestamps != 0
	}
}

// pass forwards a frame of a host, or does with it what the stranger's temper demands.
func (s *stranger) pass(f *flow, ip header, h wire.TCP, text []byte) {
	r := s.dice[1-f.to]
	often := func(p float64) bool { return !s.quiet && r.Float64() < p }
	if s.world.temper == hostile && often(s.forge/2) {
		s.change(f, &ip, &h, text)
		return
	}
	if often(s.mark) {
		ip.mark()
	}
	whole := ip.pack(&h, text)
	if len(f.past) < mostPast {
		f.past = append(f.past, bytes.Clone(whole))
	} else {
		f.past[r.IntN(mostPast)] = bytes.Clone(whole)
	}
	packets := [][]byte{whole}
	if often(s.cut) && len(text) > 1 && h.Flags&(wire.TCPSyn|wire.TCPUrg) == 0 {
		packets = cutSegment(ip, h, text, 1+r.IntN(len(text)-1))
	}
	if often(s.overlap) && h.Flags&(wire.TCPSyn|wire.TCPFin|wire.TCPRst) == 0 && len(text) > 0 {
		packets = append(packets, s.wider(f, ip, h, text, r))
	}
	if often(s.replay) {
		packets = append(packets, bytes.Clone(f.past[r.IntN(len(f.past))]))
	}
	if often(0.3) {
		r.Shuffle(len(packets), func(i, k int) { packets[i], packets[k] = packets[k], packets[i] })
	}
	for _, p := range packets {
		flipped := false // one bit only: the checksum does not always notice two
		pieces := [][]byte{p}
		if often(s.fragment) && len(p) > ip.headerLen+16 {
			pieces = s.fragments(p, r)
		}
		for _, piece := range pieces {
			switch bad := often(s.lose + s.flip); {
			case bad && f.lost < mostLost:
				f.lost++
				if r.Float64()*(s.lose+s.flip) < s.flip && !flipped {
					flipped = true
					ip.flip(piece, r)
					s.send(f.to, piece)
				}
			default:
				f.lost = 0
				s.send(f.to, piece)
			}
		}
	}
	if f.ready && often(s.forge) {
		s.tell(f, r)
	}
}

// wider returns the segment of h with more of the text around its own that has been sent.
func (s *stranger) wider(f *flow, ip header, h wire.TCP, text []byte, r *rand.Rand) []byte {
	before := min(h.Seq-f.iss-1, uint32(r.IntN(1000)))
	behind := min(f.nxt-h.Seq-uint32(len(text)), uint32(r.IntN(600)))
	most := uint32(min(s.world.sides[0].mtu, s.world.sides[1].mtu) - ip.headerLen - wire.TCPMaxLen)
	h.Seq -= before
	return ip.pack(&h, s.text(f, h.Seq, min(before+uint32(len(text))+behind, most)))
}

// text returns n octets of a flow's own stream. Beyond its end they are anything.
func (s *stranger) text(f *flow, seq, n uint32) []byte {
	p := make([]byte, min(n, 9000))
	for i := range p {
		p[i] = s.world.talks[f.talk].at(f.end, seq-f.iss-1+uint32(i))
	}
	return p
}

// haunt sends old packets of all flows once more.
func (s *stranger) haunt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.flows {
		for range 3 {
			if len(f.past) > 0 {
				s.send(f.to, f.past[s.dice[0].IntN(len(f.past))])
			}
		}
	}
}

// calm ends all that he does.
func (s *stranger) calm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quiet = true
}

// plant notes that text of the stranger's own may be read.
func (f *flow) plant(seq, n uint32) { f.plants = append(f.plants, run{seq - f.iss - 1, n}) }

// planted reports whether the octet at an offset of a stream may be from the stranger.
func (s *stranger) planted(talk, end int, place uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flows[flowKey{talk, end}]; f != nil {
		for _, p := range f.plants {
			if place-p.from < p.n {
				return true
			}
		}
	}
	return false
}

// cutSegment makes two segments of one.
func cutSegment(ip header, h wire.TCP, text []byte, at int) [][]byte {
	first := h
	first.Flags &^= wire.TCPFin | wire.TCPPsh
	h.Seq += uint32(at)
	h.Flags &^= wire.TCPCwr
	return [][]byte{ip.pack(&first, text[:at]), ip.pack(&h, text[at:])}
}

// fragments makes two or three fragments of a packet, whatever its DF says. The first has the TCP header: without it IPv6
// drops it (RFC 7112).
func (s *stranger) fragments(p []byte, r *rand.Rand) (pieces [][]byte) {
	ip := header{family: s.world.family}
	body, _, err := ip.parse(p)
	s.world.must(err)
	s.ids++
	for at := 0; at < len(body); {
		n := 8 * (1 + r.IntN(len(body)/8))
		if len(pieces) == 0 && ip.etherType == wire.EtherTypeIPv6 {
			n = max(n, 24)
		}
		if len(pieces) == 2 {
			n = len(body)
		}
		n = min(n, len(body)-at)
		pieces = append(pieces, ip.piece(s.ids, body, at, n))
		at += n
	}
	if r.IntN(3) == 0 {
		r.Shuffle(len(pieces), func(i, k int) { pieces[i], pieces[k] = pieces[k], pieces[i] })
	}
	return pieces
}

// send sends a packet to a host.
func (s *stranger) send(to int, packet []byte) {
	frame := frames.Ethernet(link.MAC{2, 0, 0, 0, 1, byte(to + 1)}, link.MAC{2, 0, 0, 0, 1, byte(2 - to)}, packet)
	s.write(to, frame)
}

func (s *stranger) write(to int, frame []byte) {
	f := [1]link.Frame{frames.Frame(frame)}
	_, _ = s.ports[to].Write(f[:]) // ErrClosed at the end
	f[0].Release()
}
