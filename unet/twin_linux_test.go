package unet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

// The twin test runs one program twice: on package net over the kernel's loopback, and on unet. What the
// program sees it writes down line by line, and the lines must be the same. What differs all the same
// stands in docs/differences.md.

// listening and packets have the methods that the listeners and UDP sockets of both packages have in common.
type listening interface {
	net.Listener
	SetDeadline(time.Time) error
	File() (*os.File, error)
}

type packets interface {
	net.Conn
	net.PacketConn
	ReadFromUDP([]byte) (int, *net.UDPAddr, error)
	ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error)
	ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error)
	ReadMsgUDPAddrPort(b, oob []byte) (n, oobn, flags int, addr netip.AddrPort, err error)
	WriteToUDP([]byte, *net.UDPAddr) (int, error)
	WriteToUDPAddrPort([]byte, netip.AddrPort) (int, error)
	WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error)
	WriteMsgUDPAddrPort(b, oob []byte, addr netip.AddrPort) (n, oobn int, err error)
	SetReadBuffer(int) error
	SetWriteBuffer(int) error
	File() (*os.File, error)
}

// side is the functions of package net, the kernel's or ours. What they return is given on as it is, so that
// a typed nil would show.
type side interface {
	Listen(ctx context.Context, lc net.ListenConfig, network, address string) (net.Listener, error)
	ListenPacket(ctx context.Context, lc net.ListenConfig, network, address string) (net.PacketConn, error)
	ListenTCP(network string, laddr *net.TCPAddr) (listening, error)
	ListenUDP(network string, laddr *net.UDPAddr) (packets, error)
	Dial(ctx context.Context, d net.Dialer, network, address string) (net.Conn, error)
	DialTCP(network string, laddr, raddr *net.TCPAddr) (stream, error)
	DialUDP(network string, laddr, raddr *net.UDPAddr) (packets, error)
	DialTCPFrom(ctx context.Context, d net.Dialer, network string, laddr, raddr netip.AddrPort) (stream, error)
	DialUDPFrom(ctx context.Context, d net.Dialer, network string, laddr, raddr netip.AddrPort) (packets, error)
	Zero() (stream, listening, packets)
}

type kernelSide struct{}

func (kernelSide) Listen(ctx context.Context, lc net.ListenConfig, network, address string) (net.Listener, error) {
	return lc.Listen(ctx, network, address)
}

func (kernelSide) ListenPacket(ctx context.Context, lc net.ListenConfig, network, address string) (net.PacketConn, error) {
	return lc.ListenPacket(ctx, network, address)
}

func (kernelSide) ListenTCP(network string, laddr *net.TCPAddr) (listening, error) {
	return nilIfNil[listening](net.ListenTCP(network, laddr))
}

func (kernelSide) ListenUDP(network string, laddr *net.UDPAddr) (packets, error) {
	return nilIfNil[packets](net.ListenUDP(network, laddr))
}

func (kernelSide) Dial(ctx context.Context, d net.Dialer, network, address string) (net.Conn, error) {
	return d.DialContext(ctx, network, address)
}

func (kernelSide) DialTCP(network string, laddr, raddr *net.TCPAddr) (stream, error) {
	return nilIfNil[stream](net.DialTCP(network, laddr, raddr))
}

func (kernelSide) DialUDP(network string, laddr, raddr *net.UDPAddr) (packets, error) {
	return nilIfNil[packets](net.DialUDP(network, laddr, raddr))
}

func (kernelSide) DialTCPFrom(ctx context.Context, d net.Dialer, network string, laddr, raddr netip.AddrPort) (stream, error) {
	return nilIfNil[stream](d.DialTCP(ctx, network, laddr, raddr))
}

func (kernelSide) DialUDPFrom(ctx context.Context, d net.Dialer, network string, laddr, raddr netip.AddrPort) (packets, error) {
	return nilIfNil[packets](d.DialUDP(ctx, network, laddr, raddr))
}

func (kernelSide) Zero() (stream, listening, packets) {
	return new(net.TCPConn), new(net.TCPListener), new(net.UDPConn)
}

