package unet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
)

// stream is what TCPConn and net.TCPConn have in common, and a script uses.
type stream interface {
	net.Conn
	CloseRead() error
	CloseWrite() error
	SetLinger(int) error
	SetKeepAliveConfig(net.KeepAliveConfig) error
	SetKeepAlivePeriod(time.Duration) error
}

// face is one way to the functions of package net: the kernel's own over loopback, or ours.
type face struct {
	ip, foreign  string
	listen       func(network, address string) (net.Listener, error)
	dial         func(ctx context.Context, network, address string) (net.Conn, error)
	dialer       func(timeout time.Duration, local net.Addr) func(network, address string) (net.Conn, error)
	listenPacket func(network, address string) (net.PacketConn, error)
}

func kernelFace() face {
	return face{
		ip: "127.0.0.1", foreign: "192.0.2.1",
		listen:       net.Listen,
		dial:         new(net.Dialer).DialContext,
		listenPacket: net.ListenPacket,
		dialer: func(timeout time.Duration, local net.Addr) func(string, string) (net.Conn, error) {
			return (&net.Dialer{Timeout: timeout, LocalAddr: local}).Dial
		},
	}
}

func unetFace(client, server *Host) face {
	return face{
		ip: serverIP, foreign: "192.0.2.1",
		listen:       server.Listen,
		dial:         client.DialContext,
		listenPacket: server.ListenPacket,
		dialer: func(timeout time.Duration, local net.Addr) func(string, string) (net.Conn, error) {
			return (&Dialer{Host: client, Timeout: timeout, LocalAddr: local}).Dial
		},
	}
}

// ends returns both ends of a fresh connection.
func (f face) ends(t *testing.T) (c, s stream) {
	t.Helper()
	l, err := f.listen("tcp", f.ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := f.dial(context.Background(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); _ = peer.Close() })
	return conn.(stream), peer.(stream)
}

var (
	addresses = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+:\d+|\[::\]:\d+`)
	hosts     = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+`)
)

// describe writes an error with all that a program can ask of it; addresses are left out.
func describe(err error) string {
	if err == nil {
		return "nil"
	}
	var chain []string
	for e := err; e != nil; e = errors.Unwrap(e) {
		name := fmt.Sprintf("%T", e)
		name = name[strings.LastIndexAny(name, ".*")+1:]
		chain = append(chain, name)
	}
	var asked []string
	if ne, ok := err.(interface {
		Timeout() bool
		Temporary() bool
	}); ok {
		asked = append(asked, fmt.Sprintf("timeout=%v temporary=%v", ne.Timeout(), ne.Temporary()))
	}
	for _, target := range []struct {
		name string
		err  error
	}{{"net.ErrClosed", net.ErrClosed}, {"context.Canceled", context.Canceled}, {"context.DeadlineExceeded", context.DeadlineExceeded},
		{"io.EOF", io.EOF}, {"os.ErrInvalid", os.ErrInvalid}, {"net.ErrWriteToConnected", net.ErrWriteToConnected},
		{"ErrUnsupported", errors.ErrUnsupported}} {
		if errors.Is(err, target.err) {
			asked = append(asked, target.name)
		}
	}
	text := hosts.ReplaceAllString(addresses.ReplaceAllString(err.Error(), "A"), "H")
	return text + " | " + strings.Join(chain, " ") + " | " + strings.Join(asked, " ")
}

