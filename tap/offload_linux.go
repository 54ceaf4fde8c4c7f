package tap

import (
	"encoding/binary"

	"github.com/unet-go/unet/stack/link"
)

// vnetLen is the length in octets of the virtio network header without its num_buffers field
// (virtio 1.2, 5.1.6), which is the size that every kernel knows.
const vnetLen = 10

// Values of the virtio network header.
const (
	vnetNeedsChecksum = 1 // flags: VIRTIO_NET_HDR_F_NEEDS_CSUM
	vnetDataValid     = 2 // flags: VIRTIO_NET_HDR_F_DATA_VALID

	vnetGSONone  = 0
	vnetGSOTCPv4 = 1
	vnetGSOTCPv6 = 4
)

// tcpMinHeader is the length in octets of a TCP header without options, and tcpDataOffset the place of the
// octet whose upper half is its length in words (RFC 9293 3.1).
const (
	tcpMinHeader  = 20
	tcpDataOffset = 12
)

// putVnet writes m, which describes a frame of n octets, into h as a virtio header of vnetLen octets. It reports false if
// m contradicts the frame, or asks for an offload that is not in info; the frame must not be sent then.
func putVnet(h []byte, m *link.Meta, info *link.Info, n int) bool {
	clear(h[:vnetLen])
	if !metaFits(m, info, n) {
		return false
	}
	if !m.NeedsChecksum {
		return true
	}
	h[0] = vnetNeedsChecksum
	binary.NativeEndian.PutUint16(h[6:], m.ChecksumStart)
	binary.NativeEndian.PutUint16(h[8:], m.ChecksumOffset)
	switch m.GSO {
	case link.NoSegmentation:
		return true
	case link.TCP4:
		h[1] = vnetGSOTCPv4
	case link.TCP6:
		h[1] = vnetGSOTCPv6
	}
	binary.NativeEndian.PutUint16(h[2:], m.HeaderLen)
	binary.NativeEndian.PutUint16(h[4:], m.GSOSize)
	return true
}

// getVnet reads the virtio header h of the received frame into m. It reports false if the header contradicts
// the frame, or names an offload that the device never asked the kernel for.
func getVnet(h []byte, frame []byte, m *link.Meta) bool {
	*m = link.Meta{ChecksumValid: h[0]&vnetDataValid != 0}
	if h[0]&vnetNeedsChecksum != 0 {
		m.NeedsChecksum = true
		m.ChecksumStart = binary.NativeEndian.Uint16(h[6:])
		m.ChecksumOffset = binary.NativeEndian.Uint16(h[8:])
		if int(m.ChecksumStart)+int(m.ChecksumOffset)+2 > len(frame) {
			return false
		}
	}
	switch h[1] {
	case vnetGSONone:
		return true
	case vnetGSOTCPv4:
		m.GSO = link.TCP4
	case vnetGSOTCPv6:
		m.GSO = link.TCP6
	default: // another machine chose the value: refuse all that are not listed above
		return false
	}
	m.GSOSize = binary.NativeEndian.Uint16(h[4:])
	// hdr_len is only a hint: Linux puts the length of the packet's linear part there. The true length of
	// the headers follows from the TCP header, which begins where its checksum does.
	tcp := int(m.ChecksumStart)
	if !m.NeedsChecksum || m.GSOSize == 0 || tcp+tcpMinHeader > len(frame) {
		return false
	}
	header := tcp + int(frame[tcp+tcpDataOffset]>>4)*4
	if header < tcp+tcpMinHeader || header > len(frame) {
		return false
	}
	m.HeaderLen = uint16(header)
	return true
}
