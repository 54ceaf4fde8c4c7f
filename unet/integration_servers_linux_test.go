package unet

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// performance is one server at work in a script. What its handlers see goes to the channels.
type performance struct {
	*stage
	address  string
	begun    chan struct{} // one for each request, when its handler runs or has the first half of a body
	finish   chan struct{} // closed to let /wait answer
	handled  chan error    // what ended an upload or download
	closed   chan struct{} // one for each connection that the server has done with
	served   chan error
	shutdown func() error

	mu     sync.Mutex
	states []string
}

// half of an upload is what comes of it. It is more than fasthttp reads before it calls a handler.
const half = 64 << 10

var page = bytes.Repeat([]byte("0123456789abcdef"), 4096)

// upload reads a body, and says what ended it.
func (p *performance) upload(body io.Reader) {
	_, err := io.ReadFull(body, make([]byte, half))
	p.begun <- struct{}{}
	if err == nil {
		_, err = io.ReadAll(body)
	}
	p.handled <- err
}

// download writes until that fails.
func (p *performance) download(w io.Writer, flush func() error) {
	p.begun <- struct{}{}
	for {
		_, err := w.Write(page)
		if err = errors.Join(err, flush()); err != nil {
			p.handled <- err
			return
		}
	}
}

// state notes that a connection entered a state, "closed" being the last one.
func (p *performance) state(c net.Conn, state string) {
	p.mu.Lock()
	p.states = append(p.states, state)
	p.mu.Unlock()
	switch state {
	case "new":
		if err := p.timeout(c, 1500*time.Millisecond); err != nil {
			p.Error(err)
		}
	case "closed":
		p.closed <- struct{}{}
	}
}

func (p *performance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/wait":
		p.begun <- struct{}{}
		<-p.finish
		_, _ = w.Write(page)
	case "/upload":
		p.upload(r.Body)
	case "/download":
		p.download(w, http.NewResponseController(w).Flush)
	default:
		_, _ = w.Write(page)
	}
}

func (p *performance) serveFast(ctx *fasthttp.RequestCtx) {
	switch string(ctx.Path()) {
	case "/wait":
		p.begun <- struct{}{}
		<-p.finish
		ctx.SetBody(page)
	case "/upload":
		p.upload(ctx.RequestBodyStream())
	case "/download":
		ctx.SetBodyStreamWriter(func(w *bufio.Writer) { p.download(w, w.Flush) })
	default:
		ctx.SetBody(page)
	}
}

// troupes start the two servers.
var troupes = []struct {
	name  string
	start func(p *performance, l net.Listener)
}{
	{"net/http", func(p *performance, l net.Listener) {
		srv := &http.Server{Handler: p, ConnState: func(c net.Conn, s http.ConnState) { p.state(c, s.String()) }}
		p.shutdown = func() error { return srv.Shutdown(context.Background()) }
		go func() { p.served <- srv.Serve(l) }()
	}},
	{"fasthttp", func(p *performance, l net.Listener) {
		srv := &fasthttp.Server{Handler: p.serveFast, ConnState: func(c net.Conn, s fasthttp.ConnState) { p.state(c, s.String()) },
			StreamRequestBody: true, NoDefaultDate: true, CloseOnShutdown: true, MaxIdleWorkerDuration: time.Millisecond,
			Logger: silent{}}
		p.shutdown = srv.Shutdown
		go func() { p.served <- srv.Serve(l) }()
	}},
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// perform compares what a script sees of both servers on all stages.
func perform(t *testing.T, name string, want []string, script func(p *performance)) {
	for _, troupe := range troupes {
		compare(t, troupe.name+": "+name, want, func(s *stage) {
			l, err := s.keepAlive(impatient)
			s.must(err)
			p := &performance{stage: s, address: l.Addr().String(), begun: make(chan struct{}, 16), finish: make(chan struct{}),
				handled: make(chan error, 16), closed: make(chan struct{}, 16), served: make(chan error, 1)}
			troupe.start(p, l)
			script(p)
			if p.shutdown != nil {
				s.must(p.shutdown())
				<-p.served
			}
		})
	}
}

// request sends the text of a request on a connection of its own.
func (p *performance) request(text string) stream {
	c, err := p.dial(context.Background(), "tcp", p.address)
	p.must(err)
	p.Cleanup(func() { _ = c.Close() })
	_, err = io.WriteString(c, text)
	p.must(err)
	return c.(stream)
}

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n" }

// halfAnUpload is a request whose body breaks off in the middle.
func halfAnUpload() string {
	return fmt.Sprintf("POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", 2*half, strings.Repeat("x", half))
}

// answer reads one answer and notes it.
func (p *performance) answer(what string, c net.Conn) {
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		p.log(what, err)
		return
	}
	got, err := io.ReadAll(resp.Body)
	p.log(fmt.Sprintf("%s %d, %d octets, right %t", what, resp.StatusCode, len(got), bytes.Equal(got, page)), err)
}

