package apps

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"syscall"
	"testing"
)

// TestReverseProxy has a proxy between client and server, whose own connections are unet's too.
func TestReverseProxy(t *testing.T) {
	for name, secure := range map[string]bool{"in the clear": false, "over TLS": true} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) { testReverseProxy(t, w, secure) })
		})
	}
}

func testReverseProxy(t *testing.T, w *world, secure bool) {
	page := text(1 << 20)
	sockets, ended := make(chan error, 1), make(chan error, 1)
	mux := pages(page)
	mux.Handle("/socket", echoWebSocket(sockets))
	mux.HandleFunc("/endless", func(rw http.ResponseWriter, r *http.Request) {
		out := flushing{rw, http.NewResponseController(rw)}
		for {
			if _, err := out.Write(text(32 << 10)); err != nil {
				<-r.Context().Done()
				ended <- r.Context().Err()
				return
			}
		}
	})
	mux.HandleFunc("/broken", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(flushing{rw, http.NewResponseController(rw)}, "not all of it")
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/events", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		out := flushing{rw, http.NewResponseController(rw)}
		for i := range 3 {
			_, _ = fmt.Fprintf(out, "data: %d\n\n", i)
		}
		<-r.Context().Done()
		ended <- r.Context().Err()
	})
	backend, front := w.listening(t), w.listening(t)
	serve(t, backend, &http.Server{Handler: mux}, secure)

	through, target := w.client(t, backend, secure, nil)
	at, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	refused := make(chan error, 1)
	proxy := &httputil.ReverseProxy{Transport: through.Transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(at) },
		ErrorLog: log.New(io.Discard, "", 0), ErrorHandler: func(rw http.ResponseWriter, r *http.Request, err error) {
			refused <- err
			rw.WriteHeader(http.StatusBadGateway)
		}}
	serve(t, front, &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(rw).EnableFullDuplex() // for /echo
		proxy.ServeHTTP(rw, r)
	})}, secure)
	c, site := w.client(t, front, secure, nil)

	getAndEcho(t, c, site, "HTTP/1.1", page, 1)
	testWebSocket(t, c, site+"/socket", sockets)

	if _, got, err := fetch(c, site+"/broken", nil); err == nil {
		t.Errorf("an answer that breaks off: %q and no error", got)
	}
	for path, start := range map[string]string{"/endless": string(text(32 << 10)[:100]), "/events": "data: 0\n\ndata: 1\n\ndata: 2\n\n"} {
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, site+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(start))
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != start {
			t.Errorf("%s begins with %q, %v", path, got, err)
		}
		cancel()
		if err := errors.Join(resp.Body.Close(), is(<-ended, context.Canceled)); err != nil {
			t.Errorf("%s, given up by its client: %v", path, err)
		}
	}

	gone := w.listening(t)
	through.Transport.(*http.Transport).DialContext = w.dialling(gone.Addr())
	through.CloseIdleConnections()
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	resp, _, err := fetch(c, site+"/page", nil)
	if err != nil || resp.StatusCode != http.StatusBadGateway {
		t.Errorf("%v, %v", resp, err)
	}
	var op *net.OpError
	if err := <-refused; !errors.Is(err, syscall.ECONNREFUSED) || !errors.As(err, &op) || op.Op != "dial" {
		t.Errorf("a proxy whose server has gone: %v", err)
	}
}

// TestConnectProxy tunnels TLS through a proxy that knows CONNECT, as http.Transport asks for it.
func TestConnectProxy(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		page := text(300_000)
		backend, front := w.listening(t), w.listening(t)
		serve(t, backend, &http.Server{Handler: pages(page)}, true)
		serve(t, front, &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			out, err := w.dial(r.Context(), "tcp", backend.Addr().String())
			if r.Method != http.MethodConnect || err != nil {
				http.Error(rw, fmt.Sprint(r.Method, err), http.StatusBadGateway)
				return
			}
			defer out.Close()
			in, buffered, err := http.NewResponseController(rw).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer in.Close()
			_, _ = io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
			go func() { _, _ = io.Copy(out, bufio.NewReader(buffered)) }()
			_, _ = io.Copy(in, out)
		})}, false)
		c, _ := w.client(t, front, true, nil)
		c.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.test"})
		resp, got, err := fetch(c, "https://"+serverName+"/page", nil)
		if err != nil || resp.StatusCode != http.StatusOK || !bytes.Equal(got, page) {
			t.Errorf("%v, %d octets, %v", resp, len(got), err)
		}
	})
}
