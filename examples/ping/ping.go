package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/unet-go/unet/unet"
)

// Types of messages that ping sends, and reads.
const (
	echo, echoReply   = 8, 0 // of ICMP
	echo6, echoReply6 = 128, 129
	header            = 8 // octets of an echo message before its data
)

// pinger is a ping in progress.
type pinger struct {
	count, size, ttl   int
	interval, patience time.Duration
	out                io.Writer

	conn    *unet.IPConn
	to      *net.IPAddr
	six     bool
	id      uint16
	sent    []time.Time // when each request was sent
	seen    []bool      // which were answered
	trips   []float64   // ms
	started time.Time

	received, duplicates int
}

// dial makes the socket to a host, by the family of its first address unless v4 or v6 says which.
func (p *pinger) dial(ctx context.Context, h *unet.Host, name string, v4, v6 bool) error {
	network := "ip"
	switch {
	case v4:
		network = "ip4"
	case v6:
		network = "ip6"
	}
	addrs, err := h.LookupNetIP(ctx, network, name)
	if err != nil {
		return err
	}
	a := addrs[0].Unmap()
	p.to, p.six = &net.IPAddr{IP: a.AsSlice(), Zone: a.Zone()}, a.Is6()
	network, reply := "ip4:icmp", uint8(echoReply)
	if p.six {
		network, reply = "ip6:ipv6-icmp", echoReply6
	}
	if p.conn, err = h.DialIP(network, nil, p.to); err != nil {
		return err
	}
	p.id = uint16(rand.Uint32())
	fmt.Fprintf(p.out, "PING %s (%s) %d(%d) bytes of data.\n", name, p.to, p.size, p.size+header+p.ipHeader())
	return errors.Join(p.conn.SetICMPTypes(reply), p.conn.SetTTL(p.ttl), p.conn.SetControlMessage(unet.ControlTTL, true))
}

// ipHeader returns the octets of an IP header.
func (p *pinger) ipHeader() int {
	if p.six {
		return 40
	}
	return 20
}

// run sends the requests, prints the answers and then the sums.
func (p *pinger) run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = p.conn.SetReadDeadline(time.Unix(1, 0)) })()
	p.started = time.Now()
	for n := 1; ctx.Err() == nil && (p.count == 0 || n <= p.count); n++ {
		if err := p.send(); err != nil {
			fmt.Fprintf(p.out, "ping: %v\n", err)
		}
		wait := p.interval
		if n == p.count {
			wait = p.patience
		}
		if err := p.receive(ctx, time.Now().Add(wait)); err != nil {
			return err
		}
	}
	p.sums()
	return nil
}

func (p *pinger) send() error {
	b := make([]byte, header+p.size)
	b[0] = echo
	if p.six {
		b[0] = echo6
	}
	binary.BigEndian.PutUint16(b[4:], p.id)
	p.sent, p.seen = append(p.sent, time.Now()), append(p.seen, false)
	binary.BigEndian.PutUint16(b[6:], uint16(len(p.sent)))
	if !p.six { // the host computes that of ICMPv6
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	_, err := p.conn.Write(b)
	return err
}

// checksum is RFC 1071's.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) > 0 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// receive prints answers until a time, or until that to the last request has come.
func (p *pinger) receive(ctx context.Context, until time.Time) error {
	b, oob := make([]byte, 1<<16), make([]byte, 64)
	for len(p.sent) != p.count || !p.seen[p.count-1] {
		if err := p.conn.SetReadDeadline(until); err != nil {
			return err
		}
		if ctx.Err() != nil { // its deadline has been replaced
			return nil
		}
		n, oobn, _, from, err := p.conn.ReadMsgIP(b, oob)
		var ne net.Error
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case errors.As(err, &ne):
			fmt.Fprintf(p.out, "From %s icmp_seq=%d %v\n", p.to, len(p.sent), errors.Unwrap(err))
			continue
		case err != nil:
			return err
		}
		m := b[:n]
		if !p.six && n > 0 {
			m = m[min(int(m[0]&0xf)*4, n):]
		}
		cm, err := unet.ParseControlMessage(oob[:oobn])
		if err != nil {
			return err
		}
		p.answer(m, from.String(), cm.TTL)
	}
	return nil
}

// answer prints an echo reply, if it is one to a request of ours.
func (p *pinger) answer(m []byte, from string, ttl uint8) {
	if len(m) < header || binary.BigEndian.Uint16(m[4:]) != p.id {
		return
	}
	seq := int(binary.BigEndian.Uint16(m[6:]))
	// Numbers have 16 bits: it is the latest request of this number.
	at := seq - 1 + (len(p.sent)-seq)&^0xffff
	if at < 0 || at >= len(p.sent) {
		return
	}
	trip := float64(time.Since(p.sent[at])) / float64(time.Millisecond)
	note := ""
	if p.seen[at] {
		p.duplicates++
		note = " (DUP!)"
	} else {
		p.received++
		p.trips = append(p.trips, trip)
	}
	p.seen[at] = true
	fmt.Fprintf(p.out, "%d bytes from %s: icmp_seq=%d ttl=%d time=%s ms%s\n", len(m), netip.MustParseAddr(from), seq, ttl, precise(trip), note)
}

// precise prints milliseconds with three digits or so, as ping does.
func precise(ms float64) string {
	switch {
	case ms >= 100:
		return fmt.Sprintf("%.0f", ms)
	case ms >= 10:
		return fmt.Sprintf("%.1f", ms)
	case ms >= 1:
		return fmt.Sprintf("%.2f", ms)
	}
	return fmt.Sprintf("%.3f", ms)
}

// sums prints what ping prints at its end.
func (p *pinger) sums() {
	duplicates := ""
	if p.duplicates > 0 {
		duplicates = fmt.Sprintf(" +%d duplicates,", p.duplicates)
	}
	lost := 100 * float64(len(p.sent)-p.received) / float64(max(len(p.sent), 1))
	fmt.Fprintf(p.out, "\n--- %s ping statistics ---\n%d packets transmitted, %d received,%s %g%% packet loss, time %dms\n",
		p.to, len(p.sent), p.received, duplicates, math.Round(lost), time.Since(p.started).Milliseconds())
	if len(p.trips) == 0 {
		return
	}
	least, most, sum, squares := math.Inf(1), 0.0, 0.0, 0.0
	for _, t := range p.trips {
		least, most, sum, squares = min(least, t), max(most, t), sum+t, squares+t*t
	}
	mean := sum / float64(len(p.trips))
	deviation := math.Sqrt(max(squares/float64(len(p.trips))-mean*mean, 0))
	fmt.Fprintf(p.out, "rtt min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f ms\n", least, mean, most, deviation)
}
