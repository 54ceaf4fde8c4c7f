package unet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/unet-go/unet/stack/sim"
)

// asksBefore makes Go's resolver read the machine's configuration outside of a bubble, as it keeps a channel.
func asksBefore(t *testing.T) {
	t.Helper()
	r := net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ENETUNREACH }}
	_, _ = r.LookupHost(t.Context(), "nobody.test.")
}

// nameServer runs z on port 53 of h.
func nameServer(t *testing.T, h *Host, z *zone) netip.AddrPort {
	t.Helper()
	at := netip.AddrPortFrom(h.Addrs()[0].Addr(), 53)
	pc, err := h.ListenPacket("udp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	l, err := h.Listen("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	z.serve(t, pc, l)
	return at
}

// A dial that can use IPv4 alone asks for nothing else: the server of a name is silent about its IPv6 addresses, and
// that costs no time with any resolver.
func TestDialAsksForIPv4Alone(t *testing.T) {
	asksBefore(t)
	const delay = 10 * time.Millisecond
	ways := map[string]func(client *Host, server netip.AddrPort) *net.Resolver{
		"Config.DNS": func(client *Host, server netip.AddrPort) *net.Resolver {
			client.dns = []netip.AddrPort{server}
			return nil
		},
		"Dialer.Resolver": func(client *Host, server netip.AddrPort) *net.Resolver { return through(client, server) },
		"net.DefaultResolver": func(client *Host, server netip.AddrPort) *net.Resolver {
			net.DefaultResolver = through(client, server)
			return nil
		},
	}
	for way, set := range ways {
		t.Run(way, func(t *testing.T) {
			before := net.DefaultResolver
			defer func() { net.DefaultResolver = before }()
			synctest.Test(t, func(t *testing.T) {
				client, server, _ := pair(t, sim.Config{Delay: delay})
				z := &zone{names: map[string][]string{"server.test.": {serverIP, "2001:db8::1"}}, silent: dnsmessage.TypeAAAA}
				at := nameServer(t, server, z)
				l, err := server.Listen("tcp", ":80")
				if err != nil {
					t.Fatal(err)
				}
				answering(t, l)
				if c, err := client.Dial("tcp", serverIP+":80"); err != nil { // so that both know one another's MAC
					t.Fatal(err)
				} else {
					_ = c.Close()
				}
				d := Dialer{Host: client, Resolver: set(client, at)}
				for network, trips := range map[string]time.Duration{"tcp": 2, "tcp4": 2, "udp": 1, "udp4": 1} {
					began, asked := time.Now(), z.asked.Load()
					c, err := d.Dial(network, "server.test.:80")
					if err != nil {
						t.Fatal(network, err)
					}
					if took := time.Since(began); took != trips*2*delay || z.asked.Load() != asked+1 {
						t.Errorf("%s took %v and %d questions", network, took, z.asked.Load()-asked)
					}
					_ = c.Close()
				}
			})
		})
	}
}

// through returns a resolver that a program has made for itself.
func through(h *Host, server netip.AddrPort) *net.Resolver {
	d := Dialer{Host: h}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return d.DialContext(ctx, network, server.String())
	}}
}

// lookups are all ways to ask, with what they say of a name in lookupZone.
var lookups = []struct {
	name string
	ask  func(h *Host, name string) (any, error)
	want string
}{
	{"LookupHost", func(h *Host, name string) (any, error) { return h.LookupHost(name) }, "[10.0.0.2]"},
	{"LookupIP", func(h *Host, name string) (any, error) { return h.LookupIP(name) }, "[10.0.0.2]"},
	{"LookupIPAddr", func(h *Host, name string) (any, error) { return h.LookupIPAddr(background, name) }, "[{10.0.0.2 }]"},
	{"LookupNetIP", func(h *Host, name string) (any, error) { return h.LookupNetIP(background, "ip4", name) }, "[10.0.0.2]"},
	{"LookupCNAME", func(h *Host, name string) (any, error) { return h.LookupCNAME(name) }, "server.test."},
	{"LookupMX", func(h *Host, name string) (any, error) {
		mx, err := h.LookupMX(name)
		return values(mx), err
	}, "[{mail.test. 7}]"},
	{"LookupNS", func(h *Host, name string) (any, error) {
		ns, err := h.LookupNS(name)
		return values(ns), err
	}, "[{ns.test.}]"},
	{"LookupSRV", func(h *Host, name string) (any, error) {
		cname, srv, err := h.LookupSRV("", "", name)
		return fmt.Sprint(cname, " ", values(srv)), err
	}, "server.test. [{sip.test. 5060 1 2}]"},
	{"LookupTXT", func(h *Host, name string) (any, error) { return h.LookupTXT(name) }, "[text]"},
	{"LookupAddr", func(h *Host, name string) (any, error) {
		if name != "server.test." {
			return h.LookupAddr("10.0.0.99")
		}
		return h.LookupAddr(serverIP)
	}, "[ptr.test.]"},
}

