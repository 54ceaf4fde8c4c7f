//go:build !race

package unet

import (
	"net/netip"
	"sync"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// hoarder is a device behind which are clients that make a server at serverIP hold as much as it may. They keep no
// state, so that what the process holds is the server's.
type hoarder struct {
	// clients open a connection each, from ports firstHoarder on; what they do then is ways, in turns.
	clients int
	ways    []hoarding

	in      chan []byte // to the server
	heard   chan heard  // from the server
	ended   chan struct{}
	closing sync.Once
	group   sync.WaitGroup
}

// hoarding is a way to make a server hold memory.
type hoarding int

const (
	closedWindow hoarding = iota // ask for an answer, and take nothing of it
	shutLater                    // take 256 KiB of it, so that the server's buffers grow, and then no more
	gaps                         // send text with a hole before it
	unread                       // send more text than the server reads
	smallUnread                  // send that in small segments
	datagrams                    // send datagrams that nobody reads
	fragments                    // send first fragments
)

const firstHoarder = 1024

// heard has the numbers of a segment of the server.
type heard struct {
	port     uint16
	seq, ack uint32
	flags    uint16
	window   uint32
	text     int
}

func newHoarder(clients int, ways ...hoarding) *hoarder {
	h := &hoarder{clients: clients, ways: ways, in: make(chan []byte, 256), heard: make(chan heard, 1<<15), ended: make(chan struct{})}
	h.group.Go(h.open)
	h.group.Go(h.serve)
	return h
}

func (h *hoarder) Info() link.Info { return link.Info{Name: "hoarder", Kind: link.IP, MTU: 1500} }

func (h *hoarder) Close() error {
	h.closing.Do(func() { close(h.ended) })
	h.group.Wait()
	return nil
}

func (h *hoarder) Read(frames []link.Frame) (n int, err error) {
	var p []byte
	select {
	case p = <-h.in:
	case <-h.ended:
		return 0, link.ErrClosed
	}
	for {
		b := link.NewBuffer(link.MaxBuffer) // as over a TAP with offload
		end := link.Headroom + copy(b.Bytes()[link.Headroom:], p)
		frames[n].Set(b, link.Headroom, end)
		if n++; n == len(frames) {
			return n, nil
		}
		select {
		case p = <-h.in:
		default:
			return n, nil
		}
	}
}

func (h *hoarder) Write(frames []link.Frame) (int, error) {
	for i := range frames {
		var ip wire.IPv4
		var t wire.TCP
		packet := frames[i].Header
		segment, err := ip.Parse(packet)
		text := frames[i].Len() - len(packet)
		if err != nil && text > 0 { // the text is to be gathered
			segment, err = packet[wire.IPv4Len:], nil
			ip.Protocol = packet[9]
		}
		if err != nil || ip.Protocol != wire.ProtocolTCP {
			continue
		}
		rest, err := t.Parse(segment)
		if err != nil {
			continue
		}
		select {
		case h.heard <- heard{t.DstPort, t.Seq, t.Ack, t.Flags, uint32(t.Window), len(rest) + text}:
		default: // lost
		}
	}
	return len(frames), nil
}

// push gives the server a packet.
func (h *hoarder) push(p []byte) {
	select {
	case h.in <- p:
	case <-h.ended:
	}
}

func (h *hoarder) segment(t wire.TCP, text []byte) {
	src, dst := netip.MustParseAddr(clientIP), netip.MustParseAddr(serverIP)
	t.DstPort = 80
	h.packet(wire.IPv4{Protocol: wire.ProtocolTCP}, frames.TCP(src, dst, t, text))
}

func (h *hoarder) packet(ip wire.IPv4, payload []byte) {
	ip.Src, ip.Dst = netip.MustParseAddr(clientIP).As4(), netip.MustParseAddr(serverIP).As4()
	h.push(frames.IPv4(ip, payload))
}

func (h *hoarder) way(port uint16) hoarding { return h.ways[int(port)%len(h.ways)] }

// iss is a client's initial sequence number.
func iss(port uint16) uint32 { return uint32(port) * 7919 }

// open opens the connections, again and again, since what fell on the way is lost.
func (h *hoarder) open() {
	text := make([]byte, 1400)
	for round := 0; ; round++ {
		for i := range h.clients {
			select {
			case <-h.ended:
				return
			default:
			}
			port := uint16(firstHoarder + i)
			switch h.way(port) {
			case datagrams:
				u := wire.UDP{SrcPort: port, DstPort: 1000 + port%64, Length: wire.UDPLen + len(text)}
				b := make([]byte, wire.UDPLen)
				u.Marshal(b)
				h.packet(wire.IPv4{Protocol: wire.ProtocolUDP}, append(b, text...)) // without a checksum
			case fragments:
				h.packet(wire.IPv4{Protocol: wire.ProtocolUDP, ID: uint16(i + round*h.clients), MF: true}, text[:1400])
			default:
				if round%64 == 0 {
					h.segment(wire.TCP{SrcPort: port, Seq: iss(port), Flags: wire.TCPSyn, Window: 65535, Options: wire.TCPOptions{
						Has: wire.TCPOptMSS | wire.TCPOptWScale, MSS: 1460, WScale: 7}}, nil)
				}
			}
		}
	}
}

// serve answers the segments of the server.
func (h *hoarder) serve() {
	for {
		select {
		case s := <-h.heard:
			if s.flags&wire.TCPRst == 0 {
				h.answer(s)
			}
		case <-h.ended:
			return
		}
	}
}

func (h *hoarder) answer(s heard) {
	back := wire.TCP{SrcPort: s.port, Seq: s.ack, Ack: s.seq + uint32(s.text), Flags: wire.TCPAck}
	syn := s.flags&wire.TCPSyn != 0
	if syn {
		back.Ack++
	}
	size := 1400
	switch way := h.way(s.port); {
	case way == closedWindow && syn:
		h.segment(back, []byte("GET"))
	case way == closedWindow:
		back.Ack = s.seq // of a probe, or what came against the closed window
		h.segment(back, nil)
	case way == shutLater && syn:
		back.Window = 4096 // times 128
		h.segment(back, []byte("GET"))
	case way == shutLater:
		// The server's own numbers are not kept: those that are 256 KiB apart tell when it is enough.
		if back.Window = 4096; s.text == 0 || back.Ack>>18&1 == 1 {
			back.Window = 0
		}
		h.segment(back, nil)
	case way == gaps && syn:
		h.segment(back, nil)
		for at := uint32(2); at < 120_000; at += 1400 {
			gap := back
			gap.Seq += at
			h.segment(gap, make([]byte, 1400))
		}
	case way == smallUnread:
		size = 100
		fallthrough
	case way == unread:
		if syn {
			s.window = 65535 // not scaled yet
		} else {
			s.window <<= 7
		}
		for sent := uint32(0); sent+uint32(size) <= s.window && sent < 64_000; sent += uint32(size) {
			more := back
			more.Seq += sent
			h.segment(more, make([]byte, size))
		}
	}
}
