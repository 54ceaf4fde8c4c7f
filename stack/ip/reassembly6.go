package ip

import (
	"encoding/binary"

	"github.com/unet-go/unet/internal/wire"
)

// dropFragmentHeader makes the headers of the first fragment those of the whole datagram, in which there is no fragment
// header (RFC 8200 4.5). It returns the protocol behind them.
func (d *datagram) dropFragmentHeader() (proto uint8) {
	n := len(d.header) - wire.IPv6FragmentLen
	proto = d.header[n]
	d.header = d.header[:n]
	d.header[d.nextAt] = proto
	binary.BigEndian.PutUint16(d.header[4:6], uint16(n-wire.IPv6Len+d.length))
	return proto
}
