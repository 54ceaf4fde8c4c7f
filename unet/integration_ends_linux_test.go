package unet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/tap"
)

// stage is where a script about the ends of connections is played: server and client on the kernel's
// loopback, or one of them on unet and the other one on the kernel at the other end of a TAP. A script whose
// log is the same on all of them shows that a program cannot distinguish them.
type stage struct {
	*testing.T
	face
	keepAlive func(cfg net.KeepAliveConfig) (net.Listener, error)
	timeout   func(s net.Conn, d time.Duration) error
	// vanish takes the client away: nothing of it is heard from then on.
	vanish func(c net.Conn)

	mu    sync.Mutex
	lines []string
}

// log notes what a script has seen.
func (s *stage) log(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, what+": "+strings.TrimSuffix(describe(err), " "))
}

// kernelStage plays on loopback. A client vanishes by a filter on its socket that takes nothing any more, so
// that it acknowledges nothing either.
func kernelStage(t *testing.T, f *testFamily) *stage {
	kernel := kernelFace(f)
	return &stage{T: t, face: kernel,
		keepAlive: func(cfg net.KeepAliveConfig) (net.Listener, error) {
			return (&net.ListenConfig{KeepAliveConfig: cfg}).Listen(context.Background(), "tcp", kernel.at("0"))
		},
		timeout: func(s net.Conn, d time.Duration) error {
			return control(s, func(fd int) error {
				return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
			})
		},
		vanish: func(c net.Conn) {
			nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
			if err := control(c, func(fd int) error {
				return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing})
			}); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func control(c net.Conn, change func(fd int) error) error {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	return errors.Join(raw.Control(func(fd uintptr) { refused = change(int(fd)) }), refused)
}

// serverStage has the server on unet, behind a TAP of its own. A client vanishes with its frames.
func serverStage(t *testing.T, f *testFamily) *stage {
	h := openTAP(t, 0, tap.Config{PeerAddrs: f.peers()})
	return &stage{T: t, face: h.accepting(),
		keepAlive: func(cfg net.KeepAliveConfig) (net.Listener, error) {
			return (&ListenConfig{Host: h.Host, KeepAliveConfig: cfg}).Listen(context.Background(), "tcp", net.JoinHostPort(h.ours, "0"))
		},
		timeout: func(s net.Conn, d time.Duration) error { return s.(*TCPConn).SetUserTimeout(d) },
		vanish:  func(net.Conn) { h.link.dead.Store(true) },
	}
}

// clientStage has the client on unet, behind a TAP of its own.
func clientStage(t *testing.T, f *testFamily) *stage {
	h := openTAP(t, 0, tap.Config{PeerAddrs: f.peers()})
	s := kernelStage(t, f)
	s.face, s.vanish = h.dialling(), func(net.Conn) { h.link.dead.Store(true) }
	s.keepAlive = func(cfg net.KeepAliveConfig) (net.Listener, error) {
		return (&net.ListenConfig{KeepAliveConfig: cfg}).Listen(context.Background(), "tcp", net.JoinHostPort(h.kernels, "0"))
	}
	return s
}

// compare plays a script on all stages and compares the logs with the kernel's. What want says must be in
// them too, so that a mistake in the script does not go unseen.
func compare(t *testing.T, name string, want []string, script func(s *stage)) {
	for _, f := range testFamilies {
		t.Run(name+f.suffix, func(t *testing.T) { compareIn(t, &f, want, script) })
	}
}

func compareIn(t *testing.T, f *testFamily, want []string, script func(s *stage)) {
	stages := []*stage{kernelStage(t, f), serverStage(t, f), clientStage(t, f)}
	var group sync.WaitGroup
	for _, s := range stages {
		group.Go(func() { script(s) })
	}
	group.Wait()
	kernels := strings.Join(stages[0].lines, "\n")
	for i, what := range []string{"kernel alone", "server on unet", "client on unet"} {
		if ours := strings.Join(stages[i].lines, "\n"); ours != kernels {
			t.Errorf("%s\n%s\n\nthe kernel's own\n%s", what, ours, kernels)
		}
	}
	for _, line := range want {
		if !strings.Contains(kernels, line) {
			t.Errorf("%q is missing in\n%s", line, kernels)
		}
	}
}

// must ends a script that cannot go on.
func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Error(err)
		runtime.Goexit()
	}
}