var background = context.Background()

func values[T any](list []*T) (v []T) {
	for _, p := range list {
		v = append(v, *p)
	}
	return v
}

func lookupZone() *zone {
	name := dnsmessage.MustNewName
	return &zone{names: map[string][]string{"server.test.": {serverIP}, "2.0.0.10.in-addr.arpa.": nil},
		records: map[dnsmessage.Type]dnsmessage.ResourceBody{
			dnsmessage.TypeMX:  &dnsmessage.MXResource{Pref: 7, MX: name("mail.test.")},
			dnsmessage.TypeNS:  &dnsmessage.NSResource{NS: name("ns.test.")},
			dnsmessage.TypeSRV: &dnsmessage.SRVResource{Priority: 1, Weight: 2, Port: 5060, Target: name("sip.test.")},
			dnsmessage.TypeTXT: &dnsmessage.TXTResource{TXT: []string{"text"}},
			dnsmessage.TypePTR: &dnsmessage.PTRResource{PTR: name("ptr.test.")},
		}}
}

func TestLookups(t *testing.T) {
	for _, f := range testFamilies {
		t.Run("servers"+f.suffix, func(t *testing.T) { askAll(t, &f) })
	}
}

func askAll(t *testing.T, f *testFamily) {
	client, server := f.pair(t, sim.Config{})
	z := lookupZone()
	client.dns = []netip.AddrPort{nameServer(t, server, z)}
	for _, l := range lookups {
		got, err := l.ask(client, "server.test.")
		if fmt.Sprint(got) != l.want || err != nil {
			t.Errorf("%s: %v, %v, want %s", l.name, got, err, l.want)
		}
		_, err = l.ask(client, "nobody.test.")
		var failed *net.DNSError
		if !errors.As(err, &failed) || !failed.IsNotFound || failed.Server != net.JoinHostPort(f.server, "53") {
			t.Errorf("%s of nobody: %v", l.name, err)
		}
	}
	if z.asked.Load() == 0 {
		t.Error("nobody asked the host's server")
	}
	if port, err := client.LookupPort("tcp", "http"); port != 80 || err != nil {
		t.Errorf("LookupPort: %d, %v", port, err)
	}
	if r := server.Resolver(); r != net.DefaultResolver {
		t.Error("a host without servers does not use net.DefaultResolver")
	}
}

