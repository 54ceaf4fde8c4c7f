package unet

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/tap"
)

// content is a stream of n octets that never repeats, as fast as AES.
type content struct {
	keystream cipher.Stream
	left      int64
}

func newContent(n int64) *content {
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		panic(err)
	}
	return &content{cipher.NewCTR(block, make([]byte, 16)), n}
}

func (c *content) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), c.left)]
	clear(p)
	c.keystream.XORKeyStream(p, p)
	c.left -= int64(len(p))
	return len(p), nil
}

// summary is the length and SHA-256 of what r holds.
func summary(r io.Reader) (string, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return fmt.Sprintf("%d %x", n, h.Sum(nil)), err
}

var summaries sync.Map // by length

// summaryOf is the summary of newContent(n).
func summaryOf(n int64) string {
	s, ok := summaries.Load(n)
	if !ok {
		s, _ = summary(newContent(n))
		summaries.Store(n, s)
	}
	return s.(string)
}

// gate blocks each caller until all have come.
type gate struct {
	missing atomic.Int64
	open    chan struct{}
}

func newGate(n int) *gate {
	g := &gate{open: make(chan struct{})}
	g.missing.Store(int64(n))
	return g
}

func (g *gate) pass() {
	if g.missing.Add(-1) == 0 {
		close(g.open)
	}
	<-g.open
}

// site is what both servers serve: POST /digest answers with the summary of the body, /bytes/N and /chunks/N
// with N octets of content, the latter chunked, /together when all requests for it are there.
type site struct{ gate *gate }

// answer returns the text of the answer to a request and its length, -1 for chunks. Uploads with and without
// a length must say so in the path.
func (s *site) answer(path string, body io.Reader, length int64) (io.Reader, int64, error) {
	what, number, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	n, _ := strconv.ParseInt(number, 10, 64)
	switch what {
	case "digest":
		if length != n {
			return nil, 0, fmt.Errorf("body of length %d, want %d", length, n)
		}
		text, err := summary(body)
		return strings.NewReader(text), int64(len(text)), err
	case "bytes":
		return newContent(n), n, nil
	case "chunks":
		return newContent(n), -1, nil
	case "together":
		s.gate.pass()
		return strings.NewReader("together"), 8, nil
	}
	return nil, 0, fmt.Errorf("no such page: %s", path)
}

// ServeHTTP is net/http's handler.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, length, err := s.answer(r.URL.Path, r.Body, r.ContentLength)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if length >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	} else {
		_ = http.NewResponseController(w).Flush() // or it would count a short text for itself
	}
	_, _ = io.Copy(w, text) // the client sees an error for itself
}

// serveFast is fasthttp's handler.
func (s *site) serveFast(ctx *fasthttp.RequestCtx) {
	body := ctx.RequestBodyStream()
	length := int64(ctx.Request.Header.ContentLength())
	text, length, err := s.answer(string(ctx.Path()), body, length)
	if err != nil {
		ctx.Error(err.Error(), fasthttp.StatusBadRequest)
		return
	}
	ctx.SetBodyStream(text, int(length))
}

// counting counts what a listener accepts.
type counting struct {
	net.Listener
	accepted atomic.Int64
}

func (l *counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return c, err
}

// web is a server and a client of one kind.
type web struct {
	name string
	// start serves the site until stop is called, which demands a graceful end.
	start func(t *testing.T, l net.Listener, s *site) (stop func())
	// client returns a client of the server at an address, with room for so many connections, and what
	// closes its idle ones.
	client func(f face, address string, conns int) (webClient, func())
}

// webClient asks for a path, sends a body of content, -1 octets for none, chunked or not, and returns what
// there is to say of the answer.
type webClient func(path string, upload int64, chunked bool) (sum string, err error)

var webs = []web{{"net/http", startNetHTTP, netHTTPClient}, {"fasthttp", startFastHTTP, fastHTTPClient}}

func startNetHTTP(t *testing.T, l net.Listener, s *site) func() {
	srv := &http.Server{Handler: s}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	return func() {
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != http.ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
	}
}

