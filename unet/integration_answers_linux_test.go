package unet

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	mathbig "math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/unet-go/unet/tap"
)

// A server that refuses has its answer sent before it has read what it refuses, so that its close resets. The client
// must get the answer as often as over the kernel.

// crowd is how many clients are at work at once.
const crowd = 32

// countAnswers has n clients ask a server, which start starts on a listener and ends with the function that it returns, and
// compares how many have their answer with how many have it over the kernel.
func countAnswers(t *testing.T, name string, n int, start func(l net.Listener) (end func()), ask func(c net.Conn) error) {
	for _, f := range testFamilies {
		t.Run(name+f.suffix, func(t *testing.T) {
			h := openTAP(t, 0, tap.Config{PeerAddrs: f.peers()})
			countIn(t, kernelFace(&f), h, n, start, ask)
			gone(t, h.Host)
		})
	}
}

func countIn(t *testing.T, kernel face, h *tapHost, n int, start func(l net.Listener) (end func()), ask func(c net.Conn) error) {
	var kernels int
	for _, way := range []struct {
		name string
		face face
	}{{"kernel", kernel}, {"server on unet", h.accepting()}, {"client on unet", h.dialling()}} {
		l, err := way.face.listen("tcp", way.face.at("0"))
		if err != nil {
			t.Fatal(err)
		}
		end := start(l)
		var answered atomic.Int64
		var first atomic.Value
		inCrowd(n, func() {
			err := askServer(way.face, l.Addr().String(), ask)
			if err == nil {
				answered.Add(1)
			} else {
				first.CompareAndSwap(nil, fmt.Sprint(err))
			}
		})
		end()
		got := int(answered.Load())
		if way.name == "kernel" {
			if kernels = got; got == 0 {
				t.Errorf("over the kernel nobody has an answer: %v", first.Load())
			}
		} else if got < kernels {
			t.Errorf("%s: %d of %d have their answer, over the kernel %d; %v", way.name, got, n, kernels, first.Load())
		}
	}
}

// inCrowd calls f n times, crowd at once.
func inCrowd(n int, f func()) {
	var group sync.WaitGroup
	left := make(chan struct{}, n)
	for range n {
		left <- struct{}{}
	}
	close(left)
	for range crowd {
		group.Go(func() {
			for range left {
				f()
			}
		})
	}
	group.Wait()
}

func askServer(f face, address string, ask func(c net.Conn) error) error {
	c, err := f.dial(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(hang)); err != nil {
		return err
	}
	return ask(c)
}

// refused sends a request with a body that the server does not want, for as long as it is taken, and reads the answer.
func refused(want int) func(c net.Conn) error {
	const size = 4 << 20
	return func(c net.Conn) error {
		_, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", size)
		if err != nil {
			return err
		}
		for body := page; err == nil; {
			_, err = c.Write(body)
		}
		resp, rerr := http.ReadResponse(bufio.NewReader(c), nil)
		if rerr != nil {
			return errors.Join(err, rerr)
		}
		if resp.StatusCode != want {
			return fmt.Errorf("status %d", resp.StatusCode)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
}

func TestIntegrationRefusals(t *testing.T) {
	countAnswers(t, "E-CLS-1 fasthttp refuses an upload", 200, func(l net.Listener) func() {
		srv := &fasthttp.Server{Handler: func(*fasthttp.RequestCtx) {}, MaxRequestBodySize: 64 << 10, NoDefaultDate: true,
			MaxIdleWorkerDuration: time.Millisecond, Logger: silent{}}
		return serving(srv.Serve, l, srv.Shutdown)
	}, refused(http.StatusBadRequest))
	countAnswers(t, "fasthttp is too busy", 200, func(l net.Listener) func() {
		srv := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
			ctx.Error("busy", http.StatusServiceUnavailable)
			ctx.SetConnectionClose()
		}, StreamRequestBody: true, MaxRequestBodySize: 1 << 30, NoDefaultDate: true, MaxIdleWorkerDuration: time.Millisecond, Logger: silent{}}
		return serving(srv.Serve, l, srv.Shutdown)
	}, refused(http.StatusServiceUnavailable))
	countAnswers(t, "net/http refuses an upload", 200, func(l net.Listener) func() {
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			http.Error(w, "no", http.StatusRequestEntityTooLarge)
		})}
		return serving(srv.Serve, l, srv.Close)
	}, refused(http.StatusRequestEntityTooLarge))
	countAnswers(t, "an answer by hand, and Close at once", 200, func(l net.Listener) func() {
		return serving(func(l net.Listener) error {
			for {
				c, err := l.Accept()
				if err != nil {
					return err
				}
				go func() {
					_, _ = c.Read(make([]byte, 10))
					_, _ = io.WriteString(c, "HTTP/1.1 429 Too Many Requests\r\n")
					_, _ = io.WriteString(c, "Content-Length: 4\r\n\r\nbusy")
					_ = c.Close()
				}()
			}
		}, l, func() error { return nil })
	}, refused(http.StatusTooManyRequests))
}

