package fdtable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/unet-go/unet/internal/frames"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/tap/taptest"
)

// TestMain fails when a goroutine is left over or, in a build with the tag unetdebug, a buffer.
func TestMain(m *testing.M) {
	taptest.Enter()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if n := link.Outstanding(); n > 0 {
			fmt.Fprintf(os.Stderr, "%d buffers were not given back\n", n)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
}

// world is two hosts on a segment, in fake time, with addresses of both families: a at 10.1.0.1 and 2001:db8::1, b at
// 10.1.0.2 and 2001:db8::2. A test runs in one of the families.
type world struct {
	t *testing.T
	*worldFamily
	segment      *sim.Segment
	hostA, hostB *stack.Host
	a, b         *Table

	mu   sync.Mutex
	sent []segment
}

// segment is a TCP segment as the wire saw it.
type segment struct {
	from  byte   // 'a' or 'b'
	flags string // of "FSRPAU", those set
	text  int    // octets
}

// worldFamily is a domain of sockets, and the addresses that they use.
type worldFamily struct {
	domain       int
	addrA, addrB netip.Addr
	any, lo      netip.Addr
	third        netip.Prefix // of a third host
	absent       netip.Addr   // of none on the segment
	foreign      netip.Addr   // without a route
	// the options that the family's packets have at their own level
	level, ttl, tos int
	mss             int   // of the usual link
	icmp            uint8 // the protocol of its ICMP
	// wrong is an address of the other family, to which a stream says wrongErr, and noLevel is what a get for a level says
	// that the socket does not have
	wrong             netip.AddrPort
	wrongErr, noLevel error
}

var (
	world4 = &worldFamily{domain: AF_INET, addrA: netip.MustParseAddr("10.1.0.1"), addrB: netip.MustParseAddr("10.1.0.2"),
		any: netip.IPv4Unspecified(), lo: netip.MustParseAddr("127.0.0.1"),
		third: netip.MustParsePrefix("10.1.0.3/24"), absent: netip.MustParseAddr("10.1.0.77"), foreign: netip.MustParseAddr("203.0.113.1"),
		level: IPPROTO_IP, ttl: IP_TTL, tos: IP_TOS, icmp: wire.ProtocolICMP, mss: 1460,
		wrong: netip.MustParseAddrPort("[::1]:80"), wrongErr: syscall.EAFNOSUPPORT, noLevel: syscall.EOPNOTSUPP}
	world6 = &worldFamily{domain: AF_INET6, addrA: netip.MustParseAddr("2001:db8::1"), addrB: netip.MustParseAddr("2001:db8::2"),
		any: netip.IPv6Unspecified(), lo: netip.IPv6Loopback(),
		third: netip.MustParsePrefix("2001:db8::3/64"), absent: netip.MustParseAddr("2001:db8::77"), foreign: netip.MustParseAddr("2001:db9::1"),
		level: IPPROTO_IPV6, ttl: IPV6_UNICAST_HOPS, tos: IPV6_TCLASS, icmp: wire.ProtocolICMPv6, mss: 1440,
		wrong: netip.MustParseAddrPort("127.0.0.1:80"), wrongErr: syscall.EINVAL, noLevel: syscall.ENOPROTOOPT}
)

// at is b's address with a port.
func (f *worldFamily) at(port uint16) netip.AddrPort { return netip.AddrPortFrom(f.addrB, port) }

// atA is a's.
func (f *worldFamily) atA(port uint16) netip.AddrPort { return netip.AddrPortFrom(f.addrA, port) }

// inWorld runs test in a world of its own, once in each family. What it leaves open is closed.
func inWorld(t *testing.T, name string, cfg sim.Config, test func(t *testing.T, w *world)) {
	inWorldOf(t, world4, name, cfg, test)
	inWorldOf(t, world6, name+" over IPv6", cfg, test)
}

// inWorldOf is inWorld in one family.
func inWorldOf(t *testing.T, f *worldFamily, name string, cfg sim.Config, test func(t *testing.T, w *world)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := &world{t: t, worldFamily: f, segment: sim.NewSegment(cfg)}
			w.segment.Tap(w.record)
			w.hostA, w.a = w.host("a", world4.addrA, world6.addrA)
			w.hostB, w.b = w.host("b", world4.addrB, world6.addrB)
			defer func() { // after a failure too: the bubble waits for all goroutines
				for fd := range 200 {
					_, _ = w.a.Close(fd), w.b.Close(fd) // what the test has left open
				}
				if err := errors.Join(w.hostA.Close(), w.hostB.Close(), w.segment.Close()); err != nil {
					t.Error(err)
				}
			}()
			test(t, w)
		})
	})
}

func (w *world) host(name string, addr4, addr6 netip.Addr) (*stack.Host, *Table) {
	w.t.Helper()
	h, err := stack.New(stack.Config{Name: name})
	w.is(err, nil)
	dev := w.segment.NewPort(sim.PortConfig{Name: name})
	w.is(h.Attach(dev, stack.Interface{Addrs: []netip.Prefix{netip.PrefixFrom(addr4, 24), netip.PrefixFrom(addr6, 64)}, DADTransmits: -1}), nil)
	return h, New(h)
}

