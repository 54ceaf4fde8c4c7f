package unet

import (
	"bytes"
	"errors"
	"hash/maphash"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
)

func TestNetConn(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  sim.Config
	}{
		{"no loss", sim.Config{}},
		{"5 % loss", sim.Config{Delay: 200 * time.Microsecond, Loss: 0.05}},
	} {
		for _, f := range testFamilies {
			netConn(t, tt.name+f.suffix, tt.cfg, &f)
		}
	}
}

// netConn runs the test of package nettest at either end of connections of a family.
func netConn(t *testing.T, name string, cfg sim.Config, f *testFamily) {
	segment := sim.NewSegment(cfg)
	t.Cleanup(func() { _ = segment.Close() })
	client, server := f.hosts(t, segment, brisk())
	l := listen(t, server)
	ends := func() (c, s net.Conn, err error) {
		if c, err = client.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr)); err != nil {
			return nil, nil, err
		}
		s, err = l.Accept()
		return c, s, err
	}
	t.Run("E-GO-1 E-GO-12 "+name+", dialled end", func(t *testing.T) {
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			c, s, err := ends()
			return c, s, func() { _, _ = c.Close(), s.Close() }, err
		})
	})
	t.Run("E-GO-1 E-GO-12 "+name+", accepted end", func(t *testing.T) {
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			c, s, err := ends()
			return s, c, func() { _, _ = c.Close(), s.Close() }, err
		})
	})
	if cfg.Loss > 0 {
		return
	}
	for _, h := range []*Host{client, server} {
		// Segments may be sent again when the machine is busy, but no clock goes back, and no window.
		if s := h.Stats().TCP; s.DroppedPAWS+s.DroppedReceiveFull+s.DroppedBadACK+s.DroppedNoACK+s.DroppedPruned > 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// random returns n octets that a seed makes.
func random(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// A proxy in the middle copies from connection to connection, in both ways that io.Copy may take.
func TestCopies(t *testing.T) {
	client, server, _ := pair(t, sim.Config{Offload: true})
	text := random(1, 8<<20)
	for _, tt := range []struct {
		name string
		move func(dst, src *TCPConn) (int64, error)
	}{
		{"WriteTo", func(dst, src *TCPConn) (int64, error) { return src.WriteTo(dst) }},
		{"ReadFrom", func(dst, src *TCPConn) (int64, error) { return dst.ReadFrom(src) }},
		{"ReadFrom a plain reader", func(dst, src *TCPConn) (int64, error) { return dst.ReadFrom(struct{ io.Reader }{src}) }},
		{"WriteTo a plain writer", func(dst, src *TCPConn) (int64, error) { return src.WriteTo(struct{ io.Writer }{dst}) }},
		{"io.Copy", func(dst, src *TCPConn) (int64, error) { return io.Copy(dst, src) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in, inPeer := connection(t, client, server)
			out, outPeer := connection(t, client, server)
			go func() {
				_, _ = in.ReadFrom(bytes.NewReader(text))
				_ = in.CloseWrite()
			}()
			moved := make(chan error, 1)
			go func() {
				n, err := tt.move(out, inPeer)
				if n != int64(len(text)) && err == nil {
					err = io.ErrShortWrite
				}
				_ = out.CloseWrite()
				moved <- err
			}()
			var got bytes.Buffer
			if _, err := outPeer.WriteTo(&got); err != nil {
				t.Error(err)
			}
			if err := <-moved; err != nil {
				t.Error(err)
			}
			if !bytes.Equal(got.Bytes(), text) {
				t.Errorf("%d octets of %d came through, or others", got.Len(), len(text))
			}
		})
	}
}

// cycle reads n octets of block again and again, each time from another place in it.
type cycle struct {
	block []byte
	at, n int
}

func (r *cycle) Read(p []byte) (int, error) {
	if r.n == 0 {
		return 0, io.EOF
	}
	m := copy(p[:min(len(p), r.n)], r.block[r.at:])
	r.n -= m
	if r.at += m; r.at == len(r.block) {
		r.at = 0
	}
	return m, nil
}

func TestGigabyte(t *testing.T) {
	t.Run("E-GO-15 io.Copy of 1 GB", func(t *testing.T) {
		client, server, _ := pair(t, sim.Config{Offload: true})
		c, s := connection(t, client, server)
		const size = 1 << 30
		block := random(9, 1<<20-1) // of a length that no buffer has
		sent := make(chan error, 1)
		go func() {
			_, err := io.Copy(c, &cycle{block: block, n: size})
			sent <- errors.Join(err, c.CloseWrite())
		}()
		seed := maphash.MakeSeed()
		var got, want maphash.Hash
		got.SetSeed(seed)
		want.SetSeed(seed)
		n, err := io.Copy(&got, s)
		if err := errors.Join(err, <-sent); err != nil || n != size {
			t.Fatalf("%d octets, %v", n, err)
		}
		if _, err := io.Copy(&want, &cycle{block: block, n: size}); err != nil || got.Sum64() != want.Sum64() {
			t.Errorf("other octets than were sent, %v", err)
		}
	})
}

func TestLocalhost(t *testing.T) {
	h, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	l, err := h.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if ip := l.Addr().(*net.TCPAddr).IP; !ip.Equal(net.IPv4(127, 0, 0, 1)) {
		t.Errorf("listens on %v", ip)
	}
	port := l.Addr().(*net.TCPAddr).Port
	for _, address := range []string{"localhost", "LOCALHOST.", "127.0.0.1", "", "0.0.0.0"} {
		c, err := h.Dial("tcp", net.JoinHostPort(address, itoa(port)))
		if err != nil {
			t.Errorf("dial %q: %v", address, err)
			continue
		}
		if ip := c.RemoteAddr().(*net.TCPAddr).IP; !ip.Equal(net.IPv4(127, 0, 0, 1)) {
			t.Errorf("dial %q reached %v", address, ip)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.Close(), c.Close()
	}
	t.Run("nobody listens: the error is the first address's", func(t *testing.T) {
		_ = l.Close()
		c, err := h.Dial("tcp", net.JoinHostPort("localhost", itoa(port)))
		if want := "dial tcp 127.0.0.1:" + itoa(port) + ": connect: connection refused"; c != nil || err == nil || err.Error() != want {
			t.Errorf("%v, %v, want %s", c, err, want)
		}
	})
}

func TestWildcardListener(t *testing.T) {
	client, server, _ := pair(t, sim.Config{})
	for _, tt := range []struct{ network, address, want string }{
		{"tcp", ":8080", "[::]:8080"},
		{"tcp4", ":8081", "0.0.0.0:8081"},
		{"tcp", "0.0.0.0:8082", "[::]:8082"},
		{"tcp", "[::]:8083", "[::]:8083"},
		{"tcp4", "[::]:8084", "0.0.0.0:8084"},
	} {
		l, err := server.Listen(tt.network, tt.address)
		if err != nil {
			t.Errorf("%s %s: %v", tt.network, tt.address, err)
			continue
		}
		if got := l.Addr().String(); got != tt.want {
			t.Errorf("%s %s listens on %s, want %s", tt.network, tt.address, got, tt.want)
		}
		c, err := client.Dial("tcp", net.JoinHostPort(serverIP, itoa(l.Addr().(*net.TCPAddr).Port)))
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if s.RemoteAddr().String() != c.LocalAddr().String() || s.LocalAddr().String() != c.RemoteAddr().String() {
			t.Errorf("ends disagree: %v-%v and %v-%v", c.LocalAddr(), c.RemoteAddr(), s.LocalAddr(), s.RemoteAddr())
		}
		_, _, _ = s.Close(), c.Close(), l.Close()
	}
}

func TestHostClose(t *testing.T) {
	segment := sim.NewSegment(sim.Config{})
	defer segment.Close()
	h := openHost(t, segment, clientIP+"/24", stack.Config{})
	l, err := h.Listen("tcp", clientIP+":80")
	if err != nil {
		t.Fatal(err)
	}
	c, err := h.Dial("tcp", clientIP+":80")
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	accept, read := make(chan error), make(chan error)
	go func() { _, err := l.Accept(); accept <- err }()
	for _, end := range []net.Conn{c, accepted} {
		go func() { _, err := end.Read(make([]byte, 1)); read <- err }()
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if err := <-accept; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	for range 2 {
		if err := <-read; !errors.Is(err, syscall.ECONNABORTED) {
			t.Errorf("Read: %v", err)
		}
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("Write: %v", err)
	}
	if err := h.Close(); err != net.ErrClosed {
		t.Errorf("second Close: %v", err)
	}
	if _, err := h.Listen("tcp", clientIP+":81"); err == nil {
		t.Error("Listen on a closed host")
	}
	if _, err := h.Dial("tcp", clientIP+":80"); err == nil {
		t.Error("Dial on a closed host")
	}
}
