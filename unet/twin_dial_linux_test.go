package unet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"
)

// dialled logs a dial and closes the connection.
func (s *script) dialled(step string, c net.Conn, err error) {
	if c == nil {
		s.log(step, nil, err)
		return
	}
	s.log(step, fmt.Sprintf("local %T remote %T", c.LocalAddr(), c.RemoteAddr()), s.normal(c.RemoteAddr().String()), err)
	_ = c.Close()
}

func (s *script) dial(step string, d net.Dialer, network, address string) {
	c, err := s.client.Dial(background, d, network, address)
	s.dialled(step, c, err)
}

// timedOut logs a dial whose time was up on the way. In package net two clocks race, the context's and the
// poller's, and the error is that of the one which wins: context.DeadlineExceeded or os.ErrDeadlineExceeded.
func (s *script) timedOut(step string, c net.Conn, err error) {
	var ne interface{ Timeout() bool }
	s.log(step, c == nil, s.normal(fmt.Sprint(err)), errors.As(err, &ne) && ne.Timeout(),
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded))
}

func dialRefusals() (list []scenario) {
	for _, d := range []struct{ name, network, format string }{
		{"refused", "tcp", "IP:PORT"},
		{"refused tcp4", "tcp4", "IP:PORT"},
		{"refused, IPv4-mapped", "tcp", "[::ffff:IP]:PORT"},
		{"IPv4-mapped on tcp4", "tcp4", "[::ffff:IP]:PORT"},
		{"without a port", "tcp", "IP"},
		{"empty port", "tcp", "IP:"},
		{"port zero", "tcp", "IP:0"},
		{"negative port", "tcp", "IP:-1"},
		{"port beyond 65535", "tcp", "IP:65536"},
		{"port that overflows", "tcp", "IP:9999999999"},
		{"no such service", "tcp", "IP:no-such-service"},
		{"too many colons", "tcp", "IP:1:2"},
		{"missing bracket", "tcp", "[IP:PORT"},
		{"unknown network", "tcp5", "IP:PORT"},
		{"empty network", "", "IP:PORT"},
		{"IPv4 address on tcp6", "tcp6", "IP:PORT"},
		{"UDP without a port", "udp", "IP"},
		{"UDP to port zero", "udp", "IP:0"},
		{"IPv4 address on udp6", "udp6", "IP:PORT"},
	} {
		family := ""
		if strings.Contains(d.name, "IPv4-mapped") {
			family = "IPv4"
		}
		list = append(list, scenario{name: "dial: " + d.name, family: family, run: func(s *script) {
			fill := strings.NewReplacer("IP", bracketed(s.serverIP), "PORT", fmt.Sprint(s.freePort().Port))
			s.dial("Dial", net.Dialer{}, d.network, fill.Replace(d.format))
		}})
	}
	for _, d := range []struct{ name, network, address string }{
		{"no address", "tcp", ""},
		{"no address, UDP", "udp", ""},
		{"IPv6 address on tcp4", "tcp4", "[::1]:80"},
		{"IPv6 address on udp4", "udp4", "[::1]:80"},
		{"no route", "tcp", "FOREIGN:80"},
		{"no route, UDP", "udp", "FOREIGN:80"},
		{"multicast", "tcp", "224.0.0.1:80"},
		{"broadcast", "tcp", "255.255.255.255:80"},
		{"not an address", "tcp", "1.2.3:80"},
		{"service without a host", "tcp", ":http-that-nobody-knows"},
	} {
		list = append(list, scenario{name: "dial: " + d.name, run: func(s *script) {
			s.dial("Dial", net.Dialer{}, d.network, s.fill(d.address))
		}})
	}
	return list
}

