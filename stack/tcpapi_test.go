package stack

import (
	"bytes"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

var slow = sim.Config{Delay: 5 * time.Millisecond}

func TestAcceptQueue(t *testing.T) {
	inNetwork(t, "E-LIS-3 a full accept queue ignores final ACKs and SYNs and lets them finish later", slow, func(n *network) {
		l := n.listen(n.b, 80, 10)
		var clients []*TCPConn
		for range 15 {
			clients = append(clients, n.dial(80))
		}
		time.Sleep(100 * time.Millisecond)
		g := n.b.Stats().TCPGauges
		if g.AcceptQueue != 11 || g.HalfOpen != 4 {
			n.Fatalf("%d in the accept queue and %d half-open, want 11 and 4", g.AcceptQueue, g.HalfOpen)
		}
		// Their SYN-ACKs have reached all clients, who believe in their connections; a new SYN is ignored.
		late := n.dial(80)
		time.Sleep(100 * time.Millisecond)
		n.state(late, tcp.SynSent)
		if r := n.b.Stats().TCP.ResetsOut; r != 0 {
			n.Errorf("%d resets", r)
		}
		for i := range 11 {
			if _, err := l.TryAccept(); err != nil {
				n.Errorf("accept %d: %v", i+1, err)
			}
		}
		_, err := l.TryAccept()
		n.want("accept 12", err, syscall.EAGAIN)
		time.Sleep(10 * time.Second)
		for i := range 5 {
			if _, err := l.TryAccept(); err != nil {
				n.Errorf("accept %d of those that waited: %v", i+1, err)
			}
		}
		for i, c := range append(clients, late) {
			n.want(fmt.Sprintf("client %d", i), c.Connected(), 0)
			n.state(c, tcp.Established)
		}
	})
	inNetwork(t, "E-LIS-2 Accept waits, and dequeues in order", slow, func(n *network) {
		l := n.listen(n.b, 80, 10)
		accepted := make(chan netip.AddrPort)
		go func() {
			for range 3 {
				c, err := l.Accept()
				if err != nil {
					n.Error(err)
				}
				accepted <- c.Remote()
			}
		}()
		var want, got []netip.AddrPort
		for range 3 {
			c := n.dial(80)
			n.must(c.WaitConnect())
			want = append(want, c.Local())
		}
		for range 3 {
			got = append(got, <-accepted)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			n.Errorf("accepted %v, want %v", got, want)
		}
		_, err := l.TryAccept()
		n.want("TryAccept", err, syscall.EAGAIN)
	})
	inNetwork(t, "E-LIS-5 a backlog of zero or less allows one", slow, func(n *network) {
		for port, backlog := range map[uint16]int{80: 0, 81: -5} {
			n.listen(n.b, port, backlog)
			n.dial(port)
			n.dial(port)
		}
		time.Sleep(100 * time.Millisecond)
		if g := n.b.Stats().TCPGauges; g.AcceptQueue != 2 || g.HalfOpen != 2 {
			n.Errorf("%d in the accept queues, %d half-open", g.AcceptQueue, g.HalfOpen)
		}
	})
	inNetwork(t, "E-LIS-6 close resets who waits and wakes Accept", slow, func(n *network) {
		l := n.listen(n.b, 80, 10)
		client := n.dial(80)
		n.must(client.WaitConnect())
		time.Sleep(10 * time.Millisecond)
		other := n.listen(n.b, 81, 10)
		blocked := make(chan error)
		go func() {
			_, err := other.Accept()
			blocked <- err
		}()
		settle()
		n.must(other.Close())
		n.want("blocked Accept", <-blocked, syscall.EBADF)
		n.must(l.Close())
		n.want("second Close", l.Close(), syscall.EBADF)
		_, err := l.Accept()
		n.want("Accept", err, syscall.EBADF)
		n.want("SetDeadline", l.SetDeadline(time.Now()), syscall.EBADF)
		n.reads(client, syscall.ECONNRESET.Error(), "EOF")
		n.want("dial", n.dial(80).WaitConnect(), syscall.ECONNREFUSED)
	})
	inNetwork(t, "E-LIS-6 shutdown keeps the port until close", slow, func(n *network) {
		l := n.listen(n.b, 80, 10)
		n.must(l.Shutdown())
		_, err := l.Accept()
		n.want("Accept", err, syscall.EINVAL)
		n.want("dial", n.dial(80).WaitConnect(), syscall.ECONNREFUSED)
		_, err = n.b.BindTCP(netip.AddrPortFrom(n.addrB, 80), BindOptions{})
		n.want("bind", err, syscall.EADDRINUSE)
		n.must(l.Close())
		b, err := n.b.BindTCP(netip.AddrPortFrom(n.addrB, 80), BindOptions{})
		n.must(err)
		n.must(b.Close())
		n.want("second Close", b.Close(), syscall.EBADF)
	})
	inNetwork(t, "E-LIS-7 a connection that was reset in the queue is accepted, and says so", slow, func(n *network) {
		l := n.listen(n.b, 80, 10)
		client := n.dial(80)
		n.must(client.WaitConnect())
		client.Abort()
		time.Sleep(100 * time.Millisecond)
		server, err := l.TryAccept()
		n.must(err)
		n.reads(server, syscall.ECONNRESET.Error(), "EOF")
		n.want("SO_ERROR", server.TakeError(), 0)
	})
	inNetwork(t, "E-LIS-9 accepted connections inherit options", slow, func(n *network) {
		o := tcp.DefaultOptions()
		o.NoDelay, o.KeepAlive, o.KeepIdle, o.TOS, o.TTL = true, true, 77, 0x10, 9
		l, err := n.b.ListenTCP(n.bind(n.b, 80), 1, o)
		n.must(err)
		n.must(n.dial(80).WaitConnect())
		c, err := l.Accept()
		n.must(err)
		if got := c.Options(); got != o {
			n.Errorf("options %+v, want %+v", got, o)
		}
	})
	inNetwork(t, "Accept gives up exactly at its deadline and works after it", slow, func(n *network) {
		l := n.listen(n.b, 80, 1)
		began := time.Now()
		n.must(l.SetDeadline(began.Add(3 * time.Second)))
		_, err := l.Accept()
		n.want("Accept", err, syscall.EAGAIN)
		if d := time.Since(began); d != 3*time.Second {
			n.Errorf("after %v", d)
		}
		n.must(l.SetDeadline(time.Time{}))
		n.dial(80)
		_, err = l.Accept()
		n.want("Accept", err, 0)
	})
}

func TestConnectErrors(t *testing.T) {
	inNetwork4(t, "E-CON-6 why a connect fails", slow, func(n *network) {
		n.want("no listener", n.dial(80).WaitConnect(), syscall.ECONNREFUSED)
		connect := func(addr string) error {
			c, err := n.a.ConnectTCP(nil, netip.MustParseAddrPort(addr), tcp.DefaultOptions())
			if err != nil {
				return err
			}
			defer c.Abort()
			return c.WaitConnect()
		}
		n.want("no neighbour", connect("10.0.0.77:80"), syscall.EHOSTUNREACH)
		n.want("no route", connect("192.0.2.1:80"), syscall.ENETUNREACH)
		n.want("MUST-46 broadcast", connect("10.0.0.255:80"), syscall.ENETUNREACH)
		n.want("MUST-46 multicast", connect("224.0.0.1:80"), syscall.ENETUNREACH)
		n.wire.Update(func(c *sim.Config) {
			c.Filter = func(_ *sim.Port, frame []byte) sim.Verdict {
				if frame[12] == 8 && frame[13] == 0 { // IP, but not ARP
					return sim.Drop
				}
				return sim.Pass
			}
		})
		began := time.Now()
		n.want("silence", n.dial(80).WaitConnect(), syscall.ETIMEDOUT)
		if d := time.Since(began); d != 3*time.Minute {
			n.Errorf("silence was noticed after %v, want 3 m", d)
		}
	})
	inNetwork(t, "E-CON-3 a connect in progress says so, then nothing, and a failed one its error once", slow, func(n *network) {
		c := n.dial(80)
		n.want("at first", c.Connected(), syscall.EINPROGRESS)
		_, err := c.TryRead(make([]byte, 1))
		n.want("E-CON-11 read", err, syscall.EAGAIN)
		time.Sleep(time.Second)
		n.want("refused", c.Connected(), syscall.ECONNREFUSED)
		n.want("E-CON-5 then", c.Connected(), syscall.ECONNABORTED)
		n.listen(n.b, 80, 1)
		c = n.dial(80)
		time.Sleep(time.Second)
		n.want("established", c.Connected(), 0)
	})
	inNetwork(t, "E-CON-7 a four-tuple in use", slow, func(n *network) {
		n.listen(n.b, 80, 1)
		share := BindOptions{ReuseAddr: true, ReusePort: true}
		for i, errno := range []syscall.Errno{0, syscall.EADDRINUSE} {
			b, err := n.a.BindTCP(netip.AddrPortFrom(n.addrA, 5000), share)
			n.must(err)
			_, err = n.a.ConnectTCP(b, netip.AddrPortFrom(n.addrB, 80), tcp.DefaultOptions())
			n.want(fmt.Sprintf("connect %d", i+1), err, errno)
			if err != nil {
				n.must(b.Close()) // it was given back
			}
		}
	})
	inNetwork(t, "E-CON-8 a socket that connects to itself talks to itself", sim.Config{}, func(n *network) {
		lo := netip.MustParseAddrPort("127.0.0.1:5000")
		b, err := n.a.BindTCP(lo, BindOptions{})
		n.must(err)
		c, err := n.a.ConnectTCP(b, lo, tcp.DefaultOptions())
		n.must(err)
		n.must(c.WaitConnect())
		n.write(c, "echo")
		n.reads(c, "echo")
		n.must(c.CloseWrite())
		n.reads(c, "EOF")
		n.must(c.Close())
	})
	inNetwork(t, "E-CON-9 connecting to the unspecified address means loopback", sim.Config{}, func(n *network) {
		for _, addr := range []string{"0.0.0.0:80", "[::]:80"} {
			c, err := n.a.ConnectTCP(nil, netip.MustParseAddrPort(addr), tcp.DefaultOptions())
			n.must(err)
			n.want(addr, c.WaitConnect(), syscall.ECONNREFUSED)
			n.must(c.Close())
		}
	})
	inNetwork4(t, "E-CON-9 connecting from an address to 0.0.0.0 means that address", sim.Config{}, func(n *network) {
		for _, from := range []netip.Addr{n.addrA, netip.MustParseAddr("127.0.0.5"), loopback4} {
			for port := range uint16(2) { // 0: to be chosen
				to := netip.AddrPortFrom(from, 80)
				b, err := n.a.BindTCP(netip.AddrPortFrom(from, port), BindOptions{LatePort: port == 0})
				n.must(err)
				c, err := n.a.ConnectTCP(b, netip.MustParseAddrPort("0.0.0.0:80"), tcp.DefaultOptions())
				n.must(err)
				n.want(from.String(), c.WaitConnect(), syscall.ECONNREFUSED)
				if c.Remote() != to || c.Local().Addr() != from {
					n.Errorf("TCP from %v goes from %v to %v", from, c.Local(), c.Remote())
				}
				n.must(c.Close())
			}
			receiver, err := n.a.ListenUDP(netip.AddrPortFrom(from, 90), BindOptions{})
			n.must(err)
			u, err := n.a.ListenUDP(netip.AddrPortFrom(from, 0), BindOptions{})
			n.must(err)
			_, err = u.WriteTo([]byte("datagram"), netip.MustParseAddrPort("0.0.0.0:90"))
			n.must(err)
			if k, at, _, err := receiver.ReadFrom(make([]byte, 99)); k != 8 || at != u.Local() || err != nil {
				n.Errorf("%v has read %d octets from %v, %v", from, k, at, err)
			}
			n.must(u.Connect(netip.MustParseAddrPort("0.0.0.0:90")))
			if u.Remote() != receiver.Local() {
				n.Errorf("UDP from %v is connected to %v", from, u.Remote())
			}
			n.must(u.Close())
			n.must(receiver.Close())
		}
	})
	inNetwork(t, "E-CON-10 shutdown of a connecting socket ends it", slow, func(n *network) {
		c := n.dial(80)
		n.must(c.CloseWrite())
		if r := c.Ready(); r&(ReadyHup|ReadyErr) != ReadyHup|ReadyErr {
			n.Errorf("readiness %b", r)
		}
		if g := n.a.Stats().TCPGauges; g.Connections() != 0 {
			n.Errorf("left: %+v", g)
		}
	})
	inNetwork(t, "MUST-10 both ends dial each other at once and have one connection", slow, func(n *network) {
		from := func(h *Host, local, remote netip.AddrPort) *TCPConn {
			b, err := h.BindTCP(local, BindOptions{})
			n.must(err)
			c, err := h.ConnectTCP(b, remote, tcp.DefaultOptions())
			n.must(err)
			return c
		}
		// The neighbours know each other, so that the SYNs cross.
		n.want("first", n.dial(9).WaitConnect(), syscall.ECONNREFUSED)
		atA, atB := netip.AddrPortFrom(n.addrA, 5000), netip.AddrPortFrom(n.addrB, 6000)
		x, y := from(n.a, atA, atB), from(n.b, atB, atA)
		time.Sleep(6 * time.Millisecond)
		n.state(x, tcp.SynReceived)
		n.state(y, tcp.SynReceived)
		n.must(x.WaitConnect())
		n.must(y.WaitConnect())
		for _, h := range []*Host{n.a, n.b} {
			if g := h.Stats().TCPGauges; g.Connections() != 1 || g.States[tcp.Established] != 1 {
				n.Errorf("connections: %+v", g.States)
			}
		}
		n.write(x, "hello")
		n.reads(y, "hello")
		n.write(y, "hi")
		n.reads(x, "hi")
	})
}

func TestReadWrite(t *testing.T) {
	reset, pipe := syscall.ECONNRESET, syscall.EPIPE
	inNetwork(t, "E-RW-2 text before a reset stays readable, then the error once", slow, func(n *network) {
		client, server := n.connect()
		n.write(server, "0123456789")
		time.Sleep(time.Second)
		server.Abort()
		time.Sleep(time.Second)
		n.reads(client, "0123456789", reset.Error(), "EOF", "EOF")
		_, err := client.Write([]byte("x"))
		n.want("write", err, pipe)
	})
	inNetwork(t, "urgent data of several buffers leaves, whatever the last of them holds", slow, func(n *network) {
		client, server := n.connect()
		if k, err := client.WriteMsg([][]byte{[]byte("abc"), nil, {}}, WriteMode{Urgent: true}); k != 3 || err != nil {
			n.Fatalf("WriteMsg: %d, %v", k, err)
		}
		time.Sleep(time.Second)
		n.reads(server, "ab")
		if octet, err := server.ReadUrgent(false); octet != 'c' || err != nil {
			n.Errorf("ReadUrgent: %q, %v", octet, err)
		}
		client.shard.mu.Lock()
		full := make([]byte, client.tcp.SendSpace())
		client.shard.mu.Unlock()
		if k, err := client.WriteMsg([][]byte{full, []byte("x")}, WriteMode{Try: true, Urgent: true}); k != len(full) || err != nil {
			n.Fatalf("WriteMsg: %d, %v", k, err)
		}
		time.Sleep(time.Second)
		server.shard.mu.Lock()
		defer server.shard.mu.Unlock()
		if server.tcp.Readable() == 0 {
			n.Error("what was written before the urgent octet found no room has not left")
		}
	})
	inNetwork(t, "MUST-12 a normal close and an abort are told apart", slow, func(n *network) {
		client, server := n.connect()
		n.must(server.Close())
		n.reads(client, "EOF")
		client, server = n.connect()
		server.Abort()
		n.reads(client, reset.Error())
	})
	inNetwork(t, "E-RW-3 the first write after a reset says so, later ones EPIPE", slow, func(n *network) {
		client, server := n.connect()
		server.Abort()
		time.Sleep(time.Second)
		_, err := client.Write([]byte("x"))
		n.want("first", err, reset)
		for range 2 {
			_, err = client.Write([]byte("x"))
			n.want("later", err, pipe)
		}
		n.reads(client, "EOF")
	})
	inNetwork(t, "E-RW-3 after a reset in CLOSE-WAIT writes give EPIPE and reads the end of the stream", slow, func(n *network) {
		client, server := n.connect()
		n.must(server.CloseWrite())
		time.Sleep(time.Second)
		n.state(client, tcp.CloseWait)
		server.Abort()
		time.Sleep(time.Second)
		n.reads(client, "EOF")
		_, err := client.Write([]byte("x"))
		n.want("write", err, pipe)
		n.reads(client, "EOF")
	})
	inNetwork(t, "E-RW-4 after the peer's FIN writing goes on", slow, func(n *network) {
		client, server := n.connect()
		n.must(server.CloseWrite())
		n.reads(client, "EOF")
		n.write(client, "still here")
		n.reads(server, "still here")
	})
	inNetwork(t, "E-RW-5 after shutdown for writing EPIPE", slow, func(n *network) {
		client, server := n.connect()
		n.must(client.CloseWrite())
		_, err := client.Write([]byte("x"))
		n.want("write", err, pipe)
		n.reads(server, "EOF")
		n.write(server, "reads go on") // E-SHD-1
		n.reads(client, "reads go on")
	})
	inNetwork(t, "E-RW-7 nothing written and nothing read is no segment and no error", slow, func(n *network) {
		client, server := n.connect()
		time.Sleep(time.Second)
		before := n.a.Stats().TCP.SegmentsOut
		n.write(client, "")
		if k, err := client.Read(nil); k != 0 || err != nil {
			n.Errorf("Read: %d, %v", k, err)
		}
		if after := n.a.Stats().TCP.SegmentsOut; after != before {
			n.Errorf("%d segments", after-before)
		}
		n.must(server.Close())
	})
	inNetwork(t, "E-RW-8 a full buffer takes a part, then EAGAIN, and wakes the writer", slow, func(n *network) {
		client, server := n.connect()
		big := bytes.Repeat([]byte("0123456789abcdef"), 1<<19)
		sent := 0
		for {
			k, err := client.TryWrite(big[sent:])
			if err != nil {
				n.want("TryWrite", err, syscall.EAGAIN)
				break
			}
			sent += k
		}
		if sent == 0 || client.Ready()&ReadyOut != 0 {
			n.Errorf("%d taken, readiness %b", sent, client.Ready())
		}
		var got []byte
		done := make(chan struct{})
		go func() {
			defer close(done)
			b := make([]byte, 65536)
			for {
				k, err := server.Read(b)
				if err != nil {
					n.Error(err)
				}
				if k == 0 {
					return
				}
				got = append(got, b[:k]...)
			}
		}()
		k, err := client.Write(big[sent:])
		if err != nil || sent+k != len(big) {
			n.Errorf("Write: %d, %v", k, err)
		}
		n.must(client.CloseWrite())
		<-done
		if !bytes.Equal(got, big) {
			n.Errorf("%d octets arrived, not the %d that were sent", len(got), len(big))
		}
	})
	inNetwork(t, "E-RW-10 the octets of concurrent writes stay together", slow, func(n *network) {
		client, server := n.connect()
		const size, writers = 200 << 10, 8
		var wait sync.WaitGroup
		for i := range writers {
			wait.Go(func() {
				k, err := client.Write(bytes.Repeat([]byte{byte(i)}, size))
				if k != size || err != nil {
					n.Errorf("Write: %d, %v", k, err)
				}
			})
		}
		run, b := make([]byte, 0, size), make([]byte, 65536)
		for got := 0; got < writers*size; {
			k, err := server.Read(b)
			n.must(err)
			got += k
			for _, c := range b[:k] {
				if len(run) == size {
					run = run[:0]
				}
				if run = append(run, c); run[0] != c {
					n.Fatalf("octet of writer %d amid those of %d", c, run[0])
				}
			}
		}
		wait.Wait()
	})
	inNetwork(t, "ReadSpan passes the text on with its reference", slow, func(n *network) {
		client, server := n.connect()
		n.write(client, "span")
		s, err := server.ReadSpan()
		n.must(err)
		if string(s.Data) != "span" {
			n.Errorf("%q", s.Data)
		}
		if s.Owner != nil {
			s.Owner.Release()
		}
		n.must(client.CloseWrite())
		s, err = server.ReadSpan()
		if len(s.Data) != 0 || err != nil {
			n.Errorf("at the end: %q, %v", s.Data, err)
		}
	})
}

func TestShutdown(t *testing.T) {
	inNetwork(t, "E-SHD-1 what is queued leaves before the FIN", slow, func(n *network) {
		client, server := n.connect()
		n.write(client, "last words")
		n.must(client.CloseWrite())
		n.must(client.CloseWrite()) // A-SM-34
		n.reads(server, "last words", "EOF")
		time.Sleep(time.Second)
		n.state(client, tcp.FinWait2)
		n.state(server, tcp.CloseWait)
	})
	inNetwork(t, "E-SHD-3 shutdown for reading gives what is queued and then the end, and no reset", slow, func(n *network) {
		client, server := n.connect()
		n.write(client, "queued")
		time.Sleep(time.Second)
		n.must(server.CloseRead())
		n.reads(server, "queued", "EOF")
		n.write(client, "later")
		time.Sleep(time.Second)
		n.reads(server, "EOF")
		if client.Unsent() != 0 || n.b.Stats().TCP.ResetsOut != 0 {
			n.Errorf("%d unacknowledged, %d resets", client.Unsent(), n.b.Stats().TCP.ResetsOut)
		}
	})
	inNetwork(t, "E-SHD-3 shutdown for reading wakes a reader", slow, func(n *network) {
		_, server := n.connect()
		done := make(chan string)
		go func() { done <- n.read(server) }()
		settle()
		n.must(server.CloseRead())
		if got := <-done; got != "EOF" {
			n.Errorf("read: %s", got)
		}
	})
	inNetwork(t, "E-SHD-4 shutdown of what has ended gives ENOTCONN", slow, func(n *network) {
		client, server := n.connect()
		n.must(client.CloseWrite())
		n.must(server.CloseWrite())
		time.Sleep(time.Second)
		n.want("in TIME-WAIT", client.CloseWrite(), syscall.ENOTCONN)
		n.want("closed", server.CloseRead(), syscall.ENOTCONN)
	})
}

func TestClose(t *testing.T) {
	inNetwork(t, "E-CLS-1 close with unread text resets", slow, func(n *network) {
		client, server := n.connect()
		n.write(client, "unread")
		time.Sleep(time.Second)
		n.must(server.Close())
		time.Sleep(time.Second)
		if r := n.b.Stats().TCP.ResetsOut; r != 1 {
			n.Errorf("%d resets, want 1", r)
		}
		n.reads(client, syscall.ECONNRESET.Error())
	})
	inNetwork(t, "E-CLS-1 close with all text read and a FIN queued sends a FIN", slow, func(n *network) {
		client, server := n.connect()
		n.write(client, "read")
		n.must(client.CloseWrite())
		time.Sleep(time.Second)
		n.reads(server, "read")
		n.must(server.Close())
		time.Sleep(time.Second)
		if r := n.b.Stats().TCP.ResetsOut; r != 0 {
			n.Errorf("%d resets, want none", r)
		}
		n.reads(client, "EOF")
		n.want("SO_ERROR", client.TakeError(), 0)
	})
	inNetwork(t, "E-CLS-2 linger zero resets at once and leaves no TIME-WAIT", slow, func(n *network) {
		client, server := n.connect()
		n.must(client.Update(func(o *tcp.Options) { o.Linger = 0 }))
		n.must(client.Close())
		if g := n.a.Stats().TCPGauges; g.Connections() != 0 || g.States[tcp.TimeWaitState] != 0 {
			n.Errorf("left: %+v", g)
		}
		n.reads(server, syscall.ECONNRESET.Error())
	})
	inNetwork(t, "E-CLS-3 a lingering close waits for the acknowledgment, or its time", slow, func(n *network) {
		client, server := n.connect()
		linger := func(o *tcp.Options) { o.Linger = 3 }
		n.must(client.Update(linger))
		n.write(client, "text")
		began := time.Now()
		n.must(client.Close())
		if d := time.Since(began); d != 10*time.Millisecond {
			n.Errorf("waited %v, want a round trip", d)
		}
		n.must(server.Update(linger))
		n.reads(server, "text", "EOF")
		n.wire.Ports()[1].Unplug(true)
		began = time.Now()
		n.must(server.Close())
		if d := time.Since(began); d != 3*time.Second {
			n.Errorf("waited %v, want 3 s", d)
		}
		if g := n.b.Stats().TCPGauges; g.Orphans != 1 {
			n.Errorf("%d orphans", g.Orphans)
		}
	})
	inNetwork(t, "E-CLS-4 close wakes all who wait", slow, func(n *network) {
		client, server := n.connect()
		var wait sync.WaitGroup
		for range 50 {
			wait.Go(func() {
				_, err := client.Read(make([]byte, 1))
				n.want("Read", err, syscall.EBADF)
			})
			wait.Go(func() {
				_, err := client.Write(make([]byte, 8<<20))
				n.want("Write", err, syscall.EBADF)
			})
		}
		settle()
		n.must(client.Close())
		wait.Wait()
		_, err := client.Read(nil)
		n.want("Read", err, syscall.EBADF)
		_, err = client.Write(nil)
		n.want("Write", err, syscall.EBADF)
		n.want("Close", client.Close(), syscall.EBADF)
		n.want("CloseRead", client.CloseRead(), syscall.EBADF)
		n.want("CloseWrite", client.CloseWrite(), syscall.EBADF)
		n.want("SetReadDeadline", client.SetReadDeadline(time.Time{}), syscall.EBADF)
		n.want("SetWriteDeadline", client.SetWriteDeadline(time.Time{}), syscall.EBADF)
		n.want("Update", client.Update(func(*tcp.Options) {}), syscall.EBADF)
		n.want("WaitConnect", client.WaitConnect(), syscall.EBADF)
		server.Abort()
	})
	inNetwork(t, "E-CLS-5 text for a connection without an owner is reset", slow, func(n *network) {
		client, server := n.connect()
		n.must(server.Close())
		time.Sleep(time.Second)
		n.write(client, "anybody?")
		time.Sleep(time.Second)
		_, err := client.Write([]byte("x"))
		n.want("write", err, syscall.EPIPE) // the reset came in CLOSE-WAIT
		if g := n.b.Stats().TCPGauges; g.Connections() != 0 {
			n.Errorf("left: %+v", g)
		}
	})
	inNetwork(t, "D-STK-2 beyond the cap the connection that loses its owner is reset", slow, func(n *network) {
		n.b.tcp.limits.orphans = 2
		l := n.listen(n.b, 80, 8)
		for range 4 {
			n.must(n.dial(80).WaitConnect())
			c, err := l.Accept()
			n.must(err)
			n.must(c.Close())
		}
		time.Sleep(time.Second)
		g := n.b.Stats().TCPGauges
		if g.Orphans != 2 || g.OrphansReset != 2 || g.States[tcp.FinWait2] != 2 {
			n.Errorf("gauges %+v", g)
		}
	})
	inNetwork(t, "D-STK-3 an orphan in FIN-WAIT-2 ends", slow, func(n *network) {
		client, server := n.connect()
		n.must(server.Close())
		time.Sleep(time.Second)
		if g := n.b.Stats().TCPGauges; g.Orphans != 1 || g.States[tcp.FinWait2] != 1 {
			n.Errorf("gauges %+v", g)
		}
		time.Sleep(2 * time.Minute)
		if g := n.b.Stats().TCPGauges; g.Connections() != 0 || g.Orphans != 0 {
			n.Errorf("gauges %+v", g)
		}
		n.must(client.Close())
	})
	inNetwork(t, "closing a host ends everything on it and tells the peers", slow, func(n *network) {
		client, _ := n.connect()
		l := n.listen(n.b, 81, 1)
		blocked := make(chan error)
		go func() {
			_, err := l.Accept()
			blocked <- err
		}()
		settle()
		n.must(n.b.Close())
		n.want("Accept", <-blocked, syscall.EBADF)
		n.reads(client, syscall.ECONNRESET.Error())
		_, err := n.b.BindTCP(netip.AddrPortFrom(n.addrB, 80), BindOptions{})
		n.want("bind", err, syscall.ENETDOWN)
		_, err = n.b.ConnectTCP(nil, netip.AddrPortFrom(n.addrA, 80), tcp.DefaultOptions())
		n.want("connect", err, syscall.ENETDOWN)
	})
}

func TestDeadlines(t *testing.T) {
	inNetwork(t, "a read gives up exactly at its deadline and works after it", slow, func(n *network) {
		client, server := n.connect()
		began := time.Now()
		n.must(client.SetReadDeadline(began.Add(1234567 * time.Nanosecond)))
		n.reads(client, syscall.EAGAIN.Error())
		if d := time.Since(began); d != 1234567 {
			n.Errorf("after %v", d)
		}
		n.write(server, "text")
		time.Sleep(time.Second)
		n.reads(client, syscall.EAGAIN.Error()) // passed, although text is there
		n.must(client.SetReadDeadline(time.Time{}))
		n.reads(client, "text")
	})
	inNetwork(t, "a deadline moved wakes and holds the blocked read, and leaves writes alone", slow, func(n *network) {
		client, server := n.connect()
		began := time.Now()
		n.must(client.SetReadDeadline(began.Add(time.Hour)))
		done := make(chan time.Duration)
		go func() {
			n.reads(client, syscall.EAGAIN.Error())
			done <- time.Since(began)
		}()
		settle()
		n.must(client.SetReadDeadline(began.Add(2 * time.Hour)))
		time.Sleep(90 * time.Minute)
		n.write(client, "writes go on")
		n.reads(server, "writes go on")
		n.must(client.SetReadDeadline(began.Add(100 * time.Minute)))
		if d := <-done; d != 100*time.Minute {
			n.Errorf("woke after %v", d)
		}
		n.must(client.SetReadDeadline(time.Unix(1, 0)))
		n.reads(client, syscall.EAGAIN.Error())
		n.must(client.SetReadDeadline(time.Unix(1<<40, 0)))
		n.write(server, "far away")
		n.reads(client, "far away")
	})
	inNetwork(t, "a write that times out says how much it took", slow, func(n *network) {
		client, server := n.connect()
		n.must(client.SetWriteDeadline(time.Now().Add(time.Minute)))
		k, err := client.Write(make([]byte, 64<<20))
		n.want("write", err, syscall.EAGAIN)
		n.must(client.SetWriteDeadline(time.Time{}))
		n.must(client.CloseWrite())
		got, b := 0, make([]byte, 1<<20)
		for {
			m, err := server.Read(b)
			n.must(err)
			if m == 0 {
				break
			}
			got += m
		}
		if got != k || k == 0 {
			n.Errorf("%d written, %d read", k, got)
		}
	})
	inNetwork(t, "a connect gives up at the write deadline", slow, func(n *network) {
		n.wire.Ports()[1].Unplug(true)
		c := n.dial(80)
		n.must(c.SetWriteDeadline(time.Now().Add(time.Millisecond)))
		n.want("WaitConnect", c.WaitConnect(), syscall.EAGAIN)
		n.must(c.Close())
		if g := n.a.Stats().TCPGauges; g.Connections() != 0 {
			n.Errorf("left: %+v", g)
		}
	})
}

type watchFunc func(Readiness)

func (f watchFunc) Wake(edges Readiness) { f(edges) }

func TestReadiness(t *testing.T) {
	inNetwork(t, "E-EVT-1 what poll would say", slow, func(n *network) {
		l := n.listen(n.b, 80, 1)
		var seen, last atomic.Uint32
		l.Watch(watchFunc(func(r Readiness) { seen.Or(uint32(r)) }))
		client := n.dial(80)
		if r := client.Ready(); r != 0 {
			n.Errorf("SYN-SENT: %b", r)
		}
		time.Sleep(time.Second)
		if r := client.Ready(); r != ReadyOut {
			n.Errorf("established: %b", r)
		}
		if l.Ready() != ReadyIn || seen.Load() != uint32(ReadyIn) {
			n.Errorf("listener: %b, watched %b", l.Ready(), seen.Load())
		}
		server, err := l.Accept()
		n.must(err)
		client.Watch(watchFunc(func(r Readiness) { last.Store(uint32(r)) }))
		n.write(server, "x")
		time.Sleep(time.Second)
		if client.Ready() != ReadyIn|ReadyOut || last.Load() != uint32(ReadyIn) {
			n.Errorf("text: %b, watched %b", client.Ready(), last.Load())
		}
		n.reads(client, "x")
		n.must(server.CloseWrite())
		time.Sleep(time.Second)
		if want := ReadyIn | ReadyOut | ReadyRdHup; client.Ready() != want || last.Load() != uint32(ReadyAll) {
			n.Errorf("FIN: %b, watched %b", client.Ready(), last.Load())
		}
		server.Abort()
		time.Sleep(time.Second)
		if want := ReadyIn | ReadyOut | ReadyRdHup | ReadyHup | ReadyErr; client.Ready() != want || last.Load() != uint32(ReadyAll) {
			n.Errorf("RST: %b, watched %b", client.Ready(), last.Load())
		}
	})
}