// pair returns both ends of a connection, the server's with a keepalive that soon despairs.
func (s *stage) pair() (client, server stream) {
	s.Helper()
	l, err := s.keepAlive(impatient)
	s.must(err)
	defer l.Close()
	c, err := s.dial(context.Background(), "tcp", l.Addr().String())
	s.must(err)
	p, err := l.Accept()
	s.must(err)
	s.Cleanup(func() { _ = c.Close(); _ = p.Close() })
	return c.(stream), p.(stream)
}

// impatient finds out in three seconds that its peer has gone: the least that Linux takes.
var impatient = net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 2}

// untilError writes until that fails.
func untilError(c io.Writer, b []byte) error {
	for {
		if _, err := c.Write(b); err != nil {
			return err
		}
	}
}

// afterwards logs what is left of a connection that has failed.
func (s *stage) afterwards(c net.Conn) {
	b := make([]byte, 1)
	_, err := c.Read(b)
	s.log("Read afterwards", err)
	_, err = c.Write(b)
	s.log("Write afterwards", err)
	_, err = c.Read(b)
	s.log("Read at last", err)
	s.log("Close", c.Close())
}

const (
	saysTimedOut = "connection timed out | OpError SyscallError Errno | timeout=true temporary=true"
	saysReset    = "connection reset by peer | OpError SyscallError Errno | timeout=false temporary=false"
	saysPipe     = "broken pipe | OpError SyscallError Errno | timeout=false temporary=false"
)

func TestIntegrationVanish(t *testing.T) {
	compare(t, "an idle client vanishes: keepalive", []string{"Read: read tcp A->A: read: " + saysTimedOut}, func(s *stage) {
		c, p := s.pair()
		s.vanish(c)
		_, err := p.Read(make([]byte, 1))
		s.log("Read", err)
		s.afterwards(p)
	})
	compare(t, "a client vanishes that has not acknowledged: user timeout", []string{"Read: read tcp A->A: read: " + saysTimedOut}, func(s *stage) {
		c, p := s.pair()
		s.must(s.timeout(p, 1500*time.Millisecond))
		s.vanish(c)
		_, err := p.Write([]byte("into the void"))
		s.log("Write", err)
		_, err = p.Read(make([]byte, 1))
		s.log("Read", err)
		s.afterwards(p)
	})
	compare(t, "a client vanishes whose server waits in Write", []string{"Write: write tcp A->A: write: " + saysTimedOut}, func(s *stage) {
		c, p := s.pair()
		s.must(s.timeout(p, 1500*time.Millisecond))
		s.vanish(c)
		s.log("Write", untilError(p, make([]byte, 1<<20)))
		s.afterwards(p)
	})
}