// The package's functions are the default host's, and say why there is none.
func TestLookupsOfTheDefaultHost(t *testing.T) {
	client, server, _ := pair(t, sim.Config{})
	client.dns = []netip.AddrPort{nameServer(t, server, lookupZone())}
	functions := map[string]func() (any, error){
		"LookupHost":   func() (any, error) { return LookupHost("server.test.") },
		"LookupIP":     func() (any, error) { return LookupIP("server.test.") },
		"LookupIPAddr": func() (any, error) { return LookupIPAddr(background, "server.test.") },
		"LookupNetIP":  func() (any, error) { return LookupNetIP(background, "ip4", "server.test.") },
		"LookupCNAME":  func() (any, error) { return LookupCNAME("server.test.") },
		"LookupMX":     func() (any, error) { mx, err := LookupMX("server.test."); return values(mx), err },
		"LookupNS":     func() (any, error) { ns, err := LookupNS("server.test."); return values(ns), err },
		"LookupSRV": func() (any, error) {
			cname, srv, err := LookupSRV("", "", "server.test.")
			return fmt.Sprint(cname, " ", values(srv)), err
		},
		"LookupTXT":  func() (any, error) { return LookupTXT("server.test.") },
		"LookupAddr": func() (any, error) { return LookupAddr(serverIP) },
	}
	asDefault(t, client)
	for _, l := range lookups {
		if got, err := functions[l.name](); fmt.Sprint(got) != l.want || err != nil {
			t.Errorf("%s: %v, %v, want %s", l.name, got, err, l.want)
		}
	}
	asDefault(t, nil)
	t.Setenv("UNET_ADDR", "nonsense")
	for name, lookup := range functions {
		_, err := lookup()
		var failed *net.DNSError
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), "UNET_ADDR") {
			t.Errorf("%s without a default host: %T %v", name, err, err)
		}
	}
	if port, err := LookupPort("tcp", "http"); port != 80 || err != nil {
		t.Errorf("LookupPort: %d, %v", port, err)
	}
}

// asDefault makes h the default host until the test ends.
func asDefault(t *testing.T, h *Host) {
	defaultHost.Lock()
	defer defaultHost.Unlock()
	before := defaultHost.host
	defaultHost.host = h
	t.Cleanup(func() {
		defaultHost.Lock()
		defer defaultHost.Unlock()
		defaultHost.host = before
	})
}

// One question of the resolver's goes to server after server: at once to the next when one is not there or does not
// know, and when one is silent after its share of the time.
func TestResolverAsksServerAfterServer(t *testing.T) {
	asksBefore(t)
	for _, f := range testFamilies {
		askServerAfterServer(t, &f)
	}
}

