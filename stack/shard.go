package stack

import (
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/rate"
	"github.com/unet-go/unet/internal/wheel"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// tcpLimits bound what others can make a host hold.
type tcpLimits struct {
	halfOpen int // half-open records; when there are so many, SYN cookies answer
	timeWait int // TIME-WAIT records; when there are more, the oldest is dropped
	orphans  int // connections without an owner; when there are more, the newest is reset
}

// tcpLayer is the TCP side of a host.
type tcpLayer struct {
	core     *core
	config   tcp.Config
	limits   tcpLimits
	seed     maphash.Seed
	book     addressBook
	shards   []shard
	shift    uint // a hash shifted right by so much is the index of its shard
	ports    portTable
	listen   listenTable
	fastOpen fastOpenCache

	halfOpens, orphans atomic.Int64
	reportStep         int64         // a shard reports when its octets have changed by more than this
	bursts             atomic.Int32  // receive bursts in progress
	burstAt            atomic.Int64  // the mono.Time at which the latest burst was read
	largeWrites        atomic.Int32  // Writes in progress of lendLeast octets or more
	waitsBegun         atomic.Uint32 // how often a reader or a writer has begun to wait
	// glance takes the frames that wait at an interface's devices now: Host.glance.
	glance     func(*ip.Interface)
	resetLimit rate.Limit
	abort      bool         // Config.AbortOnOverflow
	draining   sync.Once    // see drain
	awaited    atomic.Int64 // while draining, the sum of the shards' awaited
	drained    drainWatcher
	invalid    invalidSegments
}

// shard is a part of the flow table with everything that belongs to its flows, behind one mutex.
type shard struct {
	mu    sync.Mutex
	layer *tcpLayer
	env   tcp.Env
	flows table
	// timers holds connections and half-open records, timeWaits the TIME-WAIT records.
	timers    wheel.Wheel[*flow]
	timeWaits timeWaitList
	firingAt  mono.Time // the moment for which Advance fires timers
	fireFunc  func(*flow)

	// touched are the connections that have got a segment of the present burst.
	touched []*TCPConn
	// held are the connections whose Output waits for the end of the burst; heldAny says that there are some.
	held    []*TCPConn
	heldAny atomic.Bool
	// wakes are the goroutines to wake and the watchers to call after unlock; nil while there are none.
	wakes *wakeList
	// unflushed says that segments were put into transmit queues, which unlock flushes.
	unflushed bool
	// spareWaiters are kept for the next connections that goroutines wait for.
	spareWaiters *waiters
	spareCount   int

	states   StateCounts
	awaited  int  // connections that Shutdown waits for
	draining bool // Shutdown waits
	events   tcpEvents
	reported int64 // the part of env.Buffered that layer.buffered includes

	// Memory in which the next segment to transmit is built.
	out    ip.OutPacket
	header wire.TCP
	octets [wire.TCPMaxLen]byte

	_ [64]byte // keeps the next shard's lock out of this one's cache lines
}

// init makes the layer ready for packets. The clock of core is ready.
func (l *tcpLayer) init(core *core, config *Config) {
	l.core, l.config, l.abort = core, config.TCP.WithDefaults(), config.AbortOnOverflow
	l.limits = tcpLimits{halfOpen: config.MaxHalfOpen, timeWait: config.MaxTimeWait, orphans: config.MaxOrphans}
	l.resetLimit.InitResets(config.ResetRate)
	l.seed = maphash.MakeSeed()
	l.book.init()
	l.ports.init()
	l.listen.init(l)
	l.drained.done = make(chan struct{})
	log := bits.Len(uint(config.Shards - 1))
	l.shift = uint(64 - log)
	l.shards = make([]shard, 1<<log)
	l.reportStep = min(64<<10, l.core.bufferLimit/int64(4*len(l.shards)))
	secret := tcp.NewSecret()
	for i := range l.shards {
		s := &l.shards[i]
		s.layer = l
		s.flows.book, s.flows.seed = &l.book, l.seed
		s.fireFunc = s.fireLocked
		s.env = tcp.Env{Config: &l.config, Secret: secret, Numbers: config.numbers, Alloc: alloc, Rand: rand.Uint64}
		core.clock.Add(s)
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

// unlock gives the lock back, and then does what must not be done under it: it wakes goroutines and calls watchers, tells the
// clock of an earlier deadline, and flushes the transmit queues.
func (s *shard) unlock() {
	if s.unlockUnflushed() {
		s.layer.core.flush()
	}
}

// unlockUnflushed is unlock without the flush. It says whether there is anything to flush.
func (s *shard) unlockUnflushed() (unflushed bool) {
	s.accountLocked()
	at := s.deadlineLocked()
	wakes := s.wakes
	s.wakes = nil
	unflushed = s.unflushed
	s.unflushed = false
	s.mu.Unlock()
	if wakes != nil {
		wakes.run()
		putWakes(wakes)
	}
	if at != 0 {
		s.layer.core.clock.Armed(at)
	}
	return unflushed
}

// The last fifth of Config.MaxBuffered is kept for connections that move: core.bufferLimit is the rest, and the part
// that is kept is core.bufferLimit/movingReserve. While memory is short, connections whose peers go on acknowledging share
// what is left of both: each may take 1/movingParts of it, so that some is left for the others.
const (
	movingReserve = 4
	movingParts   = 16
)

// accountLocked reports how much memory the shard's queues hold, in large steps so that the host's counter is seldom
// written, and notes for the shard's connections how short of memory the host is.
func (s *shard) accountLocked() {
	l := s.layer
	if d := s.env.Buffered - s.reported; d > l.reportStep || d < -l.reportStep {
		l.core.buffered.Add(d)
		s.reported += d
	}
	held := l.core.buffered.Load()
	s.env.Share = max(l.core.bufferLimit+l.core.bufferLimit/movingReserve-held, 0) / movingParts
	switch {
	case held > l.core.bufferLimit+l.core.bufferLimit/movingReserve:
		s.env.Pressure = tcp.Overdrawn
	case held > l.core.bufferLimit:
		s.env.Pressure = tcp.Exhausted
	case held > l.core.bufferLimit/4*3:
		s.env.Pressure = tcp.Saving
	default:
		s.env.Pressure = tcp.Ample
	}
}

// shardLocker is a shard as the Locker of a sync.Cond: a goroutine that begins to wait gives the lock back by unlock, which
// does what it always does.
type shardLocker shard

func (l *shardLocker) Lock()   { (*shard)(l).lock() }
func (l *shardLocker) Unlock() { (*shard)(l).unlock() }

// deadlineLocked returns the shard's earliest deadline or a moment before it, 0 for none.
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
	s.firingAt = now
	s.timers.Advance(int64(now), s.fireFunc)
	s.expireTimeWaitsLocked(now)
	s.unlock()
}

// fireLocked acts on the deadlines of f up to firingAt.
func (s *shard) fireLocked(f *flow) {
	switch f.kind {
	case connFlow:
		f.conn().fireConnLocked(s.firingAt)
	case halfOpenFlow:
		s.fireHalfOpenLocked(f.halfOpen(), s.firingAt)
	case timeWaitFlow: // has no node in the wheel
	}
}

// insertLocked puts f into the table, and counts it as a user of its local port. It is false when the host has no number
// left for the local address.
func (s *shard) insertLocked(f *flow, k *flowKey, hash uint64) bool {
	if !s.flows.insert(f, k, hash) {
		return false
	}
	s.layer.ports.flows[f.family()-1].of(f.localPort()).Add(1)
	return true
}

// removeLocked takes f out of the table.
func (s *shard) removeLocked(f *flow) {
	s.flows.remove(f)
	s.layer.ports.flows[f.family()-1].of(f.localPort()).Add(-1)
}

// tupleLocked returns the four-tuple of f, which is in the table.
func (s *shard) tupleLocked(f *flow) tcp.Tuple {
	k := s.flows.key(f)
	return s.layer.core.tuple(&k)
}
