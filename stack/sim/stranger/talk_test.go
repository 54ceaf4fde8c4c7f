package stranger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// ending is how a user leaves a connection.
type ending int

const (
	orderly  ending = iota // writes all, CloseWrite, reads to the end, Close
	abort                  // Abort in the middle
	leave                  // Close in the middle
	lingerer               // Close that waits, in the middle
	resetter               // Close with Linger 0, in the middle
	endings
)

// plan is how a user goes about a connection.
type plan struct {
	size   int // octets to write
	most   int // in one Write or Read
	pause  time.Duration
	sleepy bool // sleeps for seconds between two reads
	late   bool // writes when it has read to the end
	span   bool // some of its calls are WriteSpan and ReadSpan
	ending ending
	after  int64 // octets read or written after which the ending comes
	opts   tcp.Options
}

// talk is one connection: who dials, the listener of its own that is dialed, and both users. More than one connection
// may be accepted of it: an old SYN with text comes again (RFC 7413 2.1).
type talk struct {
	world    *world
	number   int
	dialer   int // side
	fast     bool
	plans    [2]plan // of the dialling user and of the other one
	listener *stack.Listener
	dialing  sync.WaitGroup
	serving  sync.WaitGroup
	written  [2]atomic.Int64 // octets by the dialling user and by the other one
	whole    [2]atomic.Bool  // the dialling user, and one that was dialled, has received everything
}

func newTalk(w *world, number int) *talk {
	k := &talk{world: w, number: number, dialer: w.rnd.IntN(2), fast: w.one(3)}
	rude := w.one(4)
	for i := range k.plans {
		p := &k.plans[i]
		*p = plan{size: w.rnd.IntN(100_000) >> w.rnd.IntN(17), most: 1 + w.rnd.IntN(30_000)>>w.rnd.IntN(12), span: w.one(2),
			opts: tcp.Options{Linger: -1, NoDelay: w.one(2)}}
		p.most = max(p.most, p.size/200)
		if w.one(3) {
			p.pause = time.Duration(w.rnd.IntN(50)) * time.Millisecond
		}
		p.sleepy = w.one(4)
		if w.temper != benign || rude || k.fast {
			p.opts.KeepAlive, p.opts.KeepIdle, p.opts.KeepInterval, p.opts.KeepCount = true, 20, 5, 9
		}
		if w.temper == hostile { // or probes that are answered would keep a connection without a window for ever (MUST-37)
			p.opts.UserTimeout = uint32(hostileTimeout / time.Millisecond)
		}
		if rude && w.one(2) {
			p.ending, p.after = ending(w.rnd.IntN(int(endings))), w.rnd.Int64N(30_000)>>w.rnd.IntN(10)
		}
	}
	k.plans[1].late = w.one(3)
	b := k.server().host
	bound, err := b.BindTCP(netip.AddrPortFrom(k.server().addr, k.port()), stack.BindOptions{})
	w.must(err)
	k.listener, err = b.ListenTCP(bound, 8, k.plans[1].opts)
	w.must(err)
	if k.fast {
		k.listener.SetFastOpen(4)
	}
	w.what += fmt.Sprintf("; talk %d dialed by %s, fast %v, %+v", number, w.sides[k.dialer].name, k.fast, k.plans)
	return k
}

func (k *talk) port() uint16  { return uint16(80 + k.number) }
func (k *talk) server() *side { return k.world.sides[1-k.dialer] }

// orderly reports whether everything must arrive.
func (k *talk) orderly() bool {
	return k.world.temper != hostile && k.plans[0].ending == orderly && k.plans[1].ending == orderly
}

// at returns the octet at an offset of the stream of one end; the dialling one is 0. No octet has its first bit set.
func (k *talk) at(end int, place uint32) byte {
	return byte(place*31^place>>6^place>>13+uint32(k.number*2+end)*45) & 0x7f
}

// start begins to accept and, a moment later, to dial.
func (k *talk) start() {
	w := k.world
	k.serving.Go(func() {
		for n := 0; ; n++ {
			c, err := k.listener.Accept()
			if err != nil {
				return
			}
			u := k.user(1, n, c)
			k.serving.Go(u.converse)
		}
	})
	when := time.Duration(w.rnd.IntN(3000)) * time.Millisecond
	k.dialing.Go(func() {
		time.Sleep(when)
		remote, dial := netip.AddrPortFrom(k.server().addr, k.port()), w.sides[k.dialer].host.ConnectTCP
		if k.fast {
			dial = w.sides[k.dialer].host.ConnectTCPFastOpen
		}
		c, err := dial(nil, remote, k.plans[0].opts)
		if err == nil && c.Waits() && k.plans[0].size == 0 {
			_, err = c.Write(nil) // or there is no SYN
		} else if err == nil && !c.Waits() {
			err = c.WaitConnect()
		}
		switch {
		case err == nil:
			k.user(0, 0, c).converse()
			return
		case c != nil:
			c.Abort()
		}
		if k.orderly() {
			w.fail("talk %d: dial: %v", k.number, err)
		}
	})
}

// end closes the listener and waits for the connections that it has accepted.
func (k *talk) end() {
	_ = k.listener.Close() // EBADF the second time
	k.serving.Wait()
}

// check returns an error if anything is missing that must have arrived.
func (k *talk) check() {
	for end := range k.whole {
		if k.orderly() && !k.whole[end].Load() {
			k.world.fail("talk %d: end %d has not had everything", k.number, end)
		}
	}
}

// user is one end's user.
type user struct {
	*talk
	*plan
	conn *stack.TCPConn
	name string
	end  int
	read int64
	sent int64
	gone atomic.Bool // has left in its own way
}

