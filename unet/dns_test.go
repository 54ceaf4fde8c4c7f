package unet

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/tap"
)

// zone is a small DNS server: addresses by name. A name that begins with "long." is told over TCP only.
type zone struct {
	names   map[string][]string
	records map[dnsmessage.Type]dnsmessage.ResourceBody // of every name in names
	silent  dnsmessage.Type                             // questions for it are not answered
	rcode   dnsmessage.RCode                            // if not zero, all that is answered
	asked   atomic.Int64
	tcp     atomic.Int64
}

// answer answers a query, over UDP with no more than fits.
func (z *zone) answer(query []byte, udp bool) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	z.asked.Add(1)
	q := m.Questions[0]
	if q.Type == z.silent && z.silent != 0 {
		return nil
	}
	name := strings.ToLower(q.Name.String())
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	addrs, known := z.names[name]
	body := z.records[q.Type]
	switch {
	case z.rcode != 0:
		m.RCode = z.rcode
	case known && body != nil:
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}, Body: body})
	case !known:
		m.RCode = dnsmessage.RCodeNameError
	case udp && strings.HasPrefix(name, "long."):
		m.Truncated = true
	default:
		for _, text := range addrs {
			a := netip.MustParseAddr(text)
			header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}
			switch {
			case a.Is4() && q.Type == dnsmessage.TypeA:
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: a.As4()}})
			case a.Is6() && q.Type == dnsmessage.TypeAAAA:
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
			}
		}
	}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

// serve answers on both transports until they are closed.
func (z *zone) serve(t *testing.T, pc net.PacketConn, l net.Listener) {
	t.Cleanup(func() { _, _ = pc.Close(), l.Close() })
	go func() {
		b := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			if answer := z.answer(b[:n], true); answer != nil {
				_, _ = pc.WriteTo(answer, from)
			}
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			z.tcp.Add(1)
			var size [2]byte
			_, _ = io.ReadFull(c, size[:])
			query := make([]byte, binary.BigEndian.Uint16(size[:]))
			_, _ = io.ReadFull(c, query)
			answer := z.answer(query, false)
			_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
			_ = c.Close()
		}
	}()
}

// answering returns the address of the listener that accepts next.
func answering(t *testing.T, l net.Listener) {
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
}

