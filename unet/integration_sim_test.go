package unet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

// inBubble runs body with two hosts in fake time, and demands that nothing is left of them when TIME-WAIT is
// over: no connection, port or record, no octet in reassembly and, in a build that counts them, no buffer.
// The bubble itself demands that no goroutine is left.
func inBubble(t *testing.T, cfg sim.Config, body func(t *testing.T, client, server *Host, segment *sim.Segment)) {
	synctest.Test(t, func(t *testing.T) {
		buffers := link.Outstanding()
		client, server, segment := pair(t, cfg)
		fresh := server.Stats()
		body(t, client, server, segment)
		time.Sleep(10 * time.Minute)
		for _, h := range []*Host{client, server} {
			nothingLeft(t, h, fresh)
		}
		if n := link.Outstanding(); n != buffers {
			t.Errorf("%d buffers are in use, %d were before", n, buffers)
		}
		if err := errors.Join(client.Close(), server.Close(), segment.Close()); err != nil {
			t.Error(err)
		}
	})
}

// nothingLeft compares the gauges with those of a fresh host.
func nothingLeft(t *testing.T, h *Host, fresh stack.Stats) {
	t.Helper()
	got, want := h.Stats(), fresh
	g, f := got.TCPGauges, want.TCPGauges
	if g.States != f.States || g.HalfOpen != f.HalfOpen || g.Orphans != f.Orphans || g.AcceptQueue != f.AcceptQueue || g.Bindings != f.Bindings {
		t.Errorf("left over: %+v", g)
	}
	if got.UDPSockets != want.UDPSockets || got.ReassemblyBytes != want.ReassemblyBytes || got.Interfaces[1].Held != 0 {
		t.Errorf("left over: %+v", got)
	}
}

// transfer sends text from one end to the other, which answers with its summary, and closes both.
func transfer(t *testing.T, client, server *Host, n int64) (took time.Duration) {
	t.Helper()
	l := listen(t, server)
	served := make(chan error, 1)
	go func() {
		s, err := l.AcceptTCP()
		if err != nil {
			served <- err
			return
		}
		patient(t, s)
		sum, err := summary(s)
		_, werr := io.WriteString(s, sum)
		served <- errors.Join(err, werr, s.Close())
	}()
	start := time.Now()
	c := dial(t, client, l)
	patient(t, c)
	_, err := io.Copy(c, newContent(n))
	if err := errors.Join(err, c.CloseWrite()); err != nil {
		t.Error(err)
	}
	sum, err := io.ReadAll(c)
	if string(sum) != summaryOf(n) || err != nil {
		t.Errorf("%d octets arrived as %q, %v", n, sum, err)
	}
	took = time.Since(start)
	if err := errors.Join(c.Close(), <-served, l.Close()); err != nil {
		t.Error(err)
	}
	return took
}

func TestIntegrationSeeds(t *testing.T) {
	for seed := range int64(100) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			inBubble(t, sim.Config{Seed: seed, Delay: 5 * time.Millisecond, Rate: 100e6, Loss: 0.05, Reorder: 0.05, ReorderDelay: 2 * time.Millisecond,
				Duplicate: 0.02, Corrupt: 0.01}, func(t *testing.T, client, server *Host, segment *sim.Segment) {
				transfer(t, client, server, 1<<20)
				if s := segment.Stats(); s.Lost == 0 || s.Reordered == 0 || s.Duplicated == 0 || s.Corrupted == 0 {
					t.Errorf("the segment was too kind: %+v", s)
				}
				if s := server.Stats(); s.TCPGauges.BadChecksum == 0 {
					t.Error("no checksum was wrong")
				}
			})
		})
	}
}

// patient makes c outlast what a transfer in a hundred meets at 30 % loss each way: nine keep-alive probes lost in a
// row, or as many retransmissions as take 15 minutes.
func patient(t *testing.T, c *TCPConn) {
	if err := errors.Join(c.SetKeepAlive(false), c.SetUserTimeout(24*time.Hour)); err != nil {
		t.Error(err)
	}
}

