// The side that closes first keeps a record of the connection for twice the maximum segment lifetime. The example shows
// what the record is for, what it does not prevent, and when it is removed.
//
//	go run ./examples/time-wait
package main

import (
	"context"
	"io"
	"log"
	"net/netip"
	"os"
	"time"

	"github.com/unet-go/unet/examples/internal/lan"
	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/tcp"
	"github.com/unet-go/unet/unet"
)

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// msl is the maximum segment lifetime, 30 s unless configured.
const msl = 2 * time.Second

var (
	client = netip.MustParseAddrPort("10.0.0.1:7001")
	server = netip.MustParseAddrPort("10.0.0.2:8080")
)

func run(out io.Writer) error {
	l, err := lan.Open(out, stack.Config{TCP: tcp.Config{MSL: msl}})
	if err != nil {
		return err
	}
	defer l.Close()
	look := func(when string) {
		l.Printf("%s: TIME-WAIT records at the server: %d", when, l.Server.Stats().TCPGauges.States[tcp.TimeWaitState])
	}
	for _, turn := range []string{"a connection", "the same four-tuple again, while the record is there"} {
		l.Printf("%s; the server closes first:", turn)
		if err := connection(l); err != nil {
			return err
		}
		look("closed by both")
		time.Sleep(time.Second) // RFC 6191: a SYN is a new one if its timestamp is newer
	}
	time.Sleep(msl)
	look("an MSL and a second after that")
	time.Sleep(msl)
	look("two MSL and a second after that")
	return nil
}

// connection opens and closes a connection. The server listens again each time: a TIME-WAIT record on its port does not
// prevent that, since package net's listeners set SO_REUSEADDR.
func connection(l *lan.LAN) error {
	ln, err := l.Server.Listen("tcp", server.String())
	if err != nil {
		return err
	}
	c, err := (&unet.Dialer{Host: l.Client}).DialTCP(context.Background(), "tcp", client, server)
	if err != nil {
		return err
	}
	s, err := ln.Accept()
	if err != nil {
		return err
	}
	for _, end := range []io.Closer{ln, s, c} {
		l.Quiet()
		if err := end.Close(); err != nil {
			return err
		}
	}
	l.Quiet()
	return nil
}
