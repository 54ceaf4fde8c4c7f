package stack

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// After ten thousand connections nothing is left of them: no connection, record, port, timer or buffer.
func TestTenThousandConnections(t *testing.T) {
	inNetwork(t, "nothing is left of 10,000 connections", sim.Config{Delay: time.Millisecond}, func(n *network) {
		buffers := link.Outstanding()
		l := n.listen(n.b, 80, 1000)
		go func() {
			p := make([]byte, 100)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				k, err := c.Read(p)
				n.must(err)
				n.write(c, string(p[:k]))
				n.must(c.Close())
			}
		}()
		const rounds, each = 100, 100
		for range rounds {
			var conns [each]*TCPConn
			for i := range conns {
				conns[i] = n.dial(80)
			}
			for _, c := range conns {
				n.must(c.WaitConnect())
				n.write(c, "hello")
			}
			for i, c := range conns {
				n.reads(c, "hello", "EOF")
				if i%10 == 0 {
					c.Abort()
				} else {
					n.must(c.Close())
				}
			}
		}
		time.Sleep(5 * time.Minute)
		n.must(l.Close())
		n.nothingLeft(buffers)
	})
}

// All calls on one connection and its listener at once, in real time for the race detector: whatever the
// order, each returns, with an error that it may return.
func TestConcurrentCalls(t *testing.T) {
	for _, procs := range []int{1, 2, 8} {
		t.Run(fmt.Sprintf("F-RACE-1 on %d processors", procs), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			concurrentCalls(t, 35)
		})
	}
}

func concurrentCalls(t *testing.T, rounds int) {
	x, y := inReal(t)
	may := func(call string, err error, allowed ...syscall.Errno) {
		for _, errno := range allowed {
			if errors.Is(err, errno) {
				return
			}
		}
		if err != nil {
			t.Errorf("%s: %v", call, err)
		}
	}
	for range rounds {
		l := listenOn(t, y)
		client, server := connectedTo(t, x, l)
		var wait sync.WaitGroup
		gone := []syscall.Errno{syscall.EBADF, syscall.ECONNRESET, syscall.EPIPE, syscall.ENOTCONN, syscall.EAGAIN, syscall.ECONNABORTED}
		for _, c := range []*TCPConn{client, server} {
			for range 2 {
				wait.Go(func() {
					p := make([]byte, 1000)
					for {
						n, err := c.Read(p)
						may("Read", err, gone...)
						if n == 0 || err != nil {
							return
						}
					}
				})
				wait.Go(func() {
					p := make([]byte, 100000)
					for {
						if _, err := c.Write(p); err != nil {
							may("Write", err, gone...)
							return
						}
					}
				})
			}
			wait.Go(func() {
				for range 10 {
					may("SetReadDeadline", c.SetReadDeadline(time.Now().Add(time.Hour)), gone...)
					may("SetWriteDeadline", c.SetWriteDeadline(time.Time{}), gone...)
					may("Update", c.Update(func(o *tcp.Options) { o.NoDelay = !o.NoDelay }), gone...)
					c.Info()
					c.Ready()
					c.Options()
					c.Unread()
					c.Unsent()
				}
				switch rand.IntN(4) {
				case 0:
					may("CloseWrite", c.CloseWrite(), gone...)
				case 1:
					may("CloseRead", c.CloseRead(), gone...)
				case 2:
					c.Abort()
				}
				may("Close", c.Close(), gone...)
			})
		}
		wait.Go(func() {
			_, err := l.Accept()
			may("Accept", err, syscall.EBADF)
		})
		wait.Go(func() {
			c, err := x.ConnectTCP(nil, netip.AddrPortFrom(addrB, 80), tcp.DefaultOptions())
			if err != nil {
				t.Error(err)
				return
			}
			may("WaitConnect", c.WaitConnect(), syscall.ECONNREFUSED, syscall.ECONNRESET)
			may("Close", c.Close())
		})
		wait.Go(func() {
			y.Stats()
			may("Close", l.Close())
		})
		wait.Wait()
	}
}

// A megabyte each way, with everything that a network does to it, in fake time.
func TestLossyTransfer(t *testing.T) {
	bad := sim.Config{Delay: 3 * time.Millisecond, Loss: 0.05, Reorder: 0.05, Duplicate: 0.02, Corrupt: 0.01}
	for seed := range int64(5) {
		bad.Seed = seed
		inNetwork(t, "both ways at 5 % loss", bad, func(n *network) {
			client, server := n.connect()
			var wait sync.WaitGroup
			const total = 1 << 20
			for _, way := range [][2]*TCPConn{{client, server}, {server, client}} {
				wait.Go(func() {
					r := rand.NewChaCha8([32]byte{byte(seed)})
					p := make([]byte, total)
					_, _ = r.Read(p)
					for len(p) > 0 {
						k := min(len(p), 1+int(r.Uint64()%10000))
						n.write(way[0], string(p[:k]))
						p = p[k:]
					}
					if err := way[0].CloseWrite(); err != nil {
						n.Error(err)
					}
				})
				wait.Go(func() {
					r := rand.NewChaCha8([32]byte{byte(seed)})
					want := make([]byte, total)
					_, _ = r.Read(want)
					p := make([]byte, 8000)
					for got := 0; ; {
						k, err := way[1].Read(p)
						if err != nil {
							n.Errorf("after %d octets: %v", got, err)
							return
						}
						if k == 0 {
							if got != total {
								n.Errorf("%d octets, want %d", got, total)
							}
							return
						}
						if string(p[:k]) != string(want[got:got+k]) {
							n.Errorf("wrong octets behind %d", got)
							return
						}
						got += k
					}
				})
			}
			wait.Wait()
			n.must(client.Close())
			n.must(server.Close())
		})
	}
}

// nothingLeft fails the test if either host keeps anything of its connections, or the pool lent more buffers than
// it had lent before.
func (n *network) nothingLeft(buffers int64) {
	n.Helper()
	for _, h := range []*Host{n.a, n.b} {
		g := h.Stats().TCPGauges
		if g.Connections() != 0 || g.States[tcp.TimeWaitState] != 0 || g.HalfOpen != 0 || g.Orphans != 0 || g.Bindings != 0 || g.Buffered != 0 {
			n.Errorf("left: %+v", g)
		}
		for i := range h.tcp.shards {
			s := &h.tcp.shards[i]
			s.mu.Lock()
			if s.flows.len != 0 || s.timers.Len() != 0 || s.timeWaits.len != 0 {
				n.Errorf("shard %d: %d flows, %d timers", i, s.flows.len, s.timers.Len())
			}
			s.mu.Unlock()
		}
		for port := range 1 << 16 {
			if h.tcp.ports.inUse(uint16(port), v4|v6) {
				n.Errorf("port %d is used", port)
			}
		}
	}
	if left := link.Outstanding(); left > buffers {
		n.Errorf("%d buffers, %d before", left, buffers)
	}
}
