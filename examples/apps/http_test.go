package apps

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// serve runs an HTTP server until the test ends, over TLS with HTTP/2 where secure.
func serve(t *testing.T, l net.Listener, srv *http.Server, secure bool) {
	t.Helper()
	served := make(chan error, 1)
	if secure {
		srv.TLSConfig, _ = identity()
		srv.TLSConfig = srv.TLSConfig.Clone()
		go func() { served <- srv.ServeTLS(l, "", "") }()
	} else {
		go func() { served <- srv.Serve(l) }()
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("Close: %v", err)
		}
		if err := <-served; err != http.ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
	})
}

// client returns a client of the server at l, and the start of its URLs.
func (w *world) client(t *testing.T, l net.Listener, secure bool, protocols *http.Protocols) (*http.Client, string) {
	tr := &http.Transport{DialContext: w.dialling(l.Addr()), Protocols: protocols, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	if !secure {
		return &http.Client{Transport: tr}, "http://" + serverName
	}
	_, tr.TLSClientConfig = identity()
	tr.TLSClientConfig = tr.TLSClientConfig.Clone()
	return &http.Client{Transport: tr}, "https://" + serverName
}

// pages are the pages of the servers of these tests.
func pages(page []byte) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "page.bin", time.Time{}, bytes.NewReader(page))
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Octets")
		_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 is, and says so
		n, err := io.Copy(flushing{w, http.NewResponseController(w)}, r.Body)
		w.Header().Set("Octets", fmt.Sprint(n, " ", err))
	})
	return mux
}

// flushing sends on each Write.
type flushing struct {
	io.Writer
	*http.ResponseController
}

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	return n, errors.Join(err, f.Flush())
}

func fetch(c *http.Client, url string, body io.Reader) (*http.Response, []byte, error) {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		return nil, nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return resp, got, err
}

func TestHTTP(t *testing.T) {
	var one, two, clear http.Protocols
	one.SetHTTP1(true)
	two.SetHTTP2(true)
	clear.SetUnencryptedHTTP2(true)
	page := text(1 << 20)
	for _, kind := range []struct {
		name, proto string
		secure      bool
		protocols   http.Protocols
	}{
		{"E-GO-15 HTTP/1.1", "HTTP/1.1", false, one}, {"E-GO-15 HTTP/1.1 over TLS", "HTTP/1.1", true, one},
		{"E-GO-15 HTTP/2 over TLS", "HTTP/2.0", true, two}, {"E-GO-15 HTTP/2 in the clear", "HTTP/2.0", false, clear},
	} {
		t.Run(kind.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) {
				l := w.listening(t)
				serve(t, l, &http.Server{Handler: pages(page), Protocols: &kind.protocols}, kind.secure)
				c, url := w.client(t, l, kind.secure, &kind.protocols)
				var group sync.WaitGroup
				for i := range 4 {
					group.Go(func() { getAndEcho(t, c, url, kind.proto, page, i) })
				}
				group.Wait()
				duplex(t, c, url)
			})
		})
	}
}

// getAndEcho gets a page, a part of it, and what it sends.
func getAndEcho(t *testing.T, c *http.Client, url, proto string, page []byte, i int) {
	resp, got, err := fetch(c, url+"/page", nil)
	if err != nil || resp.Proto != proto || !bytes.Equal(got, page) {
		t.Errorf("page: %d octets of %d, %v", len(got), len(page), err)
		return
	}
	req, err := http.NewRequest(http.MethodGet, url+"/page", nil)
	if err != nil {
		t.Error(err)
		return
	}
	from, to := 1000*i, 100_000+1000*i
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, to-1))
	part, err := c.Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	got, err = io.ReadAll(part.Body)
	if err := errors.Join(err, part.Body.Close()); err != nil || part.StatusCode != http.StatusPartialContent || !bytes.Equal(got, page[from:to]) {
		t.Errorf("part: %s, %d octets, %v", part.Status, len(got), err)
	}
	sent := page[:200_000+i]
	resp, got, err = fetch(c, url+"/echo", bytes.NewReader(sent))
	if err != nil || !bytes.Equal(got, sent) || resp.Trailer.Get("Octets") != fmt.Sprint(len(sent), " <nil>") {
		t.Errorf("echo: %d octets of %d, trailer %v, %v", len(got), len(sent), resp, err)
	}
}

