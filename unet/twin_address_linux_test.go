package unet

import (
	"errors"
	"net"
	"time"
)

// The addresses of a connection are objects of their own that stay the same, so that they serve as keys of a map.
func addressScenarios() []scenario {
	type addressed interface {
		LocalAddr() net.Addr
		RemoteAddr() net.Addr
	}
	same := func(s *script, c addressed) {
		local, remote := c.LocalAddr(), c.RemoteAddr()
		s.log("local", local == c.LocalAddr())
		s.log("remote", remote == c.RemoteAddr())
		seen := map[net.Addr]int{local: 1, remote: 2}
		s.log("as keys", seen[c.LocalAddr()], seen[c.RemoteAddr()])
	}
	inError := func(s *script, step string, err error, c addressed) {
		var op *net.OpError
		if !errors.As(err, &op) {
			s.log(step, err)
			return
		}
		s.log(step, op.Source == c.LocalAddr(), op.Addr == c.RemoteAddr(), op.Addr == c.LocalAddr())
	}
	return []scenario{
		{name: "E-GO-18 addresses: of a connection", run: func(s *script) {
			c, p := s.ends()
			for _, end := range []stream{c, p} {
				same(s, end)
				_ = end.SetReadDeadline(past)
				_, err := end.Read(make([]byte, 1))
				inError(s, "of an error", err, end)
				at := end.RemoteAddr()
				s.must(end.Close())
				same(s, end)
				s.log("after Close", at == end.RemoteAddr(), end.RemoteAddr())
				inError(s, "of a set", end.SetDeadline(time.Time{}), end)
				_, err = end.Write([]byte("x"))
				inError(s, "of a write", err, end)
			}
		}},
		{name: "E-GO-18 addresses: of a listener", run: func(s *script) {
			l := s.listen()
			at := l.Addr()
			s.log("Addr", at == l.Addr())
			s.must(l.Close())
			_, err := l.Accept()
			var op *net.OpError
			s.log("of an error", errors.As(err, &op) && op.Addr == at, at == l.Addr())
		}},
		{name: "E-GO-18 addresses: of a UDP socket", run: func(s *script) {
			c, p := s.sockets()
			same(s, c)
			s.log("bound", p.LocalAddr() == p.LocalAddr(), p.RemoteAddr())
			_ = c.SetReadDeadline(past)
			_, err := c.Read(make([]byte, 1))
			inError(s, "of an error", err, c)
			s.must(c.Close())
			same(s, c)
			_, err = c.Write([]byte("x"))
			inError(s, "of a write", err, c)
		}},
	}
}