// end notes how the server's connection went through its states, once it is closed.
func (p *performance) end() {
	<-p.closed
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log("states "+strings.Join(p.states, " "), nil)
}

// lost notes an error of a Write whose peer has gone. A server reads in the background, and whichever of the
// two calls comes first takes the connection's own error; the other one is left a broken pipe or the end.
func (p *performance) lost(what string, err error, own syscall.Errno) {
	if errors.Is(err, own) || errors.Is(err, syscall.EPIPE) {
		err = nil
	}
	p.log(what+" fails as it should", err)
}

func TestIntegrationServerShutdown(t *testing.T) {
	whole := fmt.Sprintf("200, %d octets, right true: nil", len(page))
	perform(t, "E-GO-9 shutdown with requests in flight", []string{"answer " + whole, "Shutdown: nil", "dial: dial tcp A: connect: connection refused"}, func(p *performance) {
		var clients []stream
		for range 8 {
			clients = append(clients, p.request(get("/wait")))
			<-p.begun
		}
		down := make(chan error, 1)
		go func() { down <- p.shutdown() }()
		err := <-p.served
		p.log("Serve", errorBut(err, http.ErrServerClosed))
		_, err = p.dial(context.Background(), "tcp", p.address)
		p.log("dial", err)
		close(p.finish)
		for _, c := range clients {
			p.answer("answer", c)
			_, err := c.Read(make([]byte, 1))
			p.log("behind it", err)
		}
		p.log("Shutdown", <-down)
		for range clients {
			<-p.closed
		}
		p.shutdown = nil
	})
}

// errorBut returns err, or nil if it is the one that should come.
func errorBut(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

func TestIntegrationServerEnds(t *testing.T) {
	perform(t, "a client vanishes in the middle of its body", []string{saysTimedOut}, func(p *performance) {
		c := p.request(halfAnUpload())
		<-p.begun
		p.vanish(c)
		p.log("body", <-p.handled)
		p.end()
	})
	perform(t, "a client vanishes between two requests", []string{"states new active idle closed"}, func(p *performance) {
		c := p.request(get("/"))
		p.answer("answer", c)
		p.vanish(c)
		p.end()
	})
	perform(t, "a client vanishes in the middle of its answer", nil, func(p *performance) {
		c := p.request(get("/download"))
		<-p.begun
		_, err := io.ReadFull(c, make([]byte, 1<<20))
		p.must(err)
		p.vanish(c)
		p.lost("Write", <-p.handled, syscall.ETIMEDOUT)
		p.end()
	})
	perform(t, "a client resets in the middle of its body", []string{saysReset}, func(p *performance) {
		c := p.request(halfAnUpload())
		<-p.begun
		p.must(c.SetLinger(0))
		p.must(c.Close())
		p.log("body", <-p.handled)
		p.end()
	})
	perform(t, "a client resets in the middle of its answer", nil, func(p *performance) {
		c := p.request(get("/download"))
		<-p.begun
		_, err := io.ReadFull(c, make([]byte, 1<<20))
		p.must(err)
		p.must(c.SetLinger(0))
		p.must(c.Close())
		p.lost("Write", <-p.handled, syscall.ECONNRESET)
		p.end()
	})
	perform(t, "a client resets between two requests", []string{"states new active idle closed"}, func(p *performance) {
		c := p.request(get("/"))
		p.answer("answer", c)
		p.must(c.SetLinger(0))
		p.must(c.Close())
		p.end()
	})
	perform(t, "a client half-closes in the middle of its body", nil, func(p *performance) {
		c := p.request(halfAnUpload())
		<-p.begun
		p.must(c.CloseWrite())
		p.log("body", <-p.handled)
		_, err := io.ReadAll(c)
		p.log("answer", err)
		p.end()
	})
	perform(t, "a client half-closes behind its request and reads all", []string{fmt.Sprintf("answer 200, %d octets, right true: nil", len(page)), "behind it: EOF"}, func(p *performance) {
		c := p.request(get("/wait"))
		p.must(c.CloseWrite())
		<-p.begun
		close(p.finish)
		p.answer("answer", c)
		_, err := c.Read(make([]byte, 1))
		p.log("behind it", err)
		p.end()
	})
}
