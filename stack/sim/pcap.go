package sim

import (
	"encoding/binary"
	"io"
	"math"
	"strings"

	"github.com/unet-go/unet/stack/link"
)

// Block types and options of pcapng, draft-ietf-opsawg-pcapng sections 4.1 to 4.3.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 6
	byteOrderMagic = 0x1a2b3c4d
	linkEthernet   = 1

	optComment        = 1
	optIfName         = 2
	optIfMAC          = 6
	optIfResolution   = 9
	optPacketFlags    = 2
	flagInbound       = 1
	flagOutbound      = 2
	nanosecondsDigits = 9
)

// WritePcap writes every frame that any port sends to w in pcapng format, until stop is called. Each port is
// an interface of the file; frames that were dropped, corrupted, duplicated or reordered have a comment that
// says so. A frame that does not reach a port, because that is unplugged or behind a partition, is there twice: as sent by
// its sender, and when it is lost as an inbound frame of the port that it does not reach. Each frame is one Write, inside Port.Write: buffer slow writers. The first error ends the capture,
// but does not disturb the traffic, and stop returns it. Where ports offer Offload, transport checksums may be incomplete.
func (s *Segment) WritePcap(w io.Writer) (stop func() error) {
	p := &pcap{w: w, ids: make(map[*Port]uint32)}
	p.section()
	stopTap := s.Tap(p.record)
	return func() error {
		stopTap()
		return p.err
	}
}

// pcap writes pcapng, little-endian.
type pcap struct {
	w   io.Writer
	err error
	ids map[*Port]uint32
	buf []byte
}

func (p *pcap) record(r Record) {
	if p.err != nil {
		return
	}
	at, direction := r.From, uint32(flagOutbound)
	if r.To != nil {
		at, direction = r.To, flagInbound
	}
	id, known := p.ids[at]
	if !known {
		id = uint32(len(p.ids))
		p.ids[at] = id
		p.device(at.Info())
	}
	le := binary.LittleEndian
	p.begin(blockPacket)
	stamp := uint64(r.Time.UnixNano())
	p.buf = le.AppendUint32(p.buf, id)
	p.buf = le.AppendUint32(p.buf, uint32(stamp>>32))
	p.buf = le.AppendUint32(p.buf, uint32(stamp))
	p.buf = le.AppendUint32(p.buf, uint32(len(r.Frame)))
	p.buf = le.AppendUint32(p.buf, uint32(len(r.Frame)))
	p.pad(r.Frame)
	p.option(optPacketFlags, le.AppendUint32(nil, direction))
	if c := comment(&r); c != "" {
		p.option(optComment, []byte(c))
	}
	p.end()
}

func comment(r *Record) string {
	if r.Dropped != None {
		return "dropped: " + r.Dropped.String()
	}
	var words []string
	for _, w := range []struct {
		is   bool
		word string
	}{{r.Corrupted, "corrupted"}, {r.Duplicated, "duplicated"}, {r.Reordered, "reordered"}} {
		if w.is {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, ", ")
}

func (p *pcap) section() {
	le := binary.LittleEndian
	p.begin(blockSection)
	p.buf = le.AppendUint32(p.buf, byteOrderMagic)
	p.buf = le.AppendUint16(p.buf, 1) // version 1.0
	p.buf = le.AppendUint16(p.buf, 0)
	p.buf = le.AppendUint64(p.buf, math.MaxUint64) // section length: unknown
	p.end()
}

func (p *pcap) device(info link.Info) {
	le := binary.LittleEndian
	p.begin(blockInterface)
	p.buf = le.AppendUint16(p.buf, linkEthernet)
	p.buf = le.AppendUint16(p.buf, 0) // reserved
	p.buf = le.AppendUint32(p.buf, 0) // no limit to the octets captured
	p.option(optIfName, []byte(info.Name))
	p.option(optIfMAC, info.MAC[:])
	p.option(optIfResolution, []byte{nanosecondsDigits})
	p.end()
}

func (p *pcap) begin(kind uint32) {
	p.buf = binary.LittleEndian.AppendUint32(p.buf[:0], kind)
	p.buf = append(p.buf, 0, 0, 0, 0) // the length, known at the end
}

func (p *pcap) option(code uint16, value []byte) {
	p.buf = binary.LittleEndian.AppendUint16(p.buf, code)
	p.buf = binary.LittleEndian.AppendUint16(p.buf, uint16(len(value)))
	p.pad(value)
}

// pad appends data and zeros up to a multiple of four octets.
func (p *pcap) pad(data []byte) {
	p.buf = append(p.buf, data...)
	for len(p.buf)%4 != 0 {
		p.buf = append(p.buf, 0)
	}
}

func (p *pcap) end() {
	le := binary.LittleEndian
	if le.Uint32(p.buf) != blockSection {
		p.buf = append(p.buf, 0, 0, 0, 0) // opt_endofopt
	}
	n := uint32(len(p.buf) + 4)
	p.buf = le.AppendUint32(p.buf, n)
	le.PutUint32(p.buf[4:], n)
	if p.err == nil {
		_, p.err = p.w.Write(p.buf)
	}
}