// scripts are run over the kernel and over unet; the log of both must be equal, and equal to want where one
// line matters so much that it stands here.
var scripts = []struct {
	name string
	run  func(t *testing.T, f face, log func(step string, err error))
	want []string
}{
	{name: "E-GO-7 dial errors", run: dialErrors, want: []string{
		"refused: dial tcp A: connect: connection refused | OpError SyscallError Errno | timeout=false temporary=false"}},
	{name: "E-GO-7 listen errors", run: listenErrors, want: []string{
		"busy: listen tcp A: bind: address already in use | OpError SyscallError Errno | timeout=false temporary=false",
		"foreign: listen tcp A: bind: cannot assign requested address | OpError SyscallError Errno | timeout=false temporary=false"}},
	{name: "E-GO-8 dial honours its context", run: dialContext, want: []string{
		"cancelled before: dial tcp A: operation was canceled | OpError canceledError | timeout=false temporary=false context.Canceled"}},
	{name: "E-GO-5 everything after Close", run: afterClose, want: []string{
		"Read: read tcp A->A: use of closed network connection | OpError errNetClosing | timeout=false temporary=false net.ErrClosed"}},
	{name: "E-GO-5 Close wakes blocked calls", run: closeWakes},
	{name: "E-GO-2 deadlines that have passed", run: pastDeadlines, want: []string{
		"Read: read tcp A->A: i/o timeout | OpError DeadlineExceededError | timeout=true temporary=true"}},
	{name: "E-GO-6 the end of the stream is io.EOF itself", run: endOfStream, want: []string{
		"Read at the end: EOF | errorString | io.EOF"}},
	{name: "E-GO-7 a reset connection", run: resetConnection, want: []string{
		"Read: read tcp A->A: read: connection reset by peer | OpError SyscallError Errno | timeout=false temporary=false"}},
	{name: "shutdown both ways", run: shutdown},
	{name: "E-GO-9 listener", run: listenerErrors, want: []string{
		"blocked Accept: accept tcp A: use of closed network connection | OpError errNetClosing | timeout=false temporary=false net.ErrClosed"}},
	{name: "E-GO-14 packets", run: packets, want: []string{
		"WriteTo when connected: write udp A->A: use of WriteTo with pre-connected connection | OpError errorString | timeout=false temporary=false net.ErrWriteToConnected"}},
	{name: "options", run: options},
	{name: "copies", run: copies},
}

func TestParityWithPackageNet(t *testing.T) {
	client, server, _ := pair(t, sim.Config{})
	for _, tt := range scripts {
		t.Run(tt.name, func(t *testing.T) {
			record := func(f face) (lines []string) {
				tt.run(t, f, func(step string, err error) { lines = append(lines, step+": "+strings.TrimSuffix(describe(err), " ")) })
				return lines
			}
			want, got := record(kernelFace()), record(unetFace(client, server))
			for i := range max(len(want), len(got)) {
				w, g := "nothing", "nothing"
				if i < len(want) {
					w = want[i]
				}
				if i < len(got) {
					g = got[i]
				}
				if w != g {
					t.Errorf("\nnet:  %s\nunet: %s", w, g)
				}
			}
			for _, line := range tt.want {
				if !strings.Contains(strings.Join(got, "\n"), strings.TrimSuffix(line, " ")) {
					t.Errorf("missing %s", line)
				}
			}
		})
	}
}

