package unet

import (
	"sync"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/sim"
)

// sent is one TCP segment as it left a port.
type sent struct {
	at    time.Duration // since the trace began
	port  string
	flags uint16
	text  string
}

// trace collects the TCP segments of a network from its start.
type trace struct {
	mu    sync.Mutex
	begun time.Time
	list  []sent
}

func traceSegments(tb testing.TB, segment *sim.Segment) *trace {
	tr := &trace{begun: time.Now()}
	tb.Cleanup(segment.Tap(func(r sim.Record) {
		var eth wire.Ethernet
		var ip wire.IPv4
		var tcp wire.TCP
		packet, err := eth.Parse(r.Frame)
		if err != nil || eth.Type != wire.EtherTypeIPv4 {
			return
		}
		octets, err := ip.Parse(packet)
		if err != nil || ip.Protocol != wire.ProtocolTCP {
			return
		}
		text, err := tcp.Parse(octets)
		if err != nil {
			tb.Errorf("a host sent a malformed segment: %v", err)
			return
		}
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.list = append(tr.list, sent{r.Time.Sub(tr.begun), r.From.Name(), tcp.Flags, string(text)})
	}))
	return tr
}

// from returns what port has sent that keep wants.
func (tr *trace) from(port string, keep func(sent) bool) (list []sent) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, s := range tr.list {
		if s.port == port && keep(s) {
			list = append(list, s)
		}
	}
	return list
}

// clear removes all events, and starts the time again.
func (tr *trace) clear() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.list, tr.begun = nil, time.Now()
}

func withText(s sent) bool { return s.text != "" }
func every(sent) bool      { return true }