func TestIntegrationLoss(t *testing.T) {
	for _, loss := range []float64{0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.3} {
		for seed := range int64(5) {
			t.Run(fmt.Sprintf("F-LOSS-1 %g %% each way, seed %d", 100*loss, seed), func(t *testing.T) {
				inBubble(t, sim.Config{Seed: seed, Delay: 25 * time.Millisecond}, func(t *testing.T, client, server *Host, segment *sim.Segment) {
					transfer(t, client, server, 1) // ARP gives up after three losses, and a dial with it
					segment.Update(func(cfg *sim.Config) { cfg.Loss = loss })
					took := transfer(t, client, server, 1<<20)
					t.Logf("%.0f kB/s", float64(1<<20)/took.Seconds()/1000)
				})
			})
		}
	}
}

func TestIntegrationCorruption(t *testing.T) {
	for _, corrupt := range []float64{0.01, 0.05, 0.1, 0.2} {
		t.Run(fmt.Sprintf("F-COR-1 one bit in %g %% of the frames", 100*corrupt), func(t *testing.T) {
			inBubble(t, sim.Config{Seed: 1, Delay: 5 * time.Millisecond, Corrupt: corrupt}, func(t *testing.T, client, server *Host, _ *sim.Segment) {
				transfer(t, client, server, 1<<20)
			})
		})
	}
}

// Two neighbouring words that change places leave the Internet checksum as it is. TCP cannot see that, so it
// must be all that gets through.
func TestIntegrationNeutralCorruption(t *testing.T) {
	t.Run("F-COR-1 what the checksum cannot see is all that is delivered wrong", func(t *testing.T) {
		var swapped atomic.Int64
		frames := 0
		cfg := sim.Config{Seed: 1, Delay: 5 * time.Millisecond, Corrupt: 0.05, Filter: func(from *sim.Port, frame []byte) sim.Verdict {
			if at := len(frame) - 400; from.Name() == "port1" && len(frame) > 1000 {
				if frames++; frames%50 == 0 {
					at += at % 2
					frame[at], frame[at+1], frame[at+2], frame[at+3] = frame[at+2], frame[at+3], frame[at], frame[at+1]
					swapped.Add(1)
				}
			}
			return sim.Pass
		}}
		inBubble(t, cfg, func(t *testing.T, client, server *Host, _ *sim.Segment) {
			want := random(1, 1<<20)
			c, s := connection(t, client, server)
			sent := make(chan error, 1)
			go func() {
				_, err := c.Write(want)
				sent <- errors.Join(err, c.Close())
			}()
			got, err := io.ReadAll(s)
			if err := errors.Join(err, <-sent, s.Close()); err != nil || len(got) != len(want) {
				t.Fatalf("%d octets of %d, %v", len(got), len(want), err)
			}
			wrong := int64(0)
			for i := 0; i < len(got); i++ {
				if got[i] == want[i] {
					continue
				}
				i -= swapAt(got, want, i)
				if i+4 > len(got) || !bytes.Equal(got[i:i+2], want[i+2:i+4]) || !bytes.Equal(got[i+2:i+4], want[i:i+2]) {
					t.Fatalf("octet %d is wrong, and no two words have changed places there", i)
				}
				wrong++
				i += 3
			}
			if wrong == 0 || wrong > swapped.Load() {
				t.Errorf("%d of %d swaps were delivered", wrong, swapped.Load())
			}
		})
	})
}

// swapAt returns how far in front of i, the first octet that differs, the swap begins: its first octets may
// be equal by chance.
func swapAt(got, want []byte, i int) int {
	for back := range min(i+1, 4) {
		at := i - back
		if at+4 <= len(got) && bytes.Equal(got[at:at+2], want[at+2:at+4]) && bytes.Equal(got[at+2:at+4], want[at:at+2]) {
			return back
		}
	}
	return 0
}