func TestDialByName(t *testing.T) {
	z := &zone{names: map[string][]string{"server.test.": {serverIP}, "long.test.": {serverIP}, "both.test.": {"127.0.0.9", serverIP},
		"dual.test.": {"2001:db8::1", serverIP}, "v6.test.": {"2001:db8::1"}, "dualgone.test.": {"2001:db8::1", "127.0.0.9"}}}
	_, server, segment := pair(t, sim.Config{})
	dns := netip.MustParseAddrPort(serverIP + ":53")
	pc, err := server.ListenPacket("udp", dns.String())
	if err != nil {
		t.Fatal(err)
	}
	l, err := server.Listen("tcp", dns.String())
	if err != nil {
		t.Fatal(err)
	}
	z.serve(t, pc, l)
	web, err := server.Listen("tcp", serverIP+":80")
	if err != nil {
		t.Fatal(err)
	}
	answering(t, web)
	open := func(addr string, servers ...netip.AddrPort) *Host {
		h, err := Open(Config{Link: segment.Port(), Addrs: prefixes(addr), DNS: servers})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		return h
	}
	client := open("10.0.0.5/24", netip.AddrPortFrom(dns.Addr(), 0)) // of which 53 is made
	reach := func(t *testing.T, h *Host, name string) {
		t.Helper()
		c, err := h.Dial("tcp", name+":80")
		if err != nil {
			t.Fatal(err)
		}
		if got := c.RemoteAddr().String(); got != serverIP+":80" {
			t.Errorf("%s is %s", name, got)
		}
		_ = c.Close()
	}
	t.Run("over the host's own UDP", func(t *testing.T) {
		reach(t, client, "server.test.")
		if z.asked.Load() == 0 || z.tcp.Load() != 0 {
			t.Errorf("%d queries, %d of them over TCP", z.asked.Load(), z.tcp.Load())
		}
	})
	t.Run("a long answer over its TCP", func(t *testing.T) {
		reach(t, client, "long.test.")
		if z.tcp.Load() == 0 {
			t.Error("no query over TCP")
		}
	})
	t.Run("the second address when the first one refuses", func(t *testing.T) { reach(t, client, "both.test.") })
	t.Run("the family that the host has, of a name with both", func(t *testing.T) { reach(t, client, "dual.test.") })
	t.Run("both families fail: the error of the one that came first", func(t *testing.T) {
		c, err := client.Dial("tcp", "dualgone.test.:80")
		if want := "dial tcp 127.0.0.9:80: connect: connection refused"; c != nil || err == nil || err.Error() != want {
			t.Errorf("%v, %v, want %s", c, err, want)
		}
	})
	t.Run("one family too few", func(t *testing.T) {
		for _, network := range []string{"tcp", "tcp4"} {
			c, err := client.Dial(network, "v6.test.:80")
			var failed *net.DNSError
			if c != nil || !errors.As(err, &failed) || !failed.IsNotFound {
				t.Errorf("%s: %v, %v", network, c, err)
			}
		}
		c, err := client.Dial("tcp6", "v6.test.:80")
		if want := "dial tcp6 [2001:db8::1]:80: connect: network is unreachable"; c != nil || err == nil || err.Error() != want {
			t.Errorf("%v, %v, want %s", c, err, want)
		}
	})
	t.Run("no such name", func(t *testing.T) {
		c, err := client.Dial("tcp", "nobody.test.:80")
		var failed *net.DNSError
		if c != nil || !errors.As(err, &failed) || !failed.IsNotFound || err.Error() != "dial tcp: lookup nobody.test. on 10.0.0.2:53: no such host" {
			t.Errorf("%v, %v", c, err)
		}
	})
	t.Run("the second server when nobody is at the first one", func(t *testing.T) {
		h := open("10.0.0.6/24", netip.MustParseAddrPort(serverIP+":5353"), dns)
		reach(t, h, "server.test.")
	})
	t.Run("all servers are gone", func(t *testing.T) {
		h := open("10.0.0.7/24", netip.MustParseAddrPort(serverIP+":5353"))
		c, err := h.Dial("tcp", "server.test.:80")
		var failed *net.DNSError
		if c != nil || !errors.As(err, &failed) || failed.IsNotFound || failed.Server != serverIP+":5353" {
			t.Errorf("%v, %v", c, err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if c, err := client.DialContext(ctx, "tcp", "server.test.:80"); c != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("%v, %v", c, err)
		}
	})
	t.Run("a Dialer's own Resolver comes first", func(t *testing.T) {
		before := z.asked.Load()
		d := Dialer{Host: client, Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, io.ErrNoProgress
		}}}
		if c, err := d.Dial("tcp", "server.test.:80"); c != nil || err == nil || z.asked.Load() != before {
			t.Errorf("%v, %v, %d queries", c, err, z.asked.Load()-before)
		}
	})
}

// The same over TAP, the kernel being the name server.
func TestDialByNameOverTAP(t *testing.T) {
	for _, f := range testFamilies {
		t.Run("by name"+f.suffix, func(t *testing.T) { dialByName(t, openTAP(t, 0, tap.Config{PeerAddrs: f.peers()})) })
	}
}

func dialByName(t *testing.T, h *tapHost) {
	z := &zone{names: map[string][]string{"kernel.test.": {h.kernels}}}
	pc, err := net.ListenPacket("udp", net.JoinHostPort(h.kernels, "0"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	z.serve(t, pc, l)
	web, err := net.Listen("tcp", net.JoinHostPort(h.kernels, "0"))
	if err != nil {
		t.Fatal(err)
	}
	answering(t, web)
	h.dns = []netip.AddrPort{netip.MustParseAddrPort(pc.LocalAddr().String())}
	_, port, _ := net.SplitHostPort(web.Addr().String())
	c, err := h.Dial("tcp", "kernel.test.:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.RemoteAddr().String(); got != web.Addr().String() {
		t.Errorf("reached %s", got)
	}
}