func dialScenarios() []scenario {
	return append(dialRefusals(), []scenario{
		{name: "dial: to the wildcard is to oneself", oneHost: true, run: func(s *script) {
			l, err := s.server.Listen(background, net.ListenConfig{}, "tcp4", ":0")
			s.must(err)
			s.cleanup(func() { _ = l.Close() })
			port := l.Addr().(*net.TCPAddr).Port
			s.dial("empty host", net.Dialer{}, "tcp", fmt.Sprintf(":%d", port))
			s.dial("0.0.0.0", net.Dialer{}, "tcp", fmt.Sprintf("0.0.0.0:%d", port))
			c, err := s.client.DialTCP("tcp", nil, &net.TCPAddr{Port: port})
			s.dialled("DialTCP without an IP", nilConn(c), err)
			from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 5)}}
			s.dial("from one of our addresses", from, "tcp", fmt.Sprintf("0.0.0.0:%d", port))
			s.dial("from one of our addresses to all of either family", from, "tcp4", fmt.Sprintf("[::]:%d", port))
			from.LocalAddr = &net.UDPAddr{IP: net.IPv4(127, 0, 0, 5)}
			s.dial("UDP from one of our addresses", from, "udp", fmt.Sprintf("0.0.0.0:%d", port))
		}},
		{name: "dial: a local address of another network", run: func(s *script) {
			f := s.freePort()
			s.dial("UDP for TCP", net.Dialer{LocalAddr: &net.UDPAddr{}}, "tcp", f.String())
			s.dial("TCP for UDP", net.Dialer{LocalAddr: &net.TCPAddr{}}, "udp", f.String())
			s.dial("unix for TCP", net.Dialer{LocalAddr: &net.UnixAddr{Name: "x", Net: "unix"}}, "tcp", f.String())
		}},
		{name: "dial: a foreign local address", run: func(s *script) {
			s.dial("TCP", net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(s.foreign)}}, "tcp", s.freePort().String())
			s.dial("UDP", net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(s.foreign)}}, "udp", s.freePort().String())
		}},
		{name: "dial: a local address of the other family", run: func(s *script) {
			s.dial("TCP", net.Dialer{LocalAddr: &net.TCPAddr{IP: s.otherLoopback()}}, "tcp", s.freePort().String())
		}},
		{name: "dial: from an address with any port", run: func(s *script) {
			l := s.listen()
			s.dial("Dial", net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(s.clientIP)}}, "tcp", l.Addr().String())
			s.dial("from the wildcard", net.Dialer{LocalAddr: &net.TCPAddr{}}, "tcp", l.Addr().String())
			s.dial("from 0.0.0.0", net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4zero}}, "tcp", l.Addr().String())
		}},
		{name: "dial: from a port that another connection has", run: func(s *script) {
			l := s.listen()
			c := s.dialTo(l)
			s.dial("to the same", net.Dialer{LocalAddr: c.LocalAddr()}, "tcp", l.Addr().String())
			s.dial("to another", net.Dialer{LocalAddr: c.LocalAddr()}, "tcp", s.listen().Addr().String())
			s.dial("UDP", net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(s.clientIP), Port: c.LocalAddr().(*net.TCPAddr).Port}}, "udp", l.Addr().String())
		}},
		{name: "dial: from a port that a listener has", run: func(s *script) {
			l := s.listen()
			mine, err := s.client.Listen(background, net.ListenConfig{}, "tcp", net.JoinHostPort(s.clientIP, "0"))
			s.must(err)
			s.cleanup(func() { _ = mine.Close() })
			s.dial("Dial", net.Dialer{LocalAddr: mine.Addr()}, "tcp", l.Addr().String())
		}},
		{name: "dial: from a port again after a reset", run: func(s *script) {
			l := s.listen()
			mine, err := s.client.Listen(background, net.ListenConfig{}, "tcp", net.JoinHostPort(s.clientIP, "0"))
			s.must(err)
			from := mine.Addr()
			s.must(mine.Close())
			for range 2 {
				c, err := s.client.Dial(background, net.Dialer{LocalAddr: from}, "tcp", l.Addr().String())
				s.log("Dial", c != nil, err)
				s.must(err)
				s.log("port", c.LocalAddr().String() == from.String())
				s.must(c.(stream).SetLinger(0))
				s.must(c.Close())
				a, err := l.Accept()
				s.must(err)
				_, err = a.Read(make([]byte, 1))
				s.log("peer's Read", fmt.Sprint(err != nil))
				s.must(a.Close())
			}
		}},
		{name: "dial: from a port in TIME-WAIT", run: func(s *script) {
			l := s.listen()
			mine, err := s.client.Listen(background, net.ListenConfig{}, "tcp", net.JoinHostPort(s.clientIP, "0"))
			s.must(err)
			from := mine.Addr()
			s.label("M", from)
			s.must(mine.Close())
			c, err := s.client.Dial(background, net.Dialer{LocalAddr: from}, "tcp", l.Addr().String())
			s.must(err)
			a, err := l.Accept()
			s.must(err)
			s.must(c.Close())
			_, err = a.Read(make([]byte, 1))
			s.log("peer's Read", err)
			s.must(a.Close())
			s.log("again")
			c, err = s.client.Dial(background, net.Dialer{LocalAddr: from}, "tcp", s.listen().Addr().String())
			s.dialled("Dial", c, err)
		}},
		{name: "E-GO-8 dial: cancelled before", run: func(s *script) {
			ctx, cancel := context.WithCancel(background)
			cancel()
			c, err := s.client.Dial(ctx, net.Dialer{}, "tcp", s.listen().Addr().String())
			s.dialled("Dial", c, err)
			c, err = s.client.Dial(ctx, net.Dialer{}, "udp", net.JoinHostPort(s.serverIP, "9"))
			s.dialled("Dial UDP", c, err)
			a, err := s.client.DialTCPFrom(ctx, net.Dialer{}, "tcp", netip.AddrPort{}, s.listen().Addr().(*net.TCPAddr).AddrPort())
			s.dialled("DialTCP", nilConn(a), err)
			u, err := s.client.DialUDPFrom(ctx, net.Dialer{}, "udp", netip.AddrPort{}, netip.MustParseAddrPort(net.JoinHostPort(s.serverIP, "9")))
			s.dialled("DialUDP", nilPackets(u), err)
		}},
		{name: "E-GO-8 dial: a cause of its own", run: func(s *script) {
			ctx, cancel := context.WithCancelCause(background)
			cancel(syscall.ENOTRECOVERABLE)
			c, err := s.client.Dial(ctx, net.Dialer{}, "tcp", s.listen().Addr().String())
			s.dialled("Dial", c, err)
		}},
		{name: "E-GO-8 dial: a deadline before", run: func(s *script) {
			ctx, cancel := context.WithDeadline(background, time.Unix(1, 0))
			defer cancel()
			at := s.listen().Addr().String()
			c, err := s.client.Dial(ctx, net.Dialer{}, "tcp", at)
			s.dialled("context", c, err)
			s.dial("negative timeout", net.Dialer{Timeout: -1}, "tcp", at)
			s.dial("Deadline", net.Dialer{Deadline: time.Unix(1, 0)}, "tcp", at)
			s.dial("Deadline, UDP", net.Dialer{Deadline: time.Unix(1, 0)}, "udp", net.JoinHostPort(s.serverIP, "9"))
			s.dial("Deadline far away", net.Dialer{Deadline: time.Now().Add(1 << 62)}, "tcp", at)
			s.dial("Timeout far away", net.Dialer{Timeout: 1 << 62}, "tcp", at)
		}},
		{name: "E-GO-8 dial: cancelled in SYN-SENT", run: func(s *script) {
			ctx, cancel := context.WithCancel(background)
			d := s.start("Dial", func() []any { return logs(s.client.Dial(ctx, net.Dialer{}, "tcp", net.JoinHostPort(s.silent, "80"))) })
			cancel()
			d.end()
		}},
		{name: "E-GO-8 dial: cancelled by Dialer.Cancel", run: func(s *script) {
			stop := make(chan struct{})
			//lint:ignore SA1019 it still works
			dialer := net.Dialer{Cancel: stop}
			d := s.start("Dial", func() []any { return logs(s.client.Dial(background, dialer, "tcp", net.JoinHostPort(s.silent, "80"))) })
			close(stop)
			d.end()
			closed, err := s.client.Dial(background, dialer, "tcp", net.JoinHostPort(s.silent, "80"))
			s.dialled("cancelled before", closed, err)
		}},
		{name: "E-GO-8 dial: out of time in SYN-SENT", run: func(s *script) {
			const short = 20 * time.Millisecond
			c, err := s.client.Dial(background, net.Dialer{Timeout: short}, "tcp", net.JoinHostPort(s.silent, "80"))
			s.timedOut("Timeout", c, err)
			c, err = s.client.Dial(background, net.Dialer{Deadline: time.Now().Add(short)}, "tcp", net.JoinHostPort(s.silent, "80"))
			s.timedOut("Deadline", c, err)
			c, err = s.client.Dial(background, net.Dialer{Timeout: time.Hour, Deadline: time.Now().Add(short)}, "tcp", net.JoinHostPort(s.silent, "80"))
			s.timedOut("the earlier of both", c, err)
			ctx, cancel := context.WithTimeout(background, short)
			defer cancel()
			c, err = s.client.Dial(ctx, net.Dialer{}, "tcp", net.JoinHostPort(s.silent, "80"))
			s.timedOut("context", c, err)
			c, err = s.client.Dial(ctx, net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(s.clientIP)}}, "tcp", net.JoinHostPort(s.silent, "80"))
			s.timedOut("with a local address", c, err)
			a, err := s.client.DialTCPFrom(background, net.Dialer{Timeout: short}, "tcp", netip.AddrPort{}, netip.MustParseAddrPort(net.JoinHostPort(s.silent, "80")))
			s.timedOut("DialTCP", nilConn(a), err)
		}},
		{name: "E-GO-8 dial: cancelled afterwards, it lives on", run: func(s *script) {
			l := s.listen()
			ctx, cancel := context.WithCancel(background)
			c, err := s.client.Dial(ctx, net.Dialer{Timeout: time.Hour}, "tcp", l.Addr().String())
			s.must(err)
			cancel()
			n, err := c.Write([]byte("x"))
			s.log("Write", n, err)
			s.must(c.Close())
		}},
		{name: "dial: a nil context", run: func(s *script) {
			defer func() { s.log("panic", recover()) }()
			var none context.Context
			_, _ = s.client.Dial(none, net.Dialer{}, "tcp", net.JoinHostPort(s.serverIP, "9"))
		}},
		{name: "dial: Control", run: func(s *script) {
			l := s.listen()
			s.dial("Control", net.Dialer{Control: func(string, string, syscall.RawConn) error { return nil }}, "tcp", l.Addr().String())
			s.dial("ControlContext", net.Dialer{ControlContext: func(context.Context, string, string, syscall.RawConn) error { return nil }}, "tcp", l.Addr().String())
		}},
		{name: "dial: DialTCP", run: func(s *script) {
			l := s.listen()
			at := l.Addr().(*net.TCPAddr)
			for _, d := range []struct {
				step, network string
				laddr, raddr  *net.TCPAddr
			}{
				{"plain", "tcp", nil, at},
				{"tcp4", "tcp4", nil, at},
				{"tcp6", "tcp6", nil, at},
				{"udp", "udp", nil, at},
				{"unknown network", "tcp9", nil, at},
				{"nobody", "tcp", nil, nil},
				{"from an address", "tcp", &net.TCPAddr{IP: net.ParseIP(s.clientIP)}, at},
				{"from a foreign address", "tcp", &net.TCPAddr{IP: net.ParseIP(s.foreign)}, at},
				{"from an address that is none", "tcp", &net.TCPAddr{IP: net.IP{1, 2}}, at},
				{"to an address that is none", "tcp", nil, &net.TCPAddr{IP: net.IP{1, 2}, Port: 80}},
				{"refused", "tcp", nil, s.freePort()},
			} {
				c, err := s.client.DialTCP(d.network, d.laddr, d.raddr)
				s.dialled(d.step, nilConn(c), err)
			}
		}},
		{name: "dial: Dialer.DialTCP and DialUDP", run: func(s *script) {
			at := s.listen().Addr().(*net.TCPAddr).AddrPort()
			from := netip.AddrPortFrom(netip.MustParseAddr(s.clientIP), 0)
			c, err := s.client.DialTCPFrom(background, net.Dialer{}, "tcp", netip.AddrPort{}, at)
			s.dialled("DialTCP", nilConn(c), err)
			c, err = s.client.DialTCPFrom(background, net.Dialer{}, "tcp", from, at)
			s.dialled("DialTCP from", nilConn(c), err)
			c, err = s.client.DialTCPFrom(background, net.Dialer{}, "udp", from, at)
			s.dialled("DialTCP on udp", nilConn(c), err)
			c, err = s.client.DialTCPFrom(background, net.Dialer{}, "tcp", netip.AddrPort{}, netip.AddrPort{})
			s.dialled("DialTCP to nothing", nilConn(c), err)
			u, err := s.client.DialUDPFrom(background, net.Dialer{}, "udp", netip.AddrPort{}, at)
			s.dialled("DialUDP", nilPackets(u), err)
			u, err = s.client.DialUDPFrom(background, net.Dialer{}, "udp", from, at)
			s.dialled("DialUDP from", nilPackets(u), err)
			u, err = s.client.DialUDPFrom(background, net.Dialer{}, "tcp", from, at)
			s.dialled("DialUDP on tcp", nilPackets(u), err)
		}},
		{name: "dial: traced", run: func(s *script) {
			l, free := s.listen(), s.freePort()
			ctx := httptrace.WithClientTrace(background, &httptrace.ClientTrace{
				DNSStart:     func(i httptrace.DNSStartInfo) { s.log("DNSStart", i.Host) },
				ConnectStart: func(network, addr string) { s.log("ConnectStart", network, s.normal(addr)) },
				ConnectDone:  func(network, addr string, err error) { s.log("ConnectDone", network, s.normal(addr), err) },
			})
			for _, d := range []struct{ step, network, address string }{
				{"TCP", "tcp", l.Addr().String()}, {"tcp4", s.tcp, l.Addr().String()}, {"refused", "tcp", free.String()},
				{"UDP", "udp", l.Addr().String()}, {"of the other family", "tcp", "[::1]:80"}, {"not an address", "tcp", "1:2:3"},
				{"no route", "tcp", "FOREIGN:80"},
			} {
				c, err := s.client.Dial(ctx, net.Dialer{}, d.network, s.fill(d.address))
				s.dialled(d.step, c, err)
			}
			c, err := s.client.DialTCPFrom(ctx, net.Dialer{}, "tcp", netip.AddrPort{}, l.Addr().(*net.TCPAddr).AddrPort())
			s.dialled("DialTCP", nilConn(c), err)
			ended, cancel := context.WithCancel(ctx)
			cancel()
			late, err := s.client.Dial(ended, net.Dialer{}, "tcp", l.Addr().String())
			s.dialled("cancelled before", late, err)
		}},
		{name: "dial: many at once", run: func(s *script) {
			l := s.listen()
			const n = 20
			errs := make(chan error, n)
			for range n {
				go func() {
					c, err := s.client.Dial(background, net.Dialer{}, "tcp", l.Addr().String())
					if err == nil {
						err = c.Close()
					}
					errs <- err
				}()
			}
			peers := make(map[string]bool)
			for range n {
				a, err := l.Accept()
				s.must(err)
				peers[a.RemoteAddr().String()] = true
				s.must(a.Close())
			}
			for range n {
				s.must(<-errs)
			}
			s.log("peers", len(peers))
		}},
	}...)
}

func nilConn(c stream) net.Conn {
	if c == nil {
		return nil
	}
	return c
}

func nilPackets(c packets) net.Conn {
	if c == nil {
		return nil
	}
	return c
}
