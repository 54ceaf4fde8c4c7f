package fdtable

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack/sim"
)

var (
	callSteps = flag.Int("calls.steps", 3000, "calls of TestCalls")
	callSeed  = flag.Uint64("calls.seed", 1, "seed of TestCalls")
)

// endModel is the state of one end of a connection as a program can know it on a perfect wire, when nothing is in flight.
type endModel struct {
	peer          *endModel
	written, read int  // octets
	shutWrite     bool // this end has ended its stream
	shutRead      bool
	closed        bool // the end has no descriptor any more
	broken        bool // a reset is due or has come: calls may fail, as they must not otherwise
	closedAt      time.Time
	reset         bool // in LAST-ACK: the next write says so
	fd            *fdModel
}

func (e *endModel) waiting() int { return e.peer.written - e.read }

// at is the octet at a place of the end's stream.
func (e *endModel) at(place int) byte { return byte(place) ^ byte(place>>8) }

// fdModel is the state of one descriptor as a program can know it.
type fdModel struct {
	table     *Table
	domain    int
	number    int
	open      bool
	listening netip.AddrPort // valid for a listener
	queue     []*endModel    // connections that wait for accept
	end       *endModel      // of a connection
	asked     bool           // by a connect that did not wait, which has yet to hear the result
}

// callWorld is eight descriptors, four in each table, and the model of them.
type callWorld struct {
	*world
	rnd   *rand.Rand
	fds   [8]*fdModel
	step  int
	calls []string
	mixed bool // sockets are of either family, and those of AF_INET6 use mapped addresses too
}

func (c *callWorld) fail(format string, args ...any) {
	c.t.Helper()
	c.t.Fatalf("seed %d, call %d: %s\nlast calls: %v", *callSeed, c.step, fmt.Sprintf(format, args...), c.calls[max(len(c.calls)-12, 0):])
}

func (c *callWorld) note(format string, args ...any) {
	c.calls = append(c.calls[max(len(c.calls)-30, 0):], fmt.Sprintf(format, args...))
}

// expect checks one call's error.
func (c *callWorld) expect(what string, err error, want ...error) {
	c.t.Helper()
	c.note("%s: %v", what, err)
	if !slices.Contains(want, err) {
		c.fail("%s: %v, want %v", what, err, want)
	}
}

// lowest returns the number that a new descriptor of a table must get.
func (c *callWorld) lowest(t *Table) int {
	for n := 0; ; n++ {
		if !slices.ContainsFunc(c.fds[:], func(f *fdModel) bool { return f.open && f.table == t && f.number == n }) {
			return n
		}
	}
}

// install checks the number of a new descriptor.
func (c *callWorld) install(f *fdModel, number int) {
	if want := c.lowest(f.table); number != want {
		c.fail("descriptor %d, want the lowest free one, %d", number, want)
	}
	f.number, f.open = number, true
}

// free returns an unused entry of the model for a table, nil if there is none.
func (c *callWorld) free(t *Table) *fdModel {
	for _, f := range c.fds {
		if !f.open && f.table == t {
			return f
		}
	}
	return nil
}

func (c *callWorld) socketCall(f *fdModel) {
	domain := AF_INET
	if c.mixed && c.rnd.IntN(4) > 0 {
		domain = AF_INET6
	}
	n, err := f.table.Socket(domain, SOCK_STREAM|SOCK_NONBLOCK, 0)
	c.expect("socket", err, nil)
	*f = fdModel{table: f.table, domain: domain}
	c.install(f, n)
}

// listenAddr is one of three addresses of a family that sockets listen at, in each host, and how a socket says it.
func (c *callWorld) listenAddr(f *fdModel, t *Table) (at, said netip.AddrPort) {
	family, mapped := world4, false
	if f.domain == AF_INET6 {
		if mapped = c.rnd.IntN(3) == 0; !mapped {
			family = world6
		}
	}
	addr := family.addrB
	if t == c.a {
		addr = family.addrA
	}
	at = netip.AddrPortFrom(addr, uint16(80+c.rnd.IntN(3)))
	if said = at; mapped {
		said = netip.AddrPortFrom(netip.AddrFrom16(addr.As16()), at.Port())
	}
	return at, said
}

