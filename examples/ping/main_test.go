package main

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/unet"
)

func TestPing(t *testing.T) {
	for _, x := range []struct {
		name, args string
		status     int
		want       string
	}{
		{"IPv4", "-c 2 10.0.0.2", 0, `PING 10.0.0.2 (10.0.0.2) 56(84) bytes of data.
64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=20.0 ms
64 bytes from 10.0.0.2: icmp_seq=2 ttl=64 time=20.0 ms

--- 10.0.0.2 ping statistics ---
2 packets transmitted, 2 received, 0% packet loss, time 1020ms
rtt min/avg/max/mdev = 20.000/20.000/20.000/0.000 ms
`},
		{"IPv6", "-6 -c 1 -s 2000 2001:db8::2", 0, `PING 2001:db8::2 (2001:db8::2) 2000(2048) bytes of data.
2008 bytes from 2001:db8::2: icmp_seq=1 ttl=64 time=20.0 ms

--- 2001:db8::2 ping statistics ---
1 packets transmitted, 1 received, 0% packet loss, time 20ms
rtt min/avg/max/mdev = 20.000/20.000/20.000/0.000 ms
`},
		{"nobody", "-c 2 -i 100ms 10.0.0.9", 1, `PING 10.0.0.9 (10.0.0.9) 56(84) bytes of data.

--- 10.0.0.9 ping statistics ---
2 packets transmitted, 0 received, 100% packet loss, time 1100ms
`},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				segment := sim.NewSegment(sim.Config{Delay: 10 * time.Millisecond})
				host := func(addrs ...string) *unet.Host {
					var list []netip.Prefix
					for _, a := range addrs {
						list = append(list, netip.MustParsePrefix(a))
					}
					h, err := unet.Open(unet.Config{Link: segment.Port(), Addrs: list})
					if err != nil {
						t.Fatal(err)
					}
					return h
				}
				client, server := host("10.0.0.1/24", "2001:db8::1/64"), host("10.0.0.2/24", "2001:db8::2/64")
				defer func() { _, _, _ = client.Close(), server.Close(), segment.Close() }()
				time.Sleep(5 * time.Second) // until nobody has objected to the addresses
				open := func() (*unet.Host, error) { return client, nil }
				var out, errs strings.Builder
				warm := strings.Fields(x.args)
				// The first request finds the neighbour.
				if x.status == 0 {
					_ = run(context.Background(), []string{"-c", "1", warm[len(warm)-1]}, new(strings.Builder), &errs, open)
				}
				status := run(context.Background(), warm, &out, &errs, open)
				if status != x.status || out.String() != x.want || errs.String() != "" {
					t.Errorf("status %d, %s\n%swant %d\n%s", status, errs.String(), out.String(), x.status, x.want)
				}
			})
		})
	}
}
