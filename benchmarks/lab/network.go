package main

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// network is two TCBs and the path between them. It keeps its own time and runs on one goroutine, so that the result
// depends on the seed alone.
type network struct {
	now            mono.Time
	flight         flight
	client, server end
}

// end is one end of the connection. The client writes without end, the server reads.
type end struct {
	net      *network
	peer     *end
	env      *tcp.Env
	conn     tcp.Conn
	half     *tcp.HalfOpen // of the server, until the handshake is over
	tuple    tcp.Tuple
	lane     *sim.Lane
	received uint64
}

// options are those of a socket of package net.
var options = func() tcp.Options {
	o := tcp.DefaultOptions()
	o.NoDelay = true
	return o
}()

var tcpPath = tcp.Path{MTU: mtu}

// storage stands for all memory: no code reads the octets.
type storage int

func (s storage) Retain()  {}
func (s storage) Release() {}
func (s storage) Cap() int { return int(s) }

// zeros are the octets of the stream.
var zeros [1 << 16]byte

func newNetwork(c Cell, seed int64) *network {
	n := &network{now: 1}
	config := tcp.Config{CongestionControl: c.Control, MaxRecvBuffer: buffers, MaxSendBuffer: buffers}.WithDefaults()
	a, b := netip.MustParseAddrPort("10.0.0.1:40000"), netip.MustParseAddrPort("10.0.0.2:80")
	path := c.path(seed)
	for i, e := range []*end{&n.client, &n.server} {
		random := rand.New(rand.NewPCG(uint64(seed), uint64(i)))
		e.net = n
		e.env = &tcp.Env{Config: &config, Secret: new(tcp.Secret), Rand: random.Uint64, Alloc: func(n int) tcp.Span {
			return tcp.Span{Data: make([]byte, n), Owner: storage(n)}
		}}
		e.lane = sim.NewLane(path, i+1)
	}
	n.client.peer, n.server.peer = &n.server, &n.client
	n.client.tuple, n.server.tuple = tcp.Tuple{Local: a, Remote: b}, tcp.Tuple{Local: b, Remote: a}
	return n
}

// open begins the handshake.
func (n *network) open() {
	c := &n.client
	c.conn.Connect(c.env, c, c.tuple, tcpPath, &options, tcp.ISSFloor{}, n.now)
}

// until runs the network up to the moment at and reports whether the connection still exists then.
func (n *network) until(at mono.Time) bool {
	for n.step(at) {
		if n.client.conn.State() == tcp.Closed || n.server.conn.State() == tcp.Closed && n.server.received > 0 {
			return false
		}
	}
	return true
}

// step advances to the next arrival or deadline, unless that is later than limit.
func (n *network) step(limit mono.Time) bool {
	next := mono.Time(0)
	if n.flight.len() > 0 {
		next = n.flight.first().at
	}
	for _, e := range []*end{&n.client, &n.server} {
		if d := e.deadline(); d != 0 && (next == 0 || d < next) {
			next = d
		}
	}
	if next == 0 || next > limit {
		n.now = limit
		return false
	}
	n.now = max(n.now, next)
	if n.flight.len() > 0 && n.flight.first().at <= n.now {
		a := n.flight.first()
		a.to.arrive(&a.segment)
		n.flight.removeFirst()
		return true
	}
	for _, e := range []*end{&n.client, &n.server} {
		if d := e.deadline(); d != 0 && d <= n.now {
			e.timeout()
		}
	}
	return true
}

func (e *end) deadline() mono.Time {
	if e.half != nil {
		return e.half.Deadline()
	}
	return e.conn.Deadline()
}

func (e *end) timeout() {
	if e.half == nil {
		e.conn.Timeout(e.net.now)
		e.use()
		return
	}
	var reply tcp.Segment
	if e.half.Timeout(e.env, &reply, e.net.now) == tcp.Reply {
		e.Transmit(&reply)
	}
}

