package hello

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// idleTimeout is how long a connection may wait for its next request.
const idleTimeout = 2 * time.Minute

// A Server is net/http's or fasthttp's, with the handler in it.
type Server interface {
	// Serve serves on ln, and returns nil after Shutdown.
	Serve(ln net.Listener) error
	// Shutdown stops accepting, and waits for the requests in progress until ctx is done.
	Shutdown(ctx context.Context) error
}

// Servers makes a server by its name.
var Servers = map[string]func() Server{
	"nethttp":  newNetHTTP,
	"fasthttp": newFastHTTP,
}

type netHTTP struct{ server http.Server }

func newNetHTTP() Server {
	return &netHTTP{http.Server{Handler: http.HandlerFunc(serveNetHTTP), IdleTimeout: idleTimeout,
		ReadHeaderTimeout: idleTimeout}}
}

func (s *netHTTP) Serve(ln net.Listener) error {
	if err := s.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *netHTTP) Shutdown(ctx context.Context) error {
	err := s.server.Shutdown(ctx)
	if err != nil {
		_ = s.server.Close() // ends the requests that are still in progress
	}
	return err
}

func serveNetHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.ContentLength == 0 {
		body = nil
	}
	a := answerTo(r.Method, r.URL.Path, func() string { return r.URL.Query().Get("n") }, r.Header.Get("Content-Type"),
		body, r.ContentLength)
	h := w.Header()
	h.Set("Content-Type", a.kind)
	if a.allow != "" {
		h.Set("Allow", a.allow)
		h.Set("Connection", "close") // so that the rest of an unwanted body need not be read
	}
	switch {
	case a.body == nil:
		h.Set("Content-Length", strconv.Itoa(len(a.text)))
	case a.length >= 0:
		h.Set("Content-Length", strconv.FormatInt(a.length, 10))
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		_, _ = w.Write(a.text) // an error means that the client has gone
		return
	}
	if a.body == body { // an echo begins before its request has ended
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	w.WriteHeader(a.status)
	if r.Method == http.MethodHead {
		return
	}
	if _, err := io.Copy(w, a.body); err != nil {
		panic(http.ErrAbortHandler) // the client must not take a part of the body for the whole
	}
}

type fastHTTP struct{ server fasthttp.Server }

func newFastHTTP() Server {
	return &fastHTTP{fasthttp.Server{Handler: serveFastHTTP, IdleTimeout: idleTimeout, StreamRequestBody: true,
		CloseOnShutdown: true, Name: "unet"}}
}

func (s *fastHTTP) Serve(ln net.Listener) error { return s.server.Serve(ln) }

func (s *fastHTTP) Shutdown(ctx context.Context) error { return s.server.ShutdownWithContext(ctx) }

func serveFastHTTP(ctx *fasthttp.RequestCtx) {
	length := int64(ctx.Request.Header.ContentLength())
	body := ctx.RequestBodyStream()
	if length == 0 || body == nil {
		body, length = nil, 0
	}
	a := answerTo(string(ctx.Method()), string(ctx.Path()), func() string { return string(ctx.QueryArgs().Peek("n")) },
		string(ctx.Request.Header.ContentType()), body, max(length, -1))
	ctx.SetStatusCode(a.status)
	ctx.SetContentType(a.kind)
	if a.allow != "" {
		ctx.Response.Header.Set("Allow", a.allow)
	}
	if a.body == nil {
		ctx.SetBody(a.text)
		if body != nil {
			ctx.SetConnectionClose() // as serveNetHTTP
		}
		return
	}
	ctx.SetBodyStream(a.body, int(a.length))
}
