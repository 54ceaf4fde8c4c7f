package fdtable

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"unsafe"

	"github.com/unet-go/unet/stack/sim"
)

// TestEpollLosesNothing runs a random schedule of writes against servers that wait for edges, each taking what
// there is and then no more until it is told again. A wake-up that is lost leaves text unread for ever, which
// the bubble reports as a deadlock.
func TestEpollLosesNothing(t *testing.T) {
	const conns, messages, servers = 16, 4000, 3
	inWorld(t, "E-EVT-2 no wake-up is lost in a random schedule", sim.Config{}, func(t *testing.T, w *world) {
		l := w.listen(80, conns)
		ep := w.epoll(w.b)
		left := make(map[int]int) // octets still to come, by descriptor
		var clients []int
		for range conns {
			clients = append(clients, w.dial(80))
			s := w.accept(l)
			w.is(w.b.SetNonblock(s, true), nil)
			left[s] = messages
			w.add(w.b, ep, s, EPOLLIN|EPOLLET)
		}
		var mu sync.Mutex
		var serving sync.WaitGroup
		open := conns
		for range servers {
			serving.Go(func() {
				list, p := make([]EpollEvent, 4), make([]byte, 3)
				for {
					n, err := w.b.EpollWait(ep, list, -1)
					if err != nil {
						return
					}
					for _, e := range list[:n] {
						for {
							n, err := w.b.Read(int(e.Fd), p)
							if err != nil {
								break
							}
							mu.Lock()
							if left[int(e.Fd)] -= n; left[int(e.Fd)] == 0 && n > 0 {
								if open--; open == 0 {
									defer w.b.Close(ep)
								}
							}
							done := open == 0
							mu.Unlock()
							if done {
								return
							}
						}
					}
				}
			})
		}
		var writing sync.WaitGroup
		for i, c := range clients {
			writing.Go(func() {
				random := rand.New(rand.NewPCG(1, uint64(i)))
				for sent := 0; sent < messages; {
					n := min(1+random.IntN(5), messages-sent)
					if _, err := w.a.Write(c, make([]byte, n)); err != nil {
						t.Error(err)
					}
					sent += n
					for range random.IntN(4) {
						runtime.Gosched()
					}
				}
			})
		}
		writing.Wait()
		serving.Wait()
		for fd, n := range left {
			if n != 0 {
				t.Errorf("%d octets of %d were not read", n, fd)
			}
		}
	})
}

// TestEpollOfManyConnections serves 100,000 connections, both ends in user space, with four goroutines. The race
// detector makes that take a minute, and gets a tenth of them.
func TestEpollOfManyConnections(t *testing.T) {
	const ports = 4
	conns := 100_000
	if raceEnabled {
		conns /= 10
	}
	if size := unsafe.Sizeof(socket{}); size > 128 { // a size class of the allocator
		t.Errorf("a socket takes %d octets", size)
	}
	if size := unsafe.Sizeof(epollItem{}); size > 128 {
		t.Errorf("an item takes %d octets", size)
	}
	inWorld(t, "100,000 connections, four goroutines", sim.Config{}, func(t *testing.T, w *world) {
		ep := w.epoll(w.b)
		for i := range ports {
			l := w.listen(uint16(80+i), SOMAXCONN)
			w.is(w.b.SetNonblock(l, true), nil)
			w.add(w.b, ep, l, EPOLLIN)
		}
		before := runtime.NumGoroutine()
		var serving sync.WaitGroup
		for range 4 {
			serving.Go(func() { echoForEver(t, w.b, ep, ports) })
		}
		clients := w.epoll(w.a)
		for i := range conns {
			fd := w.socket(w.a, SOCK_NONBLOCK)
			if err := w.a.Connect(fd, w.at(uint16(80+i%ports))); err != nil && err != syscall.EINPROGRESS {
				t.Fatal(err)
			}
			w.add(w.a, clients, fd, EPOLLOUT|EPOLLONESHOT)
			if i%500 == 499 {
				synctest.Wait()
			}
		}
		// Each client asks once it is connected, and waits for the answer.
		list, p := make([]EpollEvent, 1024), make([]byte, 8)
		answered := 0
		for answered < conns {
			synctest.Wait() // let the servers answer, so that no queue on the way is too short
			n, err := w.a.EpollWait(clients, list, -1)
			w.is(err, nil)
			for _, e := range list[:n] {
				fd := int(e.Fd)
				if e.Events&EPOLLOUT != 0 {
					w.write(w.a, fd, "ask")
					w.is(w.a.EpollCtl(clients, EPOLL_CTL_MOD, fd, &EpollEvent{Events: EPOLLIN | EPOLLET, Fd: e.Fd}), nil)
					continue
				}
				if n, err := w.a.Read(fd, p); n != 3 || err != nil {
					t.Fatalf("the answer is %q, %v", p[:n], err)
				}
				answered++
			}
		}
		if n := runtime.NumGoroutine() - before; n > 4 {
			t.Errorf("%d goroutines beside the hosts'", n)
		}
		w.is(w.b.Close(ep), nil)
		serving.Wait()
		w.is(w.hostA.Close(), nil) // quicker than 200,000 closes
	})
}

// echoForEver accepts from the listeners, which are the descriptors from 1 to ports, and answers what it reads,
// until the instance is closed.
func echoForEver(t *testing.T, table *Table, ep, ports int) {
	list, p := make([]EpollEvent, 256), make([]byte, 64)
	for {
		n, err := table.EpollWait(ep, list, -1)
		if err != nil {
			return
		}
		for _, e := range list[:n] {
			fd := int(e.Fd)
			if fd > ep && fd <= ep+ports {
				for {
					s, _, err := table.Accept4(fd, SOCK_NONBLOCK)
					if err != nil {
						break
					}
					if err := table.EpollCtl(ep, EPOLL_CTL_ADD, s, &EpollEvent{Events: EPOLLIN | EPOLLET, Fd: int32(s)}); err != nil {
						t.Error(err)
					}
				}
				continue
			}
			for {
				n, err := table.Read(fd, p)
				if err != nil || n == 0 {
					break
				}
				if _, err := table.Write(fd, p[:n]); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// TestEpollAllocatesNothing compares a wait for each message with a blocking read.
func TestEpollAllocatesNothing(t *testing.T) {
	inWorld(t, "E-GO-16 waiting allocates nothing of its own", sim.Config{}, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		ep := w.epoll(w.b)
		w.add(w.b, ep, s, EPOLLIN|EPOLLET)
		list, p := make([]EpollEvent, 4), make([]byte, 4)
		exchange := func(wait bool) func() {
			return func() {
				if n, err := w.a.Write(c, p[:1]); n != 1 || err != nil {
					t.Fatal(n, err)
				}
				if wait {
					if n, err := w.b.EpollWait(ep, list, 1000); n != 1 || err != nil {
						t.Fatal(n, err)
					}
				}
				if n, err := w.b.Read(s, p); n != 1 || err != nil {
					t.Fatal(n, err)
				}
			}
		}
		testing.AllocsPerRun(100, exchange(true))
		blocking := testing.AllocsPerRun(500, exchange(false))
		w.events(w.b, ep) // takes the edges so far
		if waiting := testing.AllocsPerRun(500, exchange(true)); waiting > blocking {
			t.Errorf("%v allocations a message, %v with a read that blocks", waiting, blocking)
		}
	})
}