func dialErrors(t *testing.T, f face, log func(string, error)) {
	step := func(name string, c net.Conn, err error) {
		if c != nil {
			t.Errorf("%s: %T is not nil", name, c)
		}
		log(name, err)
	}
	l, err := f.listen("tcp", f.ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	_ = l.Close()
	for _, d := range []struct{ name, network, address string }{
		{"refused", "tcp", free},
		{"refused tcp4", "tcp4", free},
		{"no port", "tcp", f.ip},
		{"no address", "tcp", ""},
		{"no such port", "tcp", f.ip + ":65536"},
		{"no such service", "tcp", f.ip + ":no-such-service"},
		{"too many colons", "tcp", "::1:80"},
		{"unknown network", "tcp5", free},
		{"wrong family", "tcp6", free},
		{"IPv6 on tcp4", "tcp4", "[::1]:80"},
		{"udp without port", "udp", f.ip},
	} {
		c, err := f.dial(context.Background(), d.network, d.address)
		step(d.name, c, err)
	}
	c, err := f.dialer(0, &net.UDPAddr{})("tcp", free)
	step("local address of another network", c, err)
	c, err = f.dialer(0, &net.TCPAddr{IP: net.ParseIP(f.foreign)})("tcp", free)
	step("foreign local address", c, err)
	c, err = f.dialer(0, &net.TCPAddr{IP: net.ParseIP("::1")})("tcp", free)
	step("local address of the other family", c, err)
}

func listenErrors(t *testing.T, f face, log func(string, error)) {
	l, err := f.listen("tcp", f.ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, d := range []struct{ name, network, address string }{
		{"busy", "tcp", l.Addr().String()},
		{"foreign", "tcp", f.foreign + ":0"},
		{"no port", "tcp", f.ip},
		{"unknown network", "tcp7", f.ip + ":0"},
		{"wrong family", "tcp6", f.ip + ":0"},
		{"bad port", "tcp", f.ip + ":-1"},
	} {
		l, err := f.listen(d.network, d.address)
		if l != nil {
			t.Errorf("%s: %T is not nil", d.name, l)
		}
		log(d.name, err)
	}
	c, err := f.listenPacket("udp", f.foreign+":0")
	if c != nil {
		t.Errorf("packets: %T is not nil", c)
	}
	log("foreign packets", err)
	w, err := f.listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	log("wildcard "+addresses.ReplaceAllString(w.Addr().String(), "any")+" "+w.Addr().Network(), nil)
	_, err = f.listen("tcp", w.Addr().String())
	log("busy wildcard", err)
}

func dialContext(t *testing.T, f face, log func(string, error)) {
	l, err := f.listen("tcp", f.ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := l.Addr().String()
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	c, err := f.dial(cancelled, "tcp", at)
	log("cancelled before", err)
	late, cancel := context.WithDeadline(context.Background(), time.Unix(1, 0))
	defer cancel()
	c2, err := f.dial(late, "tcp", at)
	log("deadline before", err)
	c3, err := f.dialer(-time.Second, nil)("tcp", at)
	log("negative timeout", err)
	if c != nil || c2 != nil || c3 != nil {
		t.Error("a dial failed with a connection")
	}
	during, cancel := context.WithCancel(context.Background())
	c, err = f.dial(during, "tcp", at)
	log("dial", err)
	cancel()
	if err == nil {
		_, err = c.Write([]byte("x"))
		log("cancelled afterwards", err)
		_ = c.Close()
	}
}

func afterClose(t *testing.T, f face, log func(string, error)) {
	c, _ := f.ends(t)
	b := make([]byte, 1)
	log("Close", c.Close())
	_, err := c.Read(b)
	log("Read", err)
	_, err = c.Read(nil)
	log("Read nothing", err)
	_, err = c.Write(b)
	log("Write", err)
	_, err = c.Write(nil)
	log("Write nothing", err)
	log("Close again", c.Close())
	log("SetDeadline", c.SetDeadline(time.Now()))
	log("SetReadDeadline", c.SetReadDeadline(time.Time{}))
	log("SetWriteDeadline", c.SetWriteDeadline(time.Time{}))
	log("CloseRead", c.CloseRead())
	log("CloseWrite", c.CloseWrite())
	log("SetLinger", c.SetLinger(0))
	_, err = io.Copy(c, strings.NewReader("x"))
	log("ReadFrom", err)
	_, err = io.Copy(io.Discard, c)
	log("WriteTo", err)
	if _, ok := c.RemoteAddr().(*net.TCPAddr); !ok || c.LocalAddr().Network() != "tcp" {
		t.Errorf("addresses %v, %v", c.LocalAddr(), c.RemoteAddr())
	}
}

func closeWakes(t *testing.T, f face, log func(string, error)) {
	c, _ := f.ends(t)
	read, write := make(chan error), make(chan error)
	go func() { _, err := c.Read(make([]byte, 1)); read <- err }()
	go func() {
		b := make([]byte, 1<<20)
		for {
			if _, err := c.Write(b); err != nil {
				write <- err
				return
			}
		}
	}()
	_ = c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)) // fill the buffers, then block
	log("Write until full", <-write)
	_ = c.SetWriteDeadline(time.Time{})
	go func() { _, err := c.Write(make([]byte, 1<<24)); write <- err }()
	log("Close", c.Close())
	log("blocked Read", <-read)
	log("blocked Write", <-write)
}

func pastDeadlines(t *testing.T, f face, log func(string, error)) {
	c, s := f.ends(t)
	past, b := time.Unix(1, 0), make([]byte, 4)
	log("SetReadDeadline", c.SetReadDeadline(past))
	_, err := c.Read(b)
	log("Read", err)
	_, err = c.Read(nil)
	log("Read nothing", err)
	_, err = c.Write(b)
	log("Write all the same", err)
	_, err = io.Copy(io.Discard, c)
	log("WriteTo", err)
	log("clear", c.SetReadDeadline(time.Time{}))
	_, err = s.Write(b)
	log("peer's Write", err)
	_, err = io.ReadFull(c, b)
	log("Read afterwards", err)
	log("SetWriteDeadline", c.SetWriteDeadline(past))
	_, err = c.Write(b)
	log("Write", err)
	_, err = c.Write(nil)
	log("Write nothing", err)
	_, err = io.Copy(c, strings.NewReader("x"))
	log("ReadFrom", err)
	log("clear", c.SetDeadline(time.Time{}))
	blocked := make(chan error)
	go func() { _, err := c.Read(b); blocked <- err }()
	log("SetDeadline", c.SetDeadline(past))
	log("blocked Read", <-blocked)
}

func endOfStream(t *testing.T, f face, log func(string, error)) {
	c, s := f.ends(t)
	_, _ = s.Write([]byte("text"))
	log("Close", s.CloseWrite())
	_, err := io.ReadFull(c, make([]byte, 4))
	log("Read text", err)
	for range 3 {
		n, err := c.Read(make([]byte, 1))
		log("Read at the end", err)
		if n != 0 {
			t.Errorf("%d octets behind the end", n)
		}
	}
	_, err = c.Read(nil)
	log("Read nothing", err)
	_, err = c.Write([]byte("answer"))
	log("Write to a peer that has closed its side", err)
	_, err = io.ReadFull(s, make([]byte, 6))
	log("peer's Read", err)
}

func resetConnection(t *testing.T, f face, log func(string, error)) {
	c, s := f.ends(t)
	blocked := make(chan error)
	go func() { _, err := c.Read(make([]byte, 1)); blocked <- err }()
	log("SetLinger", s.SetLinger(0))
	log("Close", s.Close())
	log("Read", <-blocked)
	_, err := c.Write([]byte("x"))
	log("Write", err)
	_, err = c.Write([]byte("x"))
	log("Write again", err)
	_, err = c.Read(make([]byte, 1))
	log("Read again", err)
	log("Close", c.Close())
}

func shutdown(t *testing.T, f face, log func(string, error)) {
	c, s := f.ends(t)
	log("CloseWrite", c.CloseWrite())
	_, err := c.Write([]byte("x"))
	log("Write", err)
	_, err = c.Write(nil)
	log("Write nothing", err)
	log("CloseWrite again", c.CloseWrite())
	_, err = s.Read(make([]byte, 1))
	log("peer's Read", err)
	_, err = s.Write([]byte("back"))
	log("peer's Write", err)
	_, err = io.ReadFull(c, make([]byte, 4))
	log("Read", err)
	log("CloseRead", c.CloseRead())
	_, err = c.Read(make([]byte, 1))
	log("Read after CloseRead", err)
	log("SetDeadline", c.SetDeadline(time.Time{}))
	log("Close", c.Close())
}

func listenerErrors(t *testing.T, f face, log func(string, error)) {
	l, err := f.listen("tcp", f.ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	log("SetDeadline", l.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Unix(1, 0)))
	c, err := l.Accept()
	if c != nil {
		t.Errorf("%T is not nil", c)
	}
	log("Accept", err)
	log("clear", l.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Time{}))
	blocked := make(chan error)
	go func() { _, err := l.Accept(); blocked <- err }()
	log("Close", l.Close())
	log("blocked Accept", <-blocked)
	_, err = l.Accept()
	log("Accept", err)
	log("Close again", l.Close())
	if l.Addr().String() != at {
		t.Errorf("Addr is %v after Close, was %v", l.Addr(), at)
	}
	again, err := f.listen("tcp", at)
	log("Listen again", err)
	if err == nil {
		_ = again.Close()
	}
}

