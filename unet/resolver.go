package unet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// Resolver returns a resolver that asks the servers of Config.DNS over this host: for libraries that take a
// *net.Resolver, or use net.DefaultResolver, to which a program may assign it, as gRPC's "dns" does. Without Config.DNS
// it is net.DefaultResolver itself, which asks over the kernel's network.
//
// It is Go's own resolver, which also uses the machine's hosts file and search list. Each question goes to
// the servers in their order until one knows whether the name exists. A server that does not answer is given up after its
// share of the question's time, which is 5 s or the value in resolv.conf. If an answer is too long for a datagram, the
// server that sent it is asked first over TCP. The errors name a server of resolv.conf; those of the Lookup methods name
// the server that was asked.
func (h *Host) Resolver() *net.Resolver {
	if len(h.DNS()) == 0 {
		return net.DefaultResolver
	}
	return &net.Resolver{PreferGo: true, Dial: h.dialServer}
}

// askedKey is the key under which the context of a lookup has an *atomic.Pointer to the server that was asked last.
type askedKey struct{}

// ask makes a lookup by the host's resolver. Its error names the server that was asked.
func ask[T any](ctx context.Context, h *Host, lookup func(context.Context, *net.Resolver) (T, error)) (T, error) {
	if len(h.DNS()) == 0 {
		return lookup(ctx, net.DefaultResolver)
	}
	var asked atomic.Pointer[netip.AddrPort]
	found, err := lookup(context.WithValue(ctx, askedKey{}, &asked), h.Resolver())
	if failed, ok := errors.AsType[*net.DNSError](err); ok && failed.Server != "" {
		if server := asked.Load(); server != nil {
			failed.Server = server.String()
		}
	}
	return found, err
}

// dialServer connects to the host's servers instead of the server in the machine's resolv.conf.
func (h *Host) dialServer(ctx context.Context, network, _ string) (net.Conn, error) {
	n, err := parseNetwork(network)
	if err != nil {
		return nil, err
	}
	a := attempt{Dialer: &Dialer{}, host: h, net: n}
	if n.udp() {
		q := &question{attempt: a, ctx: ctx, left: h.DNS()}
		if err := q.next(); err != nil {
			return nil, err
		}
		return q, nil
	}
	servers := h.DNS()
	if first := h.longAnswer.Load(); first != nil {
		servers = []netip.AddrPort{*first}
		for _, s := range h.DNS() {
			if s != *first {
				servers = append(servers, s)
			}
		}
	}
	for i, server := range servers {
		share, cancel := ctx, context.CancelFunc(func() {})
		if deadline, ok := ctx.Deadline(); ok {
			share, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(len(servers)-i))
		}
		var c net.Conn
		c, err = a.toServer(share, server)
		cancel()
		if err == nil {
			return c, nil
		}
	}
	return nil, err
}

// toServer connects to a server, without calls of a trace's functions, and notes that the server is asked.
func (a *attempt) toServer(ctx context.Context, server netip.AddrPort) (net.Conn, error) {
	if asked, ok := ctx.Value(askedKey{}).(*atomic.Pointer[netip.AddrPort]); ok {
		asked.Store(&server)
	}
	at := a.net.address(server.Addr().AsSlice(), int(server.Port()), server.Addr().Zone())
	c, err := a.dial(ctx, at)
	if err != nil {
		return nil, a.opError(at, err)
	}
	return c, nil
}

// question is a socket on which Go's resolver asks one question. It asks the next server if one cannot be reached,
// does not answer in its share of the time, or does not know.
type question struct {
	*UDPConn // to the server that is asked now
	attempt
	ctx      context.Context
	server   netip.AddrPort   // the address of that server
	left     []netip.AddrPort // to be asked if it fails
	text     []byte
	deadline time.Time
}

// next connects to the next server for which that succeeds, and sends it the question.
func (q *question) next() (err error) {
	for len(q.left) > 0 {
		server := q.left[0]
		q.left = q.left[1:]
		var c net.Conn
		if c, err = q.toServer(q.ctx, server); err != nil {
			continue
		}
		if q.UDPConn != nil {
			_ = q.UDPConn.Close()
		}
		q.UDPConn, q.server = c.(*UDPConn), server
		_ = q.limit() // an open socket takes any deadline
		if q.text == nil {
			return nil
		}
		if _, err = q.UDPConn.Write(q.text); err == nil {
			return nil
		}
	}
	return err
}

// limit sets a deadline that gives the present server its share of the remaining time.
func (q *question) limit() error {
	until := q.deadline
	if !until.IsZero() && len(q.left) > 0 {
		until = time.Now().Add(time.Until(until) / time.Duration(len(q.left)+1))
	}
	return q.UDPConn.SetDeadline(until)
}

// SetDeadline sets the time at which the last server must have answered.
func (q *question) SetDeadline(t time.Time) error {
	q.deadline = t
	return q.limit()
}

// Write sends the question b.
func (q *question) Write(b []byte) (int, error) {
	q.text = append(q.text[:0], b...)
	n, err := q.UDPConn.Write(b)
	for err != nil && len(q.left) > 0 {
		if err = q.next(); err == nil {
			n = len(b)
		}
	}
	return n, err
}

// Read returns the first answer of a server that knows, or the last answer. If that is cut off, the resolver asks again
// over TCP, the same server first.
func (q *question) Read(b []byte) (int, error) {
	for {
		n, err := q.UDPConn.Read(b)
		if len(q.left) == 0 || errors.Is(err, net.ErrClosed) || err == nil && !q.uninformed(b[:n]) {
			if err == nil && n > 2 && b[2]&truncated != 0 {
				server := q.server
				q.host.longAnswer.Store(&server)
			}
			return n, err
		}
		if nextErr := q.next(); nextErr != nil {
			return n, nextErr
		}
	}
}

// truncated is the bit TC in the third octet of an answer (RFC 1035 4.1.1).
const truncated = 2

// uninformed reports whether an answer is from a server that does not know (RFC 1035 4.1.1): it failed, or refused, or
// refers to other servers. The resolver itself drops datagrams that do not answer the question.
func (q *question) uninformed(answer []byte) bool {
	const header, id = 12, 2
	if len(answer) < header || string(answer[:id]) != string(q.text[:id]) {
		return false
	}
	authoritative, whole, recursive := answer[2]&4 != 0, answer[2]&truncated == 0, answer[3]&0x80 != 0
	switch answer[3] & 15 {
	case 0:
		answers := int(answer[6])<<8 | int(answer[7])
		return !authoritative && whole && !recursive && answers == 0
	case 3: // there is no such name
		return false
	}
	return true
}

// DNS returns the servers that resolve the names of dials and listens: those of Config.DNS, or of SetDNS.
//
//go:noinline
func (h *Host) DNS() []netip.AddrPort {
	if later := h.laterDNS.Load(); later != nil {
		return *later
	}
	return h.dns
}

// SetDNS sets the servers that resolve names from now on; a port of zero means 53. Without any, net.DefaultResolver asks over
// the kernel's network.
func (h *Host) SetDNS(servers ...netip.AddrPort) {
	list := dnsServers(slices.Clone(servers))
	h.laterDNS.Store(&list)
}
