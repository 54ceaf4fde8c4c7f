package ip

import (
	"encoding/binary"

	"github.com/unet-go/unet/internal/wire"
)

// The places of fields in a TCP header, and the flags that only the first or the last of several segments has.
const (
	tcpSeq   = 4
	tcpFlags = 13
	tcpFIN   = 1
	tcpPSH   = 8
	tcpCWR   = 0x80
)

// cutSegments queues the segments that the super-segment b stands for, each with its own checksum, as a device with
// offload makes them. One that is too large for the link is cut into fragments.
func (t *transit) cutSegments(b []byte) {
	r := t.route
	text := b[t.headers:]
	seq := binary.BigEndian.Uint32(b[t.start+tcpSeq:])
	flags := b[t.start+tcpFlags]
	for at, i := 0, 0; at < len(text) || i == 0; i++ {
		n := min(t.gso, len(text)-at)
		f, s := r.frame(t.headers + n)
		copy(s, b[:t.headers])
		copy(s[t.headers:], text[at:at+n])
		r.family.resize(s, i)
		tcp := s[t.start:]
		binary.BigEndian.PutUint32(tcp[tcpSeq:], seq+uint32(at))
		at += n
		own := flags
		if i > 0 {
			own &^= tcpCWR
		}
		if at < len(text) {
			own &^= tcpFIN | tcpPSH
		}
		tcp[tcpFlags] = own
		binary.BigEndian.PutUint16(tcp[t.field:], 0)
		binary.BigEndian.PutUint16(tcp[t.field:], wire.Checksum(tcp, t.pseudoHeader(len(tcp))))
		if len(s) > r.mtu {
			t.cutFragments(s)
			f.Release()
			continue
		}
		t.transmit(&f)
	}
}

// resize makes the header of a packet that of the i-th segment of its length.
func (f *family) resize(packet []byte, i int) {
	if f == family6 {
		binary.BigEndian.PutUint16(packet[4:], uint16(len(packet)-wire.IPv6Len))
		return
	}
	header := packet[:int(packet[0]&0xf)*4]
	binary.BigEndian.PutUint16(header[2:], uint16(len(packet)))
	binary.BigEndian.PutUint16(header[4:], binary.BigEndian.Uint16(header[4:])+uint16(i))
	binary.BigEndian.PutUint16(header[10:], 0)
	binary.BigEndian.PutUint16(header[10:], wire.Checksum(header, 0))
}
