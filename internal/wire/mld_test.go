package wire

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var groupA = [16]byte{0: 0xff, 1: 2, 15: 0xfb}

func TestMLDQuery(t *testing.T) {
	sources := joined(nodeA, nodeB)
	for _, c := range []struct {
		name string
		q    MLDQuery
		b    []byte
	}{
		{"version 1", MLDQuery{Version: 1, MaxResponse: 10000, Group: groupA}, joined(130, 0, 0, 0, 0x27, 0x10, 0, 0, groupA)},
		{"version 1, a long time", MLDQuery{Version: 1, MaxResponse: 0xffff}, joined(130, 0, 0, 0, 0xff, 0xff, 0, 0, [16]byte{})},
		{"version 2, general", MLDQuery{Version: 2, MaxResponse: 10000, Robustness: 2, Interval: 125},
			joined(130, 0, 0, 0, 0x27, 0x10, 0, 0, [16]byte{}, 2, 125, 0, 0)},
		{"version 2 with sources", MLDQuery{Version: 2, MaxResponse: 32768, Group: groupA, Suppress: true, Robustness: 7, Sources: sources},
			joined(130, 0, 0, 0, 0x80, 0, 0, 0, groupA, 15, 0, 0, 2, sources)},
		{"version 2, the longest time", MLDQuery{Version: 2, MaxResponse: 0x1fff << 10}, joined(130, 0, 0, 0, 0xff, 0xff, 0, 0, [16]byte{}, 0, 0, 0, 0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			written(t, c.q.Marshal, c.b)
			h, body := opened(t, c.b)
			var q MLDQuery
			err := q.Parse(&h, body)
			if diff := cmp.Diff(c.q, q, cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
	t.Run("lengths", func(t *testing.T) {
		for n := range 64 {
			body := make([]byte, n)
			if n >= 20 {
				body[19] = 2
			}
			err := new(MLDQuery).Parse(&ICMPv6{}, body)
			if good := n == 16 || n >= 52; good != (err == nil) || err != nil && err != ErrLength {
				t.Errorf("a body of %d octets: %v", n, err)
			}
		}
	})
	t.Run("every code", func(t *testing.T) {
		for code := range 1 << 16 {
			if got := mldCode(mldResponse(code)); got != code {
				t.Fatalf("code %#x is %d ms is code %#x", code, mldResponse(code), got)
			}
		}
		if got := mldCode(mldResponse(0xffff) + 1<<20); got != 0xffff {
			t.Errorf("more than the longest is %#x", got)
		}
		if got := mldCode(mldResponse(0x8001) + 7); got != 0x8001 {
			t.Errorf("between two codes is %#x", got)
		}
	})
}

func TestMLDReport(t *testing.T) {
	records := []MLDRecord{{MLDToExclude, groupA, nil}, {MLDAllowNew, groupA, joined(nodeA, nodeB)}}
	want := joined(143, 0, 0, 0, 0, 0, 0, 2, 4, 0, 0, 0, groupA, 5, 0, 0, 2, groupA, nodeA, nodeB)
	written(t, func(b []byte) int {
		n := PutMLDReport(b, len(records))
		for _, r := range records {
			n += r.Marshal(b[n:])
		}
		return n
	}, want)
	h, body := opened(t, want)
	for _, c := range []struct {
		name string
		body []byte
		want []MLDRecord
		err  error
	}{
		{"two", body, records, nil},
		{"octets behind them are ignored", append(bytes.Clone(body), 1, 2, 3), records, nil},
		{"one octet too few", body[:len(body)-1], records[:1], ErrLength},
		{"the second is missing", body[:20], records[:1], ErrLength},
		{"auxiliary data", joined(body[:20], 5, 1, 0, 0, groupA, 1, 2, 3, 4), []MLDRecord{records[0], {Type: 5, Group: groupA}}, nil},
		{"auxiliary data past the end", joined(body[:20], 5, 1, 0, 0, groupA, 1, 2, 3), records[:1], ErrLength},
		{"sources without end", joined(4, 0, 0xff, 0xff, groupA), nil, ErrLength},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ReadMLDRecords(&h, c.body)
			got, _, err := collect(t, len(c.body), r.Next)
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); err != c.err || diff != "" {
				t.Errorf("%v, want %v: %s", err, c.err, diff)
			}
		})
	}
}

func TestMLDGroup(t *testing.T) {
	for _, typ := range []uint8{ICMPv6MLDv1Report, ICMPv6MLDv1Done} {
		m := MLDGroup{groupA}
		want := joined(int(typ), 0, 0, 0, 0, 0, 0, 0, groupA)
		written(t, func(b []byte) int { return m.Marshal(b, typ) }, want)
		_, body := opened(t, want)
		var got MLDGroup
		if err := got.Parse(body); err != nil || got != m {
			t.Errorf("read as %+v, %v", got, err)
		}
		if err := got.Parse(body[:15]); err != ErrShort {
			t.Errorf("one octet too few: %v", err)
		}
	}
}

func FuzzMLD(f *testing.F) {
	f.Add(joined(0x27, 0x10, 0, 0, groupA, 15, 0, 0, 1, nodeA))
	f.Add(joined(0, 0, 0, 2, 4, 0, 0, 0, groupA, 5, 1, 0, 1, groupA, nodeA, 1, 2, 3, 4))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 4 {
			return
		}
		h, body := ICMPv6{Rest: [4]byte(b)}, bounded(b[4:])
		var q MLDQuery
		if err := q.Parse(&h, body); err != nil {
			refused(t, nil, err, ErrLength)
		} else {
			within(t, body, q.Sources)
			out := dirty(MLDQueryLen + len(q.Sources))
			out = out[:q.Marshal(out)]
			out[4+2], out[4+3] = b[2], b[3] // reserved, as is the upper half of an octet
			if len(out) > MLDLen {
				out[24] |= b[20] & 0xf0
			}
			if !bytes.HasPrefix(b, out[4:]) {
				t.Fatalf("%x written as %x", b, out)
			}
		}
		r := ReadMLDRecords(&h, body)
		found, _, err := collect(t, len(body)/MLDRecordLen+1, r.Next)
		if err != nil {
			refused(t, nil, err, ErrLength)
		}
		for _, record := range found {
			within(t, body, record.Sources)
			out := dirty(MLDRecordLen + len(record.Sources))
			if n := record.Marshal(out); n != len(out) || len(record.Sources)%16 != 0 {
				t.Fatalf("%+v written as %x", record, out)
			}
		}
		var g MLDGroup
		if err := g.Parse(body); (err == nil) != (len(body) >= 16) {
			t.Fatalf("%x: %v", body, err)
		}
	})
}
