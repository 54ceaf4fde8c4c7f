package unet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/unet"
)

// slowReader takes a little at a time.
type slowReader struct{ net.Conn }

func (c slowReader) Read(b []byte) (int, error) {
	time.Sleep(50 * time.Millisecond)
	return c.Conn.Read(b[:min(len(b), 8<<10)])
}

// TestShutdown ends servers as their programs do, while slow clients have yet to read what the servers have written.
func TestShutdown(t *testing.T) {
	page := bytes.Repeat([]byte("0123456789"), 30_000)
	for _, tt := range []struct {
		name  string
		serve func(ln net.Listener) (shutdown func(context.Context) error)
	}{
		{"net/http", func(ln net.Listener) func(context.Context) error {
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) })}
			go func() { _ = srv.Serve(ln) }()
			return srv.Shutdown
		}},
		{"fasthttp", func(ln net.Listener) func(context.Context) error {
			srv := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) { ctx.SetBody(page) }, CloseOnShutdown: true, NoDefaultDate: true}
			go func() { _ = srv.Serve(ln) }()
			return srv.ShutdownWithContext
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server, _ := twoHosts(t, sim.Config{})
				ln, err := server.Listen("tcp", ":80")
				if err != nil {
					t.Fatal(err)
				}
				shutdown := tt.serve(ln)
				const clients = 5
				got := make(chan error, clients)
				for range clients {
					go func() {
						c := http.Client{Transport: &http.Transport{DisableKeepAlives: true,
							DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
								c, err := client.DialContext(ctx, network, address)
								if err != nil {
									return nil, err
								}
								return slowReader{c}, c.(*unet.TCPConn).SetReadBuffer(16 << 10)
							}}}
						resp, err := c.Get("http://10.0.0.2/")
						if err != nil {
							got <- err
							return
						}
						body, err := io.ReadAll(resp.Body)
						if !bytes.Equal(body, page) {
							err = errors.Join(err, errors.New("not the page"))
						}
						got <- err
					}()
				}
				time.Sleep(time.Second) // the requests have come, and the answers are with the stack
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				if err := errors.Join(shutdown(ctx), server.Shutdown(ctx)); err != nil {
					t.Error(err)
				}
				for range clients {
					if err := <-got; err != nil {
						t.Error(err)
					}
				}
				time.Sleep(time.Minute) // fasthttp's sweeper ends by itself
			})
		})
	}
	t.Run("what is lost is in the error", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server, _ := twoHosts(t, sim.Config{})
			ln, err := server.Listen("tcp", ":80")
			if err != nil {
				t.Fatal(err)
			}
			c, err := client.Dial("tcp", "10.0.0.2:80")
			if err != nil {
				t.Fatal(err)
			}
			s, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(c.(*unet.TCPConn).SetReadBuffer(16<<10), s.(*unet.TCPConn).SetWriteBuffer(1<<20)); err != nil {
				t.Fatal(err)
			}
			n, err := s.Write(page)
			if err = errors.Join(err, s.Close()); n != len(page) || err != nil {
				t.Fatalf("Write: %d, %v", n, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			began := time.Now()
			err = server.Shutdown(ctx)
			var lost *unet.ShutdownError
			if !errors.As(err, &lost) || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
				t.Fatalf("%v after %v", err, time.Since(began))
			}
			time.Sleep(time.Second)
			b, err := io.ReadAll(c) // what its kernel has taken
			if err == nil || lost.Connections != 1 || int(lost.Octets)+len(b) != len(page) {
				t.Errorf("%v, and %d octets have arrived, %v", lost, len(b), err)
			}
			if want := "shutdown: 1 connections reset, "; len(lost.Error()) < len(want) || lost.Error()[:len(want)] != want {
				t.Errorf("it says %q", lost)
			}
		})
	})
	t.Run("after Close, and Close after it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server, _ := twoHosts(t, sim.Config{})
			if err := client.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if err := client.Close(); err != net.ErrClosed {
				t.Errorf("Close: %v", err)
			}
			if err := client.Shutdown(t.Context()); err != net.ErrClosed {
				t.Errorf("Shutdown: %v", err)
			}
			if _, err := client.Dial("tcp", "10.0.0.2:80"); err == nil {
				t.Error("a dial succeeded")
			}
			c, err := server.ListenPacket("udp", ":7")
			if err != nil {
				t.Fatal(err)
			}
			ln, err := server.Listen("tcp", ":80")
			if err != nil {
				t.Fatal(err)
			}
			go func() { _ = server.Shutdown(t.Context()) }()
			_, err = ln.Accept()
			_, _, err2 := c.ReadFrom(make([]byte, 1))
			if !errors.Is(err, net.ErrClosed) || !errors.Is(err2, net.ErrClosed) {
				t.Errorf("Accept %v, ReadFrom %v", err, err2)
			}
		})
	})
	t.Run("Close ends the wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server, _ := twoHosts(t, sim.Config{})
			ln, err := client.Listen("tcp", ":80")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := server.Dial("tcp", "10.0.0.1:80"); err != nil {
				t.Fatal(err)
			}
			if _, err = ln.Accept(); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(time.Second, func() { _ = server.Close() })
			var lost *unet.ShutdownError
			if err := server.Shutdown(t.Context()); !errors.As(err, &lost) || lost.Connections != 1 || !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		})
	})
	t.Run("without a default host it makes none", func(t *testing.T) {
		t.Setenv("UNET_DEVICE", "a name that no device can have")
		if err := unet.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
