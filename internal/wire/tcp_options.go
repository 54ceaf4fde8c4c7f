package wire

import "encoding/binary"

// TCP option kinds (RFC 9293 3.2, RFC 7323, RFC 2018, RFC 5482, RFC 7413).
const (
	tcpKindEnd           = 0
	tcpKindNOP           = 1
	tcpKindMSS           = 2
	tcpKindWScale        = 3
	tcpKindSACKPermitted = 4
	tcpKindSACK          = 5
	tcpKindTimestamps    = 8
	tcpKindUserTimeout   = 28
	tcpKindFastOpen      = 34
)

// Bits of TCPOptions.Has.
const (
	TCPOptMSS = 1 << iota
	TCPOptWScale
	TCPOptSACKPermitted
	TCPOptTimestamps
	TCPOptSACK
	TCPOptFastOpen
	TCPOptUserTimeout
)

// TCPOptionsMaxLen is the room for options in a TCP header, in octets.
const TCPOptionsMaxLen = TCPMaxLen - TCPLen

// timestampsAlone is the first word of the options in nearly every segment of a connection with timestamps: NOP, NOP,
// timestamps of length 10 (RFC 7323 appendix A). In most segments there is no other option.
const timestampsAlone = tcpKindNOP<<24 | tcpKindNOP<<16 | tcpKindTimestamps<<8 | 10

// SACKBlock is a run of sequence numbers that arrived: Left is the first of it, Right the one after the
// last (RFC 2018 3).
type SACKBlock struct{ Left, Right uint32 }

// TCPOptions are the options of a TCP header. A field counts only if its bit is set in Has.
type TCPOptions struct {
	// Has says which options there are.
	Has uint16
	// MSS is the maximum segment size in octets.
	MSS uint16
	// WScale is the shift as it stands on the wire; more than 14 counts as 14 (RFC 7323 2.3).
	WScale uint8
	// NumSACK is the number of blocks in SACK.
	NumSACK uint8
	// FastOpenLen is the length of the cookie in FastOpen: zero asks for one, otherwise it is even and from
	// 4 to 16 (RFC 7413 4.1.1).
	FastOpenLen uint8
	// UserTimeout is the value on the wire: a granularity bit, set for minutes and clear for seconds, and
	// 15 bits of time (RFC 5482 3).
	UserTimeout  uint16
	TSVal, TSEcr uint32
	SACK         [4]SACKBlock
	FastOpen     [16]byte
}

// Parse reads the options b of a TCP header. Options may begin at any octet and be in any segment; whether they mean
// anything there is for the caller to decide. Of a repeated option the last one counts. Unknown kinds, and known ones
// with a wrong length, are skipped: the length tells where the next option begins. Where it cannot, because it is
// missing, zero, one or past the end, the error is ErrOption (RFC 9293 3.1, MUST-6, MUST-7).
func (o *TCPOptions) Parse(b []byte) error {
	*o = TCPOptions{}
	if len(b) == 12 && binary.BigEndian.Uint32(b) == timestampsAlone {
		o.Has = TCPOptTimestamps
		o.TSVal = binary.BigEndian.Uint32(b[4:8])
		o.TSEcr = binary.BigEndian.Uint32(b[8:12])
		return nil
	}
	for len(b) > 0 {
		switch b[0] {
		case tcpKindEnd:
			return nil
		case tcpKindNOP:
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return ErrOption
		}
		o.parseOne(b[0], b[2:b[1]])
		b = b[b[1]:]
	}
	return nil
}

func (o *TCPOptions) parseOne(kind uint8, data []byte) {
	switch {
	case kind == tcpKindMSS && len(data) == 2:
		o.Has |= TCPOptMSS
		o.MSS = binary.BigEndian.Uint16(data)
	case kind == tcpKindWScale && len(data) == 1:
		o.Has |= TCPOptWScale
		o.WScale = data[0]
	case kind == tcpKindSACKPermitted && len(data) == 0:
		o.Has |= TCPOptSACKPermitted
	case kind == tcpKindSACK && len(data) >= 8 && len(data)%8 == 0:
		o.parseSACK(data)
	case kind == tcpKindTimestamps && len(data) == 8:
		o.Has |= TCPOptTimestamps
		o.TSVal = binary.BigEndian.Uint32(data[0:4])
		o.TSEcr = binary.BigEndian.Uint32(data[4:8])
	case kind == tcpKindUserTimeout && len(data) == 2:
		o.Has |= TCPOptUserTimeout
		o.UserTimeout = binary.BigEndian.Uint16(data)
	case kind == tcpKindFastOpen && (len(data) == 0 || len(data) >= 4 && len(data) <= 16 && len(data)%2 == 0):
		o.Has |= TCPOptFastOpen
		o.FastOpen = [16]byte{}
		o.FastOpenLen = uint8(copy(o.FastOpen[:], data))
	}
}

