package wire

import "encoding/binary"

// The lengths in octets of MLD messages, the ICMPv6 header included: of an MLDv1 message, of an MLDv2 query and a record of
// an MLDv2 report without sources, and of the report's header (RFC 2710 3, RFC 3810 5).
const (
	MLDLen       = 24
	MLDQueryLen  = 28
	MLDRecordLen = 20
	MLDReportLen = ICMPLen
)

// Types of the records of an MLDv2 report (RFC 3810 5.2.12).
const (
	MLDIsInclude = 1
	MLDIsExclude = 2
	MLDToInclude = 3
	MLDToExclude = 4
	MLDAllowNew  = 5
	MLDBlockOld  = 6
)

// mldMantissaLen is the length in bits of the mantissa of a Maximum Response Code.
const mldMantissaLen = 12

// MLDQuery is an ICMPv6MLDQuery of either version (RFC 2710 3, RFC 3810 5.1).
type MLDQuery struct {
	// Version is 1 or 2. What is said below to be of version 2 is zero with version 1.
	Version int
	// MaxResponse is the longest time in milliseconds that the response may take.
	MaxResponse int
	// Group is unspecified in a general query.
	Group [16]byte
	// Suppress is the S flag, Robustness the querier's variable, Interval the octet QQIC, all of version 2.
	Suppress   bool
	Robustness uint8
	Interval   uint8
	// Sources are the addresses of version 2, 16 octets each, borrowed.
	Sources []byte
}

// Parse reads the message whose header is h. It has version 1 with 24 octets in all, 2 with at least 28; ErrLength is the
// error of other lengths (RFC 3810 8.1), and of more sources than there are octets.
func (q *MLDQuery) Parse(h *ICMPv6, body []byte) error {
	*q = MLDQuery{}
	code := int(binary.BigEndian.Uint16(h.Rest[0:2]))
	switch n := ICMPLen + len(body); {
	case n == MLDLen:
		q.Version, q.MaxResponse = 1, code
		q.Group = [16]byte(body)
		return nil
	case n < MLDQueryLen:
		return ErrLength
	}
	sources := 16 * int(binary.BigEndian.Uint16(body[18:20]))
	if sources > len(body)-20 {
		return ErrLength
	}
	q.Version, q.MaxResponse = 2, mldResponse(code)
	q.Group = [16]byte(body)
	q.Suppress, q.Robustness, q.Interval = body[16]&8 != 0, body[16]&7, body[17]
	q.Sources = body[20 : 20+sources : 20+sources]
	return nil
}

// mldResponse returns the milliseconds of a Maximum Response Code (RFC 3810 5.1.3).
func mldResponse(code int) int {
	if code < 1<<15 {
		return code
	}
	mantissa, exponent := code&(1<<mldMantissaLen-1), code>>mldMantissaLen&7
	return (mantissa | 1<<mldMantissaLen) << (exponent + 3)
}

// Marshal writes the message with its ICMPv6 header to b, which must have room, and returns its length in octets.
// PutICMPv6Checksum completes it. A MaxResponse from 32,768 on is rounded down to what the code of version 2 can say;
// version 1 can say at most 65,535.
func (q *MLDQuery) Marshal(b []byte) int {
	h := ICMPv6{Type: ICMPv6MLDQuery}
	code := min(q.MaxResponse, 0xffff)
	if q.Version == 2 {
		code = mldCode(q.MaxResponse)
	}
	binary.BigEndian.PutUint16(h.Rest[0:2], uint16(code))
	h.Marshal(b)
	copy(b[8:24], q.Group[:])
	if q.Version == 1 {
		return MLDLen
	}
	b[24], b[25] = flag(q.Suppress, 8)|q.Robustness&7, q.Interval
	binary.BigEndian.PutUint16(b[26:28], uint16(len(q.Sources)/16))
	return MLDQueryLen + copy(b[MLDQueryLen:], q.Sources)
}

// mldCode is the inverse of mldResponse, and rounds down.
func mldCode(ms int) int {
	if ms < 1<<15 {
		return ms
	}
	exponent := 0
	for ms>>(exponent+3) >= 2<<mldMantissaLen && exponent < 7 {
		exponent++
	}
	mantissa := min(ms>>(exponent+3), 2<<mldMantissaLen-1) & (1<<mldMantissaLen - 1)
	return 1<<15 | exponent<<mldMantissaLen | mantissa
}

// MLDRecord is a record of an MLDv2 report (RFC 3810 5.2).
type MLDRecord struct {
	Type  uint8
	Group [16]byte
	// Sources are addresses, 16 octets each, borrowed.
	Sources []byte
}

// Marshal writes the record to b, which must have room, and returns its length in octets.
func (r *MLDRecord) Marshal(b []byte) int {
	_ = b[MLDRecordLen+len(r.Sources)-1]
	b[0], b[1] = r.Type, 0
	binary.BigEndian.PutUint16(b[2:4], uint16(len(r.Sources)/16))
	copy(b[4:20], r.Group[:])
	return MLDRecordLen + copy(b[MLDRecordLen:], r.Sources)
}

// PutMLDReport writes the ICMPv6 header of an MLDv2 report of a number of records to b, which must have room for
// MLDReportLen octets, and returns MLDReportLen. The records follow, and then PutICMPv6Checksum.
func PutMLDReport(b []byte, records int) int {
	h := ICMPv6{Type: ICMPv6MLDv2Report}
	binary.BigEndian.PutUint16(h.Rest[2:4], uint16(records))
	return h.Marshal(b)
}

// MLDRecordReader walks over the records of an MLDv2 report. It is a value; copying it copies the place.
type MLDRecordReader struct {
	rest []byte
	left int
}

// ReadMLDRecords returns a reader that stands before the first record of the report whose header is h. It borrows body.
func ReadMLDRecords(h *ICMPv6, body []byte) MLDRecordReader {
	return MLDRecordReader{rest: body, left: int(binary.BigEndian.Uint16(h.Rest[2:4]))}
}

// Next reads the next record into r and says whether there was one. A record that runs past the message gives ErrLength
// and ends the walk.
func (w *MLDRecordReader) Next(r *MLDRecord) (ok bool, err error) {
	if w.left == 0 {
		return false, nil
	}
	w.left--
	b := w.rest
	if len(b) < MLDRecordLen {
		*w = MLDRecordReader{}
		return false, ErrLength
	}
	end := MLDRecordLen + 16*int(binary.BigEndian.Uint16(b[2:4]))
	auxiliary := 4 * int(b[1])
	if end+auxiliary > len(b) {
		*w = MLDRecordReader{}
		return false, ErrLength
	}
	*r = MLDRecord{Type: b[0], Group: [16]byte(b[4:20]), Sources: b[MLDRecordLen:end:end]}
	w.rest = b[end+auxiliary:]
	return true, nil
}

// MLDGroup is an MLDv1 report or done (RFC 2710 3).
type MLDGroup struct{ Group [16]byte }

// Parse reads what follows the ICMPv6 header of the message. The error is ErrShort.
func (m *MLDGroup) Parse(body []byte) error {
	if len(body) < MLDLen-ICMPLen {
		return ErrShort
	}
	m.Group = [16]byte(body)
	return nil
}

// Marshal writes the message with its ICMPv6 header of the type typ to b, which must have room for MLDLen octets, and returns
// MLDLen. PutICMPv6Checksum completes it.
func (m *MLDGroup) Marshal(b []byte, typ uint8) int {
	_ = b[MLDLen-1]
	(&ICMPv6{Type: typ}).Marshal(b)
	copy(b[ICMPLen:], m.Group[:])
	return MLDLen
}
