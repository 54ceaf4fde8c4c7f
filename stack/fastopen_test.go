package stack

import (
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// fastListen listens on port 80 with a limit of pending Fast Opens, and returns the peer's cookie.
func (b *bed) fastListen(limit int) (l *Listener, cookie string) {
	b.Helper()
	l = b.listenTCP(80, 20)
	l.SetFastOpen(limit)
	out := b.send(seg{flags: "S", seq: 100, cookie: "?", text: "early", peer: 999})
	if len(out) != 1 || len(out[0].cookie) != 8 {
		b.Fatalf("a request for a cookie is answered by %v", out)
	}
	b.expect("C-TFO-1 the request", out, seg{flags: "SA", seq: out[0].seq, ack: 101, peer: 999, cookie: out[0].cookie})
	b.send(seg{flags: "R", seq: 101, peer: 999})
	return l, out[0].cookie
}

// text returns what a connection that Accept returns has to read.
func (b *bed) text(l *Listener) string {
	b.Helper()
	c, err := l.TryAccept()
	if err != nil {
		b.Fatalf("accept: %v", err)
	}
	buf := make([]byte, 100)
	n, err := c.TryRead(buf)
	if err != nil {
		b.Fatalf("read: %v", err)
	}
	return string(buf[:n])
}

func TestFastOpenListener(t *testing.T) {
	on := func(name string, f func(b *bed)) {
		withPeers(t, name, Config{ICMPRate: -1, ResetRate: -1, NeighborReachable: 100 * time.Hour}, f)
	}
	on("C-TFO-6 off unless the listener asks for it", func(b *bed) {
		l := b.listenTCP(80, 20)
		if l.FastOpen() != 0 {
			b.Errorf("the limit is %d", l.FastOpen())
		}
		out := b.send(seg{flags: "S", seq: 100, cookie: "?", text: "early"})
		b.expect("request", out, seg{flags: "SA", seq: out[0].seq, ack: 101})
	})
	on("C-TFO-2 a good cookie: the text is accepted before the handshake is over", func(b *bed) {
		l, cookie := b.fastListen(5)
		out := b.send(seg{flags: "S", seq: 100, cookie: cookie, text: "early"})
		b.expect("SYN", out, seg{flags: "SA", seq: out[0].seq, ack: 106})
		if got := b.text(l); got != "early" {
			b.Errorf("read %q", got)
		}
		b.expect("final ACK", b.send(seg{flags: "A", seq: 106, ack: out[0].seq + 1}))
		if g := b.h.Stats().TCPGauges; g.States[tcp.Established] != 1 || g.FastOpens != 1 || g.HalfOpen != 0 {
			b.Errorf("%+v", g)
		}
	})
	on("a connection whose handshake is over costs no more than any other", func(b *bed) {
		l, cookie := b.fastListen(5)
		out := b.send(seg{flags: "S", seq: 100, cookie: cookie, text: "early"})
		c, err := l.TryAccept()
		if err != nil || c.rare == nil {
			b.Fatalf("accept: %v", err)
		}
		b.send(seg{flags: "A", seq: 106, ack: out[0].seq + 1})
		if c.rare != nil {
			b.Error("it still has what only pending ones need")
		}
		c.Watch(watchFunc(func(Readiness) {}))
		if c.Watch(nil); c.rare != nil {
			b.Error("it still has what only watched ones need")
		}
		c.Abort() // gives back what nobody has read
	})
	on("C-TFO-2 a bad cookie: only the SYN is acknowledged, and a good one given", func(b *bed) {
		l, cookie := b.fastListen(5)
		out := b.send(seg{flags: "S", seq: 100, cookie: "12345678", text: "early"})
		b.expect("SYN", out, seg{flags: "SA", seq: out[0].seq, ack: 101, cookie: cookie})
		if _, err := l.TryAccept(); err != syscall.EAGAIN {
			b.Errorf("accept: %v", err)
		}
		b.expect("the text again", b.send(seg{flags: "PA", seq: 101, ack: out[0].seq + 1, text: "early"}),
			seg{flags: "A", seq: out[0].seq + 1, ack: 106})
		if got := b.text(l); got != "early" {
			b.Errorf("read %q", got)
		}
	})
	on("C-TFO-3 an old key's cookie is good for a while, and a new one comes along", func(b *bed) {
		_, cookie := b.fastListen(5)
		time.Sleep(time.Hour)
		out := b.send(seg{flags: "S", seq: 100, cookie: cookie, text: "early"})
		if len(out) != 1 || out[0].ack != 106 || len(out[0].cookie) != 8 || out[0].cookie == cookie {
			b.Fatalf("an hour later: %v", out)
		}
		b.send(seg{flags: "A", seq: 106, ack: out[0].seq + 1})
		time.Sleep(time.Hour)
		out = b.send(seg{flags: "S", seq: 100, cookie: cookie, text: "early", peer: 1001})
		if len(out) != 1 || out[0].ack != 101 || len(out[0].cookie) != 8 || out[0].cookie == cookie {
			b.Fatalf("two hours later: %v", out)
		}
	})
	on("C-TFO-2 a full accept queue ignores the SYN", func(b *bed) {
		l, cookie := b.fastListen(5)
		l.SetBacklog(0)
		b.send(seg{flags: "S", seq: 100, cookie: cookie, text: "early"})
		b.expect("SYN", b.send(seg{flags: "S", seq: 100, cookie: cookie, text: "early", peer: 1001}))
	})
	on("C-TFO-4 beyond the limit of pending ones it is an ordinary handshake", func(b *bed) {
		_, cookie := b.fastListen(2)
		var iss [4]uint32
		for i := range uint16(3) {
			out := b.send(seg{flags: "S", seq: 100, cookie: cookie, text: "early", peer: 1000 + i})
			iss[i] = out[0].seq
			b.expect(fmt.Sprintf("SYN %d", i), out, seg{flags: "SA", seq: iss[i], ack: 101 + []uint32{5, 5, 0}[i], peer: 1000 + i})
		}
		// One completes, one is reset: the reset one counts on for a minute.
		b.send(seg{flags: "A", seq: 106, ack: iss[0] + 1})
		b.send(seg{flags: "R", seq: 106, peer: 1001})
		for i, ack := range []uint32{106, 101} {
			out := b.send(seg{flags: "S", seq: 100, cookie: cookie, text: "early", peer: 2000 + uint16(i)})
			if out[0].ack != ack {
				b.Errorf("SYN %d after that: acknowledges %d, want %d", i, out[0].ack, ack)
			}
			if ack == 106 {
				b.send(seg{flags: "A", seq: 106, ack: out[0].seq + 1, peer: 2000})
				b.send(seg{flags: "S", seq: 100, cookie: cookie, text: "early", peer: 3000})
			}
		}
		if g := b.h.Stats().TCPGauges; g.FastOpenOverflows != 2 {
			b.Errorf("%d overflows", g.FastOpenOverflows)
		}
	})
	on("C-TFO-4 the resets are forgotten after a minute", func(b *bed) {
		_, cookie := b.fastListen(1)
		ack := func(peer uint16) uint32 {
			out := b.send(seg{flags: "S", seq: 100, cookie: cookie, text: "early", peer: peer})
			b.send(seg{flags: "R", seq: out[0].ack, peer: peer})
			return out[0].ack
		}
		first := ack(1000)
		time.Sleep(time.Minute - time.Second)
		second := ack(1001)
		time.Sleep(time.Second)
		if third := ack(1002); first != 106 || second != 101 || third != 106 {
			b.Errorf("acknowledged %d, %d, %d", first, second, third)
		}
	})
	on("C-TFO-4 who closes before the handshake is over does not lose count", func(b *bed) {
		l, cookie := b.fastListen(1)
		out := b.send(seg{flags: "S", seq: 100, cookie: cookie, text: "early"})
		c, err := l.TryAccept()
		if err != nil {
			b.Fatal(err)
		}
		_, _ = c.TryRead(make([]byte, 9))
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
		l.mu.Lock()
		pending := l.fastOpen.pending
		l.mu.Unlock()
		b.send(seg{flags: "A", seq: 106, ack: out[0].seq + 2})
		l.mu.Lock()
		defer l.mu.Unlock()
		if pending != 1 || l.fastOpen.pending != 0 {
			b.Errorf("%d pending, then %d", pending, l.fastOpen.pending)
		}
	})
	on("D-ICMP-4 an unreachable in SYN-RECEIVED closes only that child", func(b *bed) {
		l, cookie := b.fastListen(5)
		out := b.send(seg{flags: "S", seq: 100, cookie: cookie, text: "early"})
		b.send(seg{flags: "S", seq: 100, cookie: cookie, text: "other", peer: 1001})
		b.inject(b.refusal(b.noPort, out[0].seq, true))
		if got := b.text(l); got != "early" { // what came before it stays readable
			b.Errorf("read %q", got)
		}
		if got := b.text(l); got != "other" {
			b.Errorf("read %q", got)
		}
		if g := b.h.Stats().TCPGauges; g.States[tcp.SynReceived] != 1 {
			b.Errorf("%+v", g)
		}
	})
}

// fastPair lets host b take Fast Opens on port 80, and answer each text with itself in capitals.
func (n *network) fastPair() {
	n.Helper()
	l := n.listen(n.b, 80, 20)
	l.SetFastOpen(10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				buf := make([]byte, 4096)
				k, _ := c.Read(buf)
				_, _ = c.Write([]byte(strings.ToUpper(string(buf[:k]))))
				for k > 0 {
					k, _ = c.Read(buf)
				}
				_ = c.Close()
			}()
		}
	}()
}