func netHTTPClient(f face, address string, conns int) (webClient, func()) {
	tr := &http.Transport{DialContext: f.dial, MaxIdleConnsPerHost: conns, MaxConnsPerHost: conns, DisableCompression: true}
	c := &http.Client{Transport: tr}
	return func(path string, upload int64, chunked bool) (string, error) {
		url := "http://" + address + path
		req, err := http.NewRequest(http.MethodGet, url, nil)
		if upload >= 0 {
			req, err = http.NewRequest(http.MethodPost, url, newContent(upload))
		}
		if err != nil {
			return "", err
		}
		switch {
		case chunked:
			req.ContentLength = -1
		case upload == 0:
			req.Body = http.NoBody // zero with another body means unknown
		case upload > 0:
			req.ContentLength = upload
		}
		resp, err := c.Do(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		sum, err := summary(resp.Body)
		return kind(resp.StatusCode, resp.ContentLength) + sum, err
	}, tr.CloseIdleConnections
}

func startFastHTTP(t *testing.T, l net.Listener, s *site) func() {
	srv := &fasthttp.Server{Handler: s.serveFast, StreamRequestBody: true, MaxRequestBodySize: 1 << 40, NoDefaultDate: true,
		CloseOnShutdown: true, Concurrency: 1 << 16, MaxIdleWorkerDuration: time.Millisecond}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	return func() {
		if err := errors.Join(srv.Shutdown(), <-served); err != nil {
			t.Errorf("Shutdown, Serve: %v", err)
		}
	}
}

func fastHTTPClient(f face, address string, conns int) (webClient, func()) {
	c := &fasthttp.HostClient{Addr: address, MaxConns: conns, StreamResponseBody: true,
		Dial: func(address string) (net.Conn, error) { return f.dial(context.Background(), "tcp", address) }}
	return func(path string, upload int64, chunked bool) (string, error) {
		req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		defer fasthttp.ReleaseRequest(req)
		defer fasthttp.ReleaseResponse(resp)
		req.SetRequestURI("http://" + address + path)
		switch {
		case chunked:
			req.Header.SetMethod(http.MethodPost)
			req.SetBodyStream(newContent(upload), -1)
		case upload >= 0:
			req.Header.SetMethod(http.MethodPost)
			req.SetBodyStream(newContent(upload), int(upload))
		}
		if err := c.Do(req, resp); err != nil {
			return "", err
		}
		sum, err := summary(resp.BodyStream())
		err = errors.Join(err, resp.CloseBodyStream())
		return kind(resp.StatusCode(), int64(resp.Header.ContentLength())) + sum, err
	}, c.CloseIdleConnections
}

// kind says what stands in front of an answer.
func kind(status int, length int64) string {
	if length < 0 {
		return fmt.Sprintf("%d chunked ", status)
	}
	return fmt.Sprintf("%d ", status)
}

// visit is one request and its answer.
type visit struct {
	name, path string
	upload     int64
	chunked    bool
	want       string
}

// digestOf is the answer to an upload of n octets.
func digestOf(n int64) string {
	sum, _ := summary(strings.NewReader(summaryOf(n)))
	return "200 " + sum
}

func upload(n int64) visit {
	return visit{"upload", fmt.Sprintf("/digest/%d", n), n, false, digestOf(n)}
}

func uploadChunked(n int64) visit {
	return visit{"chunked upload", "/digest/-1", n, true, digestOf(n)}
}

func download(n int64) visit {
	return visit{"download", fmt.Sprintf("/bytes/%d", n), -1, false, "200 " + summaryOf(n)}
}

func downloadChunked(n int64) visit {
	return visit{"chunked download", fmt.Sprintf("/chunks/%d", n), -1, false, "200 chunked " + summaryOf(n)}
}

func (c webClient) visit(v visit) error {
	got, err := c(v.path, v.upload, v.chunked)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", v.name, v.path, err)
	}
	if got != v.want {
		return fmt.Errorf("%s of %s: %q, want %q", v.name, v.path, got, v.want)
	}
	return nil
}

// errands is a server that runs and a client for it.
type errands struct {
	*testing.T
	listener *counting
	client   webClient
}

