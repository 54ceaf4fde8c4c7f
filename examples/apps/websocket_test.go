package apps

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// echoWebSocket answers each message with itself, and "leave" by closing.
func echoWebSocket(ended chan<- error) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		ended <- func() error {
			c, err := websocket.Accept(rw, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionContextTakeover,
				Subprotocols: []string{"echo"}, InsecureSkipVerify: true})
			if err != nil {
				return err
			}
			defer c.CloseNow()
			c.SetReadLimit(-1)
			for {
				kind, message, err := c.Read(r.Context())
				switch {
				case err != nil:
					return err
				case string(message) == "leave":
					return c.Close(websocket.StatusGoingAway, "as you wish")
				case string(message) == "drop":
					return c.CloseNow()
				}
				if err := c.Write(r.Context(), kind, message); err != nil {
					return err
				}
			}
		}()
	}
}

func TestWebSocket(t *testing.T) {
	for name, secure := range map[string]bool{"in the clear": false, "over TLS": true} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) {
				ended := make(chan error, 1)
				l := w.listening(t)
				serve(t, l, &http.Server{Handler: echoWebSocket(ended)}, secure)
				client, url := w.client(t, l, secure, nil)
				testWebSocket(t, client, url, ended)
			})
		})
	}
}

// testWebSocket has conversations with a server that echoes, each with another end.
func testWebSocket(t *testing.T, client *http.Client, url string, ended <-chan error) {
	t.Helper()
	ctx := t.Context()
	dial := func() *websocket.Conn {
		t.Helper()
		c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: client, Subprotocols: []string{"echo"},
			CompressionMode: websocket.CompressionContextTakeover})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.CloseNow() })
		c.SetReadLimit(-1)
		return c
	}
	say := func(c *websocket.Conn, message string) {
		t.Helper()
		if err := c.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
	}

	c := dial()
	if c.Subprotocol() != "echo" {
		t.Errorf("subprotocol %q", c.Subprotocol())
	}
	var group sync.WaitGroup
	group.Go(func() {
		for n := 1; n <= 1<<20; n *= 4 {
			kind, got, err := c.Read(ctx)
			if err != nil || kind != websocket.MessageBinary || !bytes.Equal(got, text(n)) {
				t.Errorf("%d octets for %d, %v", len(got), n, err)
				return
			}
		}
	})
	for n := 1; n <= 1<<20; n *= 4 {
		if err := c.Write(ctx, websocket.MessageBinary, text(n)); err != nil {
			t.Fatal(err)
		}
	}
	group.Wait()
	waiting := c.CloseRead(ctx) // reads on for pongs and the close frame
	if err := c.Ping(ctx); err != nil {
		t.Errorf("Ping: %v", err)
	}
	if err := c.Close(websocket.StatusNormalClosure, "enough"); err != nil {
		t.Errorf("Close: %v", err)
	}
	<-waiting.Done()
	if err := <-ended; websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("the server's end: %v", err)
	}

	c = dial()
	say(c, "leave")
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("a server that leaves: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the server's Close: %v", err)
	}

	c = dial()
	say(c, "drop")
	if _, _, err := c.Read(ctx); !errors.Is(err, io.EOF) {
		t.Errorf("a server that drops the connection: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the server's CloseNow: %v", err)
	}

	c = dial()
	short, cancel := context.WithTimeout(ctx, short)
	defer cancel()
	if _, _, err := c.Read(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a read that times out: %v", err)
	}
	if err := <-ended; err == nil {
		t.Error("the server sees nothing of a client whose read timed out")
	}
}
