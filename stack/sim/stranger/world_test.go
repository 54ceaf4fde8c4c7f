package stranger

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// temper is the behaviour of a stranger.
type temper int

const (
	// benign: a bad path. He loses, repeats, delays, cuts, overlaps and flips bits, and says nothing of his own.
	benign temper = iota
	// blind: he forges besides, but never with all numbers right. RFC 9293, RFC 5961 and RFC 7323 say how a connection
	// survives that, so it must.
	blind
	// hostile: he knows all numbers, and forges whatever he likes. He may end a connection, and plant text that he takes
	// note of.
	hostile
)

func (k temper) String() string { return [...]string{"benign", "blind", "hostile"}[k] }

const (
	// userTimeout is R2 in worlds where all must arrive: what lost acknowledgments make of the retransmission timeout of a
	// connection without SACK, two minutes for each try, is then no end. hostileTimeout is it where that is not so.
	userTimeout    = 2 * time.Hour
	hostileTimeout = time.Minute
	// bound is the longest that a world may take until all its users are done.
	bound = 4 * userTimeout
	// rest is when everything that a connection leaves behind is gone: TIME-WAIT, orphans, half-open records.
	rest = 10 * time.Minute
	// storm is more frames than any world needs.
	storm = 200_000
)

// side is one host and its segment, whose other port is the stranger's.
type side struct {
	name    string
	addr    netip.Addr
	host    *stack.Host
	segment *sim.Segment
	mtu     int
	capture bytes.Buffer
	stop    func() error // of the capture
}

// world is two hosts, their users' talks, and the stranger between them. The seed chooses everything about it.
type world struct {
	seed     uint64
	family   *family
	rnd      *rand.Rand
	temper   temper
	sides    [2]*side
	stranger *stranger
	talks    []*talk
	buffers  int64 // before

	mu       sync.Mutex
	failures []string
	what     string // for people
}

func (w *world) String() string {
	return fmt.Sprintf("%v %s world %d, %s", w.temper, w.family.name, w.seed, w.what)
}

func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.failures) < 10 {
		w.failures = append(w.failures, fmt.Sprintf(format, args...))
	}
}

func (w *world) must(err error) {
	if err != nil {
		panic(err)
	}
}

func (w *world) one(in int) bool { return w.rnd.IntN(in) == 0 }

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func newWorld(f *family, seed uint64) *world {
	w := &world{seed: seed, family: f, rnd: rand.New(rand.NewPCG(seed, 0x57a4)), buffers: link.Outstanding()}
	w.temper = [...]temper{benign, blind, hostile}[w.rnd.IntN(3)]
	path := sim.Config{Delay: pick(w.rnd, 20*time.Microsecond, time.Millisecond, 20*time.Millisecond, 60*time.Millisecond),
		Rate: pick[int64](w.rnd, 0, 0, 2_000_000, 50_000_000)}
	if w.one(2) {
		path.Jitter = path.Delay
	}
	if w.one(2) {
		path.Reorder, path.ReorderDelay = 0.1*w.rnd.Float64(), path.Delay*time.Duration(1+w.rnd.IntN(6))
	}
	if w.one(2) {
		path.Duplicate = 0.1 * w.rnd.Float64()
	}
	for i := range w.sides {
		w.sides[i] = w.newSide(i, path)
	}
	w.what += fmt.Sprintf("delay %v, rate %d, reordered %.2f by %v", path.Delay, path.Rate, path.Reorder, path.ReorderDelay)
	w.stranger = newStranger(w)
	for i := range 1 + w.rnd.IntN(5) {
		w.talks = append(w.talks, newTalk(w, i))
	}
	return w
}

