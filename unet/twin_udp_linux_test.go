package unet

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

func (s *script) received(step string, c packets) {
	b := make([]byte, 8)
	n, from, err := c.ReadFrom(b)
	s.log(step, n, b[:n], from, err)
}

func udpScenarios() []scenario {
	return []scenario{
		{name: "E-GO-14 packets: to and fro", run: func(s *script) {
			c, p := s.sockets()
			s.log("Write", logs(c.Write([]byte("hello")))...)
			s.received("ReadFrom", p)
			s.log("WriteTo", logs(p.WriteTo([]byte("back"), c.LocalAddr()))...)
			b := make([]byte, 8)
			n, err := c.Read(b)
			s.log("Read", b[:n], err)
			s.log("addresses", c.LocalAddr(), c.RemoteAddr(), p.LocalAddr(), p.RemoteAddr())
		}},
		{name: "packets: empty ones count", run: func(s *script) {
			c, p := s.sockets()
			s.log("Write", logs(c.Write(nil))...)
			s.received("ReadFrom", p)
			_, err := p.WriteTo(nil, c.LocalAddr())
			s.must(err)
			s.log("Read", logs(c.Read(make([]byte, 4)))...)
		}},
		{name: "packets: into an empty buffer", run: func(s *script) {
			c, p := s.sockets()
			_, err := c.Write([]byte("gone"))
			s.must(err)
			s.log("Read nil", logs(p.Read(nil))...)
			_, err = c.Write([]byte("next"))
			s.must(err)
			s.received("ReadFrom", p)
		}},
		{name: "packets: what does not fit is lost", run: func(s *script) {
			c, p := s.sockets()
			for range 2 {
				_, err := c.Write([]byte("0123456789"))
				s.must(err)
			}
			s.received("ReadFrom", p)
			n, oobn, flags, from, err := p.ReadMsgUDP(make([]byte, 4), nil)
			s.log("ReadMsgUDP", n, oobn, flags, from, err)
		}},
		{name: "packets: every way to read", run: func(s *script) {
			c, p := s.sockets()
			for range 6 {
				_, err := c.Write([]byte("text"))
				s.must(err)
			}
			b := make([]byte, 8)
			s.log("Read", logs(p.Read(b))...)
			n, a, err := p.ReadFrom(b)
			s.log("ReadFrom", n, a, err)
			n, u, err := p.ReadFromUDP(b)
			s.log("ReadFromUDP", n, u, err)
			n, ap, err := p.ReadFromUDPAddrPort(b)
			s.log("ReadFromUDPAddrPort", n, s.normal(ap.String()), ap.Addr().Is4In6(), err)
			n, oobn, flags, u, err := p.ReadMsgUDP(b, make([]byte, 64))
			s.log("ReadMsgUDP", n, oobn, flags, u, err)
			n, oobn, flags, ap, err = p.ReadMsgUDPAddrPort(b, nil)
			s.log("ReadMsgUDPAddrPort", n, oobn, flags, s.normal(ap.String()), err)
		}},
		{name: "packets: every way to read on the wildcard", run: func(s *script) {
			p, err := s.server.ListenUDP("udp", nil)
			s.must(err)
			s.cleanup(func() { _ = p.Close() })
			c, err := s.client.DialUDP("udp", nil, &net.UDPAddr{IP: net.ParseIP(s.serverIP), Port: p.LocalAddr().(*net.UDPAddr).Port})
			s.must(err)
			s.cleanup(func() { _ = c.Close() })
			for range 2 {
				_, err = c.Write([]byte("text"))
				s.must(err)
			}
			n, u, err := p.ReadFromUDP(make([]byte, 8))
			s.log("ReadFromUDP", n, len(u.IP), u, err)
			n, ap, err := p.ReadFromUDPAddrPort(make([]byte, 8))
			s.log("ReadFromUDPAddrPort", n, ap.Addr().Is4In6(), err)
			s.log("WriteTo", logs(p.WriteTo([]byte("x"), u))...)
			s.log("Read", logs(c.Read(make([]byte, 4)))...)
		}},
		{name: "packets: every way to write", run: func(s *script) {
			c, p := s.sockets()
			to := c.LocalAddr().(*net.UDPAddr)
			b := []byte("text")
			s.log("WriteTo", logs(p.WriteTo(b, to))...)
			s.log("WriteToUDP", logs(p.WriteToUDP(b, to))...)
			s.log("WriteToUDPAddrPort", logs(p.WriteToUDPAddrPort(b, to.AddrPort()))...)
			n, oobn, err := p.WriteMsgUDP(b, nil, to)
			s.log("WriteMsgUDP", n, oobn, err)
			n, oobn, err = p.WriteMsgUDPAddrPort(b, nil, to.AddrPort())
			s.log("WriteMsgUDPAddrPort", n, oobn, err)
			n, oobn, err = c.WriteMsgUDP(b, nil, nil)
			s.log("WriteMsgUDP when connected", n, oobn, err)
			mapped := netip.AddrPortFrom(netip.AddrFrom16(to.AddrPort().Addr().As16()), uint16(to.Port))
			s.log("to an IPv4-mapped address", logs(p.WriteToUDPAddrPort(b, mapped))...)
			for range 6 {
				s.log("Read", logs(c.Read(make([]byte, 8)))...)
			}
		}},
		{name: "E-GO-14 packets: WriteTo when connected", run: func(s *script) {
			c, p := s.sockets()
			to, b := p.LocalAddr().(*net.UDPAddr), []byte("x")
			s.log("WriteTo", logs(c.WriteTo(b, to))...)
			s.log("WriteToUDP", logs(c.WriteToUDP(b, to))...)
			s.log("WriteToUDPAddrPort", logs(c.WriteToUDPAddrPort(b, to.AddrPort()))...)
			_, _, err := c.WriteMsgUDP(b, nil, to)
			s.log("WriteMsgUDP", err)
			_, _, err = c.WriteMsgUDPAddrPort(b, nil, to.AddrPort())
			s.log("WriteMsgUDPAddrPort", err)
		}},
		{name: "packets: Write when not connected", run: func(s *script) {
			_, p := s.sockets()
			b := []byte("x")
			s.log("Write", logs(p.Write(b))...)
			s.log("WriteTo nil", logs(p.WriteTo(b, nil))...)
			s.log("WriteTo a nil *UDPAddr", logs(p.WriteTo(b, (*net.UDPAddr)(nil)))...)
			s.log("WriteToUDP nil", logs(p.WriteToUDP(b, nil))...)
			s.log("WriteToUDPAddrPort nothing", logs(p.WriteToUDPAddrPort(b, netip.AddrPort{}))...)
			_, _, err := p.WriteMsgUDP(b, nil, nil)
			s.log("WriteMsgUDP nil", err)
			s.log("WriteTo a TCP address", logs(p.WriteTo(b, &net.TCPAddr{}))...)
		}},
		{name: "packets: to addresses that are none", run: func(s *script) {
			c, p := s.sockets()
			b, ip := []byte("x"), net.ParseIP(s.clientIP)
			s.log("port zero", logs(p.WriteTo(b, &net.UDPAddr{IP: ip}))...)
			s.log("no route", logs(p.WriteTo(b, &net.UDPAddr{IP: net.ParseIP(s.foreign), Port: 9}))...)
			s.log("three octets", logs(p.WriteTo(b, &net.UDPAddr{IP: net.IP{1, 2, 3}, Port: 9}))...)
			s.log("the other family", logs(p.WriteTo(b, &net.UDPAddr{IP: net.IPv6loopback, Port: 9}))...)
			s.log("it lives on", logs(p.WriteTo(b, c.LocalAddr()))...)
			s.log("Read", logs(c.Read(make([]byte, 1)))...)
		}},
		{name: "packets: too long", run: func(s *script) {
			c, p := s.sockets()
			s.log("65508", logs(p.WriteTo(make([]byte, 65508), c.LocalAddr()))...)
			s.log("connected", logs(c.Write(make([]byte, 1<<20)))...)
			s.log("65507", logs(p.WriteTo(make([]byte, 65507), c.LocalAddr()))...)
			s.log("Read", logs(c.Read(make([]byte, 1<<16)))...)
		}},
		{name: "packets: nobody is there", run: func(s *script) {
			c, p := s.sockets()
			s.must(p.Close())
			s.log("Write", logs(c.Write([]byte("x")))...)
			s.log("Read", logs(c.Read(make([]byte, 1)))...)
			s.log("Write again", logs(c.Write([]byte("x")))...)
			s.log("Read again", logs(c.Read(make([]byte, 1)))...)
			s.must(c.SetReadDeadline(past))
			s.log("Read at last", logs(c.Read(make([]byte, 1)))...)
		}},
		{name: "packets: refused while a Read is blocked", run: func(s *script) {
			c, p := s.sockets()
			s.must(p.Close())
			d := s.start("Read", func() []any { return logs(c.Read(make([]byte, 1))) })
			s.log("Write", logs(c.Write([]byte("x")))...)
			d.end()
		}},
		{name: "packets: nobody is there, and nobody is told without a connection", run: func(s *script) {
			c, p := s.sockets()
			to := c.LocalAddr()
			s.must(c.Close())
			s.log("WriteTo", logs(p.WriteTo([]byte("x"), to))...)
			s.must(p.SetReadDeadline(time.Now().Add(soon)))
			s.log("Read", logs(p.Read(make([]byte, 1)))...)
		}},
		{name: "packets: strangers are not heard by a connected one", run: func(s *script) {
			c, p := s.sockets()
			other, err := s.server.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(s.serverIP)})
			s.must(err)
			s.cleanup(func() { _ = other.Close() })
			_, err = other.WriteTo([]byte("stranger"), c.LocalAddr())
			s.must(err)
			_, err = p.WriteTo([]byte("friend"), c.LocalAddr())
			s.must(err)
			s.received("ReadFrom", c)
		}},
		{name: "E-GO-14 packets: everything after Close", run: func(s *script) {
			c, p := s.sockets()
			to, b := c.LocalAddr().(*net.UDPAddr), []byte("x")
			s.log("Close", p.Close())
			s.log("Close again", p.Close())
			s.received("ReadFrom", p)
			s.log("Read", logs(p.Read(b))...)
			n, u, err := p.ReadFromUDP(b)
			s.log("ReadFromUDP", n, u == nil, err)
			n, oobn, flags, u, err := p.ReadMsgUDP(b, nil)
			s.log("ReadMsgUDP", n, oobn, flags, u == nil, err)
			s.log("Write", logs(p.Write(b))...)
			s.log("WriteTo", logs(p.WriteTo(b, to))...)
			_, _, err = p.WriteMsgUDP(b, nil, to)
			s.log("WriteMsgUDP", err)
			s.log("SetDeadline", p.SetDeadline(past))
			s.log("SetReadDeadline", p.SetReadDeadline(past))
			s.log("SetWriteDeadline", p.SetWriteDeadline(past))
			s.log("SetReadBuffer", p.SetReadBuffer(1<<16))
			s.log("SetWriteBuffer", p.SetWriteBuffer(1<<16))
			s.log("addresses", p.LocalAddr(), p.RemoteAddr())
			s.must(c.Close())
			s.log("connected: Write", logs(c.Write(b))...)
			s.log("connected: Read", logs(c.Read(b))...)
			s.log("connected: Close", c.Close())
			s.log("connected: addresses", c.LocalAddr(), c.RemoteAddr())
		}},
		{name: "packets: Close wakes all", run: func(s *script) {
			_, p := s.sockets()
			var all []*doing
			for range 3 {
				all = append(all, s.start("ReadFrom", func() []any {
					n, from, err := p.ReadFrom(make([]byte, 1))
					return logs(n, from, err)
				}))
			}
			s.log("Close", p.Close())
			for _, d := range all {
				d.end()
			}
		}},
		{name: "packets: deadlines", run: func(s *script) {
			c, p := s.sockets()
			s.log("past", p.SetReadDeadline(past))
			s.received("ReadFrom", p)
			_, err := c.Write([]byte("text"))
			s.must(err)
			s.received("ReadFrom with one there", p)
			s.log("clear", p.SetReadDeadline(time.Time{}))
			s.received("ReadFrom", p)
			s.log("soon", p.SetReadDeadline(time.Now().Add(soon)))
			s.received("ReadFrom", p)
			s.log("clear", p.SetDeadline(time.Time{}))
			d := s.start("Read", func() []any { return logs(p.Read(make([]byte, 1))) })
			s.log("past while blocked", p.SetReadDeadline(past))
			d.end()
			s.log("writes", p.SetWriteDeadline(past))
			s.log("WriteTo", logs(p.WriteTo([]byte("x"), c.LocalAddr()))...)
			s.log("Write", logs(c.Write([]byte("x")))...)
			s.log("both", c.SetDeadline(past))
			s.log("Write", logs(c.Write([]byte("x")))...)
			s.log("Read", logs(c.Read(make([]byte, 1)))...)
		}},
		{name: "packets: buffers", run: func(s *script) {
			c, _ := s.sockets()
			for _, n := range []int{1, 0, -1, 1 << 20} {
				s.log(fmt.Sprint("read ", n), c.SetReadBuffer(n))
				s.log(fmt.Sprint("write ", n), c.SetWriteBuffer(n))
			}
		}},
		{name: "packets: File and SyscallConn", run: func(s *script) {
			_, p := s.sockets()
			f, err := p.File()
			s.log("File", f != nil, err)
			if f != nil {
				s.must(f.Close())
			}
			s.log("SyscallConn", logs(isSyscallConn(p))...)
		}},
		{name: "packets: control messages", run: func(s *script) {
			c, p := s.sockets()
			n, oobn, err := p.WriteMsgUDP([]byte("x"), make([]byte, 3), c.LocalAddr().(*net.UDPAddr))
			s.log("WriteMsgUDP", n, oobn, err)
			to, foreign := c.LocalAddr().(*net.UDPAddr), netip.MustParseAddr(s.foreign)
			written := func(step string, oob []byte) {
				n, oobn, err := p.WriteMsgUDP([]byte("x"), oob, to)
				s.log(step, n, oobn, err)
			}
			four, six := netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()
			ours := ControlMessage{TTL: 9, TOS: 2, HasTOS: true}
			for _, family := range []netip.Addr{four, six} {
				all := ours.Append(nil, family)
				written("a TTL and a traffic class", all)
				written("the second is cut", all[:len(all)-1])
				written("the second is half", all[:len(all)-8])
				all[len(all)-24] = 15
				written("the second lies", all)
				bad := (&ControlMessage{TTL: 9}).Append(nil, family)
				bad[17] = 1
				written("a TTL beyond", bad)
				bad = (&ControlMessage{TTL: 9}).Append(nil, family)
				bad[12] = 200
				written("an unknown type", bad)
				written("a foreign source", (&ControlMessage{Src: foreign}).Append(nil, family))
				written("no such interface", (&ControlMessage{IfIndex: 999}).Append(nil, family))
			}
			for range 3 {
				s.received("ReadFrom", c)
			}
		}},
		{name: "packets: DialUDP", run: func(s *script) {
			_, p := s.sockets()
			at := p.LocalAddr().(*net.UDPAddr)
			for _, d := range []struct {
				step, network string
				laddr, raddr  *net.UDPAddr
			}{
				{"plain", "udp", nil, at}, {"udp4", "udp4", nil, at}, {"udp6", "udp6", nil, at}, {"tcp", "tcp", nil, at},
				{"nobody", "udp", nil, nil}, {"from", "udp", &net.UDPAddr{IP: net.ParseIP(s.clientIP)}, at},
				{"from a foreign address", "udp", &net.UDPAddr{IP: net.ParseIP(s.foreign)}, at},
				{"no route", "udp", nil, &net.UDPAddr{IP: net.ParseIP(s.foreign), Port: 9}},
			} {
				c, err := s.client.DialUDP(d.network, d.laddr, d.raddr)
				if c == nil {
					s.log(d.step, nil, err)
					continue
				}
				s.log(d.step, c.LocalAddr(), c.RemoteAddr(), err)
				s.must(c.Close())
			}
		}},
		{name: "packets: multicast and broadcast", family: "IPv4", run: func(s *script) {
			c, _ := s.sockets()
			u, err := s.client.ListenUDP("udp4", &net.UDPAddr{})
			s.must(err)
			s.cleanup(func() { _ = u.Close() })
			s.log("no way to a group", logs(u.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 9}))...)
			_ = c
		}},
		{name: "packets: one port for both families and a second one beside it", run: func(s *script) {
			p, err := s.server.ListenUDP("udp", nil)
			s.must(err)
			s.cleanup(func() { _ = p.Close() })
			port := p.LocalAddr().(*net.UDPAddr).Port
			s.packetsOn("udp4", "udp4", fmt.Sprintf(":%d", port))
			s.packetsOn("an address", "udp", net.JoinHostPort(s.serverIP, fmt.Sprint(port)))
		}},
		{name: "packets: many writers and readers", run: func(s *script) {
			c, p := s.sockets()
			const n = 40
			var writers, readers sync.WaitGroup
			total := make(chan int, n)
			for range 4 {
				readers.Go(func() {
					for {
						k, _, err := p.ReadFrom(make([]byte, 8))
						if err != nil {
							return
						}
						total <- k
					}
				})
				writers.Go(func() {
					for range n / 4 {
						_, err := c.Write([]byte("text"))
						if err != nil {
							s.t.Error(err)
						}
					}
				})
			}
			writers.Wait()
			sum := 0
			for range n {
				sum += <-total
			}
			s.must(p.Close())
			readers.Wait()
			s.log("octets", sum)
		}},
	}
}
