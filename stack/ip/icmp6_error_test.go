package ip

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/internal/wire"
)

// TestNoErrorAboutError6 checks that an ICMPv6 error is answered by none, whatever is before it (RFC 4443 2.4 (e.1)).
func TestNoErrorAboutError6(t *testing.T) {
	onBed6(t, func(b *bed6) {
		e := icmp6(peer6, our6, append([]byte{1, 0, 0, 0, 0, 0, 0, 0}, bytes.Repeat([]byte{7}, 48)...))
		b.give(packet6(peer6, our6, dest, options(wire.ProtocolICMPv6, 0x80, 0), e))
		b.give(packet6(peer6, our6, hbh, options(dest, 0, 0), options(wire.ProtocolICMPv6, 0x80, 0), e))
		if got := b.problem(); got != "" {
			t.Errorf("an error behind an unknown option is answered by %s", got)
		}
		b.give(packet6(peer6, our6, wire.IPv6Fragments, piece(wire.ProtocolICMPv6, 0, true, 5), e))
		time.Sleep(61 * time.Second)
		synctest.Wait()
		b.l.Advance(b.l.now())
		if got := b.problem(); got != "" {
			t.Errorf("the first fragment of an error is answered by %s", got)
		}
	})
}
