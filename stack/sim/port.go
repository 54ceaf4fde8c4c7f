package sim

import (
	"sync"
	"sync/atomic"

	"github.com/unet-go/unet/stack/link"
)

// maxPacket is the size in octets of the largest IP packet.
const maxPacket = 65535

// Port is one host's end of a segment. It implements link.Device; beyond that contract, Read and Write may
// each be called by several goroutines at once. Write never waits for the network.
type Port struct {
	segment *Segment
	info    link.Info
	plan    atomic.Pointer[plan]
	count   counters
	number  int          // of the segment's ports, from 1
	away    atomic.Bool  // unplugged, or without a carrier
	cable   cable        // why it is away
	closed  atomic.Bool  // set under write.mu and never reset; shut takes read.mu afterwards
	ordered atomic.Int64 // frames in flight that later ones must not overtake

	write sender
	read  receiver
}

var _ link.Device = (*Port)(nil)

func newPort(s *Segment, number int, cfg PortConfig, pl *plan) *Port {
	p := &Port{segment: s, number: number}
	p.info = link.Info{Name: cfg.Name, Kind: link.Ethernet, MAC: cfg.MAC, MTU: pl.MTU}
	if pl.Offload {
		p.info.Checksum, p.info.TSO4, p.info.TSO6, p.info.MaxPacket = true, true, true, maxPacket
	}
	p.plan.Store(pl)
	p.write.seed = portSeed(pl.Seed, number)
	p.read.limit = cfg.Queue
	p.read.portions = cfg.Portions
	p.read.wake.L = &p.read.mu
	return p
}

// Info describes the port.
func (p *Port) Info() link.Info { return p.info }

// Name returns the port's name.
func (p *Port) Name() string { return p.info.Name }

// Stats returns the port's counters.
func (p *Port) Stats() Stats { return p.count.stats() }

// Config returns the configuration in force for frames that the port sends, with defaults filled in.
func (p *Port) Config() Config { return p.plan.Load().Config }

// Update changes the configuration for the frames that this port sends, and for no others.
func (p *Port) Update(change func(*Config)) {
	p.segment.mu.Lock()
	defer p.segment.mu.Unlock()
	p.change(change)
}

// change is Update for a caller that holds the segment's lock.
func (p *Port) change(change func(*Config)) {
	old := p.plan.Load().Config
	cfg := old
	change(&cfg)
	cfg.Seed, cfg.Offload = old.Seed, old.Offload
	p.plan.Store(compile(cfg))
}

// Close ends the port: Read and Write return link.ErrClosed, the frames that wait for Read are discarded.
// It must not be called by a filter or a tap.
func (p *Port) Close() error {
	p.shut()
	p.segment.remove(p)
	return nil
}

// shut makes Read and Write return link.ErrClosed and discards the frames that wait.
func (p *Port) shut() {
	p.write.mu.Lock() // waits for a Write in progress
	p.closed.Store(true)
	p.write.mu.Unlock()
	p.cable.forget()
	p.read.mu.Lock()
	defer p.read.mu.Unlock()
	p.read.drain()
	p.read.wake.Broadcast()
}

// discard releases frames that no port can receive.
func (p *Port) discard(frames []link.Frame) {
	p.count.unclaimed.Add(uint64(len(frames)))
	release(frames)
}

// receiver is the receive queue with its lock: a ring buffer that grows as needed up to limit.
type receiver struct {
	mu       sync.Mutex
	wake     sync.Cond
	idle     int // goroutines in wake.Wait
	limit    int
	ring     []link.Frame
	head     int
	n        int
	portions bool // see PortConfig
}

// leastPortion is the least number of frames that Read returns with PortConfig.Portions, if so many wait.
const leastPortion = 12

// lose drops frames that have come as far as the switch, and shows them to the taps.
func (p *Port) lose(from *Port, frames []link.Frame, why Reason) {
	p.count.dropped[why].Add(uint64(len(frames)))
	p.segment.recordLost(from, p, frames, why)
	release(frames)
}

// receive puts frames into the receive queue and takes ownership of them.
func (p *Port) receive(from *Port, frames []link.Frame) {
	if p.away.Load() {
		p.lose(from, frames, Unplugged)
		return
	}
	r := &p.read
	r.mu.Lock()
	if p.closed.Load() {
		r.mu.Unlock()
		p.lose(from, frames, Unplugged)
		return
	}
	took := min(len(frames), r.limit-r.n)
	r.grow(r.n + took)
	for i := range took {
		r.ring[(r.head+r.n)&(len(r.ring)-1)] = frames[i]
		r.n++
	}
	if r.idle > 0 && took > 0 {
		r.wake.Signal()
	}
	r.mu.Unlock()
	p.count.delivered.Add(uint64(took))
	clear(frames[:took])
	if took < len(frames) {
		p.count.overflowed.Add(uint64(len(frames) - took))
		release(frames[took:])
	}
}

// grow makes room for n frames.
func (r *receiver) grow(n int) {
	if n <= len(r.ring) {
		return
	}
	size := max(64, len(r.ring))
	for size < n {
		size *= 2
	}
	ring := make([]link.Frame, size)
	k := copy(ring, r.ring[r.head:])
	copy(ring[k:], r.ring[:r.head])
	r.ring, r.head = ring, 0
}

// drain discards the frames that wait, and the ring.
func (r *receiver) drain() {
	release(r.ring)
	r.ring, r.head, r.n = nil, 0, 0
}

// Read waits for a frame and returns, as link.Device says, up to len(frames) of the frames that are there; with
// PortConfig.Portions only a part of them.
func (p *Port) Read(frames []link.Frame) (int, error) {
	r := &p.read
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.n == 0 && !p.closed.Load() && len(frames) > 0 {
		r.idle++
		r.wake.Wait()
		r.idle--
	}
	if p.closed.Load() {
		return 0, link.ErrClosed
	}
	n := min(r.n, len(frames))
	if r.portions {
		n = min(n, max(r.n/4, leastPortion))
	}
	for i := range n {
		slot := &r.ring[r.head]
		spans := frames[i].Payload
		frames[i] = *slot
		frames[i].Payload = spans[:0]
		*slot = link.Frame{}
		r.head = (r.head + 1) & (len(r.ring) - 1)
	}
	r.n -= n
	if r.n > 0 && r.idle > 0 {
		r.wake.Signal()
	}
	return n, nil
}

func release(frames []link.Frame) {
	for i := range frames {
		frames[i].Release()
	}
}

// copyFrame returns a contiguous copy of f in a pooled buffer, behind link.Headroom octets.
func copyFrame(f *link.Frame) link.Frame {
	n := f.Len()
	b := link.NewBuffer(link.Headroom + n)
	f.CopyTo(b.Bytes()[link.Headroom:])
	var c link.Frame
	c.Set(b, link.Headroom, link.Headroom+n)
	c.Meta = f.Meta
	return c
}
