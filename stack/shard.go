package stack

import (
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/wheel"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// tcpLimits bound what others can make a host hold.
type tcpLimits struct {
	halfOpen int   // records of the host; beyond, SYN cookies
	timeWait int   // records of the host; beyond, the oldest goes
	orphans  int   // connections without an owner; beyond, the one that loses its owner is reset
	buffered int64 // octets of storage in all queues; near it connections save, beyond it text is dropped
}

// tcpLayer is the TCP side of a host.
type tcpLayer struct {
	host     *Host
	config   tcp.Config
	limits   tcpLimits
	seed     maphash.Seed
	book     addressBook
	shards   []shard
	shift    uint // of a hash, to get the shard's index
	ports    portTable
	listen   listenTable
	fastOpen fastOpenCache

	halfOpens, orphans atomic.Int64
	buffered           atomic.Int64  // sum of the shards' env.Buffered and the UDP queues, as far as they have told
	step               int64         // by how much env.Buffered must have changed to be told
	inBurst            atomic.Int32  // receive bursts in progress
	burstAt            atomic.Int64  // when the last one began
	bulk               atomic.Int32  // how many large Writes are in progress
	parked             atomic.Uint32 // how often a reader or a writer has begun to wait
	closed             atomic.Bool
	draining           sync.Once    // see drain
	awaited            atomic.Int64 // while draining, the sum of the shards' awaited
	drained            drainWatcher
	malformed          atomic.Uint64
	badChecksum        atomic.Uint64
	dropped            atomic.Uint64
}

// shard is a part of the flow table with everything that belongs to its flows, behind one mutex.
type shard struct {
	mu    sync.Mutex
	layer *tcpLayer
	env   tcp.Env
	flows table
	// timers holds connections and half-open records, timeWaits the TIME-WAIT records.
	timers    wheel.Wheel[flow]
	timeWaits timeWaitList
	now       mono.Time // while timers fire
	fireFunc  func(*flow)

	// touched are the connections that a burst has brought a segment.
	touched []*TCPConn
	// held are the connections whose Output waits for the end of the burst; heldAny says that there are some.
	held    []*TCPConn
	heldAny atomic.Bool
	// wakes collects what to do after unlock; sent says that something was, so that there is something to flush.
	wakes *wakeList
	sent  bool
	// idle are waiters for the next who waits.
	idle      *waiters
	idleCount int

	states   [11]int
	awaited  int  // connections that Shutdown waits for
	draining bool // it does
	events   shardEvents
	told     int64 // of env.Buffered, what layer.buffered has

	// Scratch for what leaves.
	out    ip.OutPacket
	header wire.TCP
	octets [wire.TCPMaxLen]byte

	_ [64]byte // the next shard's lock is another core's
}

// shardEvents count what happens outside of package tcp.
type shardEvents struct {
	listenOverflows, synCookies, synCookiesOK, orphansReset, timeWaitOverflows, resetsHeldBack uint64
	fastOpens, fastOpenCookies, fastOpenOverflows, fastOpenLost                                uint64
}

// init makes the layer ready for packets; h.clock and h.config are.
func (l *tcpLayer) init(h *Host) {
	l.host, l.config = h, h.config.TCP.WithDefaults()
	l.limits = tcpLimits{halfOpen: h.config.MaxHalfOpen, timeWait: h.config.MaxTimeWait, orphans: h.config.MaxOrphans,
		buffered: h.config.MaxBuffered / (movingReserve + 1) * movingReserve}
	l.seed = maphash.MakeSeed()
	l.book.init()
	l.ports.init()
	l.listen.init(l)
	l.drained.done = make(chan struct{})
	log := bits.Len(uint(h.config.Shards - 1))
	l.shift = uint(64 - log)
	l.shards = make([]shard, 1<<log)
	l.step = min(64<<10, l.limits.buffered/int64(4*len(l.shards)))
	secret := tcp.NewSecret()
	for i := range l.shards {
		s := &l.shards[i]
		s.layer = l
		s.flows.book, s.flows.seed = &l.book, l.seed
		s.fireFunc = s.fireLocked
		s.env = tcp.Env{Config: &l.config, Secret: secret, Numbers: h.config.numbers, Alloc: alloc, Rand: rand.Uint64}
		h.clock.Add(s)
	}
}

func alloc(n int) tcp.Span {
	b := link.NewBuffer(n)
	return tcp.Span{Data: b.Bytes(), Owner: b}
}

// shard returns the shard of a hash.
func (l *tcpLayer) shard(hash uint64) *shard { return &l.shards[hash>>l.shift] }

// lock takes the shard's lock.
func (s *shard) lock() { s.mu.Lock() }

// unlock gives the lock back, and then does what must not be done under it: wakes who waits, tells the clock
// of a nearer deadline, and writes out what was sent.
func (s *shard) unlock() {
	if s.unlockUnflushed() {
		s.layer.host.flush()
	}
}

// unlockUnflushed is unlock that leaves it to the caller to flush. It says whether there is anything to flush.
func (s *shard) unlockUnflushed() (sent bool) {
	s.accountLocked()
	at := s.deadlineLocked()
	wakes := s.wakes
	s.wakes = nil
	sent = s.sent
	s.sent = false
	s.mu.Unlock()
	if wakes != nil {
		wakes.run()
		putWakes(wakes)
	}
	if at != 0 {
		s.layer.host.clock.Armed(at)
	}
	return sent
}

// The last fifth of Config.MaxBuffered is kept for connections that move: limits.buffered is the rest, and a quarter of
// that is kept. While memory is short, connections whose peers go on taking what is sent share what is left of both:
// each may have one of so many parts of that, so that nobody finds nothing.
const (
	movingReserve = 4
	movingParts   = 16
)

// accountLocked adds what the shard's queues hold to the host's sum, in steps that make that rare, and takes
// over how short of memory the host is.
func (s *shard) accountLocked() {
	l := s.layer
	if d := s.env.Buffered - s.told; d > l.step || d < -l.step {
		l.buffered.Add(d)
		s.told += d
	}
	held := l.buffered.Load()
	s.env.Share = max(l.limits.buffered+l.limits.buffered/movingReserve-held, 0) / movingParts
	switch {
	case held > l.limits.buffered+l.limits.buffered/movingReserve:
		s.env.Pressure = tcp.Overdrawn
	case held > l.limits.buffered:
		s.env.Pressure = tcp.Exhausted
	case held > l.limits.buffered/4*3:
		s.env.Pressure = tcp.Saving
	default:
		s.env.Pressure = tcp.Ample
	}
}

// shardLocker is the Locker of those who wait: a sync.Cond gives the lock back as everybody else does.
type shardLocker shard

func (l *shardLocker) Lock()   { (*shard)(l).lock() }
func (l *shardLocker) Unlock() { (*shard)(l).unlock() }

// deadlineLocked returns the shard's earliest deadline or a bound before it; 0 for none.
func (s *shard) deadlineLocked() mono.Time {
	at := s.timeWaits.deadline()
	if next, ok := s.timers.Next(); ok && (at == 0 || mono.Time(next) < at) {
		at = mono.Time(next)
	}
	return at
}

// NextDeadline implements clock.Source.
func (s *shard) NextDeadline() (mono.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.deadlineLocked()
	return at, at != 0
}

// Advance implements clock.Source.
func (s *shard) Advance(now mono.Time) {
	s.lock()
	s.now = now
	s.timers.Advance(int64(now), s.fireFunc)
	s.expireTimeWaitsLocked(now)
	s.unlock()
}

// fireLocked acts on the deadlines of f that have passed.
func (s *shard) fireLocked(f *flow) {
	switch f.kind {
	case connFlow:
		f.conn().fireConnLocked(s.now)
	case halfOpenFlow:
		s.fireHalfOpenLocked(f.halfOpen(), s.now)
	case timeWaitFlow: // has no node in the wheel
	}
}

// insertLocked puts f into the table, and its port into use.
func (s *shard) insertLocked(f *flow, k *flowKey, hash uint64) bool {
	if !s.flows.insert(f, k, hash) {
		return false
	}
	s.layer.ports.flows.of(f.localPort()).Add(1)
	return true
}

// removeLocked takes f out of the table.
func (s *shard) removeLocked(f *flow) {
	s.flows.remove(f)
	s.layer.ports.flows.of(f.localPort()).Add(-1)
}

// tupleLocked returns the four-tuple of f, which is in the table.
func (s *shard) tupleLocked(f *flow) tcp.Tuple {
	k := s.flows.key(f)
	return tcp.Tuple{Local: k.local(), Remote: k.remote()}
}
