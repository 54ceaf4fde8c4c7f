// Package sim is an Ethernet segment in memory: any number of ports, each a link.Device, joined by a switch
// that can delay, limit, lose, reorder, duplicate and corrupt frames. It is made for tests
// of whole networks in the fake time of testing/synctest, where delivery times are exact, and runs in real
// time just as well.
//
// The impairments are those of the cable from a port to the switch, so each acts on the direction away
// from the port, and Port.Update changes one direction alone. The fate of a port's nth frame is a function
// of the seed, the port's number and n, and of nothing else: neither of time nor of other ports, nor of which
// other impairments are on. A queue's overflow is the exception, since it is not chance. The same seed and
// the same writes therefore give the same losses, and in fake time the same capture, bit for bit. Where two
// ports write at the same instant, the scheduler decides the order.
//
// A segment without delay and rate hands frames over at once, inside Write, and has no goroutine. The first
// frame that must wait starts the one goroutine of the segment, which Close ends.
package sim

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unet-go/unet/stack/link"
)

// Segment is a simulated Ethernet segment. All methods may be called at any time from any goroutine.
type Segment struct {
	epoch  time.Time
	flight flight

	mu     sync.Mutex // guards the fields below, and the stores to fabric, taps and the ports' plans
	cfg    Config
	born   int // number of ports made
	closed bool
	past   Stats // of the ports that were closed

	fabric atomic.Pointer[fabric]
	taps   atomic.Pointer[[]*tap]
	cuts   atomic.Pointer[cuts] // nil while there is no partition
	hosts  hosts

	hooks sync.Mutex // serialises filters and taps
}

// fabric is an immutable snapshot of the open ports.
type fabric struct {
	ports []*Port
	byMAC map[link.MAC]*Port
}

// NewSegment returns an open segment without ports. In a synctest bubble call it inside the bubble.
func NewSegment(cfg Config) *Segment {
	s := &Segment{epoch: time.Now(), cfg: cfg}
	s.fabric.Store(&fabric{})
	s.flight.init(s)
	return s
}

// Port adds a port with the default configuration.
func (s *Segment) Port() *Port { return s.NewPort(PortConfig{}) }

// NewPort adds a port. On a closed segment the port is closed too.
func (s *Segment) NewPort(cfg PortConfig) *Port {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.born++
	if cfg.Name == "" {
		cfg.Name = fmt.Sprintf("port%d", s.born)
	}
	if cfg.MAC == (link.MAC{}) {
		cfg.MAC = link.MAC{2, 0, 0, byte(s.born >> 16), byte(s.born >> 8), byte(s.born)}
	}
	if cfg.Queue <= 0 {
		cfg.Queue = DefaultReceiveQueue
	}
	p := newPort(s, s.born, cfg, compile(s.cfg))
	if s.closed {
		p.shut()
		return p
	}
	s.fabric.Store(newFabric(append(slices.Clip(s.fabric.Load().ports), p)))
	return p
}

// newFabric returns the snapshot of ports.
func newFabric(ports []*Port) *fabric {
	byMAC := make(map[link.MAC]*Port, len(ports))
	for _, p := range ports {
		if byMAC[p.info.MAC] == nil {
			byMAC[p.info.MAC] = p
		}
	}
	return &fabric{ports: ports, byMAC: byMAC}
}

// Update changes the configuration of the segment and of every port while traffic flows. It calls change
// once for the segment and once for each open port; a port keeps what Port.Update gave it in fields that
// change does not touch. Frames that are already on their way keep the time of delivery that they have, and
// later ones of the same port do not overtake them. Seed and Offload stay as they are.
func (s *Segment) Update(change func(*Config)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.cfg)
	for _, p := range s.fabric.Load().ports {
		p.change(change)
	}
}

// Ports returns the open ports in the order in which they were made.
func (s *Segment) Ports() []*Port { return slices.Clone(s.fabric.Load().ports) }

// Stats returns the sum of the counters of all ports, closed ones included.
func (s *Segment) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := s.past
	for _, p := range s.fabric.Load().ports {
		sum.add(p.Stats())
	}
	return sum
}

// Close closes all ports, discards the frames that are on their way and ends the segment's goroutine. It
// may be called more than once, but not by a filter or a tap.
func (s *Segment) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for _, p := range s.Ports() {
		_ = p.Close()
	}
	s.flight.stop()
	return nil
}

// remove takes p out of the fabric, and adds its counters to those of the past.
func (s *Segment) remove(p *Port) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.fabric.Load()
	at := slices.Index(old.ports, p)
	if at < 0 {
		return
	}
	s.fabric.Store(newFabric(slices.Delete(slices.Clone(old.ports), at, at+1)))
	s.past.add(p.Stats())
}

// now returns the time since the segment was made.
func (s *Segment) now() time.Duration { return time.Since(s.epoch) }

// forward delivers frames that from has sent, in their order, and takes ownership of them.
func (s *Segment) forward(from *Port, frames []link.Frame) {
	fab := s.fabric.Load()
	cuts := s.cuts.Load()
	for i := 0; i < len(frames); {
		dst := link.MAC(frames[i].Header[:6])
		end := i + 1
		for end < len(frames) && link.MAC(frames[end].Header[:6]) == dst {
			end++
		}
		to := fab.byMAC[dst]
		switch {
		case to == from:
			from.discard(frames[i:end])
		case to != nil && dst[0]&1 == 0:
			to.arrive(from, frames[i:end], cuts)
		default:
			fab.flood(from, frames[i:end], cuts)
		}
		i = end
	}
}

// arrive delivers frames to a port, unless it is on the other side of a partition.
func (p *Port) arrive(from *Port, frames []link.Frame, cuts *cuts) {
	if cuts.between(from.number, p.number) {
		p.lose(from, frames, Partitioned)
		return
	}
	p.receive(from, frames)
}

// flood delivers frames to every port but from. It is for broadcast, multicast, and addresses that no port has,
// so that one port can play a network of many hosts. Receivers own the frames that they read, so each gets a copy.
func (fab *fabric) flood(from *Port, frames []link.Frame, cuts *cuts) {
	var last *Port
	for _, p := range fab.ports {
		if p == from {
			continue
		}
		if last != nil {
			for i := range frames {
				copied := [1]link.Frame{copyFrame(&frames[i])}
				last.arrive(from, copied[:], cuts)
			}
		}
		last = p
	}
	if last == nil {
		from.discard(frames)
		return
	}
	last.arrive(from, frames, cuts)
}