// duplex sends line by line, each after the answer to the one before.
func duplex(t *testing.T, c *http.Client, url string) {
	t.Helper()
	body, lines := io.Pipe()
	go func() { _, _ = io.WriteString(lines, "line 0\n") }()
	req, err := http.NewRequest(http.MethodPost, url+"/echo", body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answers := bufio.NewReader(resp.Body)
	for i := range 20 {
		line, err := answers.ReadString('\n')
		if err != nil || line != fmt.Sprintf("line %d\n", i) {
			t.Fatalf("answer %d: %q, %v", i, line, err)
		}
		if _, err := fmt.Fprintf(lines, "line %d\n", i+1); err != nil {
			t.Fatal(err)
		}
	}
	if err := lines.Close(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(answers); string(rest) != "line 20\n" || err != nil {
		t.Errorf("rest: %q, %v", rest, err)
	}
}

// TestHTTPCancel ends requests in the middle: the handler's context ends, and with HTTP/2 the connection stays.
func TestHTTPCancel(t *testing.T) {
	for _, kind := range []struct {
		name        string
		secure      bool
		connections int
	}{{"HTTP/1.1", false, 2}, {"HTTP/2", true, 1}} {
		t.Run(kind.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) {
				ended := make(chan error, 1)
				mux := pages(text(1000))
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
				mux.HandleFunc("/silent", func(rw http.ResponseWriter, r *http.Request) {
					<-r.Context().Done() // by the background read that waits for the next request
					ended <- r.Context().Err()
				})
				l := w.listening(t)
				serve(t, l, &http.Server{Handler: mux}, kind.secure)
				var protocols http.Protocols
				protocols.SetHTTP1(!kind.secure)
				protocols.SetHTTP2(kind.secure)
				c, url := w.client(t, l, kind.secure, &protocols)

				ctx, cancel := context.WithCancel(t.Context())
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/endless", nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := c.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil {
					t.Fatal(err)
				}
				cancel()
				if _, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, context.Canceled) {
					t.Errorf("body: %v", err)
				}
				if err := errors.Join(resp.Body.Close(), is(<-ended, context.Canceled)); err != nil {
					t.Errorf("handler: %v", err)
				}

				used := map[string]bool{}
				trace := &httptrace.ClientTrace{GotConn: func(g httptrace.GotConnInfo) { used[g.Conn.LocalAddr().String()] = true }}
				for range 3 {
					req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, url+"/page", nil)
					if err != nil {
						t.Fatal(err)
					}
					resp, err := c.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					_, err = io.Copy(io.Discard, resp.Body)
					if err := errors.Join(err, resp.Body.Close()); err != nil {
						t.Fatal(err)
					}
				}
				if len(used) != 1 {
					t.Errorf("three requests used %d connections", len(used))
				}

				ctx, cancel = context.WithTimeout(t.Context(), short)
				defer cancel()
				req, err = http.NewRequestWithContext(ctx, http.MethodGet, url+"/silent", nil)
				if err != nil {
					t.Fatal(err)
				}
				var timeout net.Error
				if _, err := c.Do(req); !errors.As(err, &timeout) || !timeout.Timeout() || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("silent: %v", err)
				}
				if err := is(<-ended, context.Canceled); err != nil {
					t.Errorf("silent handler: %v", err)
				}
			})
		})
	}
}

// is returns nil if err is target, and err or what is missing otherwise.
func is(err, target error) error {
	if errors.Is(err, target) {
		return nil
	}
	return fmt.Errorf("%v is not %w", err, target)
}

// TestHTTPHijack takes a connection away from the server, which has a read under way that must be aborted
// without losing an octet.
func TestHTTPHijack(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		handled := make(chan error, 1)
		handler := func(rw http.ResponseWriter, r *http.Request) {
			c, buffered, err := http.NewResponseController(rw).Hijack()
			if err != nil {
				handled <- err
				return
			}
			_, err = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			if err == nil {
				_, err = io.Copy(c, buffered.Reader)
			}
			handled <- errors.Join(err, c.Close())
		}
		l := w.listening(t)
		serve(t, l, &http.Server{Handler: http.HandlerFunc(handler)}, false)
		for _, early := range []string{"", "sent with the request, "} {
			c := w.connect(t, l)
			if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"+early); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(c)
			resp, err := http.ReadResponse(r, nil)
			if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("%v, %v", resp, err)
			}
			if _, err := io.WriteString(c, "sent afterwards"); err != nil {
				t.Fatal(err)
			}
			if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err := errors.Join(err, <-handled); err != nil || string(got) != early+"sent afterwards" {
				t.Errorf("%q, %v", got, err)
			}
		}
	})
}

// short is a time that a test waits for the end of, and in which a busy machine does what comes before.
const short = 400 * time.Millisecond