func askServerAfterServer(t *testing.T, f *testFamily) {
	const patience = 6 * time.Second
	silent := func(t *testing.T, h *Host) netip.AddrPort {
		return nameServer(t, h, &zone{silent: dnsmessage.TypeA})
	}
	fails := func(rcode dnsmessage.RCode) func(*testing.T, *Host) netip.AddrPort {
		return func(t *testing.T, h *Host) netip.AddrPort { return nameServer(t, h, &zone{rcode: rcode}) }
	}
	refuses := func(t *testing.T, h *Host) netip.AddrPort { return netip.AddrPortFrom(h.Addrs()[0].Addr(), 5353) }
	for _, tt := range []struct {
		name   string
		first  []func(*testing.T, *Host) netip.AddrPort
		waited time.Duration
	}{
		{"one refuses", []func(*testing.T, *Host) netip.AddrPort{refuses}, 0},
		{"one fails", []func(*testing.T, *Host) netip.AddrPort{fails(dnsmessage.RCodeServerFailure)}, 0},
		{"one will not", []func(*testing.T, *Host) netip.AddrPort{fails(dnsmessage.RCodeRefused)}, 0},
		{"one is silent", []func(*testing.T, *Host) netip.AddrPort{silent}, patience / 2},
		{"two are silent", []func(*testing.T, *Host) netip.AddrPort{silent, silent}, patience * 2 / 3},
		{"one is silent, one refuses", []func(*testing.T, *Host) netip.AddrPort{silent, refuses}, patience / 3},
	} {
		t.Run(tt.name+f.suffix, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				segment := sim.NewSegment(sim.Config{})
				t.Cleanup(func() { _ = segment.Close() })
				client := f.numbered(t, segment, 1)
				for i, first := range tt.first {
					client.dns = append(client.dns, first(t, f.numbered(t, segment, byte(20+i))))
				}
				last := f.numbered(t, segment, 2)
				client.dns = append(client.dns, nameServer(t, last, lookupZone()))

				c, err := client.dialServer(t.Context(), "udp", net.JoinHostPort(f.foreign, "53"))
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				if err := c.SetDeadline(began.Add(patience)); err != nil {
					t.Fatal(err)
				}
				query := dnsmessage.Message{Header: dnsmessage.Header{ID: 7}, Questions: []dnsmessage.Question{
					{Name: dnsmessage.MustNewName("server.test."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
				text, err := query.Pack()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Write(text); err != nil {
					t.Fatal(err)
				}
				answer := make([]byte, 512)
				n, err := c.Read(answer)
				if err != nil || query.Unpack(answer[:n]) != nil || len(query.Answers) != 1 || time.Since(began) != tt.waited {
					t.Errorf("%v after %v: %v", query.Answers, time.Since(began), err)
				}
				if err := c.Close(); err != nil || client.Stats().UDPSockets != 0 {
					t.Errorf("%d sockets are left open: %v", client.Stats().UDPSockets, err)
				}
				if ips, err := client.LookupNetIP(t.Context(), "ip4", "server.test."); fmt.Sprint(ips) != "[10.0.0.2]" || err != nil {
					t.Errorf("LookupNetIP: %v, %v", ips, err)
				}
				if ips, err := client.Resolver().LookupHost(t.Context(), "server.test."); !slices.Contains(ips, serverIP) || err != nil {
					t.Errorf("Resolver: %v, %v", ips, err)
				}
			})
		})
	}
}

// The rest of an answer that is too long for a datagram is asked of the server that has it.
func TestLongAnswerOfASecondServer(t *testing.T) {
	asksBefore(t)
	for _, f := range testFamilies {
		askForLongAnswer(t, &f)
	}
}

func askForLongAnswer(t *testing.T, f *testFamily) {
	for _, rcode := range []dnsmessage.RCode{dnsmessage.RCodeServerFailure, dnsmessage.RCodeRefused} {
		t.Run(rcode.String()+f.suffix, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				segment := sim.NewSegment(sim.Config{})
				t.Cleanup(func() { _ = segment.Close() })
				client := f.numbered(t, segment, 1)
				knows := &zone{names: map[string][]string{"long.test.": {serverIP}}}
				for i, z := range []*zone{{rcode: rcode}, knows, {rcode: rcode}} {
					h := f.numbered(t, segment, byte(20+i))
					client.dns = append(client.dns, nameServer(t, h, z))
				}
				for range 2 {
					if ips, err := client.LookupNetIP(t.Context(), "ip4", "long.test."); fmt.Sprint(ips) != "[10.0.0.2]" || err != nil {
						t.Errorf("LookupNetIP: %v, %v", ips, err)
					}
					if ips, err := client.Resolver().LookupHost(t.Context(), "long.test."); !slices.Contains(ips, serverIP) || err != nil {
						t.Errorf("Resolver: %v, %v", ips, err)
					}
				}
				if knows.tcp.Load() == 0 {
					t.Error("nothing was asked over TCP")
				}
			})
		})
	}
}

// A program that traces its requests with httptrace sees the dials of this package as those of package net, and the
// questions of the host's own resolver as one lookup.
func TestHTTPTrace(t *testing.T) {
	client, server, _ := pair(t, sim.Config{})
	client.dns = []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr(serverIP), 5353), nameServer(t, server, &zone{names: map[string][]string{"both.test.": {"127.0.0.9", serverIP}}})}
	l, err := server.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	answering(t, l)
	var mu sync.Mutex
	var events []string
	log := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, fmt.Sprintf(format, args...))
	}
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		DNSStart:     func(i httptrace.DNSStartInfo) { log("DNSStart %s", i.Host) },
		DNSDone:      func(i httptrace.DNSDoneInfo) { log("DNSDone %v %v", i.Addrs, i.Err) },
		ConnectStart: func(network, addr string) { log("ConnectStart %s %s", network, addr) },
		ConnectDone:  func(network, addr string, err error) { log("ConnectDone %s %s %v", network, addr, err) },
	})
	c, err := client.DialContext(ctx, "tcp", "both.test.:80")
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	want := []string{
		"DNSStart both.test.", "DNSDone [{127.0.0.9 } {10.0.0.2 }] <nil>",
		"ConnectStart tcp 127.0.0.9:80", "ConnectDone tcp 127.0.0.9:80 dial tcp 127.0.0.9:80: connect: connection refused",
		"ConnectStart tcp 10.0.0.2:80", "ConnectDone tcp 10.0.0.2:80 <nil>",
	}
	if !slices.Equal(events, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(events, "\n"), strings.Join(want, "\n"))
	}
}