func TestIntegrationReset(t *testing.T) {
	compare(t, "E-CLS-2 E-RW-2 linger zero resets at once, and what came before can be read", []string{"Read: nil", "rest: read tcp A->A: read: " + saysReset}, func(s *stage) {
		c, p := s.pair()
		_, err := c.Write([]byte("hello"))
		s.must(err)
		_, err = io.ReadFull(p, make([]byte, 2))
		s.log("Read", err)
		s.log("SetLinger", c.SetLinger(0))
		s.log("client's Close", c.Close())
		_, err = io.ReadAll(p)
		s.log("rest", err)
		s.afterwards(p)
	})
	compare(t, "E-RW-3 a reset wakes a blocked Write, later ones are broken pipes", []string{"Write: write tcp A->A: write: " + saysReset, "Write afterwards: write tcp A->A: write: " + saysPipe}, func(s *stage) {
		c, p := s.pair()
		written := make(chan error, 1)
		go func() { written <- untilError(p, make([]byte, 1<<20)) }()
		_, err := io.ReadFull(c, make([]byte, 1<<20))
		s.must(err)
		s.must(c.SetLinger(0))
		s.must(c.Close())
		s.log("Write", <-written)
		s.afterwards(p)
	})
	compare(t, "E-CLS-1 a client that closes with text unread resets", []string{"Read: read tcp A->A: read: " + saysReset}, func(s *stage) {
		c, p := s.pair()
		_, err := p.Write([]byte("hello"))
		s.must(err)
		_, err = io.ReadFull(c, make([]byte, 1))
		s.must(err)
		s.log("client's Close", c.Close())
		_, err = p.Read(make([]byte, 1))
		s.log("Read", err)
		s.afterwards(p)
	})
	compare(t, "E-RW-3 a reset in CLOSE-WAIT: broken pipe, and reads stay at the end", []string{"Read: EOF | errorString | io.EOF", "Write: write tcp A->A: write: " + saysPipe}, func(s *stage) {
		c, p := s.pair()
		_, err := p.Write([]byte("hello"))
		s.must(err)
		_, err = io.ReadFull(c, make([]byte, 1))
		s.must(err)
		s.must(c.CloseWrite())
		_, err = p.Read(make([]byte, 1))
		s.log("Read", err)
		s.log("client's Close", c.Close())
		s.log("Write", untilError(p, []byte("x")))
		s.afterwards(p)
	})
	compare(t, "E-CLS-5 text for a client that has closed: broken pipe in the end", []string{"Write: write tcp A->A: write: " + saysPipe}, func(s *stage) {
		c, p := s.pair()
		s.log("client's Close", c.Close())
		_, err := p.Read(make([]byte, 1))
		s.log("Read", err)
		s.log("Write", untilError(p, []byte("x")))
		s.afterwards(p)
	})
}

func TestIntegrationHalfClose(t *testing.T) {
	text := random(3, 3<<20)
	receive := func(s *stage, what string, c io.Reader, want []byte) {
		got, err := io.ReadAll(c)
		if !bytes.Equal(got, want) {
			s.log(what, fmt.Errorf("%d octets of %d, or others", len(got), len(want)))
		}
		s.log(what, err)
	}
	compare(t, "E-RW-1 E-RW-4 a client closes its side and reads all", []string{"server's text: nil", "client's text: nil"}, func(s *stage) {
		c, p := s.pair()
		sent := make(chan error, 1)
		go func() {
			_, err := c.Write(text)
			sent <- errors.Join(err, c.CloseWrite())
		}()
		receive(s, "client's text", p, text)
		s.log("client's Write", <-sent)
		_, err := c.Write([]byte("x"))
		s.log("client's Write behind its end", err)
		go func() {
			_, err := p.Write(text)
			sent <- errors.Join(err, p.Close())
		}()
		receive(s, "server's text", c, text)
		s.log("server's Write", <-sent)
		s.log("client's Close", c.Close())
	})
	compare(t, "E-RW-5 a server closes its side and reads all", []string{"client's text: nil"}, func(s *stage) {
		c, p := s.pair()
		s.log("CloseWrite", p.CloseWrite())
		_, err := p.Write([]byte("x"))
		s.log("Write behind its end", err)
		receive(s, "client's Read", c, nil)
		sent := make(chan error, 1)
		go func() {
			_, err := c.Write(text)
			sent <- errors.Join(err, c.Close())
		}()
		receive(s, "client's text", p, text)
		s.log("client's Write", <-sent)
		s.log("Close", p.Close())
	})
	compare(t, "a server closes with much to send, and all of it arrives", []string{"server's text: nil"}, func(s *stage) {
		c, p := s.pair()
		much := text[:2<<20]
		closed := make(chan error, 1)
		go func() {
			_, err := p.Write(much)
			closed <- errors.Join(err, p.Close())
		}()
		receive(s, "server's text", c, much)
		s.log("Close", <-closed)
	})
}
