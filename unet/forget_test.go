package unet

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack/sim"
)

// collect collects garbage until happened returns true, or until it is clear that it never will.
func collect(happened func() bool) bool {
	for range 500 {
		runtime.GC()
		if happened() {
			return true
		}
		time.Sleep(2 * time.Millisecond)
	}
	return false
}

// abandon dials n connections to l and forgets each of them, with two octets on the way. It returns their other ends.
func abandon(t *testing.T, h *Host, l *TCPListener, n int) (peers []*TCPConn) {
	t.Helper()
	done := make(chan struct{})
	go func() { // whose stack does not keep them
		defer close(done)
		for range n {
			c, err := h.DialTCP("tcp", nil, l.addr)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := c.Write([]byte("hi")); err != nil {
				t.Error(err)
			}
			p, err := l.AcceptTCP()
			if err != nil {
				t.Error(err)
				return
			}
			peers = append(peers, p)
		}
	}()
	<-done
	return peers
}

// A bubble's channels, timers and conditions must not be touched from outside, which is where finalizers run.
func TestForgetInBubble(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		bubble(t, "E-GO-17 a garbage collection", sim.Config{Delay: time.Millisecond}, func(t *testing.T, client, server *Host, _ *sim.Segment) {
			l := listen(t, server)
			peers := abandon(t, client, l, 10)
			var reading sync.WaitGroup
			var ended atomic.Int32
			for _, p := range peers {
				reading.Go(func() {
					b, err := io.ReadAll(p)
					if string(b) != "hi" || err != nil {
						t.Errorf("%q, %v", b, err)
					}
					_ = p.Close()
					ended.Add(1)
				})
			}
			port := make(chan *net.TCPAddr)
			go func() { // a listener with a connection that nobody accepts, and a UDP socket
				l, err := client.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(clientIP)})
				if err != nil {
					t.Error(err)
				}
				if _, err := client.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(clientIP), Port: 53}); err != nil {
					t.Error(err)
				}
				port <- l.addr
			}()
			c, err := server.DialTCP("tcp", nil, <-port)
			if err != nil {
				t.Fatal(err)
			}
			udp := func() (gone bool) {
				s, err := client.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(clientIP), Port: 53})
				if err != nil {
					return false
				}
				_ = s.Close()
				return true
			}
			for range 2000 {
				runtime.GC()
				time.Sleep(time.Second)
				synctest.Wait()
				if int(ended.Load()) == len(peers) && udp() {
					break
				}
			}
			if int(ended.Load()) < len(peers) || !udp() {
				t.Fatalf("%d of %d connections are closed, the UDP socket: %v", ended.Load(), len(peers), udp())
			}
			reading.Wait()
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("a connection that nobody accepted ends with %v", err)
			}
			_ = c.Close()
		})
	}
}

// Outside of a bubble nothing looks for what is forgotten: it wakes the host.
func TestForgetAtRest(t *testing.T) {
	client, server, _ := pair(t, sim.Config{})
	const count = 300 // more than the clock closes at once
	l := listen(t, server)
	peers := abandon(t, client, l, count)
	ends := make(chan error)
	for _, p := range peers {
		go func() {
			_, err := io.ReadAll(p)
			_ = p.Close()
			ends <- err
		}()
	}
	ended := 0
	if !collect(func() bool {
		for ended < count {
			select {
			case err := <-ends:
				if err != nil {
					t.Error(err)
				}
				ended++
			default:
				return false
			}
		}
		return client.Stats().TCPGauges.Connections() == 0
	}) {
		t.Errorf("E-GO-17: %d of %d peers have read to the end", ended, count)
	}
}

// Connections that are used, closed and forgotten while garbage is collected never lose what was written.
func TestForgetWhileInUse(t *testing.T) {
	client, server, _ := pair(t, sim.Config{})
	l := listen(t, server)
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { _, _ = io.Copy(c, c) }) // and forgets it
		}
	})
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			for j := range 50 {
				c, err := client.DialTCP("tcp", nil, l.addr)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := c.Write([]byte("hello")); err != nil {
					t.Error(err)
				}
				if err := c.CloseWrite(); err != nil {
					t.Error(err)
				}
				b, err := io.ReadAll(c)
				if string(b) != "hello" || err != nil {
					t.Errorf("%q, %v", b, err)
				}
				if (i+j)%2 == 0 {
					if err := c.Close(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	clients.Wait()
	_ = l.Close()
	if !collect(func() bool {
		return client.Stats().TCPGauges.Connections() == 0 && server.Stats().TCPGauges.Connections() == 0
	}) {
		t.Error("connections are left")
	}
	close(stop)
	all.Wait()
}

// A closed host ignores connections that are forgotten, and its connections are closed already.
func TestForgetAfterHostClose(t *testing.T) {
	client, server, _ := pair(t, sim.Config{})
	l := listen(t, server)
	peers := abandon(t, client, l, 10)
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		runtime.GC()
	}
	for _, p := range peers {
		_ = p.Close()
	}
}