type unetSide struct{ *Host }

func (u unetSide) dialer(d net.Dialer) *Dialer {
	ours := &Dialer{Host: u.Host}
	copyFields(ours, &d)
	return ours
}

func (u unetSide) config(lc net.ListenConfig) *ListenConfig {
	ours := &ListenConfig{Host: u.Host}
	copyFields(ours, &lc)
	return ours
}

// copyFields copies the exported fields of one struct to those of another that have their names.
func copyFields(dst, src any) {
	to, from := reflect.ValueOf(dst).Elem(), reflect.ValueOf(src).Elem()
	for _, f := range reflect.VisibleFields(from.Type()) {
		if f.IsExported() {
			to.FieldByName(f.Name).Set(from.FieldByIndex(f.Index))
		}
	}
}

// nilIfNil keeps a nil pointer from becoming an interface that is not nil.
func nilIfNil[I any, T any](v *T, err error) (I, error) {
	var none I
	if v == nil {
		return none, err
	}
	return any(v).(I), err
}

func (u unetSide) Listen(ctx context.Context, lc net.ListenConfig, network, address string) (net.Listener, error) {
	return u.config(lc).Listen(ctx, network, address)
}

func (u unetSide) ListenPacket(ctx context.Context, lc net.ListenConfig, network, address string) (net.PacketConn, error) {
	return u.config(lc).ListenPacket(ctx, network, address)
}

func (u unetSide) ListenTCP(network string, laddr *net.TCPAddr) (listening, error) {
	return nilIfNil[listening](u.Host.ListenTCP(network, laddr))
}

func (u unetSide) ListenUDP(network string, laddr *net.UDPAddr) (packets, error) {
	return nilIfNil[packets](u.Host.ListenUDP(network, laddr))
}

func (u unetSide) Dial(ctx context.Context, d net.Dialer, network, address string) (net.Conn, error) {
	return u.dialer(d).DialContext(ctx, network, address)
}

func (u unetSide) DialTCP(network string, laddr, raddr *net.TCPAddr) (stream, error) {
	return nilIfNil[stream](u.Host.DialTCP(network, laddr, raddr))
}

func (u unetSide) DialUDP(network string, laddr, raddr *net.UDPAddr) (packets, error) {
	return nilIfNil[packets](u.Host.DialUDP(network, laddr, raddr))
}

func (u unetSide) DialTCPFrom(ctx context.Context, d net.Dialer, network string, laddr, raddr netip.AddrPort) (stream, error) {
	return nilIfNil[stream](u.dialer(d).DialTCP(ctx, network, laddr, raddr))
}

func (u unetSide) DialUDPFrom(ctx context.Context, d net.Dialer, network string, laddr, raddr netip.AddrPort) (packets, error) {
	return nilIfNil[packets](u.dialer(d).DialUDP(ctx, network, laddr, raddr))
}

func (unetSide) Zero() (stream, listening, packets) {
	return new(TCPConn), new(TCPListener), new(UDPConn)
}

// world is where a scenario takes place.
type world struct {
	name               string
	server, client     side
	serverIP, clientIP string
	oneHost            bool // server and client are one host, which reaches itself at its loopback address
	*twinFamily
}

// twinFamily has the addresses of one family in the worlds of the twin test.
type twinFamily struct {
	name                          string
	tcp, udp                      string // its networks
	bits                          int    // of the hosts' network
	loopback                      string
	oneIP, twoIP, aloneIP, router string         // hosts on the segment
	silent, silentAt              string         // an address that answers nothing, and the kernel's in its network
	foreign                       string         // of no host, and without a route
	tap                           []netip.Prefix // the kernel's over TAP
}

var twinFamilies = []*twinFamily{
	{name: "IPv4", tcp: "tcp4", udp: "udp4", bits: 24, loopback: "127.0.0.1",
		oneIP: "10.0.0.1", twoIP: "10.0.0.2", aloneIP: "10.0.0.3", router: "10.0.0.9",
		silent: "198.51.100.1", silentAt: "198.51.100.2", foreign: "192.0.2.1"},
	{name: "IPv6", tcp: "tcp6", udp: "udp6", bits: 64, loopback: "::1",
		oneIP: "fd00::a1", twoIP: "fd00::a2", aloneIP: "fd00::a3", router: "fd00::a9",
		silent: "2001:db8:51::9", silentAt: "2001:db8:51::2", foreign: "2001:db8:ffff::9", tap: prefixes("fd00:7::a1/64")},
}

