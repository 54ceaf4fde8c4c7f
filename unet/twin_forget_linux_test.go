package unet

import (
	"context"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"time"
)

// over reports whether the call has returned.
func (d *doing) over() bool { return len(d.done) > 0 }

// forgets makes a connection in a goroutine of its own, has use use it, and forgets the client's end. It returns
// the server's. What use keeps stays reachable.
func (s *script) forgets(use func(c stream)) (p stream) {
	l := s.listen()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := s.client.Dial(context.Background(), net.Dialer{}, "tcp", l.Addr().String())
		s.must(err)
		s.label("C", c.LocalAddr())
		use(c.(stream))
	}()
	<-done
	a, err := l.Accept()
	s.must(err)
	s.must(l.Close())
	s.cleanup(func() { _ = a.Close() })
	s.label("S", a.LocalAddr())
	return a.(stream)
}

// reads logs all that p reads to the end of the stream, while garbage is collected until it is there.
func (s *script) reads(p stream) {
	d := s.start("the peer's Read", func() []any {
		b, err := io.ReadAll(p)
		return logs(len(b), err)
	})
	if !collect(d.over) {
		s.log("the peer's Read waits still")
		s.must(p.Close())
	}
	d.end()
}

// What the program loses all references to is closed when it is collected, as its Close would.
func forgetScenarios() []scenario {
	return []scenario{
		{name: "E-GO-17 forget: a connection", run: func(s *script) {
			s.reads(s.forgets(func(stream) {}))
		}},
		{name: "E-GO-17 forget: an accepted connection", run: func(s *script) {
			l := s.listen()
			c := s.dialTo(l)
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, err := l.Accept()
				s.must(err)
			}()
			<-done
			s.reads(c)
		}},
		{name: "E-GO-17 forget: a connection with unsent text", run: func(s *script) {
			p := s.forgets(func(c stream) {
				n, err := c.Write(make([]byte, 100_000))
				s.log("Write", n, err)
			})
			s.reads(p)
		}},
		{name: "E-GO-17 forget: a connection with unread text", run: func(s *script) {
			read := make(chan struct{})
			forgotten := make(chan struct{})
			c := make(chan stream, 1)
			p := s.forgets(func(end stream) { c <- end })
			_, err := p.Write([]byte("hello"))
			s.must(err)
			go func() {
				defer close(forgotten)
				end := <-c
				_, err := io.ReadFull(end, make([]byte, 1))
				s.log("Read", err)
				close(read)
			}()
			<-read
			<-forgotten
			s.reads(p)
		}},
		{name: "E-GO-17 forget: a connection that lingers", run: func(s *script) {
			s.reads(s.forgets(func(c stream) {
				s.must(c.SetLinger(100))
				_, err := c.Write([]byte("text"))
				s.must(err)
			}))
		}},
		{name: "E-GO-17 forget: a connection whose Close resets", run: func(s *script) {
			s.reads(s.forgets(func(c stream) { s.must(c.SetLinger(0)) }))
		}},
		{name: "E-GO-17 forget: a connection after CloseWrite", run: func(s *script) {
			p := s.forgets(func(c stream) { s.log("CloseWrite", c.CloseWrite()) })
			s.log("Read", logs(p.Read(make([]byte, 1)))...)
			// Nobody reads any more once it is collected: what is sent then is refused.
			var failed error
			s.log("collected", collect(func() bool {
				_, failed = p.Write([]byte("x"))
				return failed != nil
			}))
		}},
		{name: "E-GO-17 forget: a connection that somebody reads", run: func(s *script) {
			got := make(chan string)
			waits := make(chan *doing, 1)
			p := s.forgets(func(c stream) {
				waits <- s.start("Read", func() []any {
					b := make([]byte, 5)
					n, err := io.ReadFull(c, b)
					go func() { got <- string(b[:n]) }()
					return logs(n, err)
				})
			})
			for range 10 {
				runtime.GC()
			}
			time.Sleep(soon)
			_, err := p.Write([]byte("hello"))
			s.must(err)
			s.log("read", <-got)
			(<-waits).end()
			s.reads(p) // now that nobody does
		}},
		{name: "E-GO-17 forget: a connection with a finalizer of the program's", run: func(s *script) {
			var ran atomic.Bool
			p := s.forgets(func(c stream) {
				runtime.SetFinalizer(c, func(io.Closer) { ran.Store(true) })
			})
			s.reads(p)
			s.log("its finalizer ran", ran.Load())
		}},
		{name: "E-GO-17 forget: a listener", run: func(s *script) {
			l := make(chan net.Addr)
			go func() { l <- s.listen2().Addr() }()
			at := <-l
			s.label("L", at)
			var failed error
			s.log("collected", collect(func() bool {
				var c net.Conn
				c, failed = s.client.Dial(context.Background(), net.Dialer{}, "tcp", at.String())
				if failed == nil {
					_ = c.Close()
				}
				return failed != nil
			}))
			s.log("Dial", failed)
		}},
		{name: "E-GO-17 forget: a listener with a connection that nobody accepted", run: func(s *script) {
			conns := make(chan stream)
			go func() { conns <- s.dialTo(s.listen2()) }()
			s.reads(<-conns)
		}},
		{name: "E-GO-17 forget: a listener that somebody accepts from", run: func(s *script) {
			accepted := make(chan net.Conn, 1)
			at := make(chan net.Addr, 1)
			d := make(chan *doing, 1)
			go func() {
				l := s.listen2()
				at <- l.Addr()
				d <- s.start("Accept", func() []any {
					c, err := l.Accept()
					accepted <- c
					return logs(err)
				})
			}()
			waits := <-d
			for range 10 {
				runtime.GC()
			}
			time.Sleep(soon)
			c, err := s.client.Dial(context.Background(), net.Dialer{}, "tcp", (<-at).String())
			s.log("Dial", err)
			s.must(err)
			waits.end()
			_ = c.Close()
			_ = (<-accepted).Close()
		}},
		{name: "E-GO-17 forget: a UDP socket", run: func(s *script) {
			socket := make(chan net.Addr)
			go func() {
				p, err := s.server.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(s.serverIP)})
				s.must(err)
				socket <- p.LocalAddr()
			}()
			at := <-socket
			c, err := s.client.DialUDP("udp", nil, at.(*net.UDPAddr))
			s.must(err)
			s.label("S", at)
			s.label("C", c.LocalAddr())
			var failed error
			s.log("collected", collect(func() bool {
				_, err := c.Write([]byte("x"))
				if err == nil {
					_ = c.SetReadDeadline(time.Now().Add(soon))
					_, err = c.Read(make([]byte, 1))
				}
				if ne, ok := err.(net.Error); ok && !ne.Timeout() {
					failed = err
				}
				return failed != nil
			}))
			s.must(c.Close())
		}},
	}
}

// listen2 is listen without the cleanup, which would keep the listener.
func (s *script) listen2() listening {
	l, err := s.server.Listen(context.Background(), net.ListenConfig{}, "tcp", net.JoinHostPort(s.serverIP, "0"))
	s.must(err)
	return l.(listening)
}