func packets(t *testing.T, f face, log func(string, error)) {
	s, err := f.listenPacket("udp", f.ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conn, err := f.dial(context.Background(), "udp", s.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b := make([]byte, 4)
	_, err = conn.Write([]byte("123456"))
	log("Write", err)
	_, err = conn.Write(nil)
	log("Write an empty datagram", err)
	n, from, err := s.ReadFrom(b)
	log(fmt.Sprintf("ReadFrom %d %s", n, b[:n]), err)
	n, _, err = s.ReadFrom(b)
	log(fmt.Sprintf("ReadFrom the empty one %d", n), err)
	_, err = s.WriteTo([]byte("back"), from)
	log("WriteTo", err)
	n, err = conn.Read(b)
	log(fmt.Sprintf("Read %d", n), err)
	_, err = conn.(net.PacketConn).WriteTo(b, s.LocalAddr())
	log("WriteTo when connected", err)
	_, err = s.(net.Conn).Write(b)
	log("Write when not connected", err)
	_, err = s.WriteTo(b, &net.TCPAddr{})
	log("WriteTo a TCP address", err)
	_, err = s.WriteTo(make([]byte, 65508), from)
	log("WriteTo too much", err)
	log("SetReadDeadline", s.SetReadDeadline(time.Unix(1, 0)))
	_, _, err = s.ReadFrom(b)
	log("ReadFrom", err)
	log("clear", s.SetReadDeadline(time.Time{}))
	blocked := make(chan error)
	go func() { _, _, err := s.ReadFrom(b); blocked <- err }()
	log("Close", s.Close())
	log("blocked ReadFrom", <-blocked)
	log("Close again", s.Close())
	_, _, err = s.ReadFrom(b)
	log("ReadFrom", err)
	_, err = s.WriteTo(b, from)
	log("WriteTo", err)
	log("SetDeadline", s.SetDeadline(time.Time{}))
	_, err = conn.Write(b) // to a port that is closed now
	log("Write", err)
	_, err = conn.Read(b)
	log("Read refused", err)
}

func options(t *testing.T, f face, log func(string, error)) {
	c, _ := f.ends(t)
	log("SetLinger", c.SetLinger(3))
	log("SetLinger off", c.SetLinger(-1))
	log("keepalive", c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Minute}))
	log("keepalive too long", c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 32768 * time.Second}))
	log("keepalive too often", c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Count: 128}))
	log("period", c.SetKeepAlivePeriod(-1))
	log("period too long", c.SetKeepAlivePeriod(40000*time.Second))
}

// failing is a reader or writer that gives up.
type failing struct{}

func (failing) Read([]byte) (int, error)  { return 0, io.ErrNoProgress }
func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func copies(t *testing.T, f face, log func(string, error)) {
	c, s := f.ends(t)
	n, err := io.Copy(c, struct{ io.Reader }{strings.NewReader("text")})
	log(fmt.Sprint("ReadFrom ", n), err)
	_, err = io.Copy(c, struct{ io.Reader }{failing{}})
	log("ReadFrom a reader that fails", err)
	_, err = io.Copy(struct{ io.Writer }{failing{}}, s)
	log("WriteTo a writer that fails", err)
	_ = c.CloseWrite()
	n, err = io.Copy(struct{ io.Writer }{io.Discard}, s)
	log(fmt.Sprint("WriteTo to the end ", n), err)
	_ = s.SetLinger(0)
	_ = s.Close()
	_, err = c.Read(make([]byte, 1))
	log("reset", err)
	_, err = io.Copy(c, struct{ io.Reader }{strings.NewReader("text")})
	log("ReadFrom to nobody", err)
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		t.Errorf("no errno in %v", err)
	}
}