// ask sends a text by Fast Open and returns the answer and how long it took, and whether the SYN waited.
func (n *network) ask(text string) (answer string, took time.Duration, waited bool) {
	n.Helper()
	began := time.Now()
	c, err := n.a.ConnectTCPFastOpen(nil, netip.AddrPortFrom(n.addrB, 80), tcp.DefaultOptions())
	n.must(err)
	waited = c.Waits()
	if waited && c.Ready() != ReadyOut {
		n.Errorf("a connection that waits for text is ready for %b", c.Ready())
	}
	n.write(c, text)
	answer = n.read(c)
	took = time.Since(began)
	n.must(c.Close())
	return answer, took, waited
}

func TestFastOpenHosts(t *testing.T) {
	const rtt = 10 * time.Millisecond
	inScopes(t, "C-TFO-2 the second connection saves a round trip", slow, Config{}, func(n *network) {
		n.fastPair()
		n.ask("arp") // so that everybody knows everybody
		n.a.tcp.fastOpen.paths = nil
		for i, want := range []struct {
			took   time.Duration
			waited bool
		}{{2 * rtt, false}, {rtt, true}, {rtt, true}} {
			answer, took, waited := n.ask("text")
			if answer != "TEXT" || took != want.took || waited != want.waited {
				n.Errorf("connection %d: %q after %v, waited %v; want %v, %v", i+1, answer, took, waited, want.took, want.waited)
			}
		}
		if a, b := n.a.Stats().TCPGauges, n.b.Stats().TCPGauges; a.FastOpens != 2 || b.FastOpens != 2 {
			n.Errorf("%d and %d Fast Opens", a.FastOpens, b.FastOpens)
		}
	})
	inScopes(t, "C-TFO-5 a cookie that is no good costs nothing but the gain", slow, Config{}, func(n *network) {
		n.fastPair()
		n.ask("arp")
		for k, e := range n.a.tcp.fastOpen.paths {
			e.cookie.Octets[0]++
			n.a.tcp.fastOpen.paths[k] = e
		}
		for i, want := range []time.Duration{2 * rtt, rtt} {
			if answer, took, _ := n.ask("text"); answer != "TEXT" || took != want {
				n.Errorf("connection %d: %q after %v, want %v", i+1, answer, took, want)
			}
		}
	})
	inScopes(t, "C-TFO-5 a path that swallows such SYNs is spared them, for longer each time", slow, Config{}, func(n *network) {
		n.fastPair()
		n.ask("arp")
		var fast atomic.Int32
		n.wire.Update(func(c *sim.Config) {
			c.Filter = func(from *sim.Port, frame []byte) sim.Verdict {
				h, syn := tcpHeader(frame)
				if !syn || h.Options.Has&wire.TCPOptFastOpen == 0 {
					return sim.Pass
				}
				fast.Add(1)
				return sim.Drop
			}
		})
		pause := time.Minute
		for i := range 3 {
			// The cookie from before is good once: later the text does not depend on a path that has swallowed one.
			if answer, took, waited := n.ask("text"); answer != "TEXT" || took <= time.Second || waited != (i == 0) {
				n.Errorf("%d: %q after %v, waited %v", i, answer, took, waited)
			}
			time.Sleep(pause - 2*time.Second)
			if answer, took, waited := n.ask("text"); answer != "TEXT" || took != 2*rtt || waited {
				n.Errorf("%d, before %v are over: %q after %v, waited %v", i, pause, answer, took, waited)
			}
			time.Sleep(2 * time.Second)
			pause *= 2
		}
		if fast.Load() != 3 || n.a.Stats().TCPGauges.FastOpenLost != 3 {
			n.Errorf("%d SYNs of Fast Open, %d noted as lost", fast.Load(), n.a.Stats().TCPGauges.FastOpenLost)
		}
	})
	inScopes(t, "C-TFO-5 what is refused is told by Write", slow, Config{}, func(n *network) {
		n.fastPair()
		n.ask("arp")
		c, err := n.a.ConnectTCPFastOpen(nil, netip.AddrPortFrom(n.addrB, 81), tcp.DefaultOptions())
		n.must(err)
		k, err := c.Write([]byte("text"))
		n.want("Write", err, syscall.ECONNREFUSED)
		if k != 0 {
			n.Errorf("wrote %d", k)
		}
	})
	inScopes(t, "C-TFO-5 TryWrite returns what the SYN carries, the rest follows", slow, Config{}, func(n *network) {
		n.fastPair()
		n.ask("arp")
		c, err := n.a.ConnectTCPFastOpen(nil, netip.AddrPortFrom(n.addrB, 80), tcp.DefaultOptions())
		n.must(err)
		k, err := c.TryWrite(make([]byte, 5000))
		first := 1460 - n.headerLen - 20 // with the options of the SYN
		if k != first || err != nil {
			n.Errorf("wrote %d, %v", k, err)
		}
		_, err = c.TryWrite(make([]byte, 5000))
		n.want("the next", err, syscall.EAGAIN)
		n.must(c.WaitConnect())
		k, err = c.TryWrite(make([]byte, 5000-first))
		if k != 5000-first || err != nil {
			n.Errorf("then wrote %d, %v", k, err)
		}
	})
	inScopes(t, "C-TFO-6 a host remembers so many peers and no more", slow, Config{}, func(n *network) {
		cache := &n.a.tcp.fastOpen
		for i := range 5000 {
			remote := netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)})
			cache.change(fastOpenPath{n.addrA, remote}, func(e *fastOpenRecord) { e.mss = 1460 })
			cache.change(fastOpenPath{n.addrA, n.addrB}, func(e *fastOpenRecord) { *e = fastOpenRecord{} })
		}
		if len(cache.paths) != maxFastOpenPaths {
			n.Errorf("%d paths", len(cache.paths))
		}
	})
}

// tcpHeader returns the TCP header of a frame, and whether it is one of a SYN.
func tcpHeader(frame []byte) (h wire.TCP, syn bool) {
	p, ok := segmentOf(frame)
	if !ok {
		return h, false
	}
	_, err := h.Parse(p.Payload)
	return h, err == nil && tcp.Flags(h.Flags)&(tcp.SYN|tcp.ACK) == tcp.SYN
}