func (c *callWorld) listener(at netip.AddrPort) *fdModel {
	for _, f := range c.fds {
		if f.open && f.listening == at {
			return f
		}
	}
	return nil
}

func (c *callWorld) listenCall(f *fdModel) {
	at, said := c.listenAddr(f, f.table)
	switch {
	case f.end != nil:
		c.expect("bind of a connection", f.table.Bind(f.number, said), syscall.EINVAL)
		return
	case f.listening.IsValid():
		c.expect("bind of a listener", f.table.Bind(f.number, said), syscall.EINVAL)
		c.expect("listen again", f.table.Listen(f.number, 3), nil)
		return
	}
	c.expect("reuse", f.table.SetsockoptInt(f.number, SOL_SOCKET, SO_REUSEADDR, 1), nil)
	if c.listener(at) != nil {
		c.expect("bind over a listener", f.table.Bind(f.number, said), syscall.EADDRINUSE)
		return
	}
	c.expect("bind", f.table.Bind(f.number, said), nil)
	c.expect("listen", f.table.Listen(f.number, 3), nil)
	f.listening = at
}

func (c *callWorld) connectCall(f *fdModel) {
	to, said := c.listenAddr(f, []*Table{c.a, c.b}[c.rnd.IntN(2)])
	err := f.table.Connect(f.number, said)
	switch {
	case f.end != nil:
		if f.asked { // the first call after EINPROGRESS tells how that came out
			c.expect("connect of a connection", err, nil)
			f.asked = false
			return
		}
		c.expect("connect of a connection", err, syscall.EISCONN)
		return
	case f.listening.IsValid():
		c.expect("connect of a listener", err, syscall.EISCONN)
		return
	}
	l := c.listener(to)
	if l != nil && len(l.queue) > 3 { // the accept queue is full: there is no answer
		c.expect("connect", err, syscall.EINPROGRESS)
		c.expect("close", f.table.Close(f.number), nil)
		f.open = false
		return
	}
	atOnce := err == nil
	if atOnce { // to oneself it may be
		c.note("connect: at once")
	} else {
		c.expect("connect", err, syscall.EINPROGRESS, syscall.ECONNREFUSED)
	}
	refused := syscall.ECONNREFUSED
	if err == refused { // to oneself that may be known at once, and then the call has told it
		refused = 0
	}
	c.quiet()
	value, err := f.table.GetsockoptInt(f.number, SOL_SOCKET, SO_ERROR)
	if l == nil {
		if err != nil || value != int(refused) {
			c.fail("SO_ERROR %d, %v after connect to nobody, want %d", value, err, int(refused))
		}
		c.expect("close", f.table.Close(f.number), nil)
		f.open = false
		return
	}
	if err != nil || value != 0 {
		c.fail("SO_ERROR %d, %v after connect", value, err)
	}
	client, server := &endModel{fd: f}, &endModel{}
	client.peer, server.peer = server, client
	f.end, f.asked = client, !atOnce
	l.queue = append(l.queue, server)
}

func (c *callWorld) acceptCall(f *fdModel) {
	into := c.free(f.table)
	if into == nil {
		return
	}
	n, peer, err := f.table.Accept4(f.number, SOCK_NONBLOCK)
	switch {
	case !f.listening.IsValid():
		c.expect("accept without listen", err, syscall.EINVAL)
	case len(f.queue) == 0:
		c.expect("accept", err, again)
	default:
		c.expect("accept", err, nil)
		if peer.Addr().Is4() != (f.domain == AF_INET) || peer.Addr().Unmap().Is4() != f.listening.Addr().Is4() {
			c.fail("accepted %v, of a listener at %v in domain %d", peer, f.listening, f.domain)
		}
		*into = fdModel{table: f.table, domain: f.domain, end: f.queue[0]}
		f.queue[0].fd = into
		f.queue = f.queue[1:]
		c.install(into, n)
	}
}