// network returns an address with the length of its network.
func (f *twinFamily) network(ip string) netip.Prefix {
	return netip.PrefixFrom(netip.MustParseAddr(ip), f.bits)
}

// fill puts addresses into a text: FOREIGN and LOOP.
func (f *twinFamily) fill(text string) string {
	return strings.NewReplacer("FOREIGN", bracketed(f.foreign), "LOOP", bracketed(f.loopback)).Replace(text)
}

// otherLoopback returns the loopback address of the other family.
func (f *twinFamily) otherLoopback() net.IP {
	if f.bits == 64 {
		return net.IPv4(127, 0, 0, 1)
	}
	return net.IPv6loopback
}

// bracketed returns an address as it stands before a port.
func bracketed(ip string) string { return strings.TrimSuffix(net.JoinHostPort(ip, ""), ":") }

// twinWorlds returns the kernel's world and those of unet: one host alone, two on a segment, and one over TAP
// at either end of a connection with the kernel.
func twinWorlds(t *testing.T, f *twinFamily) (kernel *world, ours []*world) {
	taptest.Need(t)
	// Packets to the silent network end in a device that is not read.
	taptest.Open(t, tap.Config{TUN: true, PeerAddrs: []netip.Prefix{f.network(f.silentAt)}})
	kernel = &world{name: "kernel", server: kernelSide{}, client: kernelSide{}, serverIP: f.loopback, clientIP: f.loopback, oneHost: true, twinFamily: f}

	segment := sim.NewSegment(sim.Config{Offload: true})
	t.Cleanup(func() { _ = segment.Close() })
	silentNet := f.network(f.silentAt).Masked()
	router := netip.MustParseAddr(f.router)
	openHost(t, segment, f.network(f.router).String(), stack.Config{}) // takes packets for others, and does not forward them
	open := func(ip string) unetSide {
		h, err := Open(Config{Link: segment.Port(), Addrs: []netip.Prefix{f.network(ip)},
			Routes: []stack.Route{{Dst: silentNet, Via: router}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		return unetSide{h}
	}
	client, server, alone := open(f.oneIP), open(f.twoIP), open(f.aloneIP)

	h := openTAP(t, 0, tap.Config{PeerAddrs: f.tap})
	if err := h.Stack().AddRoute(silentNet, netip.MustParseAddr(h.kernels)); err != nil {
		t.Fatal(err)
	}
	return kernel, []*world{
		{name: "one host", server: alone, client: alone, serverIP: f.loopback, clientIP: f.loopback, oneHost: true, twinFamily: f},
		{name: "two hosts", server: server, client: client, serverIP: f.twoIP, clientIP: f.oneIP, twinFamily: f},
		{name: "unet serves the kernel", server: unetSide{h.Host}, client: kernelSide{}, serverIP: h.ours, clientIP: h.kernels, twinFamily: f},
		{name: "the kernel serves unet", server: kernelSide{}, client: unetSide{h.Host}, serverIP: h.kernels, clientIP: h.ours, twinFamily: f},
	}
}

// script is one run of a scenario.
type script struct {
	*world
	t *testing.T

	mu       sync.Mutex
	lines    []string
	labels   map[string]string // of addresses
	cleanups []func()
}

// scenario is one program. Where oneHost is set it needs server and client on one host.
type scenario struct {
	name    string
	run     func(s *script)
	oneHost bool
	// family is set where the scenario plays with addresses of both families itself.
	family string
}

func (w *world) play(t *testing.T, sc scenario) []string {
	s := &script{t: t, world: w, labels: make(map[string]string)}
	done := make(chan struct{})
	go func() { // so that must can end it alone
		defer close(done)
		defer func() {
			for _, f := range slices.Backward(s.cleanups) {
				f()
			}
		}()
		sc.run(s)
	}()
	<-done
	return s.lines
}

func (s *script) cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// must ends a script that cannot go on.
func (s *script) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Errorf("%s: %v", s.name, err)
		runtime.Goexit()
	}
}

// label gives an address a name that is the same in all worlds.
func (s *script) label(name string, a net.Addr) { s.labels[a.String()] = name }

// log writes down a step and its result.
func (s *script) log(step string, values ...any) {
	line := step + ":"
	for _, v := range values {
		line += " " + s.show(v)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
}

// logs turns the results of a call into what log takes.
func logs(values ...any) []any { return values }

// isSyscallConn asks for a descriptor as drivers do: a connection without one must not implement syscall.Conn.
func isSyscallConn(c any) (bool, error) {
	conn, ok := c.(syscall.Conn)
	if !ok {
		return false, nil
	}
	raw, err := conn.SyscallConn()
	return raw != nil, err
}

func (s *script) show(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case error:
		return s.normal(describeWith(v, s.normal))
	case net.Addr:
		return fmt.Sprintf("%T(%s)", v, s.normal(v.String()))
	case []byte:
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprint(v)
}

var ports = regexp.MustCompile(`(?:\d+\.\d+\.\d+\.\d+|\[[0-9a-f:.]*(?:%\w+)?\]|(?:^|[ >(])):\d+`)

// normal replaces what differs from world to world: ports, and the addresses of the hosts.
func (s *script) normal(text string) string {
	text = ports.ReplaceAllStringFunc(text, func(a string) string {
		before := ""
		if i := strings.IndexAny(a, "0123456789[:"); i > 0 {
			before, a = a[:i], a[i:]
		}
		return before + s.port(a)
	})
	for _, ip := range []string{s.serverIP, s.clientIP, s.loopback} {
		text = strings.ReplaceAll(text, ip, "H")
	}
	return text
}

// port replaces the port of an address, or the whole address by its label.
func (s *script) port(a string) string {
	if name, ok := s.labels[a]; ok {
		return name
	}
	if strings.HasSuffix(a, ":0") {
		return a
	}
	return a[:strings.LastIndexByte(a, ':')] + ":P"
}

// describeWith is describe with the fields of a *net.OpError, and with addresses as normal has them.
func describeWith(err error, normal func(string) string) string {
	d := describe(err)
	text := normal(err.Error()) + d[strings.Index(d, " | "):]
	var op *net.OpError
	if errors.As(err, &op) {
		text += fmt.Sprintf(" | %s %s", op.Op, op.Net)
		for _, a := range []net.Addr{op.Source, op.Addr} {
			if a == nil {
				text += " -"
			} else {
				name := fmt.Sprintf("%T", a) // one type is unexported in both packages
				text += " " + strings.Replace(name, "unet.", "net.", 1) + "(" + normal(a.String()) + ")"
			}
		}
	}
	return strings.TrimSpace(text)
}

// doing is a call in a goroutine of its own.
type doing struct {
	s    *script
	step string
	done chan []any
}

// start makes a call in a goroutine and returns once that waits in it, or has come back.
func (s *script) start(step string, call func() []any) *doing {
	d := &doing{s, step, make(chan []any, 1)}
	id := make(chan string, 1)
	go func() {
		var b [64]byte
		id <- string(b[:bytes.IndexByte(b[:runtime.Stack(b[:], false)], '[')])
		d.done <- call()
	}()
	waiting(<-id)
	return d
}

// waiting returns when the goroutine waits for the network, or has ended: it looks at the goroutine's state.
func waiting(id string) {
	buf := make([]byte, 1<<20)
	for {
		all := string(buf[:runtime.Stack(buf, true)])
		i := strings.Index(all, id+"[")
		if i < 0 {
			return
		}
		state := all[i+len(id)+1:]
		for _, parked := range []string{"IO wait", "sync.Cond.Wait", "select", "semacquire"} { // the last one behind another call
			if strings.HasPrefix(state, parked) {
				return
			}
		}
		runtime.Gosched()
	}
}

// end waits for the call and writes down its result.
func (d *doing) end() { d.s.log(d.step, <-d.done...) }

// listen returns a listener on the server, labelled L.
func (s *script) listen() listening {
	l, err := s.server.Listen(context.Background(), net.ListenConfig{}, "tcp", net.JoinHostPort(s.serverIP, "0"))
	s.must(err)
	s.cleanup(func() { _ = l.Close() })
	s.label("L", l.Addr())
	return l.(listening)
}

// dialTo returns a connection to l, labelled C.
func (s *script) dialTo(l net.Listener) stream {
	c, err := s.client.Dial(context.Background(), net.Dialer{}, "tcp", l.Addr().String())
	s.must(err)
	s.cleanup(func() { _ = c.Close() })
	s.label("C", c.LocalAddr())
	return c.(stream)
}

// ends returns both ends of a fresh connection, labelled C and S.
func (s *script) ends() (c, p stream) {
	l := s.listen()
	c = s.dialTo(l)
	a, err := l.Accept()
	s.must(err)
	s.must(l.Close())
	s.cleanup(func() { _ = a.Close() })
	s.label("S", a.LocalAddr())
	return c, a.(stream)
}

// narrow is ends with buffers that are soon full.
func (s *script) narrow() (c, p stream) {
	c, p = s.ends()
	for _, end := range []stream{c, p} {
		s.must(end.SetReadBuffer(32 << 10))
		s.must(end.SetWriteBuffer(32 << 10))
	}
	return c, p
}

// sockets returns a bound UDP socket of the server's, labelled S, and one of the client's that is connected to
// it, labelled C.
func (s *script) sockets() (c, p packets) {
	p, err := s.server.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(s.serverIP)})
	s.must(err)
	s.cleanup(func() { _ = p.Close() })
	c, err = s.client.DialUDP("udp", nil, p.LocalAddr().(*net.UDPAddr))
	s.must(err)
	s.cleanup(func() { _ = c.Close() })
	s.label("S", p.LocalAddr())
	s.label("C", c.LocalAddr())
	return c, p
}

