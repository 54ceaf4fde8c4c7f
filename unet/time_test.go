package unet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unet-go/unet/stack/sim"
)

const oneWay = 10 * time.Millisecond

// bubble runs a test with two hosts in fake time.
func bubble(t *testing.T, name string, cfg sim.Config, run func(t *testing.T, client, server *Host, segment *sim.Segment)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server, segment := pair(t, cfg)
			run(t, client, server, segment)
		})
	})
}

// lose drops the IP packets that port sends from now on. ARP still works.
func lose(segment *sim.Segment, port string) {
	segment.Update(func(cfg *sim.Config) {
		cfg.Filter = func(from *sim.Port, frame []byte) sim.Verdict {
			if from.Name() == port && frame[12] == 8 && frame[13] == 0 {
				return sim.Drop
			}
			return sim.Pass
		}
	})
}

func TestKeepAlive(t *testing.T) {
	bubble(t, "E-GO-13 on by default: probes at 15 s, then every 15 s, nine fail", sim.Config{Delay: oneWay},
		func(t *testing.T, client, server *Host, segment *sim.Segment) {
			tr := traceSegments(t, segment)
			c, s := connection(t, client, server)
			if err := s.SetKeepAlive(false); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			time.Sleep(time.Second) // until the handshake is silent
			tr.clear()
			time.Sleep(13500 * time.Millisecond)
			if early := tr.from("port1", every); early != nil {
				t.Fatalf("sent before 15 s of silence: %v", early)
			}
			time.Sleep(time.Second)
			if n := len(tr.from("port1", every)); n != 1 {
				t.Errorf("%d probes after 15 s, want 1", n)
			}
			time.Sleep(15 * time.Second)
			if n := len(tr.from("port1", every)); n != 2 {
				t.Errorf("%d probes after 30 s, want 2", n)
			}
			lose(segment, "port2")
			tr.clear()
			began := time.Now()
			_, err := c.Read(make([]byte, 1))
			if !errors.Is(err, syscall.ETIMEDOUT) {
				t.Fatalf("Read: %v", err)
			}
			if n := len(tr.from("port1", func(s sent) bool { return s.flags&4 == 0 })); n != 9 {
				t.Errorf("%d probes went unanswered, want 9", n)
			}
			if d := time.Since(began).Round(time.Second); d != 150*time.Second && d != 149*time.Second {
				t.Errorf("failed after %v, want nine intervals behind the first probe", d)
			}
		})
	quiet := func(t *testing.T, c, s *TCPConn, segment *sim.Segment) {
		t.Helper()
		time.Sleep(time.Second)
		tr := traceSegments(t, segment)
		time.Sleep(3 * time.Hour)
		if got := tr.from("port1", every); got != nil {
			t.Errorf("sent in three idle hours: %v", got)
		}
		if _, err := c.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if _, err := s.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
	}
	bubble(t, "E-GO-13 off by SetKeepAlive", sim.Config{Delay: oneWay}, func(t *testing.T, client, server *Host, segment *sim.Segment) {
		c, s := connection(t, client, server)
		if err := errors.Join(c.SetKeepAlive(false), s.SetKeepAlive(false)); err != nil {
			t.Fatal(err)
		}
		quiet(t, c, s, segment)
	})
	bubble(t, "E-GO-13 off by Dialer and ListenConfig", sim.Config{Delay: oneWay}, func(t *testing.T, client, server *Host, segment *sim.Segment) {
		lc := ListenConfig{Host: server, KeepAlive: -1}
		l, err := lc.Listen(t.Context(), "tcp", serverIP+":80")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		d := Dialer{Host: client, KeepAlive: -1}
		c, err := d.Dial("tcp", serverIP+":80")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		quiet(t, c.(*TCPConn), s.(*TCPConn), segment)
	})
	bubble(t, "E-GO-13 an accepted connection probes too, as ListenConfig says", sim.Config{Delay: oneWay},
		func(t *testing.T, client, server *Host, segment *sim.Segment) {
			lc := ListenConfig{Host: server, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}}
			l, err := lc.Listen(t.Context(), "tcp", serverIP+":80")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			c := dial(t, client, l.(*TCPListener))
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := c.SetKeepAlive(false); err != nil {
				t.Fatal(err)
			}
			lose(segment, "port1")
			began := time.Now()
			if _, err = s.Read(make([]byte, 1)); !errors.Is(err, syscall.ETIMEDOUT) {
				t.Fatalf("Read: %v", err)
			}
			if d := time.Since(began).Round(time.Second); d != 11*time.Second {
				t.Errorf("failed after %v, want 5 s + 3 x 2 s", d)
			}
		})
}

