// Package lan is the network of the small examples: a segment in memory with a client, 10.0.0.1, and a server,
// 10.0.0.2. It prints every IP packet that passes the client's port.
package lan

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/capture"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/unet"
)

// Delay is the time that a packet takes from one host to the other.
const Delay = 10 * time.Millisecond

// LAN is a network that Open has made.
type LAN struct {
	Client, Server *unet.Host
	// ClientPort is the client's end of the segment, for examples in which frames of the client are lost.
	ClientPort *sim.Port

	segment *sim.Segment
	mu      sync.Mutex
	out     io.Writer
	last    time.Time // of the last packet
}

// Open makes the network, with hosts of the given configuration. It prints to out.
func Open(out io.Writer, cfg stack.Config) (*LAN, error) {
	l := &LAN{segment: sim.NewSegment(sim.Config{Delay: Delay}), out: out}
	client, server := l.segment.Port(), l.segment.Port()
	l.ClientPort = client
	var err, other error
	l.Client, err = unet.Open(unet.Config{Link: capture.NewText(client, packets{l}), Addrs: addresses("10.0.0.1/24"), Stack: cfg})
	l.Server, other = unet.Open(unet.Config{Link: server, Addrs: addresses("10.0.0.2/24"), Stack: cfg})
	if err := errors.Join(err, other); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func addresses(prefix string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(prefix)} }

// Close ends both hosts, and resets connections that are open. It prints no packets of that.
func (l *LAN) Close() {
	l.mu.Lock()
	l.out = io.Discard
	l.mu.Unlock()
	for _, h := range []*unet.Host{l.Client, l.Server} {
		if h != nil {
			_ = h.Close()
		}
	}
	_ = l.segment.Close()
}

// Printf prints a line between those of the packets.
func (l *LAN) Printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, format+"\n", args...)
}

// Quiet waits until no packet has passed for 200 ms: an acknowledgment is not delayed for so long, and no retransmission
// timeout is so short.
func (l *LAN) Quiet() {
	const pause = 200 * time.Millisecond
	for left := pause; left > 0; {
		time.Sleep(left)
		l.mu.Lock()
		left = pause - time.Since(l.last)
		l.mu.Unlock()
	}
}

// packets is the capture's writer. It prints the lines of IP packets without the time of day.
type packets struct{ *LAN }

// Write implements io.Writer for one line.
func (p packets) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, packet, _ := strings.Cut(string(line), " "); strings.HasPrefix(packet, "IP ") {
		p.last = time.Now()
		_, _ = io.WriteString(p.out, packet)
	}
	return len(line), nil
}
