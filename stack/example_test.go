package stack_test

import (
	"fmt"
	"log"
	"net/netip"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// hosts makes a client at 10.0.0.1 and a server at 10.0.0.2, on a simulated segment.
func hosts() (client, server *stack.Host, closeAll func()) {
	segment := sim.NewSegment(sim.Config{})
	open := func(addr string) *stack.Host {
		h, err := stack.New(stack.Config{})
		must(err)
		must(h.Attach(segment.Port(), stack.Interface{Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}))
		return h
	}
	client, server = open("10.0.0.1/24"), open("10.0.0.2/24")
	return client, server, func() { _, _, _ = client.Close(), server.Close(), segment.Close() }
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// A host on a device that implements link.Device, here a port of a simulated segment. It reaches itself.
func ExampleNew() {
	segment := sim.NewSegment(sim.Config{})
	defer segment.Close()
	h, err := stack.New(stack.Config{Name: "one"})
	must(err)
	defer h.Close()
	must(h.Attach(segment.Port(), stack.Interface{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}}))
	fmt.Println(h.Addrs())
	for _, r := range h.Routes() {
		fmt.Println(r.Dst)
	}
	// Output:
	// [10.0.0.1/24]
	// 10.0.0.0/24
}

// A listener is made on a Binding, which reserves its port; Accept takes connections from its queue.
func ExampleHost_ListenTCP() {
	client, server, closeAll := hosts()
	defer closeAll()
	at := netip.MustParseAddrPort("10.0.0.2:80")
	b, err := server.BindTCP(at, stack.BindOptions{})
	must(err)
	l, err := server.ListenTCP(b, 128, tcp.DefaultOptions())
	must(err)
	defer l.Close()

	c, err := client.ConnectTCP(nil, at, tcp.DefaultOptions())
	must(err)
	defer c.Close()
	must(c.WaitConnect())
	_, err = c.Write([]byte("hello"))
	must(err)

	s, err := l.Accept()
	must(err)
	defer s.Close()
	p := make([]byte, 100)
	n, err := s.Read(p)
	must(err)
	fmt.Printf("%s from %v, %v\n", p[:n], s.Remote().Addr(), s.State())
	// Output: hello from 10.0.0.1, ESTABLISHED
}

// Datagrams, and what a port that nobody has answers: an ICMP error, which the socket tells once.
func ExampleHost_ListenUDP() {
	client, server, closeAll := hosts()
	defer closeAll()
	s, err := server.ListenUDP(netip.MustParseAddrPort("10.0.0.2:53"), stack.BindOptions{})
	must(err)
	defer s.Close()
	c, err := client.ListenUDP(netip.MustParseAddrPort("10.0.0.1:0"), stack.BindOptions{})
	must(err)
	defer c.Close()

	_, err = c.WriteTo([]byte("question"), s.Local())
	must(err)
	p := make([]byte, 100)
	n, from, _, err := s.ReadFrom(p)
	must(err)
	fmt.Printf("%s from %v\n", p[:n], from.Addr())

	must(c.Connect(netip.MustParseAddrPort("10.0.0.2:54")))
	_, err = c.Write([]byte("anybody?"))
	must(err)
	_, err = c.Read(p)
	fmt.Println(err)
	// Output:
	// question from 10.0.0.1
	// connection refused
}
