package unet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
)

// relayed is a client and a server with a Proxy between them, on three hosts.
type relayed struct {
	client, server *TCPConn
	inner          [2]*TCPConn // the Proxy's own ends
	done           chan error  // what Proxy returned
}

func newRelayed(t *testing.T, cfg sim.Config) *relayed {
	t.Helper()
	client, server, segment := pair(t, cfg)
	middle := openHost(t, segment, "10.0.0.3/24", stack.Config{})
	front, err := middle.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP("10.0.0.3")})
	if err != nil {
		t.Fatal(err)
	}
	back := listen(t, server)
	r := &relayed{client: dial(t, client, front), done: make(chan error, 1)}
	if r.inner[0], err = front.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	r.inner[1] = dial(t, middle, back)
	if r.server, err = back.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _, _ = r.server.Close(), front.Close(), r.inner[0].Close() })
	go func() { r.done <- Proxy(r.inner[0], r.inner[1]) }()
	return r
}

func TestProxy(t *testing.T) {
	proxied := func(name string, run func(t *testing.T, r *relayed)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { run(t, newRelayed(t, sim.Config{Delay: oneWay, Offload: true})) })
		})
	}
	returned := func(t *testing.T, r *relayed, want error) {
		t.Helper()
		if err := <-r.done; !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("Proxy returned %v, want %v", err, want)
		}
		for _, c := range r.inner {
			if err := c.Close(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Proxy left a connection open: %v", err)
			}
		}
	}
	proxied("a half-close passes, and the answer comes back", func(t *testing.T, r *relayed) {
		_, _ = r.client.Write([]byte("question"))
		_ = r.client.CloseWrite()
		question, err := io.ReadAll(r.server)
		if err != nil || string(question) != "question" {
			t.Errorf("%q, %v", question, err)
		}
		time.Sleep(time.Hour) // a long thought, with one direction ended
		_, _ = r.server.Write([]byte("answer"))
		_ = r.server.Close()
		answer, err := io.ReadAll(r.client)
		if err != nil || string(answer) != "answer" {
			t.Errorf("%q, %v", answer, err)
		}
		returned(t, r, nil)
	})
	proxied("a client's reset reaches the server", func(t *testing.T, r *relayed) {
		_, _ = r.client.Write([]byte("half a sen"))
		_, _ = io.ReadFull(r.server, make([]byte, 10))
		_, _ = r.client.SetLinger(0), r.client.Close()
		if n, err := r.server.Read(make([]byte, 1)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%d, %v", n, err)
		}
		returned(t, r, syscall.ECONNRESET)
	})
	proxied("a server's reset reaches the client, the other direction being ended", func(t *testing.T, r *relayed) {
		_ = r.client.CloseWrite()
		_, _ = io.ReadAll(r.server)
		_, _ = r.server.Write([]byte("the beginning of"))
		_, _ = io.ReadFull(r.client, make([]byte, 16))
		_, _ = r.server.SetLinger(0), r.server.Close()
		if n, err := r.client.Read(make([]byte, 1)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%d, %v", n, err)
		}
		returned(t, r, syscall.ECONNRESET)
	})
	proxied("closing one end ends it", func(t *testing.T, r *relayed) {
		synctest.Wait()
		_ = r.inner[1].Close()
		returned(t, r, net.ErrClosed)
		if _, err := r.client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("client: %v", err)
		}
	})
	t.Run("megabytes both ways", func(t *testing.T) {
		r := newRelayed(t, sim.Config{Offload: true})
		there, back := random(1, 6<<20), random(2, 6<<20)
		for c, text := range map[*TCPConn][]byte{r.client: there, r.server: back} {
			go func() { _, _ = c.Write(text); _ = c.CloseWrite() }()
		}
		got := make(chan []byte)
		go func() { b, _ := io.ReadAll(r.client); got <- b }()
		if b, err := io.ReadAll(r.server); err != nil || !bytes.Equal(b, there) {
			t.Errorf("%d octets arrived, %v", len(b), err)
		}
		if b := <-got; !bytes.Equal(b, back) {
			t.Errorf("%d octets came back", len(b))
		}
		returned(t, r, nil)
	})
	t.Run("to a connection that has no half-close", func(t *testing.T) {
		client, server, _ := pair(t, sim.Config{})
		c, s := connection(t, client, server)
		pipe, end := net.Pipe()
		done := make(chan error, 1)
		go func() { done <- Proxy(s, pipe) }()
		_, _ = c.Write([]byte("hello"))
		_ = c.CloseWrite()
		if b, err := io.ReadAll(end); err != nil || string(b) != "hello" {
			t.Errorf("%q, %v", b, err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("%d, %v", n, err)
		}
	})
}
