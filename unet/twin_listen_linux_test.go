package unet

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// listened logs a listen and returns its result.
func (s *script) listened(step string, l net.Listener, err error) {
	if l == nil {
		s.log(step, nil, err)
		return
	}
	s.log(step, l.Addr(), err)
	s.cleanup(func() { _ = l.Close() })
}

func (s *script) listenOn(step, network, address string) net.Listener {
	l, err := s.server.Listen(background, net.ListenConfig{}, network, address)
	s.listened(step, l, err)
	return l
}

func (s *script) packetsOn(step, network, address string) {
	c, err := s.server.ListenPacket(background, net.ListenConfig{}, network, address)
	if c == nil {
		s.log(step, nil, err)
		return
	}
	s.log(step, c.LocalAddr(), err)
	s.cleanup(func() { _ = c.Close() })
}

func listenRefusals() (list []scenario) {
	for _, d := range []struct{ name, network, address string }{
		{"foreign address", "tcp", "FOREIGN:0"},
		{"no port", "tcp", "LOOP"},
		{"unknown network", "tcp7", "LOOP:0"},
		{"IPv4 on tcp6", "tcp6", "127.0.0.1:0"},
		{"IPv6 on tcp4", "tcp4", "[::1]:0"},
		{"negative port", "tcp", "LOOP:-1"},
		{"large port", "tcp", "LOOP:65536"},
		{"unknown service", "tcp", "LOOP:no-such-service"},
		{"not an address", "tcp", "1.2.3:0"},
		{"multicast", "tcp", "224.0.0.1:0"},
		{"broadcast", "tcp", "255.255.255.255:0"},
		{"wildcard", "tcp", ":0"},
		{"wildcard of IPv4", "tcp4", ":0"},
		{"0.0.0.0", "tcp", "0.0.0.0:0"},
		{"no address at all", "tcp", ""},
		{"empty port", "tcp", "LOOP:"},
		{"UDP network", "udp", "LOOP:0"},
		{"empty network", "", "LOOP:0"},
	} {
		list = append(list,
			scenario{name: "listen: " + d.name, run: func(s *script) { s.listenOn("Listen", d.network, s.fill(d.address)) }})
		network := map[string]string{"tcp": "udp", "tcp4": "udp4", "tcp6": "udp6", "tcp7": "udp7", "udp": "tcp"}[d.network]
		list = append(list,
			scenario{name: "listen for packets: " + d.name, run: func(s *script) { s.packetsOn("ListenPacket", network, s.fill(d.address)) }})
	}
	return list
}

