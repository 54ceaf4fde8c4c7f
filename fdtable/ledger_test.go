package fdtable

import (
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

func (w *world) set(t *Table, fd, level, opt, value int) {
	w.t.Helper()
	w.is(t.SetsockoptInt(fd, level, opt, value), nil)
}

func (w *world) info(t *Table, fd int) *TCPInfo {
	w.t.Helper()
	info, err := t.GetsockoptTCPInfo(fd, IPPROTO_TCP, TCP_INFO)
	w.is(err, nil)
	return info
}

// stuff writes until there is no room, and returns how many octets it was.
func (w *world) stuff(t *Table, fd int) (total int) {
	w.t.Helper()
	for {
		n, err := t.Sendto(fd, numbered(1<<16), MSG_DONTWAIT, netip.AddrPort{})
		if err != nil {
			w.is(err, again)
			return total
		}
		total += n
	}
}

func TestWhileConnecting(t *testing.T) {
	inWorld(t, "E-CON-11 send in SYN-SENT waits, and recv without waiting is EAGAIN", slow, func(t *testing.T, w *world) {
		l := w.listen(80, 1)
		c := w.socket(w.a, SOCK_NONBLOCK)
		w.is(w.a.Connect(c, w.at(80)), syscall.EINPROGRESS)
		w.readFails(w.a, c, again)
		w.writeFails(w.a, c, again)
		w.is(w.a.SetNonblock(c, false), nil)
		start := time.Now()
		w.write(w.a, c, "early")
		if d := time.Since(start); d < 2*ms {
			t.Errorf("send took %v, less than the handshake", d)
		}
		w.read(w.b, w.accept(l), "early")
	})
}

func TestAbortOnOverflow(t *testing.T) {
	for _, abort := range []bool{true, false} {
		inWorld(t, "E-LIS-4 the accept queue overflows", slow, func(t *testing.T, w *world) {
			h, err := stack.New(stack.Config{AbortOnOverflow: abort})
			w.is(err, nil)
			defer h.Close()
			addr := w.third.Addr()
			dev := w.segment.NewPort(sim.PortConfig{Name: "c"})
			w.is(h.Attach(dev, stack.Interface{Addrs: []netip.Prefix{w.third}, DADTransmits: -1}), nil)
			table := New(h)
			l := w.socket(table, 0)
			w.is(table.Bind(l, netip.AddrPortFrom(addr, 80)), nil)
			w.is(table.Listen(l, 0), nil)
			first, second := w.socket(w.a, SOCK_NONBLOCK), w.socket(w.a, SOCK_NONBLOCK)
			for _, c := range []int{first, second} {
				w.is(w.a.Connect(c, netip.AddrPortFrom(addr, 80)), syscall.EINPROGRESS)
			}
			w.settle()
			w.polled(w.a, first, "OUT")
			if abort {
				w.polled(w.a, second, "IN OUT RDHUP HUP ERR")
				w.readFails(w.a, second, syscall.ECONNRESET)
				return
			}
			w.polled(w.a, second, "OUT")
			for range 2 {
				_, _, err := table.Accept(l)
				w.is(err, nil)
			}
		})
	}
}

func TestSimultaneousClose(t *testing.T) {
	inWorld(t, "E-CLS-7 simultaneous close ends in TIME-WAIT at both ends", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.settle()
		w.is(w.a.Close(c), nil)
		w.is(w.b.Close(s), nil)
		synctest.Wait()
		for _, h := range []*stack.Host{w.hostA, w.hostB} {
			if n := h.Stats().TCPGauges.States[tcp.FinWait1]; n != 1 {
				t.Errorf("%d connections in FIN-WAIT-1", n)
			}
		}
		w.settle()
		for _, h := range []*stack.Host{w.hostA, w.hostB} {
			if n := h.Stats().TCPGauges.States[tcp.TimeWaitState]; n != 1 {
				t.Errorf("%d connections in TIME-WAIT", n)
			}
		}
	})
}

func TestBuffersChangeLive(t *testing.T) {
	inWorld(t, "E-OPT-4 a smaller SO_RCVBUF takes nothing back, and bounds what is offered next", slow, func(t *testing.T, w *world) {
		_, c, s := w.connected()
		w.settle()
		before := w.info(w.b, s).Rcv_wnd
		w.set(w.b, s, SOL_SOCKET, SO_RCVBUF, 4096)
		if after := w.info(w.b, s).Rcv_wnd; after != before {
			t.Errorf("the window went from %d to %d", before, after)
		}
		sent := w.stuff(w.a, c)
		for range 20 {
			w.settle()
		}
		got, err := w.b.IoctlInt(s, SIOCINQ, 0)
		w.is(err, nil)
		// The window field counts in units of 128 octets. What was offered is taken, though the field, rounded down
		// while more than the buffer waits, may say up to a unit less by now.
		if got <= int(before)-128 || got > int(before)+2*128 || sent < got {
			t.Errorf("%d octets were taken of %d, the window was %d", got, sent, before)
		}
		drained := 0
		for p := make([]byte, 1<<20); ; {
			n, _, err := w.b.Recvfrom(s, p, MSG_DONTWAIT)
			if drained += n; err != nil {
				break
			}
		}
		synctest.Wait()
		if wnd := w.info(w.b, s).Rcv_wnd; drained != got || wnd > 8192 {
			t.Errorf("after %d octets the window is %d", drained, wnd)
		}
	})
	inWorld(t, "E-OPT-4 SO_SNDBUF counts at once", sim.Config{Filter: nil, Delay: ms}, func(t *testing.T, w *world) {
		_, c, _ := w.connected()
		w.settle()
		w.segment.Update(func(c *sim.Config) { c.Filter = dropTCP })
		w.set(w.a, c, SOL_SOCKET, SO_SNDBUF, 10000)
		if n := w.stuff(w.a, c); n != 20000 {
			t.Errorf("%d octets were taken", n)
		}
		w.set(w.a, c, SOL_SOCKET, SO_SNDBUF, 20000)
		if n := w.stuff(w.a, c); n != 20000 {
			t.Errorf("%d more octets were taken", n)
		}
	})
}

