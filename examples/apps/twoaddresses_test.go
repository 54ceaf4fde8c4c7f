package apps

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/unet"
)

// TestDNSOnTwoAddresses has a server of miekg/dns on the wildcard of a host with two addresses of each family answer from the
// one that was asked: a client that is connected to it hears no other.
func TestDNSOnTwoAddresses(t *testing.T) {
	segment := sim.NewSegment(sim.Config{})
	t.Cleanup(func() { _ = segment.Close() })
	host := func(addrs ...string) *unet.Host {
		cfg := unet.Config{Link: segment.Port()}
		for _, a := range addrs {
			cfg.Addrs = append(cfg.Addrs, netip.MustParsePrefix(a))
		}
		return open(t, cfg)
	}
	client := host("10.0.0.1/24", "fd00::1/64")
	server := host("10.0.0.2/24", "10.0.0.3/24", "fd00::2/64", "fd00::3/64")
	p, err := server.ListenPacket("udp", ":53")
	if err != nil {
		t.Fatal(err)
	}
	started, served := make(chan struct{}), make(chan error, 1)
	srv := &dns.Server{PacketConn: unet.ReplyConn{UDPConn: p.(*unet.UDPConn)}, Handler: zone(t), NotifyStartedFunc: func() { close(started) }}
	go func() { served <- srv.ActivateAndServe() }()
	<-started
	for _, at := range []string{"10.0.0.2", "10.0.0.3", "fd00::2", "fd00::3"} {
		c, err := client.Dial("udp", net.JoinHostPort(at, "53"))
		if err != nil {
			t.Fatal(err)
		}
		a, _, err := new(dns.Client).ExchangeWithConn(new(dns.Msg).SetQuestion("one.test.", dns.TypeA), &dns.Conn{Conn: c})
		if err != nil || len(a.Answer) != 1 {
			t.Errorf("%s: %v, %v", at, a, err)
		}
		_ = c.Close()
	}
	if err := errors.Join(srv.Shutdown(), <-served); err != nil {
		t.Error(err)
	}
}