func (c *callWorld) readCall(f *fdModel) {
	p := make([]byte, 1+c.rnd.IntN(4000)>>c.rnd.IntN(12))
	n, err := f.table.Read(f.number, p)
	e := f.end
	switch {
	case e == nil:
		c.expect("read without connection", err, syscall.ENOTCONN)
		return
	case e.broken:
		c.expect("read of a broken connection", err, nil, again, syscall.ECONNRESET, syscall.EPIPE)
		if n > max(e.waiting(), 0) {
			c.fail("%d octets read, %d were written", n, e.waiting())
		}
	case e.waiting() > 0:
		c.expect("read", err, nil)
		if want := min(len(p), e.waiting()); n != want {
			c.fail("read %d octets, want %d", n, want)
		}
	case e.peer.shutWrite || e.shutRead:
		c.expect("read at the end", err, nil)
		if n != 0 {
			c.fail("%d octets behind the end", n)
		}
	default:
		c.expect("read of nothing", err, again)
	}
	for i := range max(n, 0) {
		if p[i] != e.peer.at(e.read+i) {
			c.fail("octet %d of the stream is %d", e.read+i, p[i])
		}
	}
	e.read += max(n, 0)
}

func (c *callWorld) writeCall(f *fdModel) {
	e := f.end
	n := 1 + c.rnd.IntN(3000)>>c.rnd.IntN(12)
	if e != nil && e.written-e.peer.read+n > 20_000 {
		return // less than any buffer, so that all of it is taken
	}
	p := make([]byte, n)
	if e != nil {
		for i := range p {
			p[i] = e.at(e.written + i)
		}
	}
	k, err := f.table.Write(f.number, p)
	switch {
	case e == nil:
		c.expect("write without connection", err, syscall.EPIPE)
		return
	case e.broken:
		c.expect("write to a broken connection", err, nil, syscall.EPIPE, syscall.ECONNRESET)
	case e.reset: // E-RW-3, once
		c.expect("write after a reset in LAST-ACK", err, syscall.ECONNRESET)
		e.reset = false
	case e.shutWrite:
		c.expect("write after shutdown", err, syscall.EPIPE)
	default:
		c.expect("write", err, nil)
		if k != n {
			c.fail("wrote %d octets of %d", k, n)
		}
		if e.peer.closed {
			e.broken = true // the peer's host answers with a reset
		}
	}
	e.written += max(k, 0)
}

func (c *callWorld) shutdownCall(f *fdModel) {
	how := c.rnd.IntN(3)
	err := f.table.Shutdown(f.number, how)
	e := f.end
	switch {
	case f.listening.IsValid():
		c.expect("shutdown of a listener", err, nil)
		if how != SHUT_WR {
			c.drop(f)
			c.expect("close", f.table.Close(f.number), nil)
			f.open = false
		}
	case e == nil:
		c.expect("shutdown without connection", err, syscall.ENOTCONN)
	case e.broken:
		c.expect("shutdown of a broken connection", err, nil, syscall.ENOTCONN)
		e.shutWrite = e.shutWrite || how != SHUT_RD
	default:
		c.expect("shutdown", err, nil, syscall.ENOTCONN)
		if err != nil && !(e.shutWrite && e.peer.shutWrite) {
			c.fail("shutdown of a living connection: %v", err)
		}
		if how != SHUT_RD && !e.shutWrite {
			e.shutWrite = true
			e.reset = e.peer.closed && time.Since(e.peer.closedAt) > time.Minute // FIN-WAIT-2 is over there
		}
		if how != SHUT_WR {
			// Text that arrives from now on is thrown away; for text that has arrived before, the model allows both.
			e.shutRead, e.broken = true, true
		}
	}
}

// drop lets all connections go that a listener holds.
func (c *callWorld) drop(f *fdModel) {
	for _, e := range f.queue {
		e.closed, e.shutWrite, e.broken, e.peer.broken = true, true, true, true
	}
	f.queue, f.listening = nil, netip.AddrPort{}
}

