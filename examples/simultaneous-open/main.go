// Two hosts dial one another at the same time, and there is no listener: their SYNs cross, and the result is one
// connection (RFC 9293 3.5, figure 7).
//
//	go run ./examples/simultaneous-open
package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/netip"
	"os"

	"github.com/unet-go/unet/examples/internal/lan"
	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/unet"
)

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

var (
	one = netip.MustParseAddrPort("10.0.0.1:7001")
	two = netip.MustParseAddrPort("10.0.0.2:7002")
)

func run(out io.Writer) error {
	l, err := lan.Open(out, stack.Config{})
	if err != nil {
		return err
	}
	defer l.Close()

	type dialled struct {
		c   *unet.TCPConn
		err error
	}
	second := make(chan dialled)
	go func() {
		c, err := (&unet.Dialer{Host: l.Server}).DialTCP(context.Background(), "tcp", two, one)
		second <- dialled{c, err}
	}()
	a, err := (&unet.Dialer{Host: l.Client}).DialTCP(context.Background(), "tcp", one, two)
	d := <-second
	if err := errors.Join(err, d.err); err != nil {
		return err
	}
	b := d.c
	l.Quiet()
	l.Printf("%v is %v, %v is %v", a.LocalAddr(), a.Info().State, b.LocalAddr(), b.Info().State)

	for _, way := range []struct{ from, to net.Conn }{{a, b}, {b, a}} {
		if _, err := io.WriteString(way.from, "hello"); err != nil {
			return err
		}
		text := make([]byte, 5)
		if _, err := io.ReadFull(way.to, text); err != nil {
			return err
		}
		l.Quiet()
		l.Printf("%v read %q", way.to.LocalAddr(), text)
	}
	return nil
}
