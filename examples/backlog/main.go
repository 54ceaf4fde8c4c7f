// The two queues of a listener: half-open connections, whose third segment has not come yet, and connections that
// wait for accept. Both fill, and each segment finds its record by the five-tuple.
//
//	go run ./examples/backlog
package main

import (
	"context"
	"io"
	"log"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/unet-go/unet/examples/internal/lan"
	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/unet"
)

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

const backlog = 2

var server = netip.MustParseAddrPort("10.0.0.2:8080")

func run(out io.Writer) error {
	l, err := lan.Open(out, stack.Config{})
	if err != nil {
		return err
	}
	defer l.Close()
	ln, err := (&unet.ListenConfig{Host: l.Server, Backlog: backlog}).Listen(context.Background(), "tcp", server.String())
	if err != nil {
		return err
	}
	defer ln.Close()
	look := func(when string) {
		g := l.Server.Stats().TCPGauges
		l.Printf("%s: %d half open, %d to accept, %d ignored", when, g.HalfOpen, g.AcceptQueue, g.ListenOverflows)
	}

	l.Printf("four connections whose third segment is lost:")
	l.ClientPort.Update(func(c *sim.Config) { c.Filter = loseACKs })
	dialled := make(chan error, 1)
	for port := uint16(7001); port <= 7004; port++ {
		if err := dial(l, port); err != nil { // the client does not notice that its ACKs are lost
			return err
		}
	}
	l.Quiet()
	look("a half-open record for each")
	l.Printf("the SYN-ACKs are sent again, and what answers them arrives:")
	l.ClientPort.Update(func(c *sim.Config) { c.Filter = nil })
	time.Sleep(time.Second)
	look("nobody has called accept, whose queue has three places, as on Linux: the fourth ACK is ignored, its record kept")

	l.Printf("a fifth connection while the queue is full, and its SYN is ignored:")
	go func() { dialled <- dial(l, 7005) }()
	l.Quiet()
	for range 5 {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		l.Quiet()
		l.Printf("accepted: TCP from %v to %v", c.RemoteAddr(), c.LocalAddr())
	}
	look("in the end")
	return <-dialled
}

// loseACKs drops segments with ACK and without SYN. The flags are octet 13 of the TCP header, which follows those of
// Ethernet and IP; ACK is 0x10 and SYN 0x02.
func loseACKs(_ *sim.Port, frame []byte) sim.Verdict {
	if len(frame) > 14+20+13 && frame[14+20+13]&0x12 == 0x10 {
		return sim.Drop
	}
	return sim.Pass
}

func dial(l *lan.LAN, port uint16) error {
	d := unet.Dialer{Host: l.Client, LocalAddr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: int(port)}}
	_, err := d.Dial("tcp", server.String())
	return err
}
