// Both ends close at the same time, and their FINs cross: each of them goes from FIN-WAIT-1 to CLOSING, and
// with the acknowledgment of its FIN to TIME-WAIT (RFC 9293 3.6, figure 13).
//
//	go run ./examples/simultaneous-close
package main

import (
	"errors"
	"io"
	"log"
	"os"
	"time"

	"github.com/unet-go/unet/examples/internal/lan"
	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/unet"
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
	ln, err := l.Server.Listen("tcp", ":8080")
	if err != nil {
		return err
	}
	defer ln.Close()
	c, err := l.Client.Dial("tcp", "10.0.0.2:8080")
	if err != nil {
		return err
	}
	s, err := ln.Accept()
	if err != nil {
		return err
	}
	l.Quiet()

	state := func(when string) {
		l.Printf("%s: client %v, server %v", when, c.(*unet.TCPConn).Info().State, s.(*unet.TCPConn).Info().State)
	}
	state("before")
	if err := errors.Join(c.Close(), s.Close()); err != nil {
		return err
	}
	state("both have closed")
	time.Sleep(lan.Delay * 3 / 2)
	state("the FINs have crossed")
	l.Quiet()
	state("both are acknowledged")
	return nil
}