func listenScenarios() []scenario {
	return append(listenRefusals(), []scenario{
		{name: "listen: busy", run: func(s *script) {
			l := s.listen()
			s.listenOn("the same", "tcp", l.Addr().String())
			port := l.Addr().(*net.TCPAddr).Port
			s.listenOn("the wildcard of the same port", "tcp", fmt.Sprintf(":%d", port))
			s.listenOn("IPv4's wildcard", "tcp4", fmt.Sprintf(":%d", port))
			s.packetsOn("UDP's port is another", "udp", l.Addr().String())
			s.must(l.Close())
			s.listenOn("when it is closed", "tcp", l.Addr().String())
		}},
		{name: "listen: busy wildcard", run: func(s *script) {
			l, err := s.server.Listen(background, net.ListenConfig{}, "tcp", ":0")
			s.must(err)
			s.cleanup(func() { _ = l.Close() })
			port := l.Addr().(*net.TCPAddr).Port
			s.listenOn("the same", "tcp", fmt.Sprintf(":%d", port))
			s.listenOn("an address", "tcp", net.JoinHostPort(s.serverIP, fmt.Sprint(port)))
			s.listenOn("IPv4's wildcard", "tcp4", fmt.Sprintf(":%d", port))
		}},
		{name: "listen: busy UDP port", run: func(s *script) {
			c, err := s.server.ListenPacket(background, net.ListenConfig{}, "udp", net.JoinHostPort(s.serverIP, "0"))
			s.must(err)
			s.cleanup(func() { _ = c.Close() })
			s.packetsOn("the same", "udp", c.LocalAddr().String())
			s.packetsOn("the wildcard", "udp", fmt.Sprintf(":%d", c.LocalAddr().(*net.UDPAddr).Port))
			s.must(c.Close())
			s.packetsOn("when it is closed", "udp", c.LocalAddr().String())
		}},
		{name: "listen: again beside a live connection, and after it in TIME-WAIT", run: func(s *script) {
			l := s.listen()
			c := s.dialTo(l)
			a, err := l.Accept()
			s.must(err)
			s.label("A", l.Addr())
			s.must(l.Close())
			l = s.listenOn("beside a connection", "tcp", l.Addr().String()).(listening)
			s.send(c, a.(stream), "still there")
			s.must(a.Close())
			_, err = c.Read(make([]byte, 1))
			s.log("Read", err)
			s.must(c.Close())
			s.must(l.Close())
			s.listenOn("in TIME-WAIT", "tcp", l.Addr().String())
		}},
		{name: "listen: ListenTCP", run: func(s *script) {
			at := &net.TCPAddr{IP: net.ParseIP(s.serverIP)}
			for _, d := range []struct {
				step, network string
				at            *net.TCPAddr
			}{
				{"plain", "tcp", at}, {"tcp4", "tcp4", at}, {"tcp6", "tcp6", at}, {"udp", "udp", at}, {"unknown network", "x", at},
				{"nil", "tcp", nil}, {"nil on tcp4", "tcp4", nil}, {"foreign", "tcp", &net.TCPAddr{IP: net.ParseIP(s.foreign)}},
				{"no address", "tcp", &net.TCPAddr{IP: net.IP{1, 2, 3}}},
			} {
				l, err := s.server.ListenTCP(d.network, d.at)
				if l == nil {
					s.log(d.step, nil, err)
					continue
				}
				s.listened(d.step, l, err)
			}
		}},
		{name: "listen: ListenUDP", run: func(s *script) {
			at := &net.UDPAddr{IP: net.ParseIP(s.serverIP)}
			for _, d := range []struct {
				step, network string
				at            *net.UDPAddr
			}{
				{"plain", "udp", at}, {"udp4", "udp4", at}, {"udp6", "udp6", at}, {"tcp", "tcp", at}, {"unknown network", "x", at},
				{"nil", "udp", nil}, {"nil on udp4", "udp4", nil}, {"foreign", "udp", &net.UDPAddr{IP: net.ParseIP(s.foreign)}},
			} {
				c, err := s.server.ListenUDP(d.network, d.at)
				if c == nil {
					s.log(d.step, nil, err)
					continue
				}
				s.log(d.step, c.LocalAddr(), c.RemoteAddr(), err)
				s.must(c.Close())
			}
		}},
		{name: "listen: with a context that has ended", run: func(s *script) {
			ctx, cancel := context.WithCancel(background)
			cancel()
			l, err := s.server.Listen(ctx, net.ListenConfig{}, "tcp", net.JoinHostPort(s.serverIP, "0"))
			s.listened("Listen", l, err)
			c, err := s.server.ListenPacket(ctx, net.ListenConfig{}, "udp", net.JoinHostPort(s.serverIP, "0"))
			s.log("ListenPacket", c != nil, err)
			if c != nil {
				s.must(c.Close())
			}
		}},
		{name: "listen: Control", run: func(s *script) {
			lc := net.ListenConfig{Control: func(string, string, syscall.RawConn) error { return nil }}
			l, err := s.server.Listen(background, lc, "tcp", net.JoinHostPort(s.serverIP, "0"))
			s.listened("Listen", l, err)
			c, err := s.server.ListenPacket(background, lc, "udp", net.JoinHostPort(s.serverIP, "0"))
			s.log("ListenPacket", c != nil, err)
			if c != nil {
				s.must(c.Close())
			}
		}},
		{name: "E-GO-9 listener: after Close", run: func(s *script) {
			l := s.listen()
			s.log("Close", l.Close())
			s.log("Close again", l.Close())
			c, err := l.Accept()
			s.log("Accept", c, err)
			s.log("SetDeadline", l.SetDeadline(time.Now()))
			s.log("Addr", l.Addr())
			_, err = l.File()
			s.log("File", err)
		}},
		{name: "E-GO-9 listener: Close wakes all", run: func(s *script) {
			l := s.listen()
			var blocked []*doing
			for range 4 {
				blocked = append(blocked, s.start("Accept", func() []any { return logs(l.Accept()) }))
			}
			s.log("Close", l.Close())
			for _, d := range blocked {
				d.end()
			}
		}},
		{name: "listener: Close in many places at once", run: func(s *script) {
			l := s.listen()
			good, closed := s.atOnce(8, l.Close)
			s.log("Close", good, closed)
		}},
		{name: "listener: File and SyscallConn", run: func(s *script) {
			l := s.listen()
			f, err := l.File()
			s.log("File", f != nil, err)
			if f != nil {
				s.must(f.Close())
			}
			s.log("SyscallConn", logs(isSyscallConn(l))...)
		}},
		{name: "listener: a past deadline", run: func(s *script) {
			l := s.listen()
			s.log("SetDeadline", l.SetDeadline(time.Unix(1, 0)))
			s.log("Accept", logs(l.Accept())...)
			c := s.dialTo(l)
			s.log("Accept with one there", logs(l.Accept())...)
			s.log("clear", l.SetDeadline(time.Time{}))
			a, err := l.Accept()
			s.must(err)
			s.log("Accept", a.RemoteAddr(), err)
			s.send(c, a.(stream), "x")
			s.must(a.Close())
		}},
		{name: "listener: a deadline passes, and is moved while blocked", run: func(s *script) {
			l := s.listen()
			s.log("SetDeadline", l.SetDeadline(time.Now().Add(10*time.Millisecond)))
			s.log("Accept", logs(l.Accept())...)
			s.log("later", l.SetDeadline(time.Now().Add(time.Hour)))
			d := s.start("Accept", func() []any { return logs(l.Accept()) })
			s.log("past", l.SetDeadline(time.Unix(1, 0)))
			d.end()
			s.log("soon", l.SetDeadline(time.Now().Add(10*time.Millisecond)))
			d = s.start("Accept with a deadline cleared", func() []any {
				c, err := l.Accept()
				if err == nil {
					_ = c.Close()
				}
				return logs(c != nil, err)
			})
			s.log("clear", l.SetDeadline(time.Time{}))
			_ = s.dialTo(l)
			<-d.done // whichever came first, the deadline or the clearing
		}},
		{name: "listener: accepts in order", run: func(s *script) {
			l := s.listen()
			for i := range 5 {
				s.label(fmt.Sprint("C", i), s.dialTo(l).LocalAddr())
				c := s.dialTo(l)
				s.label(fmt.Sprint("D", i), c.LocalAddr())
			}
			for range 10 {
				a, err := l.Accept()
				s.must(err)
				s.log("Accept", a.RemoteAddr(), a.LocalAddr())
				s.must(a.Close())
			}
		}},
		{name: "listener: many Accepts for many connections", run: func(s *script) {
			l := s.listen()
			var group sync.WaitGroup
			for range 6 {
				group.Go(func() {
					a, err := l.Accept()
					if err == nil {
						_, err = a.Write([]byte("hello"))
						_ = a.Close()
					}
					s.log("Accept", err)
				})
			}
			for range 6 {
				c := s.dialTo(l)
				b := make([]byte, 8)
				n, err := c.Read(b)
				s.must(err)
				if string(b[:n]) != "hello" {
					s.t.Errorf("read %q", b[:n])
				}
			}
			group.Wait()
		}},
		{name: "E-LIS-7 listener: a connection that was reset in the queue", run: func(s *script) {
			l := s.listen()
			c := s.dialTo(l)
			s.must(c.SetLinger(0))
			s.must(c.Close())
			a, err := l.Accept()
			s.must(err)
			s.label("S", a.LocalAddr())
			s.log("Read", logs(a.Read(make([]byte, 1)))...)
			s.log("Write", logs(a.Write([]byte("x")))...)
			s.log("Close", a.Close())
		}},
		{name: "E-LIS-8 listener: text and the end of it in the queue", run: func(s *script) {
			l := s.listen()
			c := s.dialTo(l)
			_, err := c.Write([]byte("hello"))
			s.must(err)
			s.must(c.Close())
			a, err := l.Accept()
			s.must(err)
			s.cleanup(func() { _ = a.Close() })
			b := make([]byte, 8)
			n, err := a.Read(b)
			s.log("Read", b[:n], err)
			s.log("Read", logs(a.Read(b))...)
		}},
		{name: "E-LIS-6 listener: Close resets who waits", run: func(s *script) {
			l := s.listen()
			c := s.dialTo(l)
			s.log("Close", l.Close())
			s.log("Read", logs(c.Read(make([]byte, 1)))...)
			s.log("Write", logs(c.Write([]byte("x")))...)
			s.dial("Dial", net.Dialer{}, "tcp", l.Addr().String())
		}},
		{name: "listener: Close leaves accepted ones alone", run: func(s *script) {
			c, p := s.ends()
			s.send(c, p, "to and")
			s.send(p, c, "fro")
			s.log("done")
		}},
		{name: "addresses: of a listener on the wildcard", run: func(s *script) {
			l, err := s.server.Listen(background, net.ListenConfig{}, "tcp", ":0")
			s.must(err)
			s.cleanup(func() { _ = l.Close() })
			at := net.JoinHostPort(s.serverIP, fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
			c, err := s.client.Dial(background, net.Dialer{}, "tcp", at)
			s.must(err)
			s.cleanup(func() { _ = c.Close() })
			a, err := l.Accept()
			s.must(err)
			s.cleanup(func() { _ = a.Close() })
			s.log("dialled", c.RemoteAddr(), c.RemoteAddr().Network())
			s.log("accepted", a.LocalAddr(), a.LocalAddr().String() == c.RemoteAddr().String(), a.RemoteAddr().String() == c.LocalAddr().String())
			s.log("octets", len(a.LocalAddr().(*net.TCPAddr).IP))
		}},
		{name: "addresses: both ends agree, and keep them", run: func(s *script) {
			c, p := s.ends()
			show := func(step string) {
				s.log(step, c.LocalAddr(), c.RemoteAddr(), p.LocalAddr(), p.RemoteAddr(), c.LocalAddr().Network())
				s.log(step+" agree", c.LocalAddr().String() == p.RemoteAddr().String(), c.RemoteAddr().String() == p.LocalAddr().String())
			}
			s.label("C", c.LocalAddr())
			show("open")
			s.must(c.Close())
			s.must(p.Close())
			show("closed")
			s.log("octets", len(c.LocalAddr().(*net.TCPAddr).IP), len(p.RemoteAddr().(*net.TCPAddr).IP))
		}},
		{name: "addresses: the network is the one that was asked for", run: func(s *script) {
			l := s.listenOn("Listen", s.tcp, net.JoinHostPort(s.serverIP, "0"))
			c, err := s.client.Dial(background, net.Dialer{}, s.tcp, l.Addr().String())
			s.must(err)
			a, err := l.Accept()
			s.must(err)
			s.must(c.Close())
			s.must(a.Close())
			s.label("S", a.LocalAddr())
			s.label("C", c.LocalAddr())
			s.log("dialled", logs(c.Read(nil))...)
			s.log("accepted", logs(a.Read(nil))...)
			s.must(l.Close())
			s.log("Accept", logs(l.Accept())...)
		}},
	}...)
}

// atOnce makes a call n times at once, and returns how often it succeeded and how often it said net.ErrClosed.
func (s *script) atOnce(n int, call func() error) (good, closed int) {
	errs := make(chan error)
	for range n {
		go func() { errs <- call() }()
	}
	for range n {
		switch err := <-errs; {
		case err == nil:
			good++
		case s.show(err) != "" && isClosed(err):
			closed++
		default:
			s.log("otherwise", err)
		}
	}
	return good, closed
}