func TestIntegrationOrder(t *testing.T) {
	for _, cfg := range []sim.Config{{Reorder: 0.01}, {Reorder: 0.1}, {Reorder: 0.5}, {Duplicate: 0.3}, {Jitter: 500 * time.Millisecond},
		{Reorder: 0.5, Duplicate: 0.3, Jitter: 100 * time.Millisecond}} {
		cfg.Seed, cfg.Delay, cfg.Rate, cfg.ReorderDelay = 1, 5*time.Millisecond, 100e6, 12*time.Millisecond // of 100 frames
		t.Run(fmt.Sprintf("reorder %g, duplicate %g, jitter %v", cfg.Reorder, cfg.Duplicate, cfg.Jitter), func(t *testing.T) {
			inBubble(t, cfg, func(t *testing.T, client, server *Host, _ *sim.Segment) { transfer(t, client, server, 1<<20) })
		})
	}
}

func TestIntegrationManyConnections(t *testing.T) {
	const connections, workers = 10_000, 50
	t.Run("10,000 connections leave nothing", func(t *testing.T) {
		inBubble(t, sim.Config{Delay: time.Millisecond}, func(t *testing.T, client, server *Host, _ *sim.Segment) {
			round := func(n int) {
				l := listen(t, server)
				var group sync.WaitGroup
				group.Go(func() {
					for range n {
						s, err := l.Accept()
						if err != nil {
							t.Error(err)
							return
						}
						group.Go(func() { answerOnce(t, s) })
					}
				})
				for worker := range workers {
					group.Go(func() {
						for i := range n / workers {
							askOnce(t, client, l.Addr().String(), worker+i)
						}
					})
				}
				group.Wait()
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				time.Sleep(10 * time.Minute) // TIME-WAIT, and whatever else may linger
			}
			round(connections) // which fills pools and tables
			goroutines, heap := runtime.NumGoroutine(), liveHeap()
			round(connections)
			if n := runtime.NumGoroutine(); n > goroutines { // fewer: another test's last one has ended
				t.Errorf("%d goroutines, %d were before", n, goroutines)
			}
			grown := int64(liveHeap()) - int64(heap)
			t.Logf("the heap has grown by %d octets", grown)
			// The lists of spare records go on filling, by about an octet for each connection after many
			// rounds; the smallest thing that a connection could leave, a TIME-WAIT record, is 88.
			if grown > 40*connections {
				t.Errorf("the heap has grown by %d octets: something is left of each connection", grown)
			}
			if opened := server.Stats().TCP.PassiveOpens; opened != 2*connections {
				t.Errorf("%d connections were accepted, want %d", opened, 2*connections)
			}
		})
	})
}

// liveHeap returns the octets that the heap holds when all garbage is gone.
func liveHeap() uint64 {
	runtime.GC()
	runtime.GC() // what pools kept from the first one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func answerOnce(t *testing.T, s net.Conn) {
	b := make([]byte, 4)
	_, err := io.ReadFull(s, b)
	if err == nil {
		_, err = s.Write(b)
	}
	if err := errors.Join(err, s.Close()); err != nil {
		t.Error(err)
	}
}

// askOnce opens a connection, asks, and closes: in good order, by reset, or without waiting for the end.
func askOnce(t *testing.T, client *Host, address string, how int) {
	c, err := client.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	_, err = io.WriteString(c, "ping")
	if err == nil {
		_, err = io.ReadFull(c, make([]byte, 4))
	}
	switch how % 3 {
	case 0:
		_, eof := c.Read(make([]byte, 1))
		if eof != io.EOF {
			err = errors.Join(err, fmt.Errorf("behind the answer: %w", eof))
		}
	case 1:
		err = errors.Join(err, c.(*TCPConn).SetLinger(0))
	}
	if err := errors.Join(err, c.Close()); err != nil {
		t.Error(err)
	}
}