// newSide returns a host of a random configuration on a segment of its own.
func (w *world) newSide(i int, path sim.Config) *side {
	s := &side{name: string(rune('a' + i)), addr: w.family.addr(i + 1), mtu: pick(w.rnd, w.family.leastMTU, 1500, 1500, 9000)}
	path.Seed, path.MTU = int64(w.seed)<<1+int64(i), s.mtu
	s.segment = sim.NewSegment(path)
	s.stop = s.segment.WritePcap(&s.capture)
	buffer := func() int { return pick(w.rnd, 0, 2304, 6000, 30_000) }
	cfg := tcp.Config{RecvBuffer: buffer(), SendBuffer: buffer(), NoSACK: w.one(4), NoTimestamps: w.one(3),
		ECN: tcp.ECN(w.rnd.IntN(4)), CongestionControl: pick(w.rnd, "cubic", "reno"), MSL: pick(w.rnd, 0, time.Second), UserTimeout: userTimeout}
	if w.one(2) {
		cfg.MaxRecvBuffer = 64 << 10 // without window scaling
	}
	if w.temper == hostile {
		cfg.UserTimeout = hostileTimeout
	}
	w.what += fmt.Sprintf("%s: MTU %d, %+v; ", s.name, s.mtu, cfg)
	h, err := stack.New(stack.Config{TCP: cfg, Shards: 1})
	w.must(err)
	s.host = h
	port := s.segment.NewPort(sim.PortConfig{MAC: link.MAC{2, 0, 0, 0, 1, byte(i + 1)}, Name: s.name})
	w.must(h.Attach(port, stack.Interface{Addrs: []netip.Prefix{netip.PrefixFrom(s.addr, w.family.prefix.Bits())}}))
	return s
}

// run makes the users talk, waits for all of them, and checks that nothing is left.
func (w *world) run() {
	w.stranger.start()
	for _, k := range w.talks {
		k.start()
	}
	if !w.within(func() {
		for _, k := range w.talks {
			k.dialing.Wait()
		}
	}) {
		w.fail("not over after %v: a %+v, b %+v", bound, w.sides[0].host.Stats().TCPGauges, w.sides[1].host.Stats().TCPGauges)
		w.end()
		return
	}
	for _, pause := range []time.Duration{0, time.Second, time.Minute} {
		time.Sleep(pause)
		w.stranger.haunt()
	}
	w.stranger.calm()
	time.Sleep(rest)
	if !w.within(func() {
		for _, k := range w.talks {
			k.end()
		}
	}) {
		w.fail("what was accepted is not over after %v", bound)
		w.end()
		return
	}
	time.Sleep(rest)
	for _, k := range w.talks {
		k.check()
	}
	for _, s := range w.sides {
		w.checkIdle(s, 0)
	}
	w.end()
}

// within calls f on a goroutine of its own, and reports whether it returns in time.
func (w *world) within(f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return true
	case <-time.After(bound):
		return false
	}
}

// checkIdle checks that a host holds nothing.
func (w *world) checkIdle(s *side, bindings int) {
	st := s.host.Stats()
	g := st.TCPGauges
	if g.Connections() != 0 || g.States[tcp.TimeWaitState] != 0 || g.States[tcp.Listen] != 0 || g.HalfOpen != 0 || g.Orphans != 0 ||
		g.Buffered != 0 || g.AcceptQueue != 0 || g.Bindings != bindings || st.ReassemblyBytes != 0 {
		w.fail("left at %s: %+v, %d octets for reassembly", s.name, g, st.ReassemblyBytes)
	}
	for _, i := range st.Interfaces {
		if i.Held != 0 || i.WriteErrors != 0 {
			w.fail("left at %s: %+v", s.name, i)
		}
	}
}

// end closes all there is, and counts buffers.
func (w *world) end() {
	for _, s := range w.sides {
		w.must(s.host.Close())
	}
	for _, k := range w.talks {
		k.dialing.Wait()
		k.end()
	}
	w.stranger.stop()
	for _, s := range w.sides {
		w.checkIdle(s, 0)
		w.must(s.stop())
		w.must(s.segment.Close())
	}
	if n := link.Outstanding(); n != w.buffers {
		w.fail("%d buffers are left, there were %d", n, w.buffers)
	}
}