func TestNoDelay(t *testing.T) {
	small := func(t *testing.T, c *TCPConn, tr *trace) []string {
		for _, p := range []string{"a", "b", "c"} {
			if _, err := c.Write([]byte(p)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		var texts []string
		for _, s := range tr.from("port1", withText) {
			texts = append(texts, s.text)
		}
		tr.clear()
		return texts
	}
	bubble(t, "E-GO-11 Nagle is off by default", sim.Config{Delay: oneWay}, func(t *testing.T, client, server *Host, segment *sim.Segment) {
		c, _ := connection(t, client, server)
		tr := traceSegments(t, segment)
		if diff := cmp.Diff([]string{"a", "b", "c"}, small(t, c, tr)); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		if err := c.SetNoDelay(false); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a", "bc"}, small(t, c, tr)); diff != "" {
			t.Errorf("with Nagle: -want +got\n%s", diff)
		}
	})
}

func TestDeadlines(t *testing.T) {
	expect := func(t *testing.T, what string, err error, began time.Time, want time.Duration) {
		t.Helper()
		ne, ok := err.(net.Error)
		if !ok || !ne.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v, want a deadline error", what, err)
		}
		if d := time.Since(began); d != want {
			t.Errorf("%s returned after %v, want %v", what, d, want)
		}
	}
	bubble(t, "E-GO-2 a deadline passes at its time, and the connection can be used again", sim.Config{Delay: oneWay},
		func(t *testing.T, client, server *Host, _ *sim.Segment) {
			c, s := connection(t, client, server)
			began, b := time.Now(), make([]byte, 5)
			_ = c.SetReadDeadline(began.Add(3 * time.Second))
			_, err := c.Read(b)
			expect(t, "Read", err, began, 3*time.Second)
			if _, err := s.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			_, err = c.Read(b)
			expect(t, "Read with text there", err, began, 4*time.Second)
			_ = c.SetReadDeadline(time.Time{})
			if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
				t.Errorf("%q, %v", b, err)
			}
		})
	bubble(t, "E-GO-3 a deadline that is moved moves the blocked call", sim.Config{Delay: oneWay},
		func(t *testing.T, client, server *Host, _ *sim.Segment) {
			c, s := connection(t, client, server)
			began := time.Now()
			read := func(what string, want time.Duration, change func()) {
				done := make(chan error)
				go func() { _, err := c.Read(make([]byte, 1)); done <- err }()
				synctest.Wait()
				change()
				expect(t, what, <-done, began, want)
			}
			_ = c.SetReadDeadline(began.Add(time.Hour))
			read("earlier", time.Second, func() { _ = c.SetReadDeadline(began.Add(time.Second)) })
			_ = c.SetReadDeadline(began.Add(2 * time.Second))
			read("later", 5*time.Second, func() { _ = c.SetReadDeadline(began.Add(5 * time.Second)) })
			_ = c.SetReadDeadline(began.Add(6 * time.Second))
			read("cleared and set", 9*time.Second, func() {
				_ = c.SetReadDeadline(time.Time{})
				time.Sleep(3 * time.Second)
				_ = c.SetReadDeadline(began.Add(9 * time.Second))
			})
			_ = c.SetReadDeadline(time.Time{})
			read("past", 9*time.Second, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
			if _, err := c.Write([]byte("x")); err != nil {
				t.Errorf("a read deadline ended a Write: %v", err)
			}
			_ = c.SetReadDeadline(time.Time{})
			_ = c.SetWriteDeadline(time.Unix(1, 0))
			if _, err := s.Write([]byte("y")); err != nil {
				t.Error(err)
			}
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Errorf("a write deadline ended a Read: %v", err)
			}
		})
	bubble(t, "E-GO-4 a Write that timed out says what it took, and that arrives", sim.Config{Delay: oneWay},
		func(t *testing.T, client, server *Host, _ *sim.Segment) {
			c, s := connection(t, client, server)
			text := bytes.Repeat([]byte("0123456789abcde\n"), 4<<20/16)
			_ = s.SetReadBuffer(32 << 10)
			_ = c.SetWriteBuffer(64 << 10)
			began := time.Now()
			_ = c.SetWriteDeadline(began.Add(2 * time.Second))
			n, err := c.Write(text)
			expect(t, "Write", err, began, 2*time.Second)
			if n <= 0 || n >= len(text) {
				t.Fatalf("took %d of %d octets", n, len(text))
			}
			_ = c.SetWriteDeadline(time.Time{})
			go func() {
				_, _ = c.Write(text[n:])
				_ = c.CloseWrite()
			}()
			got, err := io.ReadAll(s)
			if err != nil || !bytes.Equal(got, text) {
				t.Errorf("%d of %d octets arrived, %v", len(got), len(text), err)
			}
		})
	bubble(t, "a listener's deadline", sim.Config{}, func(t *testing.T, client, server *Host, _ *sim.Segment) {
		l := listen(t, server)
		began := time.Now()
		_ = l.SetDeadline(began.Add(time.Second))
		_, err := l.Accept()
		expect(t, "Accept", err, began, time.Second)
		_ = l.SetDeadline(time.Time{})
		_ = dial(t, client, l)
		if c, err := l.Accept(); err != nil {
			t.Errorf("Accept afterwards: %v", err)
		} else {
			_ = c.Close()
		}
	})
}