func (c *callWorld) closeCall(f *fdModel) {
	c.expect("close", f.table.Close(f.number), nil)
	c.expect("close again", f.table.Close(f.number), syscall.EBADF)
	f.open = false
	c.drop(f)
	if e := f.end; e != nil {
		if e.waiting() > 0 {
			e.peer.broken = true // unread text resets
		}
		e.closed, e.shutWrite, e.closedAt = true, true, time.Now()
	}
	f.end = nil
}

// waitCall blocks in a read or an accept until something else wakes it: nothing may stay blocked.
func (c *callWorld) waitCall(f *fdModel) {
	e := f.end
	quiet := e != nil && !e.broken && e.waiting() == 0 && !e.peer.shutWrite && !e.shutRead
	if !quiet && !(f.listening.IsValid() && len(f.queue) == 0) {
		return
	}
	c.expect("blocking", f.table.SetNonblock(f.number, false), nil)
	result := make(chan error, 1)
	go func() {
		var err error
		if e != nil {
			_, err = f.table.Read(f.number, make([]byte, 10))
		} else {
			_, _, err = f.table.Accept(f.number)
		}
		result <- err
	}()
	synctest.Wait()
	if c.rnd.IntN(2) == 0 || e == nil || e.peer.fd == nil || !e.peer.fd.open {
		c.closeCall(f)
		c.quiet()
		c.wakes(result, "the close of its own descriptor", syscall.EBADF)
		return
	}
	c.closeCall(e.peer.fd)
	c.quiet()
	c.wakes(result, "the peer's close", nil, syscall.ECONNRESET)
	c.expect("not blocking", f.table.SetNonblock(f.number, true), nil)
}

func (c *callWorld) wakes(result chan error, what string, want ...error) {
	select {
	case err := <-result:
		c.expect("woken by "+what, err, want...)
	default:
		c.fail("%s woke nobody", what)
	}
}

// quiet lets everything arrive that is on its way.
func (c *callWorld) quiet() {
	time.Sleep(50 * ms)
	synctest.Wait()
}

// one makes one random call.
func (c *callWorld) one() {
	c.step++
	f := c.fds[c.rnd.IntN(len(c.fds))]
	if !f.open {
		if c.rnd.IntN(3) == 0 {
			n := c.lowest(f.table)
			_, err := f.table.Read(n, make([]byte, 1))
			c.expect("read of a closed descriptor", err, syscall.EBADF)
			c.expect("shutdown of a closed descriptor", f.table.Shutdown(n, SHUT_RD), syscall.EBADF)
			return
		}
		c.socketCall(f)
		return
	}
	switch k := c.rnd.IntN(100); {
	case k < 12:
		c.connectCall(f)
	case k < 20:
		c.listenCall(f)
	case k < 32:
		c.acceptCall(f)
	case k < 60:
		c.writeCall(f)
	case k < 88:
		c.readCall(f)
	case k < 91:
		c.shutdownCall(f)
	case k < 94:
		c.waitCall(f)
	case k < 98:
		c.closeCall(f)
	default:
		time.Sleep(time.Duration(c.rnd.IntN(100)) * time.Second)
	}
	c.quiet()
}

// TestCalls makes random calls on eight descriptors, -calls.steps of them, and compares each result with a model.
func TestCalls(t *testing.T) {
	for _, mixed := range []bool{false, true} {
		name := "F-FUZZ-3 random calls on eight descriptors against a model"
		if mixed {
			name += ", sockets of both families"
		}
		inWorldOf(t, world4, name, sim.Config{Delay: ms}, func(t *testing.T, w *world) {
			c := &callWorld{world: w, rnd: rand.New(rand.NewPCG(*callSeed, 3)), mixed: mixed}
			for i := range c.fds {
				c.fds[i] = &fdModel{table: []*Table{w.a, w.b}[i%2]}
			}
			for range *callSteps {
				c.one()
			}
		})
	}
}