func (k *talk) user(end, n int, c *stack.TCPConn) *user {
	return &user{talk: k, plan: &k.plans[end], conn: c, end: end, name: fmt.Sprintf("talk %d, %s %d", k.number, [2]string{"dialer", "server"}[end], n)}
}

// rand returns random numbers of the user's reader or writer.
func (u *user) rand(which uint64) *rand.Rand {
	return rand.New(rand.NewPCG(u.world.seed, uint64(u.number)<<8|uint64(u.end)<<4|which))
}

// converse is all that a user does.
func (u *user) converse() {
	var writing sync.WaitGroup
	var wrote error
	if !u.late {
		writing.Go(func() { wrote = u.writeAll() })
	}
	read := u.readAll()
	if u.late && read == nil && !u.gone.Load() {
		wrote = u.writeAll()
	}
	writing.Wait()
	slow := u.world.stranger.lose+u.world.stranger.flip > 0.02 || u.plans[1-u.end].sleepy
	if read == nil && wrote == nil && slow && !u.gone.Load() {
		wrote = u.linger()
	}
	closed := u.conn.Close()
	if u.gone.Load() {
		return
	}
	if read == nil && wrote == nil && closed == nil && u.read == int64(u.plans[1-u.end].size) {
		u.whole[u.end].Store(true)
	} else if u.orderly() && (u.end == 0 || !u.fast) {
		u.world.fail("%s: read %d: %v; wrote %d: %v; close: %v", u.name, u.read, read, u.sent, wrote, closed)
	}
}

// linger waits until the other end has acknowledged everything. A connection that is closed before has but a minute or
// two for that, which are few tries where losses have backed its timer off, and little where the other end sleeps.
func (u *user) linger() error {
	for {
		switch u.conn.State() {
		case tcp.FinWait1, tcp.Closing, tcp.LastAck:
			time.Sleep(time.Second)
		default:
			err := u.conn.TakeError()
			if errors.Is(err, syscall.ECONNRESET) { // the other end has had all, as it says itself, and is gone
				err = nil
			}
			return err
		}
	}
}

// leaves ends the connection if the plan says that it is time, after n octets.
func (u *user) leaves(n int64) bool {
	if u.ending == orderly || n < u.after || u.gone.Swap(true) {
		return false
	}
	switch u.ending {
	case abort:
		u.conn.Abort()
		return true
	case lingerer:
		_ = u.conn.Update(func(o *tcp.Options) { o.Linger = 3 })
	case resetter:
		_ = u.conn.Update(func(o *tcp.Options) { o.Linger = 0 })
	case orderly, leave, endings:
	}
	_ = u.conn.Close()
	return true
}

// writeAll writes the octets of the plan, and then the end of the stream.
func (u *user) writeAll() error {
	r := u.rand(1)
	for u.sent < int64(u.size) {
		if u.leaves(u.sent) {
			return nil
		}
		p := make([]byte, min(int64(1+r.IntN(u.most)), int64(u.size)-u.sent))
		for i := range p {
			p[i] = u.at(u.end, uint32(u.sent)+uint32(i))
		}
		u.raise(u.sent + int64(len(p)))
		if u.span && r.IntN(2) == 0 {
			b := link.NewBuffer(len(p))
			copy(b.Bytes(), p)
			if err := u.conn.WriteSpan(tcp.Span{Data: b.Bytes()[:len(p)], Owner: b}); err != nil {
				b.Release()
				return err
			}
		} else if n, err := u.conn.Write(p); err != nil {
			u.sent += int64(n)
			return err
		}
		u.sent += int64(len(p))
		if u.pause > 0 && r.IntN(8) == 0 {
			time.Sleep(time.Duration(r.Int64N(int64(u.pause))))
		}
	}
	return u.conn.CloseWrite()
}

// raise notes how much has been written.
func (u *user) raise(n int64) {
	written := &u.written[u.end]
	for old := written.Load(); old < n && !written.CompareAndSwap(old, n); old = written.Load() {
	}
}

// readAll reads to the end.
func (u *user) readAll() error {
	r := u.rand(2)
	p := make([]byte, u.most)
	for {
		if u.leaves(u.read) {
			return nil
		}
		if u.sleepy && r.IntN(6) == 0 {
			time.Sleep(time.Duration(r.IntN(4000)) * time.Millisecond) // until the window is closed
		}
		if u.span && r.IntN(4) == 0 {
			s, err := u.conn.ReadSpan()
			if err != nil || len(s.Data) == 0 {
				return err
			}
			u.look(s.Data)
			if s.Owner != nil {
				s.Owner.Release()
			}
		} else {
			n, err := u.conn.Read(p[:1+r.IntN(u.most)])
			if err != nil || n == 0 {
				return err
			}
			u.look(p[:n])
		}
		if u.pause > 0 && r.IntN(8) == 0 {
			time.Sleep(time.Duration(r.Int64N(int64(u.pause))))
		}
	}
}

// look checks the octets that were read.
func (u *user) look(p []byte) {
	other := 1 - u.end
	for i, got := range p {
		place := uint32(u.read) + uint32(i)
		want := u.at(other, place)
		switch {
		case got == want && int64(place) < u.written[other].Load():
		case got == want|0x80 && u.world.stranger.planted(u.number, other, place):
		default:
			u.world.fail("%s: octet %d is %#x, want %#x; %d were written", u.name, place, got, want, u.written[other].Load())
			u.read += int64(len(p))
			return
		}
	}
	u.read += int64(len(p))
}
