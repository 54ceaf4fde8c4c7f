package unet

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// What each address is to each network, over the kernel and here. "any6" and "self6" stand for the
// wildcard and the loopback address of IPv6, "link6" for an address with a zone, "mapped" for the host's own in
// sixteen octets, "short" and "odd" for octets that are no address.
var (
	familyNetworks = []string{"tcp", "tcp4", "tcp6", "udp", "udp4", "udp6"}
	familyNames    = []string{"none", "any4", "any6", "host", "mapped", "self6", "far6", "link6"}
	typedNames     = append(slices.Clone(familyNames), "short", "odd")
)

// familyIP returns the octets and the zone of one of typedNames.
func familyIP(name, host string) (net.IP, string) {
	switch name {
	case "any4":
		return net.IP{0, 0, 0, 0}, ""
	case "any6":
		return net.IPv6unspecified, ""
	case "host":
		return net.ParseIP(host).To4(), ""
	case "mapped":
		return net.ParseIP(host).To16(), ""
	case "self6":
		return net.IPv6loopback, ""
	case "far6":
		return net.ParseIP("2001:db8::1"), ""
	case "link6":
		return net.ParseIP("fe80::1"), "lo"
	case "short":
		return net.IP{1, 2}, ""
	case "odd":
		return net.IP{1, 2, 3, 4, 5}, ""
	}
	return nil, ""
}

// familyText is the address as a program would write it, without brackets.
func familyText(name, host string) string {
	ip, zone := familyIP(name, host)
	switch {
	case ip == nil:
		return ""
	case name == "mapped":
		return "::ffff:" + host
	case zone != "":
		return ip.String() + "%" + zone
	}
	return ip.String()
}

func familyAddr(network, name, host string, port int) net.Addr {
	ip, zone := familyIP(name, host)
	if name == "short" || name == "odd" {
		port = min(port, 9) // in a text that no pattern finds
	}
	if strings.HasPrefix(network, "udp") {
		return &net.UDPAddr{IP: ip, Port: port, Zone: zone}
	}
	return &net.TCPAddr{IP: ip, Port: port, Zone: zone}
}

