package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/unet-go/unet/unet"
)

// Types of ICMP errors, and codes of those that end the way.
const (
	unreachable, timeExceeded   = 3, 11
	unreachable6, timeExceeded6 = 1, 3
	portUnreachable             = 3
	portUnreachable6            = 4

	firstPort = 33434 // of the probes, each of which has its own
	data      = 32    // octets in a probe
	header    = 8     // octets of the headers of UDP and of an ICMP error
)

// tracer is a traceroute in progress.
type tracer struct {
	hops, probes int
	patience     time.Duration
	out          io.Writer

	to     netip.Addr
	socket *unet.UDPConn
	errors *unet.IPConn
	sent   int
}

// answer is the ICMP error about a probe.
type answer struct {
	from     string
	end      bool   // it came from the host, or no router knows a way to it
	note     string // why there is no way
	received bool
}

// length returns the octets of a probe's packet.
func (t *tracer) length() int {
	if t.to.Is6() {
		return 40 + header + data
	}
	return 20 + header + data
}

// run sends the probes hop by hop until one reaches the host.
func (t *tracer) run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = t.errors.SetReadDeadline(time.Unix(1, 0)) })()
	for ttl := 1; ttl <= t.hops; ttl++ {
		if err := t.socket.SetTTL(ttl); err != nil {
			return err
		}
		fmt.Fprintf(t.out, "%2d ", ttl)
		last, end := "", false
		for range t.probes {
			a, trip, err := t.probe(ctx)
			switch {
			case err != nil:
				fmt.Fprintln(t.out)
				return err
			case !a.received:
				fmt.Fprint(t.out, " *")
				continue
			case a.from != last:
				fmt.Fprintf(t.out, " %s", a.from)
				last = a.from
			}
			fmt.Fprintf(t.out, "  %.3f ms%s", float64(trip)/float64(time.Millisecond), a.note)
			end = end || a.end
		}
		fmt.Fprintln(t.out)
		if end {
			return nil
		}
	}
	return nil
}

// probe sends a datagram and waits for the error about it.
func (t *tracer) probe(ctx context.Context) (a answer, trip time.Duration, err error) {
	port := uint16(firstPort + t.sent)
	t.sent++
	start := time.Now()
	if _, err = t.socket.WriteToUDPAddrPort(make([]byte, data), netip.AddrPortFrom(t.to, port)); err != nil {
		return a, 0, err
	}
	if err = t.errors.SetReadDeadline(start.Add(t.patience)); err != nil {
		return a, 0, err
	}
	b := make([]byte, 1<<16)
	for !a.received {
		if ctx.Err() != nil {
			return a, 0, ctx.Err()
		}
		var n int
		var from *net.IPAddr
		n, from, err = t.errors.ReadFromIP(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return a, 0, ctx.Err()
		}
		if err != nil {
			return a, 0, err
		}
		a = t.about(b[:n], port)
		a.from = from.String()
	}
	return a, time.Since(start), nil
}

// about reads an ICMP error; received says that it quotes the probe to a port.
func (t *tracer) about(m []byte, port uint16) (a answer) {
	if len(m) < header {
		return a
	}
	typ, code, quote := m[0], m[1], m[header:]
	var udp []byte
	var dst netip.Addr
	switch {
	case t.to.Is6() && len(quote) >= 40+header && quote[6] == 17:
		dst, udp = netip.AddrFrom16([16]byte(quote[24:40])), quote[40:]
	case t.to.Is4() && len(quote) >= 20 && quote[9] == 17:
		headerLen := int(quote[0]&0xf) * 4
		if headerLen < 20 || len(quote) < headerLen+header {
			return a
		}
		dst, udp = netip.AddrFrom4([4]byte(quote[16:20])), quote[headerLen:]
	default:
		return a
	}
	own, _ := t.socket.LocalAddr().(*net.UDPAddr)
	a.received = dst == t.to.WithZone("") && binary.BigEndian.Uint16(udp[2:]) == port && own != nil &&
		int(binary.BigEndian.Uint16(udp)) == own.Port
	a.end, a.note = meaning(t.to.Is6(), typ, code)
	return a
}

// meaning says whether an error ends the way, and what traceroute prints of the reason.
func meaning(six bool, typ, code uint8) (end bool, note string) {
	switch {
	case !six && typ == timeExceeded, six && typ == timeExceeded6:
		return false, ""
	case !six && code == portUnreachable, six && code == portUnreachable6:
		return true, ""
	case code == 0: // of both
		return true, " !N"
	case !six && code == 1, six && code == 3:
		return true, " !H"
	case !six && code == 13, six && code == 1:
		return true, " !X"
	}
	return true, fmt.Sprintf(" !<%d>", code)
}
