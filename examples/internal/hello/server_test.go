package hello

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp/fasthttputil"
)

// client returns a client whose connections all come from dial.
func client(t *testing.T, dial func() (net.Conn, error)) *http.Client {
	tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return dial() }}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// start serves on a listener in memory, and stops at the end of the test.
func start(t *testing.T, name string) *http.Client {
	ln := fasthttputil.NewInmemoryListener()
	s := Servers[name]()
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	c := client(t, ln.Dial)
	t.Cleanup(func() {
		c.CloseIdleConnections()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return c
}

// want is the pattern of /bytes.
func want(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i)
	}
	return p
}

func TestBothServersAnswerAlike(t *testing.T) {
	big := want(3<<20 + 7)
	cases := []struct {
		name, method, path, kind string
		body                     []byte
		status                   int
		wantKind, wantAllow      string
		want                     []byte
		head                     int64 // the length that the answer to HEAD names
	}{
		{name: "hello", method: "GET", path: "/", status: 200, wantKind: plain, want: hello},
		{name: "hello, head only", method: "HEAD", path: "/", status: 200, wantKind: plain, head: 13},
		{name: "hello, wrong method", method: "POST", path: "/", body: []byte("x"), status: 405, wantKind: plain,
			wantAllow: "GET, HEAD", want: []byte("use GET, HEAD\n")},
		{name: "no such page", method: "GET", path: "/nowhere", status: 404, wantKind: plain,
			want: []byte("try /, /echo or /bytes?n=1000\n")},
		{name: "no octets", method: "GET", path: "/bytes?n=0", status: 200, wantKind: "application/octet-stream"},
		{name: "many octets", method: "GET", path: "/bytes?n=3145735", status: 200, wantKind: "application/octet-stream", want: big},
		{name: "octets, head only", method: "HEAD", path: "/bytes?n=1000", status: 200, wantKind: "application/octet-stream",
			head: 1000},
		{name: "octets without a number", method: "GET", path: "/bytes", status: 400, wantKind: plain,
			want: []byte("n must be a number from 0 to 1099511627776\n")},
		{name: "octets less than none", method: "GET", path: "/bytes?n=-1", status: 400, wantKind: plain,
			want: []byte("n must be a number from 0 to 1099511627776\n")},
		{name: "octets beyond the limit", method: "GET", path: "/bytes?n=1099511627777", status: 400, wantKind: plain,
			want: []byte("n must be a number from 0 to 1099511627776\n")},
		{name: "echo", method: "POST", path: "/echo", kind: "text/x-test", body: []byte("spoken"), status: 200,
			wantKind: "text/x-test", want: []byte("spoken")},
		{name: "echo of nothing", method: "POST", path: "/echo", status: 200, wantKind: "application/octet-stream"},
		{name: "echo of much", method: "PUT", path: "/echo", body: big, status: 200, wantKind: "application/octet-stream", want: big},
		{name: "echo without a body", method: "GET", path: "/echo", status: 405, wantKind: plain, wantAllow: "POST, PUT",
			want: []byte("use POST, PUT\n")},
	}
	for name := range Servers {
		c := start(t, name)
		for _, tc := range cases {
			t.Run(name+": "+tc.name, func(t *testing.T) {
				req, err := http.NewRequest(tc.method, "http://host"+tc.path, bytes.NewReader(tc.body))
				if err != nil {
					t.Fatal(err)
				}
				if tc.kind != "" {
					req.Header.Set("Content-Type", tc.kind)
				}
				resp, err := c.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				got, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode != tc.status || resp.Header.Get("Content-Type") != tc.wantKind || resp.Header.Get("Allow") != tc.wantAllow {
					t.Errorf("status %d, type %q, allow %q; want %d, %q, %q", resp.StatusCode, resp.Header.Get("Content-Type"),
						resp.Header.Get("Allow"), tc.status, tc.wantKind, tc.wantAllow)
				}
				if tc.head > 0 && resp.ContentLength != tc.head {
					t.Errorf("length %d, want %d", resp.ContentLength, tc.head)
				}
				if !bytes.Equal(got, tc.want) {
					t.Errorf("body of %d octets %.40q, want %d octets", len(got), got, len(tc.want))
				}
			})
		}
		t.Run(name+": echo of chunks", func(t *testing.T) {
			resp, err := c.Post("http://host/echo", "text/plain", io.MultiReader(strings.NewReader("one "), strings.NewReader("two")))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil || string(got) != "one two" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