// freePort returns an address of the server without a listener, labelled F.
func (s *script) freePort() *net.TCPAddr {
	l := s.listen()
	s.must(l.Close())
	s.label("F", l.Addr())
	return l.Addr().(*net.TCPAddr)
}

// send writes text at one end and reads it at the other one.
func (s *script) send(from, to stream, text string) {
	_, err := io.WriteString(from, text)
	s.must(err)
	b := make([]byte, len(text))
	_, err = io.ReadFull(to, b)
	s.must(err)
	if string(b) != text {
		s.t.Errorf("%s: %q arrived as %q", s.name, text, b)
	}
}

// A difference is a line that unet writes otherwise than the kernel, and why: the row in docs/differences.md.
type difference struct {
	scenario, step, row string
}

func TestTwin(t *testing.T) { playTwins(t, twinFamilies[0]) }

// TestTwinIPv6 is TestTwin with addresses of IPv6.
func TestTwinIPv6(t *testing.T) { playTwins(t, twinFamilies[1]) }

func playTwins(t *testing.T, f *twinFamily) {
	kernel, ours := twinWorlds(t, f)
	table := slices.DeleteFunc(twinScenarios(), func(sc scenario) bool { return sc.family != "" && sc.family != f.name })
	rows := differenceRows(t)
	seen := make(map[string]bool)
	var lines, played, differ int
	names, ran := make(map[string]bool), make(map[string]bool)
	for _, sc := range table {
		if names[sc.name] {
			t.Errorf("two scenarios %q", sc.name)
		}
		names[sc.name] = true
		t.Run(sc.name, func(t *testing.T) {
			ran[sc.name] = true
			want := kernel.play(t, sc)
			lines += len(want)
			if len(want) == 0 {
				t.Error("it has written nothing down")
			}
			var worlds []string
			got := make(map[string][]string)
			for _, w := range ours {
				if sc.oneHost && !w.oneHost {
					continue
				}
				worlds = append(worlds, w.name)
				got[w.name] = w.play(t, sc)
			}
			played += len(worlds)
			differ += compareTwins(t, sc.name, want, worlds, got, seen)
		})
	}
	for _, d := range differences {
		if !rows[d.row] {
			t.Errorf("docs/differences.md has no row %s", d.row)
		}
		if ran[d.scenario] && !seen[d.scenario+"/"+d.step] {
			t.Errorf("%s of %s does not differ as row %s says", d.step, d.scenario, d.row)
		}
	}
	t.Logf("%s: %d scenarios, %d lines each; played %d times on unet; %d lines differ, for the reasons of %d rows",
		f.name, len(table), lines, played, differ, len(rowsUsed()))
	if len(table) < 120 {
		t.Errorf("%d scenarios", len(table))
	}
}

