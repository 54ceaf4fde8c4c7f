// The three segments that open a connection, and the four that close it.
//
//	go run ./examples/handshake
package main

import (
	"io"
	"log"
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

	l.Printf("Dial:")
	c, err := l.Client.Dial("tcp", "10.0.0.2:8080") // returns when the SYN-ACK has come and its ACK is out
	if err != nil {
		return err
	}
	s, err := ln.Accept() // returns when that ACK has come
	if err != nil {
		return err
	}
	state := func(when string) {
		l.Quiet()
		l.Printf("%s: client %v, server %v", when, c.(*unet.TCPConn).Info().State, s.(*unet.TCPConn).Info().State)
	}
	state("Accept has returned")

	if err := c.Close(); err != nil {
		return err
	}
	state("the client has closed")
	if err := s.Close(); err != nil {
		return err
	}
	state("the server has closed")
	return nil
}