// TestHTTPTimeouts has clients that are too slow for the server: each of its timeouts in turn.
func TestHTTPTimeouts(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		start := func(t *testing.T, srv *http.Server) net.Conn {
			l := w.listening(t)
			serve(t, l, srv, false)
			return w.connect(t, l)
		}
		send := func(t *testing.T, c net.Conn, text string) {
			t.Helper()
			if _, err := io.WriteString(c, text); err != nil {
				t.Fatal(err)
			}
		}
		t.Run("ReadHeaderTimeout", func(t *testing.T) {
			c := start(t, &http.Server{ReadHeaderTimeout: short})
			send(t, c, "GET / HTTP/1.1\r\nHost:")
			if got, err := io.ReadAll(c); len(got) != 0 || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
		t.Run("ReadTimeout", func(t *testing.T) {
			read := make(chan error, 1)
			c := start(t, &http.Server{ReadTimeout: short, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				_, err := io.ReadAll(r.Body)
				read <- err
				http.Error(rw, "too slow", http.StatusRequestTimeout)
			})})
			send(t, c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf")
			got, err := io.ReadAll(c)
			if !bytes.HasPrefix(got, []byte("HTTP/1.1 408 ")) || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			if err := is(<-read, os.ErrDeadlineExceeded); err != nil {
				t.Error(err)
			}
		})
		t.Run("WriteTimeout", func(t *testing.T) {
			written := make(chan error, 1)
			c := start(t, &http.Server{WriteTimeout: short, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				_, err := rw.Write(make([]byte, 64<<20)) // and the client does not read
				written <- err
			})})
			send(t, c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			if err := is(<-written, os.ErrDeadlineExceeded); err != nil {
				t.Error(err)
			}
		})
		t.Run("IdleTimeout", func(t *testing.T) {
			c := start(t, &http.Server{IdleTimeout: short, Handler: pages([]byte("page"))})
			send(t, c, "GET /page HTTP/1.1\r\nHost: h\r\n\r\n")
			if got, err := io.ReadAll(c); !bytes.HasSuffix(got, []byte("\r\n\r\npage")) || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
		t.Run("header too large", func(t *testing.T) {
			c := start(t, &http.Server{MaxHeaderBytes: 1 << 10})
			send(t, c, "GET / HTTP/1.1\r\nHost: h\r\nX: "+strings.Repeat("x", 6<<10)+"\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("%v, %v", resp, err)
			}
		})
		t.Run("Expect: 100-continue", func(t *testing.T) {
			c := start(t, &http.Server{Handler: pages(nil)})
			send(t, c, "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
			r := bufio.NewReader(c)
			if line, err := r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" || err != nil {
				t.Fatalf("%q, %v", line, err)
			}
			send(t, c, "body")
			if got, err := io.ReadAll(r); !bytes.Contains(got, []byte("\r\n4\r\nbody\r\n0\r\n")) || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	})
}

// TestHTTPShutdown ends a server with a request under way, an idle connection and one that has sent nothing.
func TestHTTPShutdown(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[secure], func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) {
				begun, finish := make(chan struct{}), make(chan struct{})
				mux := pages([]byte("page"))
				mux.HandleFunc("/wait", func(rw http.ResponseWriter, r *http.Request) {
					close(begun)
					<-finish
					_, _ = rw.Write(text(1 << 20))
				})
				srv := &http.Server{Handler: mux}
				l := w.listening(t)
				serve(t, l, srv, secure)
				protocols := new(http.Protocols)
				protocols.SetHTTP1(!secure)
				protocols.SetHTTP2(secure)
				idle, url := w.client(t, l, secure, protocols)
				if _, got, err := fetch(idle, url+"/page", nil); err != nil || string(got) != "page" {
					t.Fatalf("%q, %v", got, err)
				}
				busy, url := w.client(t, l, secure, protocols)
				answered := make(chan error, 1)
				go func() {
					_, got, err := fetch(busy, url+"/wait", nil)
					if err == nil && !bytes.Equal(got, text(1<<20)) {
						err = fmt.Errorf("%d octets, or others", len(got))
					}
					answered <- err
				}()
				<-begun
				down := make(chan error, 1)
				closing := make(chan struct{})
				srv.RegisterOnShutdown(func() { close(closing) })
				go func() { down <- srv.Shutdown(context.Background()) }()
				<-closing
				if c, err := w.dial(t.Context(), "tcp", l.Addr().String()); err == nil {
					t.Errorf("a connection to a server that is shut down: %v", c.Close())
				}
				close(finish)
				if err := errors.Join(<-answered, <-down); err != nil {
					t.Error(err)
				}
				if _, _, err := fetch(idle, url+"/page", nil); err == nil {
					t.Error("an answer of a server that is shut down")
				}
			})
		})
	}
}