// arrive processes a segment as package stack does.
func (e *end) arrive(seg *tcp.Segment) {
	now := e.net.now
	var reply tcp.Segment
	switch {
	case e.half != nil:
		switch e.half.SegmentArrives(e.env, seg, &reply, now) {
		case tcp.Reply:
			e.Transmit(&reply)
			return
		case tcp.Complete:
			e.conn.Accept(e.env, e, e.half, e.tuple, tcpPath, &options, now)
			e.half = nil
		case tcp.Drop, tcp.Remove, tcp.Reopen:
			return
		}
	case e.conn.State() == tcp.Closed:
		if tcp.ListenArrives(seg) == tcp.ListenSYN {
			e.half = new(tcp.HalfOpen)
			e.half.Init(e.env, e.tuple, tcpPath, &options, seg, tcp.ISSFloor{}, now)
			e.half.SynAck(e.env, &reply, now)
			e.Transmit(&reply)
		}
		return
	}
	e.conn.SegmentArrives(seg, now)
	e.use()
}

// use is the application, which is always ready: the server's to read and the client's to write.
func (e *end) use() {
	now := e.net.now
	if e == &e.net.server {
		for e.conn.Readable() > 0 {
			e.received += uint64(len(e.conn.ReceiveSpan(now).Data))
		}
	} else {
		for e.conn.State() == tcp.Established && e.conn.SendSpan(tcp.Span{Data: zeros[:], Owner: storage(len(zeros))}, now) {
		}
	}
	e.conn.Output(now)
	e.conn.TakeEvents()
}

// Transmit puts a segment on the path, as one frame.
func (e *end) Transmit(seg *tcp.Segment) {
	n := e.net
	in := *seg
	in.Gather = nil
	in.Text = tcp.Span{Data: zeros[:seg.TextLen], Owner: storage(buffer)}
	at, copies := e.lane.Send(time.Duration(n.now), etherLen+2*headerLen+optionsLen(seg)+int(seg.TextLen))
	for i := range copies {
		n.flight.push(arrival{at: mono.Time(at[i]), to: e.peer, segment: in})
	}
}

// optionsLen returns the length of the options in the layout of Linux and unet.
func optionsLen(seg *tcp.Segment) (n int) {
	for _, o := range []struct {
		option tcp.OptionSet
		octets int
	}{{tcp.OptMSS, 4}, {tcp.OptWindowScale, 4}, {tcp.OptTimestamps, 12}, {tcp.OptSACK, 4 + 8*int(seg.NumSACK)}} {
		if seg.Options&o.option != 0 {
			n += o.octets
		}
	}
	return n
}

// flight holds the segments in flight, in a heap by their time of arrival; those with the same time keep their order.
type flight struct {
	heap  []*arrival
	spare []*arrival
	sent  uint64
}

// arrival is a segment in flight, with the time and the end at which it arrives.
type arrival struct {
	at      mono.Time
	number  uint64
	to      *end
	segment tcp.Segment
}

func (a *arrival) before(b *arrival) bool {
	return a.at < b.at || a.at == b.at && a.number < b.number
}

func (f *flight) len() int        { return len(f.heap) }
func (f *flight) first() *arrival { return f.heap[0] }

func (f *flight) push(next arrival) {
	var a *arrival
	if k := len(f.spare); k > 0 {
		a, f.spare = f.spare[k-1], f.spare[:k-1]
	} else {
		a = new(arrival)
	}
	f.sent++
	*a = next
	a.number = f.sent
	f.heap = append(f.heap, a)
	h := f.heap
	i := len(h) - 1
	for ; i > 0 && a.before(h[(i-1)/2]); i = (i - 1) / 2 {
		h[i] = h[(i-1)/2]
	}
	h[i] = a
}

func (f *flight) removeFirst() {
	h := f.heap
	f.spare = append(f.spare, h[0])
	last := h[len(h)-1]
	h = h[:len(h)-1]
	f.heap = h
	if len(h) == 0 {
		return
	}
	i := 0
	for {
		child := 2*i + 1
		if child+1 < len(h) && h[child+1].before(h[child]) {
			child++
		}
		if child >= len(h) || !h[child].before(last) {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = last
}
