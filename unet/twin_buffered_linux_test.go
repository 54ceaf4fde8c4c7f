package unet

import (
	"io"
	"net"
	"syscall"
)

// waitingAt tells what a client finds that asks about a connection before it uses it again: Buffered, and package
// net's way, a recv with MSG_PEEK.
func waitingAt(s *script, c net.Conn) (n int, err error) {
	if c, ok := c.(*TCPConn); ok {
		if n, err = c.Buffered(); n > 0 {
			err = nil // of which recv says nothing while there is text
		}
		return n, errnoIn(err)
	}
	raw, err := c.(syscall.Conn).SyscallConn()
	s.must(err)
	s.must(raw.Read(func(fd uintptr) bool {
		n, _, err = syscall.Recvfrom(int(fd), make([]byte, 64), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	}))
	switch {
	case err == syscall.EAGAIN:
		return 0, nil
	case err == nil && n == 0:
		return 0, io.EOF
	}
	return max(n, 0), err
}

// errnoIn returns the errno in an error of package net, or else the error.
func errnoIn(err error) error {
	if op, ok := err.(*net.OpError); ok {
		if sys, ok := op.Err.(interface{ Unwrap() error }); ok {
			return sys.Unwrap()
		}
	}
	return err
}

func bufferedScenarios() []scenario {
	// settled asks until something has come.
	settled := func(s *script, step string, c net.Conn) {
		for {
			if n, err := waitingAt(s, c); n > 0 || err != nil {
				s.log(step, n, err)
				return
			}
		}
	}
	return []scenario{
		{name: "E-GO-19 buffered: text and the end", run: func(s *script) {
			c, p := s.ends()
			s.log("at rest", logs(waitingAt(s, c))...)
			_, err := io.WriteString(p, "hello")
			s.must(err)
			settled(s, "text", c)
			s.must(p.Close())
			s.log("Read", logs(io.ReadFull(c, make([]byte, 5)))...)
			settled(s, "the end", c)
			s.log("Read", logs(c.Read(make([]byte, 5)))...)
			settled(s, "the end again", c)
			s.log("Write", logs(c.Write([]byte("x")))...)
		}},
		{name: "E-GO-19 buffered: a reset", run: func(s *script) {
			c, p := s.ends()
			s.must(p.SetLinger(0))
			s.must(p.Close())
			settled(s, "a reset", c)
		}},
		{name: "E-GO-19 buffered: a reset behind text", run: func(s *script) {
			c, p := s.ends()
			_, err := io.WriteString(p, "hello")
			s.must(err)
			settled(s, "text", c)
			s.must(p.SetLinger(0))
			s.must(p.Close())
			s.log("Read", logs(io.ReadFull(c, make([]byte, 5)))...)
			settled(s, "a reset", c)
		}},
		{name: "E-GO-19 buffered: after CloseRead", run: func(s *script) {
			c, _ := s.ends()
			s.must(c.CloseRead())
			settled(s, "the end", c)
		}},
	}
}
