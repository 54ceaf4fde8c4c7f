package unet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/unet"
)

// fetcher is a user's code: a client that gives an answer five seconds and asks again, after a second, two, four
// and so on, until its patience is over.
type fetcher struct {
	client http.Client
	tries  int
}

func (f *fetcher) get(ctx context.Context, url string) (body string, err error) {
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		f.tries++
		if body, err = f.once(ctx, url); err == nil {
			return body, nil
		}
		select {
		case <-ctx.Done():
			return "", errors.Join(err, ctx.Err())
		case <-time.After(pause):
		}
	}
}

func (f *fetcher) once(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// twoHosts opens a server and a client host with 200 ms from one to the other and back.
func twoHosts(t *testing.T, cfg sim.Config) (client, server *unet.Host, segment *sim.Segment) {
	cfg.Delay = 100 * time.Millisecond
	segment = sim.NewSegment(cfg)
	t.Cleanup(func() { _ = segment.Close() })
	open := func(addr string) *unet.Host {
		h, err := unet.Open(unet.Config{Link: segment.Port(), Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		return h
	}
	return open("10.0.0.1/24"), open("10.0.0.2/24"), segment
}

// Half a day of a client that asks once a minute, over a link that loses one frame in ten and is down for an hour.
// It takes well under a second.
func TestPollingOverALossyLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, segment := twoHosts(t, sim.Config{Seed: 1, Loss: 0.1})
		l, err := server.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		srv := http.Server{IdleTimeout: 3 * time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat(r.URL.Path, 1000))
		})}
		go srv.Serve(l)
		defer srv.Close()
		f := fetcher{client: http.Client{Transport: &http.Transport{DialContext: client.DialContext, IdleConnTimeout: 2 * time.Minute}}}
		defer f.client.CloseIdleConnections()

		began := time.Now()
		time.AfterFunc(4*time.Hour, func() { segment.Update(func(cfg *sim.Config) { cfg.Loss = 1 }) })
		time.AfterFunc(5*time.Hour, func() { segment.Update(func(cfg *sim.Config) { cfg.Loss = 0.1 }) })
		var polls int
		var longest time.Duration
		for time.Since(began) < 12*time.Hour {
			asked := time.Now()
			path := fmt.Sprint("/", polls)
			body, err := f.get(t.Context(), "http://10.0.0.2"+path)
			if err != nil || body != strings.Repeat(path, 1000) {
				t.Fatalf("poll %d: %d octets, %v", polls, len(body), err)
			}
			longest = max(longest, time.Since(asked))
			polls++
			time.Sleep(time.Minute)
		}
		t.Logf("%d polls, %d tries, the longest took %v of %v", polls, f.tries, longest, time.Since(began))
		if longest < 59*time.Minute || longest > 63*time.Minute {
			t.Errorf("the longest poll took %v; the link was down for an hour", longest)
		}
		if f.tries <= polls {
			t.Errorf("%d polls took %d tries over a link like that", polls, f.tries)
		}
	})
}

// A client gives up on a server that is not there any more, in its own time to the nanosecond.
func TestTimeoutsAreExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, segment := twoHosts(t, sim.Config{})
		l, err := server.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := client.Dial("tcp", "10.0.0.2:80") // so that the neighbour is known
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		segment.Update(func(cfg *sim.Config) { cfg.Loss = 1 })
		began := time.Now()
		_, err = client.DialTimeout("tcp", "10.0.0.2:80", 7*time.Second)
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() || time.Since(began) != 7*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		_ = c.SetReadDeadline(time.Now().Add(24 * time.Hour))
		_, err = c.Read(make([]byte, 1))
		// Keepalive probes begin at 15 s and end the connection long before the deadline.
		if !strings.Contains(fmt.Sprint(err), "connection timed out") || time.Since(began) > 10*time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// fasthttp runs in a bubble where it starts nothing that outlives it. Two of them, because what a pool carries
// from one to the next would panic.
func TestFastHTTPInBubbles(t *testing.T) {
	for i := range 2 {
		t.Run(fmt.Sprint("bubble ", i), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server, _ := twoHosts(t, sim.Config{Seed: int64(i), Loss: 0.05})
				l, err := server.Listen("tcp", ":80")
				if err != nil {
					t.Fatal(err)
				}
				srv := fasthttp.Server{
					NoDefaultDate: true,        // or a goroutine that never ends refreshes the date
					ReadTimeout:   time.Minute, // or Shutdown waits for idle connections for ever
					Handler:       func(ctx *fasthttp.RequestCtx) { _, _ = ctx.WriteString("hello") },
				}
				served := make(chan error, 1)
				go func() { served <- srv.Serve(l) }()
				c := fasthttp.HostClient{Addr: "10.0.0.2:80", MaxIdleConnDuration: time.Minute,
					Dial: func(addr string) (net.Conn, error) { return client.Dial("tcp", addr) }}
				for range 5 {
					req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
					req.SetRequestURI("http://10.0.0.2/")
					if err := c.DoTimeout(req, resp, time.Hour); err != nil || string(resp.Body()) != "hello" {
						t.Errorf("%q, %v", resp.Body(), err)
					}
					fasthttp.ReleaseRequest(req)
					fasthttp.ReleaseResponse(resp)
					time.Sleep(50 * time.Second)
				}
				c.CloseIdleConnections()
				if err := errors.Join(srv.Shutdown(), <-served); err != nil {
					t.Error(err)
				}
				time.Sleep(2 * time.Minute) // until the cleaners of both have looked around and ended
			})
		})
	}
}

// docs/synctest.md shows code that is run here.
func TestDocumentedBubble(t *testing.T) {
	page, err := os.ReadFile("../docs/synctest.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("bubble_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, ok := strings.Cut(string(page), "```go\n")
	code, _, ends := strings.Cut(code, "```")
	if !ok || !ends || !strings.Contains(string(source), code) {
		t.Error("the first program of docs/synctest.md is not the one in bubble_test.go")
	}
}
