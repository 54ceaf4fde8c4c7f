package main

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/unet"
)

func TestTraceroute(t *testing.T) {
	for _, x := range []struct {
		name, client, near, far, server string
		args                            string
		want                            string
	}{
		{"IPv4", "10.1.0.1/24", "10.1.0.254/24", "10.2.0.254/24", "10.2.0.2/24", "-n 10.2.0.2", `traceroute to 10.2.0.2 (10.2.0.2), 30 hops max, 60 byte packets
 1  10.1.0.254  2.000 ms  2.000 ms  2.000 ms
 2  10.2.0.2  22.000 ms  22.000 ms  22.000 ms
`},
		{"IPv6", "2001:db8:1::1/64", "2001:db8:1::fe/64", "2001:db8:2::fe/64", "2001:db8:2::2/64", "-6 2001:db8:2::2", `traceroute to 2001:db8:2::2 (2001:db8:2::2), 30 hops max, 80 byte packets
 1  2001:db8:1::fe  2.000 ms  2.000 ms  2.000 ms
 2  2001:db8:2::2  22.000 ms  22.000 ms  22.000 ms
`},
		{"nobody", "10.1.0.1/24", "10.1.0.254/24", "10.2.0.254/24", "10.2.0.2/24", "-w 1s -m 2 10.2.0.9", `traceroute to 10.2.0.9 (10.2.0.9), 2 hops max, 60 byte packets
 1  10.1.0.254  2.000 ms  2.000 ms  2.000 ms
 2  * * *
`},
		{"no way", "10.1.0.1/24", "10.1.0.254/24", "10.2.0.254/24", "10.2.0.2/24", "-q 1 10.9.0.9", `traceroute to 10.9.0.9 (10.9.0.9), 30 hops max, 60 byte packets
 1  10.1.0.254  2.000 ms
 2  10.1.0.254  2.000 ms !N
`},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := sim.NewSegment(sim.Config{Delay: time.Millisecond}), sim.NewSegment(sim.Config{Delay: 10 * time.Millisecond})
				prefix := func(a string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(a)} }
				host := func(on *sim.Segment, addr, gateway string) *unet.Host {
					h, err := unet.Open(unet.Config{Link: on.Port(), Addrs: prefix(addr), Gateway: prefix(gateway)[0].Addr()})
					if err != nil {
						t.Fatal(err)
					}
					return h
				}
				client, server := host(near, x.client, x.near), host(far, x.server, x.far)
				router, err := stack.New(stack.Config{})
				if err != nil {
					t.Fatal(err)
				}
				router.SetForwarding(true)
				for segment, addr := range map[*sim.Segment]string{near: x.near, far: x.far} {
					if err := router.Attach(segment.Port(), stack.Interface{Addrs: prefix(addr)}); err != nil {
						t.Fatal(err)
					}
				}
				defer func() {
					_, _, _, _, _ = client.Close(), server.Close(), router.Close(), near.Close(), far.Close()
				}()
				time.Sleep(5 * time.Second) // until nobody has objected to the addresses
				open := func() (*unet.Host, error) { return client, nil }
				var out, errs strings.Builder
				args := strings.Fields(x.args)
				_ = run(context.Background(), args, new(strings.Builder), &errs, open) // neighbours are found
				if status := run(context.Background(), args, &out, &errs, open); status != 0 || out.String() != x.want || errs.String() != "" {
					t.Errorf("status %d, %s\n%swant\n%s", status, errs.String(), out.String(), x.want)
				}
			})
		})
	}
}
