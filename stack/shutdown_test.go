package stack

import (
	"context"
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// wireDelay is the time from one host to the other one.
const wireDelay = 10 * time.Millisecond

// shutdown checks what Shutdown of b returns, with a context that ends after patience, and how long it takes.
func (n *network) shutdown(patience, takes time.Duration, want *ShutdownError) {
	n.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	n.shutdownUntil(ctx, takes, want)
}

func (n *network) shutdownUntil(ctx context.Context, takes time.Duration, want *ShutdownError) {
	n.Helper()
	began := time.Now()
	err := n.b.Shutdown(ctx)
	if took := time.Since(began); took != takes {
		n.Errorf("Shutdown took %v, want %v", took, takes)
	}
	n.lost(err, want)
}

func (n *network) lost(err error, want *ShutdownError) {
	n.Helper()
	var got *ShutdownError
	switch {
	case want == nil && err == nil:
	case want == nil || !errors.As(err, &got) || *got != *want || !errors.Is(err, want.Err):
		n.Errorf("Shutdown: %v, want %v", err, want)
	}
}

// cable returns the port of a host.
func (n *network) cable(h *Host) *sim.Port { return h.ip.Interfaces()[1].Device().(*sim.Port) }

// over checks that the host has ended as by Close.
func (n *network) over() {
	n.Helper()
	_, err := n.b.ConnectTCP(nil, netip.AddrPortFrom(n.addrA, 80), tcp.DefaultOptions())
	n.want("ConnectTCP", err, syscall.ENETDOWN)
	if g := n.b.Stats().TCPGauges; g.Connections() != 0 || g.States[tcp.Listen] != 0 || g.States[tcp.TimeWaitState] != 0 {
		n.Errorf("left: %+v", g)
	}
}

func TestHostShutdown(t *testing.T) {
	wire := sim.Config{Delay: wireDelay}
	const never = time.Hour
	inNetwork(t, "with nothing to wait for it returns at once", wire, func(n *network) {
		n.listen(n.b, 80, 4)
		n.shutdown(never, 0, nil)
		n.over()
	})
	inNetwork(t, "it returns the moment that the last FIN is acknowledged", wire, func(n *network) {
		client, server := n.connect()
		n.write(server, "answer")
		n.must(server.Close())
		n.shutdown(never, 2*wireDelay, nil)
		n.over()
		n.reads(client, "answer", "EOF")
		n.must(client.Close())
	})
	inNetwork(t, "a FIN that is lost is waited for", wire, func(n *network) {
		client, server := n.connect()
		time.Sleep(time.Second)
		n.cable(n.a).Unplug(true)
		n.must(server.Close())
		time.AfterFunc(wireDelay+1, func() { n.cable(n.a).Unplug(false) })
		began := time.Now()
		n.must(n.b.Shutdown(context.Background()))
		if took := time.Since(began); took <= 2*wireDelay || took > time.Second {
			n.Errorf("Shutdown took %v", took)
		}
		n.reads(client, "EOF")
		n.must(client.Close())
	})
	inNetwork(t, "a slow reader gets all of it", wire, func(n *network) {
		client, server := n.connect()
		n.must(client.Update(func(o *tcp.Options) { o.RecvBuffer = 16 << 10 }))
		const size = 300_000
		n.must(server.Update(func(o *tcp.Options) { o.SendBuffer = size }))
		k, err := server.Write(make([]byte, size))
		if k != size || err != nil {
			n.Fatalf("Write: %d, %v", k, err)
		}
		n.must(server.Close())
		done := make(chan error, 1)
		go func() { done <- n.b.Shutdown(context.Background()) }()
		total := 0
		for b := make([]byte, 8<<10); ; {
			time.Sleep(100 * time.Millisecond)
			k, err := client.Read(b)
			n.must(err)
			if k == 0 {
				break
			}
			total += k
		}
		if total != size {
			n.Errorf("%d octets, want %d", total, size)
		}
		n.must(<-done)
		n.must(client.Close())
	})
	inNetwork(t, "connections that are open are waited for until their owners close them", wire, func(n *network) {
		client, server := n.connect()
		time.AfterFunc(5*time.Second, func() {
			_, _ = server.Write([]byte("at last"))
			_ = server.Close()
		})
		n.shutdown(never, 5*time.Second+2*wireDelay, nil)
		n.reads(client, "at last", "EOF")
		n.must(client.Close())
	})
	inNetwork(t, "those still open when the context ends are reset, and counted", wire, func(n *network) {
		idle, idleServer := n.connect()
		client, server := n.connect()
		orphan, orphanServer := n.connect()
		n.write(server, "before")
		n.reads(client, "before")
		time.Sleep(time.Second)
		n.cable(n.a).Unplug(true)
		n.write(server, "unacknowledged")
		n.write(orphanServer, "neither")
		n.must(orphanServer.Close())
		n.shutdown(time.Second, time.Second, &ShutdownError{3, int64(len("unacknowledged" + "neither")), context.DeadlineExceeded})
		n.over()
		for _, c := range []*TCPConn{idleServer, server} {
			_, err := c.Read(make([]byte, 1))
			n.want("Read", err, syscall.ECONNABORTED)
		}
		for _, c := range []*TCPConn{idle, client, orphan, idleServer, server} {
			_ = c.Close()
		}
	})
	inNetwork(t, "a context that is done already", wire, func(n *network) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		client, server := n.connect()
		n.shutdownUntil(ctx, 0, &ShutdownError{1, 0, context.Canceled})
		time.Sleep(wireDelay)
		_, err := client.Read(make([]byte, 1))
		n.want("Read", err, syscall.ECONNRESET)
		n.must(client.Close())
		n.must(server.Close())
	})
	inNetwork(t, "a context that is done already, and nothing left", wire, func(n *network) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		n.listen(n.b, 80, 4)
		n.shutdownUntil(ctx, 0, nil)
		n.over()
	})
	inNetwork(t, "who waits for Accept is reset, and so is who has not finished the handshake", wire, func(n *network) {
		l := n.listen(n.b, 80, 4)
		waiting := n.dial(80)
		n.must(waiting.WaitConnect())
		_, err := waiting.Write([]byte("request"))
		n.must(err)
		time.Sleep(time.Second)
		half := n.dial(80)
		time.Sleep(wireDelay * 3 / 2) // its SYN-ACK is on the way
		n.shutdown(never, 0, nil)
		_, err = l.Accept()
		n.want("Accept", err, syscall.EBADF)
		time.Sleep(time.Second)
		for _, c := range []*TCPConn{waiting, half} {
			_, err := c.Read(make([]byte, 1))
			n.want("Read", err, syscall.ECONNRESET)
			_ = c.Close()
		}
	})
	inNetwork(t, "TIME-WAIT and FIN-WAIT-2 of the closed are not waited for", wire, func(n *network) {
		first, inTimeWait := n.connect()
		second, inFinWait2 := n.connect()
		n.must(inTimeWait.Close())
		n.must(inFinWait2.Close())
		n.reads(first, "EOF")
		n.must(first.Close())
		time.Sleep(time.Second)
		g := n.b.Stats().TCPGauges
		if g.States[tcp.TimeWaitState] != 1 || g.States[tcp.FinWait2] != 1 {
			n.Errorf("states %v", g.States)
		}
		n.shutdown(never, 0, nil)
		n.over()
		time.Sleep(wireDelay)
		n.reads(second, "EOF")
		n.must(second.Close())
	})
	inNetwork(t, "one that its owner has half-closed is open", wire, func(n *network) {
		client, server := n.connect()
		n.must(server.CloseWrite())
		n.reads(client, "EOF")
		time.Sleep(time.Second)
		time.AfterFunc(time.Second, func() { _ = server.Close() })
		n.shutdown(never, time.Second, nil)
		n.must(client.Close())
	})
	inNetwork(t, "who answers may still ask others, and UDP works, until the end", wire, func(n *network) {
		l := n.listen(n.b, 80, 4)
		client := n.dial(80)
		n.must(client.WaitConnect())
		server, err := l.Accept()
		n.must(err)
		upstream := n.listen(n.a, 81, 4)
		u, err := n.b.ListenUDP(netip.AddrPortFrom(n.addrB, 0), BindOptions{})
		n.must(err)
		b := n.bind(n.b, 82)
		done := make(chan error, 1)
		go func() { done <- n.b.Shutdown(context.Background()) }()
		settle()
		_, err = n.b.ListenTCP(b, 4, tcp.DefaultOptions())
		n.want("ListenTCP", err, syscall.ENETDOWN)
		b.Close()
		c, err := n.b.ConnectTCP(nil, netip.AddrPortFrom(n.addrA, 81), tcp.DefaultOptions())
		n.must(err)
		n.must(c.WaitConnect())
		_, err = u.WriteTo([]byte("x"), netip.AddrPortFrom(n.addrA, 7))
		n.must(err)
		n.must(server.Close())
		time.Sleep(time.Second)
		select {
		case err := <-done:
			n.Errorf("Shutdown has not waited for the new connection: %v", err)
		default:
		}
		n.must(c.Close())
		n.must(<-done)
		_, err = u.WriteTo([]byte("x"), netip.AddrPortFrom(n.addrA, 7))
		n.want("WriteTo", err, syscall.EBADF)
		n.must(client.Close())
		n.must(upstream.Close())
	})
	inNetwork(t, "Close ends the wait", wire, func(n *network) {
		client, server := n.connect()
		n.cable(n.a).Unplug(true)
		n.write(server, "lost")
		time.AfterFunc(time.Second, func() { _ = n.b.Close() })
		n.shutdown(never, time.Second, &ShutdownError{1, 4, syscall.ENETDOWN})
		n.shutdown(never, 0, nil) // again
		n.must(client.Close())
		n.must(server.Close())
	})
	inNetwork(t, "twice at the same time, with different patience", wire, func(n *network) {
		client, server := n.connect()
		done := make(chan error, 1)
		go func() { done <- n.b.Shutdown(context.Background()) }()
		settle()
		n.shutdown(time.Second, time.Second, &ShutdownError{1, 0, context.DeadlineExceeded})
		n.lost(<-done, &ShutdownError{1, 0, syscall.ENETDOWN})
		n.must(client.Close())
		n.must(server.Close())
	})
	inNetwork(t, "twice at the same time, and the connection closes", wire, func(n *network) {
		client, server := n.connect()
		done := make(chan error, 1)
		go func() { done <- n.b.Shutdown(context.Background()) }()
		time.AfterFunc(time.Second, func() { _ = server.Close() })
		n.shutdown(never, time.Second+2*wireDelay, nil)
		n.must(<-done)
		n.must(client.Close())
	})
	inNetwork(t, "a Close that lingers", wire, func(n *network) {
		client, server := n.connect()
		n.must(server.Update(func(o *tcp.Options) { o.Linger = 5 }))
		n.write(server, "answer")
		go func() { _ = server.Close() }()
		settle()
		n.shutdown(never, 2*wireDelay, nil)
		n.reads(client, "answer", "EOF")
		n.must(client.Close())
	})
	inNetwork(t, "connections of the host with itself", wire, func(n *network) {
		l := n.listen(n.b, 80, 4)
		c, err := n.b.ConnectTCP(nil, netip.MustParseAddrPort("127.0.0.1:80"), tcp.DefaultOptions())
		n.must(err)
		n.must(c.WaitConnect())
		s, err := l.Accept()
		n.must(err)
		n.write(s, "last words")
		n.must(s.Close())
		time.AfterFunc(time.Second, func() {
			n.reads(c, "last words", "EOF")
			_ = c.Close()
		})
		n.shutdown(never, time.Second, nil)
	})
	inNetwork(t, "a connection that ends otherwise is no longer waited for", wire, func(n *network) {
		client, server := n.connect()
		time.AfterFunc(time.Second, client.Abort)
		n.shutdown(never, time.Second+wireDelay, nil)
		n.must(server.Close())
	})
}

