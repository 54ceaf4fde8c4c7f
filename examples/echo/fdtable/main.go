// Listens on port 8888, accepts one connection, prints what arrives first, and closes: with descriptors, as
// one would in C.
//
// Run it as root, and talk to it from another terminal:
//
//	go run ./examples/echo/fdtable
//	nc 10.0.0.2 8888
package main

import (
	"fmt"
	"log"
	"net/netip"

	fd "github.com/unet-go/unet/fdtable"
	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/tap"
)

func main() {
	dev := must(tap.Open(tap.Config{Name: "unet0", PeerAddrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}}))
	host := must(stack.New(stack.Config{}))
	defer host.Close()
	check(host.Attach(dev, stack.Interface{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")}}))

	t := fd.New(host)
	listener := must(t.Socket(fd.AF_INET, fd.SOCK_STREAM, 0))
	check(t.Bind(listener, netip.MustParseAddrPort("0.0.0.0:8888")))
	check(t.Listen(listener, 10))
	conn, _, err := t.Accept(listener)
	check(err)
	buf := make([]byte, 2048)
	n := must(t.Read(conn, buf))
	fmt.Printf("recv: %s\n", buf[:n])
	check(t.Close(conn))
	check(t.Close(listener))
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