// inEachWay runs body with each kind of server and client, the server on unet and on the kernel, and demands
// that the server ends gracefully and that nothing is left of it on unet. The client has room for so many
// connections.
func inEachWay(t *testing.T, h *tapHost, conns int, body func(e *errands)) {
	for _, w := range webs {
		for _, way := range h.ways() {
			t.Run(w.name+", "+way.name, func(t *testing.T) {
				l, err := way.face.listen("tcp", net.JoinHostPort(way.face.ip, "0"))
				if err != nil {
					t.Fatal(err)
				}
				e := &errands{T: t, listener: &counting{Listener: l}}
				stop := w.start(t, e.listener, &site{newGate(conns)})
				client, closeIdle := w.client(way.face, l.Addr().String(), conns)
				e.client = client
				body(e)
				closeIdle()
				stop()
				gone(t, h.Host)
			})
		}
	}
	if lost := h.link.lost.Load(); h.link.loss > 0 && lost == 0 {
		t.Error("no frame was lost")
	}
}

func (e *errands) visit(v visit) {
	e.Helper()
	if err := e.client.visit(v); err != nil {
		e.Error(err)
	}
}

// losses are the links of every test over TAP.
var losses = []struct {
	name string
	loss float64
}{{"no loss", 0}, {"1 % loss", 0.01}}

func TestIntegrationHTTP(t *testing.T) {
	for _, tt := range losses {
		for _, f := range testFamilies {
			t.Run("E-GO-9 E-GO-15 requests over TAP, "+tt.name+f.suffix, func(t *testing.T) {
				inEachWay(t, openTAP(t, tt.loss, tap.Config{PeerAddrs: f.peers()}), 1, func(e *errands) {
					for _, n := range []int64{0, 1, 1000, 100_000, 3 << 20} {
						for _, v := range []visit{upload(n), uploadChunked(n), download(n), downloadChunked(n)} {
							e.visit(v)
						}
					}
					if n := e.listener.accepted.Load(); n != 1 {
						e.Errorf("%d connections for 20 requests one after the other, want 1", n)
					}
				})
			})
		}
	}
}

func TestIntegrationHTTPAtOnce(t *testing.T) {
	const clients = 256
	for _, tt := range losses {
		rounds := int64(10)
		if tt.loss > 0 {
			rounds = 2
		}
		for _, f := range testFamilies {
			t.Run("E-GO-9 E-GO-15 256 connections at once over TAP, "+tt.name+f.suffix, func(t *testing.T) {
				inEachWay(t, openTAP(t, tt.loss, tap.Config{PeerAddrs: f.peers()}), clients, func(e *errands) {
					var all sync.WaitGroup
					for i := range int64(clients) {
						all.Go(func() {
							e.visit(visit{"request", "/together", -1, false, togetherText})
							for round := range rounds {
								n := i*7 + round*round*100
								e.visit([]visit{upload(n), uploadChunked(n), download(n), downloadChunked(n)}[(i+round)%4])
							}
						})
					}
					all.Wait()
					if n := e.listener.accepted.Load(); n != clients {
						e.Errorf("%d connections for %d clients that stay", n, clients)
					}
				})
			})
		}
	}
}

var togetherText = func() string { s, _ := summary(strings.NewReader("together")); return "200 " + s }()

// bulk is how much one transfer carries: less where loss makes it slow, and where every buffer is poisoned.
func bulk(loss float64) int64 {
	switch {
	case loss > 0 && raceEnabled:
		return 16 << 20
	case loss > 0 || raceEnabled && link.Outstanding() >= 0:
		return 64 << 20
	}
	return 1 << 30
}

func TestIntegrationBulk(t *testing.T) {
	for _, tt := range losses {
		n := bulk(tt.loss)
		for _, f := range testFamilies {
			t.Run(fmt.Sprintf("E-GO-15 %d MiB over TAP, %s", n>>20, tt.name)+f.suffix, func(t *testing.T) {
				inEachWay(t, openTAP(t, tt.loss, tap.Config{PeerAddrs: f.peers()}), 1, func(e *errands) {
					for _, v := range []visit{upload(n), download(n)} {
						start := time.Now()
						e.visit(v)
						e.Logf("%s: %.0f MB/s", v.name, float64(n)/1e6/time.Since(start).Seconds())
					}
				})
			})
		}
	}
}