// TestShutdownOfMany ends a host amid connections that come and go.
func TestShutdownOfMany(t *testing.T) {
	inNetwork(t, "all that was accepted is answered", sim.Config{Delay: time.Millisecond}, func(n *network) {
		l := n.listen(n.b, 80, 256)
		accepted := make(chan struct{})
		served := 0
		go func() {
			defer close(accepted)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				served++
				time.AfterFunc(time.Duration(served%7)*time.Millisecond, func() {
					_, _ = c.Write([]byte("answer"))
					_ = c.Close()
				})
			}
		}()
		answers := make(chan bool)
		const clients = 500
		for i := range clients {
			time.AfterFunc(time.Duration(i)*100*time.Microsecond, func() {
				c, err := n.a.ConnectTCP(nil, netip.AddrPortFrom(n.addrB, 80), tcp.DefaultOptions())
				ok := err == nil && c.WaitConnect() == nil
				if ok {
					b := make([]byte, 16)
					k, err := c.Read(b)
					ok = err == nil && string(b[:k]) == "answer"
				}
				if c != nil {
					_ = c.Close()
				}
				answers <- ok
			})
		}
		time.AfterFunc(25*time.Millisecond, func() { n.lost(n.b.Shutdown(context.Background()), nil) })
		got := 0
		for range clients {
			ctx := time.AfterFunc(time.Hour, func() { panic("a client hangs") })
			if <-answers {
				got++
			}
			ctx.Stop()
		}
		<-accepted
		if got != served || got == 0 || got == clients {
			n.Errorf("%d answers of %d connections that were accepted, of %d", got, served, clients)
		}
	})
}
