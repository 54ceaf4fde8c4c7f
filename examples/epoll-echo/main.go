// One goroutine serves all connections of a port with epoll, and echoes the text that arrives, as one would write it in C.
//
//	go run ./examples/epoll-echo
package main

import (
	"errors"
	"io"
	"log"
	"net"
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
	s := &server{Table: fd.New(l.Server.Stack()), LAN: l, handled: make(chan error)}
	if err := s.listen(netip.MustParseAddrPort("0.0.0.0:8080")); err != nil {
		return err
	}
	go s.serve()

	var one, two net.Conn
	for _, step := range []func() error{
		func() (err error) { one, err = l.Client.Dial("tcp", "10.0.0.2:8080"); return err },
		func() (err error) { two, err = l.Client.Dial("tcp", "10.0.0.2:8080"); return err },
		func() error { _, err := io.WriteString(two, "hello"); return err },
		func() error { _, err := io.WriteString(one, "world"); return err },
		func() error { _, err := io.ReadFull(two, make([]byte, 5)); return errors.Join(err, two.Close()) },
		func() error { _, err := io.ReadFull(one, make([]byte, 5)); return errors.Join(err, one.Close()) },
	} {
		if err := errors.Join(step(), <-s.handled); err != nil {
			return err
		}
		l.Quiet()
	}
	return s.Table.Close(s.epoll)
}

// server is a table of descriptors with a listener and an epoll instance among them.
type server struct {
	*fd.Table
	*lan.LAN
	listener, epoll int
	handled         chan error // the result of each event
}

func (s *server) listen(at netip.AddrPort) (err error) {
	var other error
	s.listener, err = s.Socket(fd.AF_INET, fd.SOCK_STREAM|fd.SOCK_NONBLOCK, 0)
	s.epoll, other = s.EpollCreate1(0)
	return errors.Join(err, other, s.Bind(s.listener, at), s.Listen(s.listener, fd.SOMAXCONN), s.watch(s.listener))
}

func (s *server) watch(d int) error {
	return s.EpollCtl(s.epoll, fd.EPOLL_CTL_ADD, d, &fd.EpollEvent{Events: fd.EPOLLIN, Fd: int32(d)})
}

// serve waits for events until the epoll instance is closed.
func (s *server) serve() {
	events := make([]fd.EpollEvent, 64)
	for n, err := s.EpollWait(s.epoll, events, -1); err == nil; n, err = s.EpollWait(s.epoll, events, -1) {
		for _, e := range events[:n] {
			s.Quiet() // so that the lines are in order
			s.handled <- s.ready(int(e.Fd))
		}
	}
}

// ready accepts on or reads from a descriptor that is ready. The end of a stream is readable, too.
func (s *server) ready(d int) error {
	if d == s.listener {
		c, peer, err := s.Accept4(d, fd.SOCK_NONBLOCK)
		s.Printf("the listener is ready, accept: descriptor %d, %v", c, peer)
		return errors.Join(err, s.watch(c))
	}
	buf := make([]byte, 2048)
	n, err := s.Read(d, buf)
	s.Printf("descriptor %d is ready, read: %d octets, %q", d, n, buf[:n])
	if n == 0 || err != nil {
		return errors.Join(err, s.Table.Close(d))
	}
	_, err = s.Write(d, buf[:n])
	return err
}