// familyPort is a port on which the server listens, for both transports.
func familyPort(s *script) int {
	l, err := s.server.Listen(background, net.ListenConfig{}, "tcp4", ":0")
	s.must(err)
	s.cleanup(func() { _ = l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

func familyScenarios() (list []scenario) {
	for _, n := range familyNetworks {
		list = append(list,
			scenario{name: "family: Dial " + n, oneHost: true, run: func(s *script) { familyDial(s, n, familyNames) }},
			scenario{name: "family: Dial from another host " + n, run: func(s *script) {
				familyDial(s, n, slices.DeleteFunc(slices.Clone(familyNames), isAnybody))
			}},
			scenario{name: "family: Dial refused " + n, oneHost: true, run: func(s *script) {
				port := fmt.Sprint(s.freePort().Port)
				for _, to := range familyNames {
					s.dial("to "+to, net.Dialer{}, n, net.JoinHostPort(familyText(to, s.serverIP), port))
				}
			}},
			scenario{name: "family: Listen " + n, run: func(s *script) { familyListen(s, n) }},
		)
		if strings.HasPrefix(n, "tcp") {
			list = append(list, scenario{name: "family: DialTCP " + n, oneHost: true, run: func(s *script) { familyDialTCP(s, n) }},
				scenario{name: "family: ListenTCP " + n, run: func(s *script) { familyListenTCP(s, n) }})
		} else {
			list = append(list, scenario{name: "family: DialUDP " + n, oneHost: true, run: func(s *script) { familyDialUDP(s, n) }},
				scenario{name: "family: ListenUDP " + n, run: func(s *script) { familyListenUDP(s, n) }})
		}
	}
	list = append(list, scenario{name: "family: datagrams", oneHost: true, run: familyDatagrams},
		scenario{name: "family: localhost", oneHost: true, run: func(s *script) {
			port := familyPort(s)
			for _, n := range []string{"tcp", "tcp4", "udp", "udp4"} { // the order of both is that of the machine's hosts file
				c, err := s.client.Dial(background, net.Dialer{}, n, fmt.Sprintf("localhost:%d", port))
				s.must(err)
				host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
				s.log(n, net.ParseIP(host).IsLoopback())
				s.must(c.Close())
			}
		}})
	for i := range list {
		list[i].family = "IPv4" // the hosts' own addresses are; the loopback address of IPv6 is among the others
	}
	return list
}

// isAnybody reports whether the address is any of the dialling host's own.
func isAnybody(name string) bool { return name == "none" || strings.HasPrefix(name, "any") }

func familyDial(s *script, network string, targets []string) {
	port := familyPort(s)
	for _, to := range targets {
		at := net.JoinHostPort(familyText(to, s.serverIP), fmt.Sprint(port))
		s.dial("to "+to, net.Dialer{}, network, at)
		for _, from := range typedNames {
			s.dial("to "+to+" from "+from, net.Dialer{LocalAddr: familyAddr(network, from, s.clientIP, 0)}, network, at)
		}
	}
}

func familyDialTCP(s *script, network string) {
	port := familyPort(s)
	for _, to := range typedNames {
		raddr := familyAddr(network, to, s.serverIP, port).(*net.TCPAddr)
		c, err := s.client.DialTCP(network, nil, raddr)
		s.dialled("to "+to, nilConn(c), err)
		for _, from := range typedNames {
			laddr := familyAddr(network, from, s.clientIP, 0).(*net.TCPAddr)
			c, err := s.client.DialTCP(network, laddr, raddr)
			s.dialled("to "+to+" from "+from, nilConn(c), err)
			c, err = s.client.DialTCPFrom(background, net.Dialer{}, network, laddr.AddrPort(), raddr.AddrPort())
			s.dialled("to "+to+" from "+from+" by netip", nilConn(c), err)
		}
	}
}

func familyDialUDP(s *script, network string) {
	const port = 9
	for _, to := range typedNames {
		raddr := familyAddr(network, to, s.serverIP, port).(*net.UDPAddr)
		c, err := s.client.DialUDP(network, nil, raddr)
		s.dialled("to "+to, nilPackets(c), err)
		for _, from := range typedNames {
			laddr := familyAddr(network, from, s.clientIP, 0).(*net.UDPAddr)
			c, err := s.client.DialUDP(network, laddr, raddr)
			s.dialled("to "+to+" from "+from, nilPackets(c), err)
			c, err = s.client.DialUDPFrom(background, net.Dialer{}, network, laddr.AddrPort(), raddr.AddrPort())
			s.dialled("to "+to+" from "+from+" by netip", nilPackets(c), err)
		}
	}
}

func familyListen(s *script, network string) {
	for _, at := range familyNames {
		address := net.JoinHostPort(familyText(at, s.serverIP), "0")
		if strings.HasPrefix(network, "udp") {
			s.packetsOn("on "+at, network, address)
		} else {
			s.listenOn("on "+at, network, address)
		}
	}
}

func familyListenTCP(s *script, network string) {
	for _, at := range typedNames {
		l, err := s.server.ListenTCP(network, familyAddr(network, at, s.serverIP, 0).(*net.TCPAddr))
		if l == nil {
			s.log("on "+at, nil, err)
			continue
		}
		s.listened("on "+at, l, err)
	}
}

func familyListenUDP(s *script, network string) {
	for _, at := range typedNames {
		c, err := s.server.ListenUDP(network, familyAddr(network, at, s.serverIP, 0).(*net.UDPAddr))
		if c == nil {
			s.log("on "+at, nil, err)
			continue
		}
		s.log("on "+at, c.LocalAddr(), err)
		s.must(c.Close())
	}
}

// familyDatagrams sends to each address from a socket of each network.
func familyDatagrams(s *script) {
	for _, network := range []string{"udp", "udp4"} {
		c, err := s.client.ListenUDP(network, nil)
		s.must(err)
		s.cleanup(func() { _ = c.Close() })
		for _, to := range typedNames {
			at := familyAddr(network, to, s.serverIP, 9).(*net.UDPAddr)
			step := network + " to " + to
			s.log(step, logs(c.WriteToUDP([]byte("x"), at))...)
			s.log(step+" by netip", logs(c.WriteToUDPAddrPort([]byte("x"), at.AddrPort()))...)
			n, oobn, err := c.WriteMsgUDP([]byte("x"), nil, at)
			s.log(step+" as a message", n, oobn, err)
			n, oobn, err = c.WriteMsgUDPAddrPort([]byte("x"), nil, at.AddrPort())
			s.log(step+" as a message by netip", n, oobn, err)
			s.log(step+" from nothing", logs(c.WriteToUDPAddrPort([]byte("x"), netip.AddrPort{}))...)
		}
	}
}
