package unet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/unet-go/unet/stack/sim"
)

// digest answers with the length and SHA-256 of the body.
func digest(w http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	n, err := io.Copy(h, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, "%d %x", n, h.Sum(nil))
}

// serve runs an unmodified net/http server on the server host; tls says whether with TLS and HTTP/2.
func serve(t *testing.T, client, server *Host, handler http.Handler, tls bool) (*httptest.Server, *http.Client) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	_ = s.Listener.Close()
	l := listen(t, server)
	s.Listener = l
	s.EnableHTTP2 = tls
	if tls {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	c := s.Client()
	transport := c.Transport.(*http.Transport)
	transport.DialContext = client.DialContext
	if tls {
		transport.TLSClientConfig.ServerName = "example.com" // which the certificate is for
	}
	t.Cleanup(c.CloseIdleConnections)
	return s, c
}

func TestNetHTTP(t *testing.T) {
	text := random(7, 1<<20)
	mux := http.NewServeMux()
	mux.HandleFunc("/digest", digest)
	mux.HandleFunc("/text", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "text", time.Time{}, bytes.NewReader(text))
	})
	mux.HandleFunc("/chunks", func(w http.ResponseWriter, r *http.Request) {
		for chunk := range slices.Chunk(text, 10_000) {
			_, _ = w.Write(chunk)
			_ = http.NewResponseController(w).Flush()
		}
	})
	for _, tt := range []struct {
		name  string
		tls   bool
		proto string
		cfg   sim.Config
	}{
		{"E-GO-15 HTTP", false, "HTTP/1.1", sim.Config{}},
		{"E-GO-15 HTTP, 1 % loss", false, "HTTP/1.1", sim.Config{Delay: 100 * time.Microsecond, Loss: 0.01}},
		{"E-GO-15 TLS and HTTP/2", true, "HTTP/2.0", sim.Config{}},
	} {
		for _, f := range testFamilies {
			t.Run(tt.name+f.suffix, func(t *testing.T) {
				client, server := f.pair(t, tt.cfg)
				s, c := serve(t, client, server, mux, tt.tls)
				want := fmt.Sprintf("%d %x", len(text), sha256.Sum256(text))
				var group sync.WaitGroup
				for range 4 {
					group.Go(func() {
						for _, get := range []struct {
							path string
							body io.Reader
							want []byte
						}{
							{"/digest", bytes.NewReader(text), []byte(want)},
							{"/digest", struct{ io.Reader }{bytes.NewReader(text)}, []byte(want)}, // chunked
							{"/text", nil, text},
							{"/chunks", nil, text},
						} {
							if err := fetch(c, s.URL+get.path, get.body, tt.proto, get.want); err != nil {
								t.Error(get.path, err)
							}
						}
					})
				}
				group.Wait()
			})
		}
	}
}

func fetch(c *http.Client, url string, body io.Reader, proto string, want []byte) error {
	r, err := c.Post(url, "application/octet-stream", body)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	got, err := io.ReadAll(r.Body)
	if err == nil && (r.Proto != proto || !bytes.Equal(got, want)) {
		err = fmt.Errorf("%s %s and %d octets, want %d", r.Proto, r.Status, len(got), len(want))
	}
	return err
}

// What net/http asks of a connection beyond Read and Write: the abort of a pending read, the half-close, and
// errors that it knows.
func TestNetHTTPEnds(t *testing.T) {
	t.Run("E-GO-9 Shutdown lets the request in flight finish, and Serve ends", func(t *testing.T) {
		client, server, _ := pair(t, sim.Config{})
		l, err := server.Listen("tcp", serverIP+":80")
		if err != nil {
			t.Fatal(err)
		}
		begun, finish := make(chan struct{}), make(chan struct{})
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(begun)
			<-finish
			_, _ = io.WriteString(w, "done")
		})}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		transport := &http.Transport{DialContext: client.DialContext}
		defer transport.CloseIdleConnections()
		answer := make(chan error, 1)
		go func() {
			answer <- fetch(&http.Client{Transport: transport}, "http://"+serverIP, nil, "HTTP/1.1", []byte("done"))
		}()
		<-begun
		down := make(chan error, 1)
		go func() { down <- srv.Shutdown(context.Background()) }()
		if err := <-served; err != http.ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
		close(finish)
		if err := errors.Join(<-answer, <-down); err != nil {
			t.Error(err)
		}
	})
	t.Run("a client that goes away cancels the request's context", func(t *testing.T) {
		client, server, _ := pair(t, sim.Config{})
		begun, ended := make(chan struct{}), make(chan struct{})
		s, _ := serve(t, client, server, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(begun)
			<-r.Context().Done()
			close(ended)
		}), false)
		c, err := client.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-begun
		_ = c.Close()
		<-ended
	})
	t.Run("Hijack gives a connection without a deadline", func(t *testing.T) {
		client, server, _ := pair(t, sim.Config{})
		s, _ := serve(t, client, server, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_, _ = rw.WriteString("hijacked\n")
			_ = rw.Flush()
			_, _ = io.Copy(c, c)
		}), false)
		c, err := client.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		b := make([]byte, len("hijacked\necho"))
		if _, err := io.ReadFull(c, b[:9]); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "echo")
		_ = c.(*TCPConn).CloseWrite()
		if _, err := io.ReadFull(c, b[9:]); err != nil || string(b) != "hijacked\necho" {
			t.Errorf("%q, %v", b, err)
		}
		if n, err := c.Read(b); n != 0 || err != io.EOF {
			t.Errorf("%d, %v behind the echo", n, err)
		}
	})
}

func TestFastHTTP(t *testing.T) {
	for _, f := range testFamilies {
		t.Run("E-GO-15 fasthttp"+f.suffix, func(t *testing.T) { fastHTTP(t, &f) })
	}
}

func fastHTTP(t *testing.T, f *testFamily) {
	client, server := f.pair(t, sim.Config{})
	at := net.JoinHostPort(f.server, "80")
	l, err := server.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	srv := &fasthttp.Server{
		Handler: func(ctx *fasthttp.RequestCtx) {
			if _, ok := ctx.RemoteAddr().(*net.TCPAddr); !ok {
				t.Errorf("RemoteAddr is a %T", ctx.RemoteAddr())
			}
			fmt.Fprintf(ctx, "%d %x", len(ctx.PostBody()), sha256.Sum256(ctx.PostBody()))
		},
		NoDefaultDate: true, MaxRequestBodySize: 16 << 20, TCPKeepalive: true, TCPKeepalivePeriod: time.Minute,
		ReadTimeout: 5 * time.Second, CloseOnShutdown: true, MaxIdleWorkerDuration: time.Millisecond,
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	c := &fasthttp.HostClient{
		Addr:                at,
		Dial:                func(addr string) (net.Conn, error) { return client.Dial("tcp", addr) },
		MaxResponseBodySize: 16 << 20,
		MaxIdleConnDuration: time.Millisecond,
	}
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for size := range 20 {
				body := random(byte(i), size*size*500)
				req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
				defer fasthttp.ReleaseRequest(req)
				defer fasthttp.ReleaseResponse(resp)
				req.SetRequestURI("http://" + at + "/")
				req.Header.SetMethod("POST")
				req.SetBody(body)
				err := c.Do(req, resp)
				if want := fmt.Sprintf("%d %x", len(body), sha256.Sum256(body)); err != nil || string(resp.Body()) != want {
					t.Errorf("%d octets: %v, %q", len(body), err, resp.Body())
				}
			}
		})
	}
	group.Wait()
	c.CloseIdleConnections()
	if err := errors.Join(srv.Shutdown(), <-served); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}
