package stack

import (
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// fill writes to c until it takes no more, and returns how much it took. The peer does not read.
func (n *network) fill(c *TCPConn) (total int) {
	n.Helper()
	p := make([]byte, 32<<10)
	for idle := 0; idle < 3; {
		k, err := c.TryWrite(p)
		if err != nil && err != syscall.EAGAIN {
			n.Fatal(err)
		}
		if total += k; k == 0 {
			idle++
			time.Sleep(time.Second)
		}
	}
	return total
}

func TestDatagramMemory(t *testing.T) {
	const limit = 1 << 20
	withPeers(t, "twenty sockets that nobody reads", Config{MaxBuffered: limit}, func(b *bed) {
		var sockets []*UDPSocket
		for port := range uint16(20) {
			s, err := b.h.ListenUDP(b.here(100+port), BindOptions{})
			if err != nil {
				b.Fatal(err)
			}
			sockets = append(sockets, s)
		}
		held := func() (n int) {
			for _, s := range sockets {
				s.mu.Lock()
				n += s.charge
				s.mu.Unlock()
			}
			return n
		}
		for range 200 { // each socket has room for 90
			var frames [][]byte
			for port := range uint16(20) {
				frames = append(frames, b.udpIn(5, 100+port, octets(1000)))
			}
			b.inject(frames...)
			settle()
		}
		if n := held(); n < limit/2 || n > limit+20*(leastUDP+udpStep) {
			b.Errorf("%d octets held, the cap is %d", n, limit)
		}
		// The last one has something, however little.
		p := make([]byte, 2000)
		if n, _, _, err := sockets[19].TryReadFrom(p); n != 1000 || err != nil {
			b.Errorf("read %d octets, %v", n, err)
		}
		for i, s := range sockets {
			for i < 10 {
				if _, _, _, err := s.TryReadFrom(p); err != nil {
					break
				}
			}
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		}
		if n := b.h.buffered.Load(); n != 0 {
			b.Errorf("%d octets are counted after all is closed", n)
		}
		b.take()
	})
}

func TestMemoryCap(t *testing.T) {
	const mark = 4 << 20
	delayed := sim.Config{Delay: 5 * time.Millisecond}
	buffered := func(n *network) int64 {
		return n.a.Stats().TCPGauges.Buffered + n.b.Stats().TCPGauges.Buffered
	}
	for _, x := range []struct {
		name   string
		cap    int64
		saving bool
	}{{"near Config.MaxBuffered connections save, and go on", mark, true}, {"below it they do not", 1 << 30, false}} {
		inHosts(t, x.name, delayed, Config{MaxBuffered: x.cap}, func(n *network) {
			l := n.listen(n.b, 80, 100)
			var clients, servers []*TCPConn
			pair := func() (c, s *TCPConn) {
				c = n.dial(80)
				n.must(c.WaitConnect())
				s, err := l.Accept()
				n.must(err)
				clients, servers = append(clients, c), append(servers, s)
				return c, s
			}
			first := make([]int, 60)
			for i := range first {
				c, _ := pair()
				first[i] = n.fill(c)
			}
			last := first[len(first)-1]
			if saving := last <= 64<<10; saving != x.saving {
				n.Errorf("the last connection buffers %d octets, the first %d", last, first[0])
			}
			for _, h := range []*Host{n.a, n.b} {
				s := h.Stats()
				if held := s.TCPGauges.Buffered; x.saving && held > mark+int64(len(first))*32<<10 {
					n.Errorf("%d octets held", held)
				}
			}
			// All go on, however slowly: whoever reads gets everything.
			for i, s := range servers {
				n.must(clients[i].CloseWrite())
				got := 0
				for p := make([]byte, 64<<10); ; {
					k, err := s.Read(p)
					n.must(err)
					if k == 0 {
						break
					}
					got += k
				}
				if got != first[i] {
					n.Fatalf("connection %d: read %d octets of %d", i, got, first[i])
				}
				n.must(s.Close())
				n.must(clients[i].Close())
			}
			time.Sleep(time.Minute)
			if held := buffered(n); held != 0 {
				n.Errorf("%d octets left", held)
			}
			// And afterwards the buffers are as large as ever.
			c, s := pair()
			if again := n.fill(c); again < first[0] {
				n.Errorf("afterwards %d octets, before %d", again, first[0])
			}
			s.Abort()
			c.Abort()
			n.must(l.Close())
		})
	}
	inHosts(t, "what is counted is given back, however a connection ends", sim.Config{Delay: time.Millisecond, Loss: 0.05, Reorder: 0.05, Seed: 7}, Config{},
		func(n *network) {
			for i := range 20 {
				client, server := n.connect()
				n.write(client, string(make([]byte, 30_000)))
				n.write(server, string(make([]byte, 3000)))
				time.Sleep(time.Duration(i) * 3 * time.Millisecond)
				if buffered(n) == 0 && i < 5 {
					n.Error("nothing is counted")
				}
				switch i % 4 {
				case 0:
					client.Abort()
					server.Abort()
				case 1:
					n.must(client.Close())
					n.must(server.Close())
				case 2:
					n.must(client.CloseRead())
					n.must(client.Close())
					server.Abort()
				case 3:
					n.must(client.Update(func(o *tcp.Options) { o.Linger = 0 }))
					n.must(client.Close())
					n.must(server.Close())
				}
			}
			time.Sleep(20 * time.Minute)
			if held := buffered(n); held != 0 {
				n.Errorf("%d octets left, %+v", held, n.a.Stats().TCPGauges)
			}
		})
}
