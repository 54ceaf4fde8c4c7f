package capture

import (
	"io"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/unet-go/unet/stack/link"
)

// pcapng writes through pcapgo, which buffers.
type pcapng struct {
	w *pcapgo.NgWriter
	// options are those of each direction.
	options [2]pcapgo.NgPacketOptions
}

func newPcapng(info link.Info, w io.Writer) (*pcapng, error) {
	intf := pcapgo.DefaultNgInterface
	intf.Name = info.Name
	switch info.Kind {
	case link.Ethernet:
		intf.LinkType = layers.LinkTypeEthernet
	case link.IP:
		intf.LinkType = layers.LinkTypeRaw
	}
	options := pcapgo.DefaultNgWriterOptions
	options.SectionInfo.Application = "unet"
	ng, err := pcapgo.NewNgWriterInterface(w, intf, options)
	if err != nil {
		return nil, err
	}
	// The header is written out at once, so that an error of the writer is found before the first frame.
	if err := ng.Flush(); err != nil {
		return nil, err
	}
	p := &pcapng{w: ng}
	p.options[inbound].Flags = &pcapgo.NgEpbFlags{Direction: pcapgo.NgEpbFlagDirectionInbound}
	p.options[outbound].Flags = &pcapgo.NgEpbFlags{Direction: pcapgo.NgEpbFlagDirectionOutbound}
	return p, nil
}

func (p *pcapng) write(at time.Time, frame []byte, dir direction) error {
	ci := gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(frame), Length: len(frame)}
	return p.w.WritePacketWithOptions(ci, frame, p.options[dir])
}

func (p *pcapng) flush() error { return p.w.Flush() }
