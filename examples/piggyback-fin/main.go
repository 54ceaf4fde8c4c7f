// A FIN needs no segment of its own: it rides on the last data. The server answers a request and closes, and
// answer and FIN are one segment.
//
//	go run ./examples/piggyback-fin
package main

import (
	"errors"
	"io"
	"log"
	"net/netip"
	"os"

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
	t := fd.New(l.Server.Stack())
	listener, err := t.Socket(fd.AF_INET, fd.SOCK_STREAM, 0)
	if err := errors.Join(err, t.Bind(listener, netip.MustParseAddrPort("0.0.0.0:8080")), t.Listen(listener, 1)); err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- serve(l, t, listener) }()

	c, err := l.Client.Dial("tcp", "10.0.0.2:8080")
	if err != nil {
		return err
	}
	defer c.Close()
	l.Quiet()
	l.Printf("the client asks:")
	if _, err := io.WriteString(c, "request"); err != nil {
		return err
	}
	answer, err := io.ReadAll(c)
	if err := errors.Join(err, <-served); err != nil {
		return err
	}
	l.Quiet()
	l.Printf("the client has read %q and the end, and closes:", answer)
	if err := c.Close(); err != nil {
		return err
	}
	l.Quiet()
	return nil
}

// serve waits a while and answers one request. TCP_CORK holds the answer back until it fills a segment, or the connection
// is closed.
func serve(l *lan.LAN, t *fd.Table, listener int) error {
	s, _, err := t.Accept(listener)
	if err != nil {
		return err
	}
	if _, err := t.Read(s, make([]byte, 100)); err != nil {
		return err
	}
	l.Quiet()
	l.Printf("the server writes and closes:")
	if err := t.SetsockoptInt(s, fd.IPPROTO_TCP, fd.TCP_CORK, 1); err != nil {
		return err
	}
	if _, err := t.Write(s, []byte("answer")); err != nil {
		return err
	}
	return t.Close(s)
}