func TestDialContext(t *testing.T) {
	gone := func(t *testing.T, client *Host) {
		t.Helper()
		synctest.Wait()
		if g := client.Stats().TCPGauges; g.Connections() != 1 || g.Bindings != 0 {
			t.Errorf("left behind: %+v", g)
		}
	}
	bubble(t, "E-GO-8 cancelled", sim.Config{Delay: oneWay}, func(t *testing.T, client, server *Host, segment *sim.Segment) {
		_, _ = connection(t, client, server) // so that the neighbour is known
		lose(segment, "port2")
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		time.AfterFunc(3*time.Second, cancel)
		c, err := client.DialContext(ctx, "tcp", serverIP+":80")
		if c != nil || !errors.Is(err, context.Canceled) || err.Error() != "dial tcp 10.0.0.2:80: operation was canceled" {
			t.Errorf("%v, %v", c, err)
		}
		if d := time.Since(began); d != 3*time.Second {
			t.Errorf("returned after %v", d)
		}
		gone(t, client)
	})
	bubble(t, "E-GO-8 out of time", sim.Config{Delay: oneWay}, func(t *testing.T, client, server *Host, segment *sim.Segment) {
		_, _ = connection(t, client, server)
		lose(segment, "port2")
		began := time.Now()
		c, err := client.DialTimeout("tcp", serverIP+":80", 2*time.Second)
		ne, ok := err.(net.Error)
		if c != nil || !ok || !ne.Timeout() || !errors.Is(err, context.DeadlineExceeded) || err.Error() != "dial tcp 10.0.0.2:80: i/o timeout" {
			t.Errorf("%v, %v", c, err)
		}
		if d := time.Since(began); d != 2*time.Second {
			t.Errorf("returned after %v", d)
		}
		gone(t, client)
	})
	bubble(t, "E-GO-8 Dialer.Cancel", sim.Config{Delay: oneWay}, func(t *testing.T, client, server *Host, segment *sim.Segment) {
		_, _ = connection(t, client, server)
		lose(segment, "port2")
		cancel := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(cancel) })
		d := Dialer{Host: client, Cancel: cancel}
		if c, err := d.Dial("tcp", serverIP+":80"); c != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("%v, %v", c, err)
		}
		gone(t, client)
	})
	bubble(t, "an absent neighbour is EHOSTUNREACH, no route ENETUNREACH", sim.Config{Delay: oneWay},
		func(t *testing.T, client, _ *Host, _ *sim.Segment) {
			c, err := client.Dial("tcp", "10.0.0.99:80")
			if c != nil || !errors.Is(err, syscall.EHOSTUNREACH) || err.Error() != "dial tcp 10.0.0.99:80: connect: no route to host" {
				t.Errorf("%v, %v", c, err)
			}
			c, err = client.Dial("tcp", "192.0.2.1:80")
			if c != nil || !errors.Is(err, syscall.ENETUNREACH) || err.Error() != "dial tcp 192.0.2.1:80: connect: network is unreachable" {
				t.Errorf("%v, %v", c, err)
			}
		})
}