// record notes the TCP segments of the wire.
func (w *world) record(r sim.Record) {
	f := r.Frame
	p, is := packetOf(f, wire.ProtocolTCP)
	if !is {
		return
	}
	s := segment{from: r.From.Name()[0], text: len(p.Payload) - int(p.Payload[12]>>4)*4}
	for i, letter := range "FSRPAU" {
		if p.Payload[13]>>i&1 != 0 {
			s.flags += string(letter)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, s)
}

// packetOf returns the packet of a frame, if it is one of a protocol, of either family.
func packetOf(frame []byte, protocol uint8) (p frames.Packet, is bool) {
	if typ := binary.BigEndian.Uint16(frame[12:]); typ != wire.EtherTypeIPv4 && typ != wire.EtherTypeIPv6 {
		return p, false
	}
	p, err := frames.ParseIP(frame[14:])
	return p, err == nil && p.Protocol == protocol
}

// take returns the flags of the segments that a host has sent since the last take, separated by blanks.
func (w *world) take(from byte) string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	var flags []string
	w.sent = slices.DeleteFunc(w.sent, func(s segment) bool {
		if s.from == from {
			flags = append(flags, s.flags)
		}
		return s.from == from
	})
	return strings.Join(flags, " ")
}

// settle waits until all frames have arrived. A segment without delay needs it too, since the hosts have goroutines of
// their own.
func (w *world) settle() {
	time.Sleep(100 * ms)
	synctest.Wait()
}

// is demands that err is want.
func (w *world) is(err, want error) {
	w.t.Helper()
	if err != want {
		w.t.Fatalf("error %v, want %v", err, want)
	}
}

// got demands the result of Read or Write.
func (w *world) got(n int, err error, want int, wantErr error) {
	w.t.Helper()
	if n != want || err != wantErr {
		w.t.Fatalf("got %d, %v; want %d, %v", n, err, want, wantErr)
	}
}

func (w *world) socket(t *Table, flags int) int {
	w.t.Helper()
	fd, err := t.Socket(w.domain, SOCK_STREAM|flags, 0)
	w.is(err, nil)
	return fd
}

// listen makes a listener on a port of b.
func (w *world) listen(port uint16, backlog int) int {
	w.t.Helper()
	fd := w.socket(w.b, 0)
	w.is(w.b.Bind(fd, w.at(port)), nil)
	w.is(w.b.Listen(fd, backlog), nil)
	return fd
}

// dial connects a new socket of a to a port of b.
func (w *world) dial(port uint16) int {
	w.t.Helper()
	fd := w.socket(w.a, 0)
	w.is(w.a.Connect(fd, w.at(port)), nil)
	return fd
}

func (w *world) accept(listener int) int {
	w.t.Helper()
	fd, _, err := w.b.Accept(listener)
	w.is(err, nil)
	return fd
}

// connected returns a listener on b's port 80, and both ends of a connection through it.
func (w *world) connected() (listener, a, b int) {
	w.t.Helper()
	listener = w.listen(80, 10)
	a = w.dial(80)
	return listener, a, w.accept(listener)
}

// write writes a short text, which fits.
func (w *world) write(t *Table, fd int, text string) {
	w.t.Helper()
	n, err := t.Write(fd, []byte(text))
	w.got(n, err, len(text), nil)
}

// read demands the text that one Read returns.
func (w *world) read(t *Table, fd int, want string) {
	w.t.Helper()
	p := make([]byte, 4096)
	n, err := t.Read(fd, p)
	if string(p[:n]) != want || err != nil {
		w.t.Fatalf("Read: %q, %v; want %q", p[:n], err, want)
	}
}

// readFails demands an error of Read.
func (w *world) readFails(t *Table, fd int, want error) {
	w.t.Helper()
	n, err := t.Read(fd, make([]byte, 16))
	w.got(n, err, 0, want)
}

func (w *world) writeFails(t *Table, fd int, want error) {
	w.t.Helper()
	n, err := t.Write(fd, []byte("x"))
	w.got(n, err, 0, want)
}

// option demands the value of an option.
func (w *world) option(t *Table, fd, level, opt, want int) {
	w.t.Helper()
	v, err := t.GetsockoptInt(fd, level, opt)
	if v != want || err != nil {
		w.t.Fatalf("option %d of level %d is %d, %v; want %d", opt, level, v, err, want)
	}
}

func (w *world) setLinger(t *Table, fd int, on, seconds int32) {
	w.t.Helper()
	w.is(t.SetsockoptLinger(fd, SOL_SOCKET, SO_LINGER, &Linger{Onoff: on, Linger: seconds}), nil)
}

// reset makes the peer's end of a connection reset it.
func (w *world) reset(t *Table, fd int) {
	w.t.Helper()
	w.setLinger(t, fd, 1, 0)
	w.is(t.Close(fd), nil)
	synctest.Wait()
}

// during runs call in a goroutine, lets it block, runs act, and returns call's error when it has come back.
func (w *world) during(call func() error, act func()) error {
	w.t.Helper()
	result := make(chan error, 1)
	go func() { result <- call() }()
	synctest.Wait()
	select {
	case err := <-result:
		w.t.Fatalf("did not wait, but returned %v", err)
	default:
	}
	act()
	return <-result
}

const (
	again = syscall.EAGAIN
	ms    = time.Millisecond
)

// name demands a name of a descriptor, by Getsockname or Getpeername.
func (w *world) name(get func(int) (netip.AddrPort, error), fd int) netip.AddrPort {
	w.t.Helper()
	a, err := get(fd)
	w.is(err, nil)
	return a
}
