// A listener that calls connect gets EISCONN, and continues to listen. One program listens on port 8888; the
// other one binds port 8889, listens, and then tries to connect the same descriptor to port 8888.
//
//	go run ./examples/listen-connect
package main

import (
	"errors"
	"io"
	"log"
	"net/netip"
	"os"
	"syscall"

	"github.com/unet-go/unet/examples/internal/lan"
	fd "github.com/unet-go/unet/fdtable"
	"github.com/unet-go/unet/stack"
)

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(out io.Writer) error {
	l, err := lan.Open(out, stack.Config{})
	if err != nil {
		return err
	}
	defer l.Close()
	one, two := fd.New(l.Server.Stack()), fd.New(l.Client.Stack())

	first, err := listen(one, 8888)
	if err != nil {
		return err
	}
	received := make(chan error, 1)
	go func() { received <- receive(l, one, first) }()

	second, err := listen(two, 8889)
	if err != nil {
		return err
	}
	err = two.Connect(second, netip.MustParseAddrPort("10.0.0.2:8888"))
	l.Printf("connect of the descriptor that listens on 8889: %v, which is EISCONN: %t", err, errors.Is(err, syscall.EISCONN))
	listening, err := two.GetsockoptInt(second, fd.SOL_SOCKET, fd.SO_ACCEPTCONN)
	if err != nil {
		return err
	}
	l.Printf("it still listens: SO_ACCEPTCONN is %d", listening)

	other, err := two.Socket(fd.AF_INET, fd.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	l.Printf("connect of another descriptor:")
	if err := two.Connect(other, netip.MustParseAddrPort("10.0.0.2:8888")); err != nil {
		return err
	}
	l.Quiet()
	if _, err := two.Write(other, []byte("hello")); err != nil {
		return err
	}
	err = <-received
	l.Quiet()
	return err
}

func listen(t *fd.Table, port uint16) (int, error) {
	s, err := t.Socket(fd.AF_INET, fd.SOCK_STREAM, 0)
	if err != nil {
		return 0, err
	}
	if err := t.Bind(s, netip.AddrPortFrom(netip.IPv4Unspecified(), port)); err != nil {
		return 0, err
	}
	return s, t.Listen(s, 10)
}

// receive is the program on port 8888.
func receive(l *lan.LAN, t *fd.Table, listener int) error {
	s, _, err := t.Accept(listener)
	if err != nil {
		return err
	}
	buf := make([]byte, 2048)
	n, err := t.Read(s, buf)
	if err != nil {
		return err
	}
	l.Quiet()
	l.Printf("recv: %s", buf[:n])
	return errors.Join(t.Close(s), t.Close(listener))
}
