package apps

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// zone is what the server of miekg/dns is asked for: many.test has more addresses than fit in a datagram.
func zone(t *testing.T) dns.Handler {
	mux := dns.NewServeMux()
	address := func(name string, i int) dns.RR {
		rr, err := dns.NewRR(fmt.Sprintf("%s 60 IN A 192.0.2.%d", name, i%256))
		if err != nil {
			t.Error(err)
		}
		return rr
	}
	answer := func(rw dns.ResponseWriter, q, a *dns.Msg) {
		if _, stream := rw.RemoteAddr().(*net.TCPAddr); !stream {
			a.Truncate(dns.MinMsgSize)
		}
		if err := rw.WriteMsg(a); err != nil {
			t.Errorf("WriteMsg: %v", err)
		}
	}
	mux.HandleFunc("test.", func(rw dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype != dns.TypeA { // the resolver wants to know about IPv6, too
			answer(rw, q, a)
			return
		}
		n := 1
		if q.Question[0].Name == "many.test." {
			n = 200
		}
		for i := range n {
			a.Answer = append(a.Answer, address(q.Question[0].Name, i))
		}
		answer(rw, q, a)
	})
	mux.HandleFunc("transfer.test.", func(rw dns.ResponseWriter, q *dns.Msg) {
		soa, err := dns.NewRR("transfer.test. 60 IN SOA a. b. 1 2 3 4 5")
		if err != nil {
			t.Error(err)
		}
		envelopes := make(chan *dns.Envelope)
		go func() {
			defer close(envelopes)
			envelopes <- &dns.Envelope{RR: []dns.RR{soa}}
			for range 20 {
				var part []dns.RR
				for i := range 1000 {
					part = append(part, address(fmt.Sprintf("h%d.transfer.test.", i), i))
				}
				envelopes <- &dns.Envelope{RR: part}
			}
			envelopes <- &dns.Envelope{RR: []dns.RR{soa}}
		}()
		if err := new(dns.Transfer).Out(rw, q, envelopes); err != nil {
			t.Errorf("Out: %v", err)
		}
	})
	return mux
}

// startDNS serves on a UDP and a TCP port of the same number, and over TLS on another one.
func startDNS(t *testing.T, w *world) (plain, secure net.Addr) {
	t.Helper()
	l, overTLS := w.listening(t), w.listening(t)
	p, err := w.packet("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	config, _ := identity()
	for _, srv := range []*dns.Server{{Listener: l}, {PacketConn: p}, {Listener: tls.NewListener(overTLS, config)}} {
		srv.Handler = zone(t)
		started, served := make(chan struct{}), make(chan error, 1)
		srv.NotifyStartedFunc = func() { close(started) }
		go func() { served <- srv.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			if err := errors.Join(srv.Shutdown(), <-served); err != nil {
				t.Errorf("Shutdown, Serve: %v", err)
			}
		})
	}
	return l.Addr(), overTLS.Addr()
}

func TestDNS(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		plain, secure := startDNS(t, w)
		dial := func(network string) *dns.Conn {
			t.Helper()
			c, err := w.dial(t.Context(), network, plain.String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			return &dns.Conn{Conn: c}
		}
		ask := func(c *dns.Conn, network, name string) *dns.Msg {
			t.Helper()
			a, _, err := (&dns.Client{Net: network}).ExchangeWithConnContext(t.Context(), new(dns.Msg).SetQuestion(name, dns.TypeA), c)
			if err != nil {
				t.Fatalf("%s over %s: %v", name, network, err)
			}
			return a
		}
		udp, tcp := dial("udp"), dial("tcp")
		for range 100 {
			if a := ask(udp, "udp", "one.test."); len(a.Answer) != 1 || a.Truncated {
				t.Fatalf("over UDP: %v", a)
			}
		}
		if a := ask(udp, "udp", "many.test."); len(a.Answer) >= 200 || !a.Truncated {
			t.Errorf("an answer that is too long for UDP: %d records, truncated %t", len(a.Answer), a.Truncated)
		}
		if a := ask(tcp, "tcp", "many.test."); len(a.Answer) != 200 || a.Truncated {
			t.Errorf("over TCP: %d records, truncated %t", len(a.Answer), a.Truncated)
		}
		c, err := w.dial(t.Context(), "tcp", secure.String())
		if err != nil {
			t.Fatal(err)
		}
		_, config := identity()
		over := &dns.Conn{Conn: tls.Client(c, config)}
		defer over.Close()
		if a := ask(over, "tcp-tls", "many.test."); len(a.Answer) != 200 {
			t.Errorf("over TLS: %d records", len(a.Answer))
		}

		envelopes, err := (&dns.Transfer{Conn: dial("tcp")}).In(new(dns.Msg).SetAxfr("transfer.test."), "")
		if err != nil {
			t.Fatal(err)
		}
		records := 0
		for e := range envelopes {
			if e.Error != nil {
				t.Errorf("transfer: %v", e.Error)
			}
			records += len(e.RR)
		}
		if records != 20*1000+2 {
			t.Errorf("%d records were transferred", records)
		}
		resolve(t, w, plain)
	})
}

// resolve asks with package net's own resolver, which turns to TCP by itself where an answer is truncated.
func resolve(t *testing.T, w *world, server net.Addr) {
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return w.dial(ctx, strings.TrimRight(network, "46"), server.String())
	}}
	var group sync.WaitGroup
	for name, n := range map[string]int{"one.test.": 1, "many.test.": 200} {
		group.Go(func() {
			found, err := r.LookupHost(t.Context(), name)
			if err != nil || len(slices.Compact(slices.Sorted(slices.Values(found)))) != n {
				t.Errorf("%s: %d addresses, %v", name, len(found), err)
			}
		})
	}
	group.Wait()
}
