// Listens on port 8888, accepts one connection, prints the first text that arrives, and closes: with descriptors, as
// one would in C. SIGINT and SIGTERM end it earlier.
//
// Run it as root, and talk to it from another terminal:
//
//	go run ./examples/echo/fdtable
//	nc 10.0.0.2 8888
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	fd "github.com/unet-go/unet/fdtable"
	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/tap"
)

func main() {
	dev := must(tap.Open(tap.Config{Name: "unet0", PeerAddrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}}))
	host := must(stack.New(stack.Config{}))
	check(host.Attach(dev, stack.Interface{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")}}))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := receive(ctx, fd.New(host))
	stop() // another signal ends the program at once
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	check(errors.Join(err, host.Shutdown(grace)))
}

func receive(ctx context.Context, t *fd.Table) error {
	listener := must(t.Socket(fd.AF_INET, fd.SOCK_STREAM, 0))
	check(t.Bind(listener, netip.MustParseAddrPort("0.0.0.0:8888")))
	check(t.Listen(listener, 10))
	stop := context.AfterFunc(ctx, func() { t.Close(listener) })
	conn, _, err := t.Accept(listener)
	if stop() {
		check(t.Close(listener))
	}
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	stop = context.AfterFunc(ctx, func() { t.Close(conn) })
	buf := make([]byte, 2048)
	n, err := t.Read(conn, buf)
	if !stop() { // the signal has closed it
		return nil
	}
	if err == nil {
		fmt.Printf("recv: %s\n", buf[:n])
	}
	return errors.Join(err, t.Close(conn))
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
