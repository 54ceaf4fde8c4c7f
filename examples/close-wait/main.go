// A server that forgets to close: its client is gone, and the connection stays in CLOSE-WAIT until the server process
// ends, because only the server can close it. The example shows how to notice that, and how to end it.
//
//	go run ./examples/close-wait
package main

import (
	"fmt"
	"io"
	"log"
	"net"
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

// patience is how long the closed client waits for the server's FIN, 60 s unless configured.
const patience = 2 * time.Second

func run(out io.Writer) error {
	l, err := lan.Open(out, stack.Config{TCP: tcp.Config{FINWait2: patience, MSL: time.Second}})
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

	l.Printf("the client closes:")
	if err := c.Close(); err != nil {
		return err
	}
	l.Quiet()
	_, err = s.Read(make([]byte, 1))
	l.Printf("the server has read %v, and does not close", err)
	l.Printf("the server's connection is %v, its client's %v", state(s), state(c))
	look(l)

	time.Sleep(patience)
	l.Printf("%v later the server's connection is %v, its client's %v", patience, state(s), state(c))
	look(l)

	l.Printf("the server closes at last:")
	if err := s.Close(); err != nil {
		return err
	}
	l.Quiet()
	look(l)
	return nil
}

func state(c net.Conn) fmt.Stringer { return c.(*unet.TCPConn).Info().State }

// look prints a counter that a server can read at any time: if the number of connections in CLOSE-WAIT only grows, a Close
// is missing.
func look(l *lan.LAN) {
	server, client := l.Server.Stats().TCPGauges, l.Client.Stats().TCPGauges
	l.Printf("gauges: %d in CLOSE-WAIT at the server, %d in FIN-WAIT-2 at the client",
		server.States[tcp.CloseWait], client.States[tcp.FinWait2])
}
