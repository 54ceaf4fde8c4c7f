package tap

import "github.com/unet-go/unet/stack/link"

// metaFits reports whether m describes a frame of n octets correctly and asks for no more than info offers.
func metaFits(m *link.Meta, info *link.Info, n int) bool {
	if m.NeedsChecksum && (!info.Checksum || int(m.ChecksumStart)+int(m.ChecksumOffset)+2 > n) {
		return false
	}
	offered := false
	switch m.GSO {
	case link.NoSegmentation:
		return true
	case link.TCP4:
		offered = info.TSO4
	case link.TCP6:
		offered = info.TSO6
	}
	return offered && m.NeedsChecksum && m.GSOSize > 0 && m.HeaderLen > m.ChecksumStart && int(m.HeaderLen) <= n
}
