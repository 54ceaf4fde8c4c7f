package stack

import (
	"encoding/json"
	"strings"
	"testing"
)

// nameless returns the places in decoded JSON where an array has elements that are no objects.
func nameless(at string, v any) (found []string) {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			found = append(found, nameless(at+"."+name, inner)...)
		}
	case []any:
		for _, inner := range v {
			if _, ok := inner.(map[string]any); !ok {
				return append(found, at)
			}
			found = append(found, nameless(at, inner)...)
		}
	}
	return found
}

// TestStatsJSON checks that each number in the statistics has a name as JSON.
func TestStatsJSON(t *testing.T) {
	withPeers(t, "a host with a connection", Config{}, func(b *bed) {
		c, _ := b.accepted()
		defer c.Abort()
		text, err := json.Marshal(b.h.Stats())
		if err != nil {
			b.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(text, &v); err != nil {
			b.Fatal(err)
		}
		if found := nameless("Stats", v); len(found) > 0 {
			b.Errorf("numbers without names at %v: %s", found, text)
		}
		for _, want := range []string{`"States":{"CLOSED":0,`, `"ESTABLISHED":1,`, `"TIME-WAIT":0}`, `"MAC":"02:00:00:00:00:02"`} {
			if !strings.Contains(string(text), want) {
				b.Errorf("no %s in %s", want, text)
			}
		}
	})
	if got := len(nameless("", []any{map[string]any{"a": []any{1.0}}, map[string]any{"b": []any{}}})); got != 1 {
		t.Errorf("%d arrays without names found, want 1", got)
	}
}

// TestSegmentsIn checks that each segment counts once, whatever it meets.
func TestSegmentsIn(t *testing.T) {
	on := func(name string, cfg Config, f func(b *bed, send func(...seg) []seg)) {
		withPeers(t, name, cfg, func(b *bed) {
			sent := uint64(0)
			f(b, func(in ...seg) []seg {
				sent += uint64(len(in))
				out := b.send(in...)
				if got := b.h.Stats().TCP.SegmentsIn; got != sent {
					b.Errorf("%d segments counted of %d", got, sent)
				}
				return out
			})
		})
	}
	on("a handshake, text, a full accept queue and TIME-WAIT", Config{}, func(b *bed, send func(...seg) []seg) {
		l := b.listenTCP(80, 0) // with room for one connection
		second := send(seg{flags: "S", seq: 100}, seg{flags: "S", seq: 500, peer: 1001})[1]
		out := send(seg{flags: "S", seq: 100})
		iss := out[0].seq + 1
		send(seg{flags: "A", seq: 101, ack: iss}, seg{flags: "A", seq: 501, ack: second.seq + 1, peer: 1001})
		if n := b.h.Stats().TCPGauges.ListenOverflows; n != 1 {
			b.Errorf("%d segments met a full accept queue, want 1", n)
		}
		c, err := l.TryAccept()
		if err != nil {
			b.Fatal(err)
		}
		send(seg{flags: "A", seq: 101, ack: iss, text: "text"})
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
		send(seg{flags: "R", seq: 105})
		send(seg{flags: "A", seq: 105, ack: iss}) // of no flow
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	})
	on("the answer to a SYN cookie", Config{MaxHalfOpen: 1}, func(b *bed, send func(...seg) []seg) {
		l := b.listenTCP(80, 1)
		out := send(seg{flags: "S", seq: 500, peer: 1001}, seg{flags: "S", seq: 100})
		send(seg{flags: "A", seq: 101, ack: out[1].seq + 1})
		if n := b.h.Stats().TCPGauges.CookiesOK; n != 1 {
			b.Errorf("%d connections came of a cookie, want 1", n)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	})
}