func TestOptionsAct(t *testing.T) {
	inWorld(t, "E-OPT-5 TCP_SYNCNT", sim.Config{Filter: dropTCP}, func(t *testing.T, w *world) {
		c := w.socket(w.a, 0)
		w.set(w.a, c, IPPROTO_TCP, TCP_SYNCNT, 2)
		start := time.Now()
		w.is(w.a.Connect(c, w.at(80)), syscall.ETIMEDOUT)
		if d, syns := time.Since(start), w.take('a'); d != 7*time.Second || syns != "S S S" {
			t.Errorf("it took %v and %q", d, syns)
		}
	})
	inWorld(t, "E-OPT-5 TCP_DEFER_ACCEPT waits for text", slow, func(t *testing.T, w *world) {
		l := w.socket(w.b, SOCK_NONBLOCK)
		w.set(w.b, l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5)
		w.option(w.b, l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 7)
		w.is(w.b.Bind(l, w.at(80)), nil)
		w.is(w.b.Listen(l, 5), nil)
		talker, silent := w.dial(80), w.dial(80)
		w.settle()
		w.polled(w.b, l, "")
		w.write(w.a, talker, "text")
		w.settle()
		w.read(w.b, w.accept(l), "text")
		w.take('b')
		time.Sleep(6 * time.Second)
		w.polled(w.b, l, "")
		if sent := w.take('b'); sent != "" {
			t.Errorf("b sent %q", sent)
		}
		time.Sleep(time.Second) // the SYN-ACK goes out again, and its answer counts
		w.polled(w.b, l, "IN")
		w.accept(l)
		w.write(w.a, silent, "at last")
	})
	inWorld(t, "E-OPT-5 TCP_LINGER2", slow, func(t *testing.T, w *world) {
		_, c, _ := w.connected()
		w.set(w.a, c, IPPROTO_TCP, TCP_LINGER2, 3)
		w.is(w.a.Close(c), nil)
		w.settle()
		time.Sleep(2800 * ms)
		if n := w.hostA.Stats().TCPGauges.States[tcp.FinWait2]; n != 1 {
			t.Errorf("%d connections in FIN-WAIT-2", n)
		}
		time.Sleep(200 * ms)
		if n := w.hostA.Stats().TCPGauges.Connections(); n != 0 {
			t.Errorf("%d connections after three seconds", n)
		}
	})
	inWorld(t, "E-OPT-5 TCP_LINGER2 of less than nothing", slow, func(t *testing.T, w *world) {
		_, c, _ := w.connected()
		w.set(w.a, c, IPPROTO_TCP, TCP_LINGER2, -1)
		w.is(w.a.Close(c), nil)
		w.settle()
		if n := w.hostA.Stats().TCPGauges.Connections(); n != 0 {
			t.Errorf("%d connections", n)
		}
	})
	inWorld(t, "E-OPT-5 TCP_NOTSENT_LOWAT", slow, func(t *testing.T, w *world) {
		_, c, _ := w.connected()
		w.set(w.a, c, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 8192)
		w.settle()
		w.segment.Update(func(c *sim.Config) { c.Filter = dropTCP })
		w.stuff(w.a, c)
		if n := w.info(w.a, c).Notsent_bytes; n == 0 || n > 8192 {
			t.Errorf("%d octets wait to be sent", n)
		}
		w.polled(w.a, c, "")
		w.segment.Update(func(c *sim.Config) { c.Filter = nil })
		time.Sleep(time.Second)
		w.polled(w.a, c, "OUT")
	})
	inWorld(t, "E-OPT-5 TCP_WINDOW_CLAMP", slow, func(t *testing.T, w *world) {
		l := w.socket(w.b, 0)
		w.set(w.b, l, IPPROTO_TCP, TCP_WINDOW_CLAMP, 5000)
		w.is(w.b.Bind(l, w.at(80)), nil)
		w.is(w.b.Listen(l, 5), nil)
		c := w.dial(80)
		if wnd := w.info(w.a, c).Snd_wnd; wnd > 5000 {
			t.Errorf("a window of %d was offered", wnd)
		}
	})
	inWorld(t, "E-OPT-6 TCP_USER_TIMEOUT takes the place of TCP_KEEPCNT", slow, func(t *testing.T, w *world) {
		_, c, _ := w.connected()
		w.settle()
		w.set(w.a, c, IPPROTO_TCP, TCP_KEEPIDLE, 10)
		w.set(w.a, c, IPPROTO_TCP, TCP_KEEPINTVL, 5)
		w.set(w.a, c, IPPROTO_TCP, TCP_KEEPCNT, 2)
		w.set(w.a, c, SOL_SOCKET, SO_KEEPALIVE, 1)
		w.set(w.a, c, IPPROTO_TCP, TCP_USER_TIMEOUT, 60_000)
		w.segment.Update(func(c *sim.Config) { c.Filter = dropTCP })
		start := time.Now()
		w.readFails(w.a, c, syscall.ETIMEDOUT)
		if d := time.Since(start); d < 59*time.Second || d > 65*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}
