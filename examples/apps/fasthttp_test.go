package apps

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// serveFast runs a fasthttp server until the test ends.
func serveFast(t *testing.T, l net.Listener, srv *fasthttp.Server, secure bool) {
	t.Helper()
	srv.NoDefaultDate, srv.CloseOnShutdown, srv.MaxIdleWorkerDuration = true, true, time.Millisecond
	served := make(chan error, 1)
	if secure {
		config, _ := identity()
		srv.TLSConfig = config.Clone()
		go func() { served <- srv.ServeTLS(l, "", "") }()
	} else {
		go func() { served <- srv.Serve(l) }()
	}
	t.Cleanup(func() {
		if err := errors.Join(srv.Shutdown(), <-served); err != nil {
			t.Errorf("Shutdown, Serve: %v", err)
		}
	})
}

// fastClient returns fasthttp's client of the server at l.
func (w *world) fastClient(t *testing.T, l net.Listener, secure bool) *fasthttp.HostClient {
	c := &fasthttp.HostClient{Addr: l.Addr().String(), IsTLS: secure, MaxIdleConnDuration: time.Millisecond,
		Dial: func(address string) (net.Conn, error) { return w.dial(context.Background(), "tcp", address) }}
	if secure {
		_, config := identity()
		c.TLSConfig = config.Clone()
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestFastHTTP(t *testing.T) {
	for name, secure := range map[string]bool{"in the clear": false, "over TLS": true} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) {
				l := w.listening(t)
				serveFast(t, l, &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
					if _, ok := ctx.RemoteAddr().(*net.TCPAddr); !ok {
						t.Errorf("RemoteAddr is a %T", ctx.RemoteAddr())
					}
					ctx.SetBody(ctx.Request.Body())
				}}, secure)
				c := w.fastClient(t, l, secure)
				var group sync.WaitGroup
				for i := range 8 {
					group.Go(func() {
						req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
						defer fasthttp.ReleaseRequest(req)
						defer fasthttp.ReleaseResponse(resp)
						for n := i + 1; n < 1<<20; n *= 16 {
							req.SetRequestURI("http://" + serverName)
							req.Header.SetMethod(fasthttp.MethodPost)
							req.SetBody(text(n))
							if secure {
								req.URI().SetScheme("https")
							}
							if err := c.Do(req, resp); err != nil || !bytes.Equal(resp.Body(), text(n)) {
								t.Errorf("%d octets for %d, %v", len(resp.Body()), n, err)
								return
							}
						}
					})
				}
				group.Wait()
			})
		})
	}
}

// TestFastHTTPHazards has clients that are too slow or go their own way, and a server that is.
func TestFastHTTPHazards(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		finish := make(chan struct{})
		l, impatient := w.listening(t), w.listening(t)
		serveFast(t, impatient, &fasthttp.Server{ReadTimeout: short, Logger: quiet{}, Handler: func(*fasthttp.RequestCtx) {}}, false)
		serveFast(t, l, &fasthttp.Server{Logger: quiet{}, Handler: func(ctx *fasthttp.RequestCtx) {
			switch string(ctx.Path()) {
			case "/wait":
				<-finish
			case "/hijack":
				ctx.HijackSetNoResponse(true)
				ctx.Hijack(func(c net.Conn) { _, _ = io.Copy(c, c) })
			}
		}}, false)

		// fasthttp knows a timeout in the body by its *net.OpError, and calls one in the header a bad request.
		for request, want := range map[string]string{"GET / HTTP/1.1\r\nHost:": "400", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf": "408"} {
			c := w.connect(t, impatient)
			if _, err := io.WriteString(c, request); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 "+want+" ") {
				t.Errorf("%q that does not go on: %q, %v", request, got, err)
			}
		}

		c := w.connect(t, l)
		if _, err := io.WriteString(c, "GET /hijack HTTP/1.1\r\nHost: h\r\n\r\nearly, "); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len("early, late"))
		if _, err := io.ReadFull(c, got[:len("early, ")]); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "late"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, got[len("early, "):]); err != nil || string(got) != "early, late" {
			t.Errorf("hijacked: %q, %v", got, err)
		}

		client := w.fastClient(t, l, false)
		if _, _, err := client.GetTimeout(nil, "http://"+serverName+"/wait", short); err != fasthttp.ErrTimeout {
			t.Errorf("a server that does not answer: %v", err)
		}
		close(finish)
		c = w.connect(t, l)
		if _, err := io.WriteString(c, strings.Repeat("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 100)); err != nil {
			t.Fatal(err)
		}
		pipeline := bufio.NewReader(c)
		for i := range 100 {
			resp, err := http.ReadResponse(pipeline, nil)
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("answer %d of a pipeline: %v, %v", i, resp, err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