// compareTwins compares line by line, and returns how many lines differ as is written.
func compareTwins(t *testing.T, name string, want []string, worlds []string, got map[string][]string, seen map[string]bool) (differ int) {
	t.Helper()
	at := func(lines []string, i int) string {
		if i < len(lines) {
			return lines[i]
		}
		return "nothing"
	}
	longest := len(want)
	for _, lines := range got {
		longest = max(longest, len(lines))
	}
	for i := range longest {
		others := make(map[string][]string) // the worlds that have another line
		for _, w := range worlds {
			if line := at(got[w], i); line != at(want, i) {
				others[line] = append(others[line], w)
			}
		}
		step, _, _ := strings.Cut(at(want, i), ":")
		known := slices.ContainsFunc(differences, func(d difference) bool { return d.scenario == name && d.step == step })
		for line, in := range others {
			if known {
				seen[name+"/"+step] = true
				differ++
				continue
			}
			t.Errorf("\nnet:  %s\nunet: %s\nin %s", at(want, i), line, strings.Join(in, ", "))
		}
	}
	return differ
}

// differenceRows returns the rows that docs/differences.md has for package net.
func differenceRows(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^\| (N-\d+) \|`).FindAllStringSubmatch(string(text), -1) {
		if rows[m[1]] {
			t.Errorf("docs/differences.md has two rows %s", m[1])
		}
		rows[m[1]] = true
	}
	for _, row := range slices.Sorted(maps.Keys(rows)) {
		if !slices.Contains(rowsUsed(), row) && !rowsElsewhere[row] {
			t.Errorf("no scenario shows row %s of docs/differences.md", row)
		}
	}
	return rows
}

func rowsUsed() (rows []string) {
	for _, d := range differences {
		if !slices.Contains(rows, d.row) {
			rows = append(rows, d.row)
		}
	}
	return rows
}

// optionsOf tells the options of a connection by what each side has for it.
func optionsOf(s *script, c net.Conn) string {
	if c, ok := c.(*TCPConn); ok {
		o := c.conn.Options()
		or := func(n, def uint16) uint16 { // zero stands for the system's
			if n == 0 {
				return def
			}
			return n
		}
		return fmt.Sprintf("keepalive=%v idle=%d interval=%d count=%d nodelay=%v linger=%d",
			o.KeepAlive, or(o.KeepIdle, 7200), or(o.KeepInterval, 75), or(uint16(o.KeepCount), 9), o.NoDelay, o.Linger)
	}
	var text string
	s.must(control(c, func(fd int) error {
		get := func(level, name int) int {
			v, err := unix.GetsockoptInt(fd, level, name)
			s.must(err)
			return v
		}
		linger, err := unix.GetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER)
		s.must(err)
		seconds := -1
		if linger.Onoff != 0 {
			seconds = int(linger.Linger)
		}
		text = fmt.Sprintf("keepalive=%v idle=%d interval=%d count=%d nodelay=%v linger=%d", get(unix.SOL_SOCKET, unix.SO_KEEPALIVE) != 0,
			get(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE), get(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL), get(unix.IPPROTO_TCP, unix.TCP_KEEPCNT),
			get(unix.IPPROTO_TCP, unix.TCP_NODELAY) != 0, seconds)
		return nil
	}))
	return text
}
