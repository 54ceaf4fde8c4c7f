package unet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/unet-go/unet/stack/sim"
)

// An answer to another question does not come from the server that was asked: anyone who guesses the port can send one. The
// question stays with that server, whatever the answer says, and the resolver drops it and hears the true one.
func TestAnswerToAnotherQuestion(t *testing.T) {
	asksBefore(t)
	for _, f := range testFamilies {
		answerAnotherQuestion(t, &f)
	}
}

func answerAnotherQuestion(t *testing.T, f *testFamily) {
	for _, rcode := range []dnsmessage.RCode{dnsmessage.RCodeServerFailure, dnsmessage.RCodeRefused, dnsmessage.RCodeNameError} {
		t.Run(rcode.String()+f.suffix, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				segment := sim.NewSegment(sim.Config{})
				t.Cleanup(func() { _ = segment.Close() })
				client := f.numbered(t, segment, 1)
				first := f.numbered(t, segment, 20)
				second := &zone{names: map[string][]string{"server.test.": {"10.0.0.99"}}}
				client.dns = []netip.AddrPort{netip.AddrPortFrom(first.Addrs()[0].Addr(), 53),
					nameServer(t, f.numbered(t, segment, 21), second)}

				pc, err := first.ListenPacket("udp", ":53")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = pc.Close() })
				go func() {
					knows, other := lookupZone(), &zone{rcode: rcode}
					b := make([]byte, 2048)
					for {
						n, from, err := pc.ReadFrom(b)
						if err != nil {
							return
						}
						query := slices.Clone(b[:n])
						query[1]++
						_, _ = pc.WriteTo(other.answer(query, true), from)
						time.Sleep(time.Millisecond)
						_, _ = pc.WriteTo(knows.answer(b[:n], true), from)
					}
				}()
				if ips, err := client.LookupNetIP(t.Context(), "ip4", "server.test."); fmt.Sprint(ips) != "[10.0.0.2]" || err != nil {
					t.Errorf("LookupNetIP: %v, %v", ips, err)
				}
				if n := second.asked.Load(); n != 0 {
					t.Errorf("%d questions went to the second server", n)
				}
			})
		})
	}
}

// Over TCP too a server that is silent has its share of the time, and no more.
func TestResolverSharesTimeOverTCP(t *testing.T) {
	asksBefore(t)
	for _, f := range testFamilies {
		shareTimeOverTCP(t, &f)
	}
}

func shareTimeOverTCP(t *testing.T, f *testFamily) {
	proto, last := 23, 33 // where a frame says that it carries TCP, and the last octet of where it goes
	if f.bits == 64 {
		proto, last = 20, 53
	}
	const patience = 6 * time.Second
	for silent, waited := range []time.Duration{0, patience / 2, patience * 2 / 3} {
		t.Run(fmt.Sprint(silent, " silent")+f.suffix, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				segment := sim.NewSegment(sim.Config{Filter: func(_ *sim.Port, frame []byte) sim.Verdict {
					if len(frame) > last && frame[proto] == syscall.IPPROTO_TCP && frame[last] >= 20 {
						return sim.Drop
					}
					return sim.Pass
				}})
				t.Cleanup(func() { _ = segment.Close() })
				client := f.numbered(t, segment, 1)
				for i := range silent {
					h := f.numbered(t, segment, byte(20+i))
					client.dns = append(client.dns, nameServer(t, h, lookupZone()))
				}
				last := nameServer(t, f.numbered(t, segment, 2), lookupZone())
				client.dns = append(client.dns, last)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				began := time.Now()
				c, err := client.dialServer(ctx, "tcp", net.JoinHostPort(f.foreign, "53"))
				if took := time.Since(began); err != nil || c.RemoteAddr().String() != last.String() || took != waited {
					t.Fatalf("%v after %v, want %v after %v; %v", c, took, last, waited, err)
				}
				_ = c.Close()
			})
		})
	}
}