// serving serves on l and returns what ends that.
func serving(serve func(net.Listener) error, l net.Listener, shutdown func() error) func() {
	done := make(chan struct{})
	go func() {
		_ = serve(l)
		close(done)
	}()
	return func() {
		_ = l.Close()
		_ = shutdown()
		<-done
	}
}

// chatty says more than the server reads behind its first words.
type chatty struct {
	net.Conn
	said bool
}

func (c *chatty) Write(b []byte) (int, error) {
	if c.said {
		return c.Conn.Write(b)
	}
	c.said = true
	n, err := c.Conn.Write(append(bytes.Clone(b), make([]byte, 20_000)...))
	return min(n, len(b)), err
}

func TestIntegrationAlerts(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: mathbig.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	own := []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	start := func(cfg *tls.Config) func(l net.Listener) func() {
		return func(l net.Listener) func() {
			return serving(func(l net.Listener) error {
				for {
					c, err := l.Accept()
					if err != nil {
						return err
					}
					go func() {
						_ = tls.Server(c, cfg).Handshake()
						_ = c.Close()
					}()
				}
			}, l, func() error { return nil })
		}
	}
	alert := func(err error, want string) error {
		if err != nil && strings.Contains(err.Error(), want) {
			return nil
		}
		return fmt.Errorf("%w, want %q", err, want)
	}
	countAnswers(t, "a version that the server does not speak", 100, start(&tls.Config{Certificates: own, MinVersion: tls.VersionTLS13}), func(c net.Conn) error {
		err := tls.Client(&chatty{Conn: c}, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}).Handshake()
		return alert(err, "remote error: tls: protocol version not supported")
	})
	countAnswers(t, "no certificate of the client's", 100, start(&tls.Config{Certificates: own, ClientAuth: tls.RequireAnyClientCert}), func(c net.Conn) error {
		s := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		if err := s.Handshake(); err != nil {
			return err
		}
		_, _ = s.Write(page)
		_, err := s.Read(make([]byte, 1))
		return alert(err, "remote error: tls: certificate required")
	})
}

// TestIntegrationShutdown ends a host while many slow readers have yet to read what was written to them, over the
// kernel at the other end: each gets all of it, as over a kernel that outlives its program.
func TestIntegrationShutdown(t *testing.T) {
	for _, tt := range []struct {
		name string
		// ends returns the face to play on, and what ends the writers' side.
		face func(h *tapHost) face
		// writers are the accepted ends, or the dialled ones.
		accepted bool
	}{
		{"a server", (*tapHost).accepting, true},
		{"a client", (*tapHost).dialling, false},
	} {
		for _, f := range testFamilies {
			t.Run(tt.name+f.suffix, func(t *testing.T) { shutDownWritten(t, &f, tt.face, tt.accepted) })
		}
	}
}

func shutDownWritten(t *testing.T, family *testFamily, side func(h *tapHost) face, accepted bool) {
	const clients = 32
	text := random(5, 300_000)
	h := openTAP(t, 0, tap.Config{PeerAddrs: family.peers()})
	f := side(h)
	l, err := f.listen("tcp", f.at("0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	results := make(chan error, clients)
	var written sync.WaitGroup
	for range clients {
		c, err := f.dial(context.Background(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		writer, reader := c, s
		if accepted {
			writer, reader = s, c
		}
		if err := errors.Join(reader.(stream).SetReadBuffer(16<<10), writer.(stream).SetWriteBuffer(1<<20)); err != nil {
			t.Fatal(err)
		}
		written.Go(func() {
			_, err := writer.Write(text)
			if err = errors.Join(err, writer.Close()); err != nil {
				t.Error(err)
			}
		})
		go func() {
			defer reader.Close()
			var got []byte
			for b := make([]byte, 30_000); ; {
				n, err := reader.Read(b)
				got = append(got, b[:n]...)
				if err != nil {
					if err == io.EOF && bytes.Equal(got, text) {
						err = nil
					}
					results <- err
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		}()
	}
	written.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	for range clients {
		if err := <-results; err != nil {
			t.Errorf("a reader has not got everything: %v", err)
		}
	}
}

// TestIntegrationHostClose closes a host with many connections while the device has something to write. At the kernel's
// end each of them must end at once.
func TestIntegrationHostClose(t *testing.T) {
	const peers = 64
	for round := range 8 {
		h := openTAP(t, 0, tap.Config{PeerAddrs: testFamilies[round/2%2].peers()})
		l, err := h.Listen("tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		var clients []net.Conn
		var servers []net.Conn
		for range peers {
			c, err := net.Dial("tcp", net.JoinHostPort(h.ours, fmt.Sprint(l.Addr().(*net.TCPAddr).Port)))
			if err != nil {
				t.Fatal(err)
			}
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			clients, servers = append(clients, c), append(servers, s)
		}
		var closing sync.WaitGroup
		for _, s := range servers[:peers/2] {
			closing.Go(func() {
				_, _ = s.Write(page[:1+round*1000])
				_ = s.Close()
			})
		}
		if round%2 == 0 {
			closing.Wait()
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		closing.Wait()
		for i, c := range clients {
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("round %d, peer %d hangs", round, i)
			}
			_ = c.Close()
		}
	}
}
