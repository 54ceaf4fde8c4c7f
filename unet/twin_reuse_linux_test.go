package unet

import (
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sharing listens with SO_REUSEPORT: package net has it by Control, this package as a field.
func (s *script) sharing(step, network, address string) net.Listener {
	var l net.Listener
	var err error
	if u, ok := s.server.(unetSide); ok {
		lc := ListenConfig{Host: u.Host, ReusePort: true}
		l, err = lc.Listen(background, network, address)
	} else {
		l, err = s.server.Listen(background, net.ListenConfig{Control: reusePort}, network, address)
	}
	s.listened(step, l, err)
	return l
}

func (s *script) sharingPackets(step, address string) packets {
	var c net.PacketConn
	var err error
	if u, ok := s.server.(unetSide); ok {
		lc := ListenConfig{Host: u.Host, ReusePort: true}
		c, err = lc.ListenPacket(background, "udp", address)
	} else {
		c, err = s.server.ListenPacket(background, net.ListenConfig{Control: reusePort}, "udp", address)
	}
	if c == nil {
		s.log(step, nil, err)
		return nil
	}
	s.log(step, c.LocalAddr(), err)
	s.cleanup(func() { _ = c.Close() })
	return c.(packets)
}

func reusePort(_, _ string, c syscall.RawConn) error {
	var err error
	return errors.Join(c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }), err)
}

// backlog listens with a backlog: package net's listener is told by another listen(2).
func (s *script) backlog(n int) listening {
	if u, ok := s.server.(unetSide); ok {
		lc := ListenConfig{Host: u.Host, Backlog: n}
		l, err := lc.Listen(background, "tcp", net.JoinHostPort(s.serverIP, "0"))
		s.must(err)
		s.cleanup(func() { _ = l.Close() })
		return l.(listening)
	}
	l := s.listen()
	raw, err := l.(syscall.Conn).SyscallConn()
	s.must(err)
	s.must(raw.Control(func(fd uintptr) { s.must(unix.Listen(int(fd), n)) }))
	return l
}

func reuseScenarios() []scenario {
	return []scenario{
		{name: "listen: ReusePort, who may share", run: func(s *script) {
			l := s.sharing("first", "tcp", net.JoinHostPort(s.serverIP, "0"))
			s.label("R", l.Addr())
			at := l.Addr().String()
			s.sharing("second", "tcp", at)
			s.listenOn("one that does not share", "tcp", at)
			_, port, _ := net.SplitHostPort(at)
			s.sharing("on the wildcard", "tcp", "0.0.0.0:"+port)
			s.listenOn("one that does not share, on the wildcard", "tcp", "0.0.0.0:"+port)
			alone := s.listenOn("of another port", "tcp", net.JoinHostPort(s.serverIP, "0"))
			s.sharing("with one that does not share", "tcp", alone.Addr().String())
			s.must(l.Close())
			s.listenOn("one that does not share, beside the others", "tcp", at)
		}},
		{name: "listen: ReusePort for packets", run: func(s *script) {
			c := s.sharingPackets("first", net.JoinHostPort(s.serverIP, "0"))
			s.label("R", c.LocalAddr())
			s.sharingPackets("second", c.LocalAddr().String())
			s.packetsOn("one that does not share", "udp", c.LocalAddr().String())
		}},
		{name: "listen: ReusePort spreads connections", run: func(s *script) {
			l := s.sharing("first", "tcp", net.JoinHostPort(s.serverIP, "0"))
			s.label("R", l.Addr())
			list := []net.Listener{l, s.sharing("second", "tcp", l.Addr().String()), s.sharing("third", "tcp", l.Addr().String())}
			const n = 96
			accepted := make(chan int)
			for i, l := range list {
				go func() {
					for {
						c, err := l.Accept()
						if err != nil {
							return
						}
						_ = c.Close()
						accepted <- i
					}
				}()
			}
			counts := make([]int, len(list))
			for range n {
				c := s.dialTo(l)
				counts[<-accepted]++
				s.must(c.Close())
			}
			for i, count := range counts {
				s.log("a fair part", i, count >= n/len(list)/4)
			}
		}},
		{name: "listen: ReusePort, one of two is closed", run: func(s *script) {
			l := s.sharing("first", "tcp", net.JoinHostPort(s.serverIP, "0"))
			s.label("R", l.Addr())
			other := s.sharing("second", "tcp", l.Addr().String())
			const n = 32
			var conns []stream
			for range n {
				conns = append(conns, s.dialTo(l))
			}
			s.must(l.Close())
			go func() { // those that waited for the closed listener are reset, the others served
				for {
					a, err := other.Accept()
					if err != nil {
						return
					}
					_, _ = a.Write([]byte("x"))
					_ = a.Close()
				}
			}()
			served := 0
			for _, c := range conns {
				k, err := c.Read(make([]byte, 1))
				served += k
				if err != nil && !errors.Is(err, syscall.ECONNRESET) {
					s.log("Read", err)
				}
			}
			s.log("some of each", served > 0 && served < n)
			for range 8 { // and all that come now are the other one's
				k, err := s.dialTo(l).Read(make([]byte, 1))
				s.log("Read", k, err)
			}
		}},
		{name: "listen: Backlog", run: func(s *script) {
			l := s.backlog(1)
			s.label("L", l.Addr())
			s.log("backlog", backlogOf(s, l))
			for range 2 {
				s.dialTo(l)
			}
			const short = 300 * time.Millisecond
			c, err := s.client.Dial(background, net.Dialer{Timeout: short}, "tcp", l.Addr().String())
			s.timedOut("one more than backlog and one", c, err)
			for range 2 {
				a, err := l.Accept()
				s.must(err)
				s.must(a.Close())
			}
			s.dial("when there is room", net.Dialer{}, "tcp", l.Addr().String())
		}},
		{name: "listen: Backlog by default", run: func(s *script) { s.log("backlog", backlogOf(s, s.listen())) }},
	}
}