// parseSACK reads the blocks; the 40 octets of all options have room for four, so that none is left over.
func (o *TCPOptions) parseSACK(data []byte) {
	o.Has |= TCPOptSACK
	o.SACK, o.NumSACK = [4]SACKBlock{}, 0
	for i := range o.SACK {
		if len(data) < 8 {
			return
		}
		o.SACK[i] = SACKBlock{Left: binary.BigEndian.Uint32(data[0:4]), Right: binary.BigEndian.Uint32(data[4:8])}
		o.NumSACK++
		data = data[8:]
	}
}

// Len returns the length in octets that Marshal writes: a multiple of 4, at most TCPOptionsMaxLen.
func (o *TCPOptions) Len() int {
	switch o.Has {
	case 0:
		return 0
	case TCPOptTimestamps:
		return 12
	}
	n, _, _ := o.layout()
	return n
}

// layout returns the length of all options, the options that fit, and the number of SACK blocks that fit.
func (o *TCPOptions) layout() (n int, has uint16, blocks int) {
	has = o.Has
	if has&TCPOptMSS != 0 {
		n += 4
	}
	if has&TCPOptTimestamps != 0 {
		n += 12 // SACK-permitted takes the place of two NOPs in front of it
	} else if has&TCPOptSACKPermitted != 0 {
		n += 4
	}
	if has&TCPOptWScale != 0 {
		n += 4
	}
	if has&TCPOptFastOpen != 0 {
		n += (2 + o.fastOpenLen() + 3) &^ 3
	}
	if has&TCPOptUserTimeout != 0 {
		if n+4 <= TCPOptionsMaxLen {
			n += 4
		} else {
			has &^= TCPOptUserTimeout
		}
	}
	if has&TCPOptSACK != 0 {
		blocks = max(0, min(int(o.NumSACK), len(o.SACK), (TCPOptionsMaxLen-n-4)/8))
	}
	if blocks > 0 {
		n += 4 + 8*blocks
	} else {
		has &^= TCPOptSACK
	}
	return n, has, blocks
}

func (o *TCPOptions) fastOpenLen() int { return min(int(o.FastOpenLen), len(o.FastOpen)) }

// Marshal writes the options to b in Linux's order, each padded in front by NOPs to a multiple of 4, and
// returns their length, Len. There is never an end-of-list, so nothing has to be zero behind it. Blocks of
// SACK that do not fit are left out, the last first, and so is a user timeout beside the longest cookie.
func (o *TCPOptions) Marshal(b []byte) int {
	if o.Has == 0 {
		return 0
	}
	if o.Has == TCPOptTimestamps {
		o.putTimestamps(b, timestampsAlone)
		return 12
	}
	n, has, blocks := o.layout()
	b = b[:n]
	if has&TCPOptMSS != 0 {
		binary.BigEndian.PutUint32(b, tcpKindMSS<<24|4<<16|uint32(o.MSS))
		b = b[4:]
	}
	switch has & (TCPOptTimestamps | TCPOptSACKPermitted) {
	case TCPOptTimestamps:
		o.putTimestamps(b, timestampsAlone)
		b = b[12:]
	case TCPOptTimestamps | TCPOptSACKPermitted:
		o.putTimestamps(b, tcpKindSACKPermitted<<24|2<<16|timestampsAlone&0xffff)
		b = b[12:]
	case TCPOptSACKPermitted:
		binary.BigEndian.PutUint32(b, tcpKindNOP<<24|tcpKindNOP<<16|tcpKindSACKPermitted<<8|2)
		b = b[4:]
	}
	if has&TCPOptWScale != 0 {
		binary.BigEndian.PutUint32(b, tcpKindNOP<<24|tcpKindWScale<<16|3<<8|uint32(o.WScale))
		b = b[4:]
	}
	if has&TCPOptFastOpen != 0 {
		b = b[o.putFastOpen(b):]
	}
	if has&TCPOptUserTimeout != 0 {
		binary.BigEndian.PutUint32(b, tcpKindUserTimeout<<24|4<<16|uint32(o.UserTimeout))
		b = b[4:]
	}
	if has&TCPOptSACK != 0 {
		o.putSACK(b, blocks)
	}
	return n
}

func (o *TCPOptions) putTimestamps(b []byte, first uint32) {
	_ = b[11]
	binary.BigEndian.PutUint32(b[0:4], first)
	binary.BigEndian.PutUint32(b[4:8], o.TSVal)
	binary.BigEndian.PutUint32(b[8:12], o.TSEcr)
}

func (o *TCPOptions) putFastOpen(b []byte) int {
	size := o.fastOpenLen()
	pad := -(2 + size) & 3
	for i := range pad {
		b[i] = tcpKindNOP
	}
	b[pad], b[pad+1] = tcpKindFastOpen, uint8(2+size)
	return pad + 2 + copy(b[pad+2:], o.FastOpen[:size])
}

func (o *TCPOptions) putSACK(b []byte, blocks int) {
	binary.BigEndian.PutUint32(b, tcpKindNOP<<24|tcpKindNOP<<16|tcpKindSACK<<8|uint32(2+8*blocks))
	for i, block := range o.SACK[:blocks] {
		binary.BigEndian.PutUint32(b[4+8*i:], block.Left)
		binary.BigEndian.PutUint32(b[8+8*i:], block.Right)
	}
}
