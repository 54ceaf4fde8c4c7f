package unet_test

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/unet"
)

// checked is a connection for clients that keep it from one request to the next: a Write to a server that has gone
// fails before anything is sent, so that the client can take another connection.
type checked struct{ *unet.TCPConn }

func (c checked) Write(b []byte) (int, error) {
	if _, err := c.Buffered(); err != nil {
		return 0, err
	}
	return c.TCPConn.Write(b)
}

// dialChecked returns a DialContext function for such clients.
func dialChecked(h *unet.Host) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := h.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return checked{c.(*unet.TCPConn)}, nil
	}
}

// docs/pools.md shows code that is compiled here.
func TestDocumentedRecipe(t *testing.T) {
	page, err := os.ReadFile("../docs/pools.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("pools_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, ok := strings.Cut(string(page), "```go\n")
	code, _, ends := strings.Cut(code, "```")
	if !ok || !ends || !strings.Contains(string(source), code) {
		t.Error("the first program of docs/pools.md is not the one in pools_test.go")
	}
}

func TestCheckedWrite(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(p *unet.TCPConn)
	}{
		{"closes", func(*unet.TCPConn) {}},
		{"resets", func(p *unet.TCPConn) { _ = p.SetLinger(0) }},
		{"says why and closes", func(p *unet.TCPConn) { _, _ = io.WriteString(p, "you were idle for too long") }}, // MySQL since 8.0.24
	} {
		t.Run("E-GO-19 a Write takes nothing when the peer "+test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server, _ := twoHosts(t, sim.Config{})
				l, err := server.Listen("tcp", ":80")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				c, err := dialChecked(client)(t.Context(), "tcp", "10.0.0.2:80")
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				p, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				if n, err := io.WriteString(c, "request"); n != 7 || err != nil {
					t.Errorf("%d, %v", n, err)
				}
				if _, err := io.ReadFull(p, make([]byte, 7)); err != nil {
					t.Error(err)
				}
				if n, err := io.WriteString(p, "answer"); n != 6 || err != nil {
					t.Errorf("%d, %v", n, err)
				}
				time.Sleep(time.Second)
				if n, err := io.WriteString(c, "more"); n != 4 || err != nil { // though there is text to read
					t.Errorf("%d, %v", n, err)
				}
				if _, err := io.ReadFull(p, make([]byte, 4)); err != nil {
					t.Error(err)
				}
				test.end(p.(*unet.TCPConn))
				_ = p.Close()
				time.Sleep(time.Second)
				if n, err := io.WriteString(c, "request"); n != 0 || err == nil {
					t.Errorf("%d, %v", n, err)
				}
			})
		})
	}
}
