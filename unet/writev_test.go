package unet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unet-go/unet/stack/sim"
)

func TestWritev(t *testing.T) {
	for _, tt := range []struct {
		name string
		bufs [][]byte
	}{
		{"none", nil},
		{"empty ones", [][]byte{{}, nil}},
		{"small ones", [][]byte{random(1, 10), nil, random(2, 20), random(3, 30)}},
		{"small, large, small", [][]byte{random(1, 10), random(2, 3<<20), nil, random(3, 1)}},
		{"many", bytes.SplitAfter(random(4, 100_000), []byte{0})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, server, _ := pair(t, sim.Config{Offload: true})
			c, s := connection(t, client, server)
			want := bytes.Join(tt.bufs, nil)
			done := make(chan error, 1)
			go func() {
				n, err := c.Writev(tt.bufs)
				if n != int64(len(want)) && err == nil {
					err = io.ErrShortWrite
				}
				done <- errors.Join(err, c.CloseWrite())
			}()
			got, err := io.ReadAll(s)
			if err := errors.Join(err, <-done); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%d octets arrived, not the %d of the buffers in order", len(got), len(want))
			}
		})
	}
	bubble(t, "small ones share a segment", sim.Config{Delay: oneWay}, func(t *testing.T, client, server *Host, segment *sim.Segment) {
		c, _ := connection(t, client, server)
		tr := traceSegments(t, segment)
		if n, err := c.Writev([][]byte{[]byte("header "), []byte("and "), []byte("body")}); n != 15 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		time.Sleep(time.Second)
		var texts []string
		for _, s := range tr.from("port1", withText) {
			texts = append(texts, s.text)
		}
		if diff := cmp.Diff([]string{"header and body"}, texts); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
	bubble(t, "a deadline ends it with what was taken, and that arrives", sim.Config{Delay: oneWay}, func(t *testing.T, client, server *Host, _ *sim.Segment) {
		c, s := connection(t, client, server)
		_, _ = c.SetWriteBuffer(64<<10), s.SetReadBuffer(32<<10)
		bufs := [][]byte{random(1, 100), random(2, 1<<20), random(3, 100)}
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := c.Writev(bufs)
		var op *net.OpError
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &op) || op.Op != "writev" || n <= 100 || n >= 1<<20 {
			t.Fatalf("%d, %v", n, err)
		}
		_ = c.CloseWrite()
		got, err := io.ReadAll(s)
		if err != nil || !bytes.Equal(got, bytes.Join(bufs, nil)[:n]) {
			t.Errorf("%d of %d octets arrived, %v", len(got), n, err)
		}
	})
	t.Run("E-RW-10 no other write comes between, however large it is", func(t *testing.T) {
		client, server, _ := pair(t, sim.Config{Offload: true})
		c, s := connection(t, client, server)
		_, _ = c.SetWriteBuffer(64<<10), s.SetReadBuffer(32<<10)
		const writers, rounds, chunk, chunks = 4, 3, 50_000, 5
		var group sync.WaitGroup
		for w := range writers {
			letters := bytes.Repeat([]byte{byte('a' + w)}, chunk*chunks)
			group.Go(func() {
				for range rounds {
					if _, err := c.Write(letters); err != nil {
						t.Error(err)
					}
					var bufs [][]byte
					for b := letters; len(b) > 0; b = b[chunk:] {
						bufs = append(bufs, b[:chunk])
					}
					if _, err := c.Writev(bufs); err != nil {
						t.Error(err)
					}
				}
			})
		}
		go func() { group.Wait(); _ = c.CloseWrite() }()
		all, err := io.ReadAll(s)
		if err != nil || len(all) != writers*rounds*2*chunk*chunks {
			t.Fatalf("%d octets, %v", len(all), err)
		}
		for ; len(all) > 0; all = all[chunk*chunks:] {
			if n := bytes.Count(all[:chunk*chunks], all[:1]); n != chunk*chunks {
				t.Fatalf("another write begins %d octets behind the start of one", n)
			}
		}
	})
	t.Run("on a connection that is reset, and one that is closed", func(t *testing.T) {
		client, server, _ := pair(t, sim.Config{})
		c, s := connection(t, client, server)
		_ = s.SetLinger(0)
		_ = s.Close()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Read: %v", err)
		}
		if n, err := c.Writev([][]byte{{1}}); n != 0 || !errors.Is(err, syscall.EPIPE) {
			t.Errorf("%d, %v", n, err)
		}
		_ = c.Close()
		for _, bufs := range [][][]byte{nil, {{1}}} {
			if n, err := c.Writev(bufs); n != 0 || !errors.Is(err, net.ErrClosed) {
				t.Errorf("%d, %v", n, err)
			}
		}
	})
}
