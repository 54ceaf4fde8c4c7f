package unet

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack/sim"
)

// endless is a body without an end.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// WriteByteTimeout ends an HTTP/2 upload whose link is cut, with the clock of a bubble: docs/synctest.md says why
// SendPingTimeout cannot.
func TestHTTP2UploadOnACutLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cut atomic.Bool
		client, server, _ := pair(t, sim.Config{Filter: func(*sim.Port, []byte) sim.Verdict {
			if cut.Load() {
				return sim.Drop
			}
			return sim.Pass
		}})
		l := listen(t, server)
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		// HTTP/2's own windows are larger than what TCP's buffers hold: else a client that has used them up before the link
		// is cut waits for the server's next frame, and writes nothing.
		const window = 64 << 20
		srv := http.Server{Protocols: protocols, HTTP2: &http.HTTP2Config{MaxReceiveBufferPerConnection: window,
			MaxReceiveBufferPerStream: window}, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.CopyN(io.Discard, r.Body, 1<<20)
			cut.Store(true)
			_, _ = io.Copy(io.Discard, r.Body)
		})}
		go srv.Serve(l)
		defer srv.Close()
		const timeout = 5 * time.Second
		c := http.Client{Transport: &http.Transport{DialContext: client.DialContext, Protocols: protocols,
			HTTP2: &http.HTTP2Config{WriteByteTimeout: timeout}}}
		defer c.CloseIdleConnections()
		began := time.Now()
		resp, err := c.Post("http://"+l.Addr().String(), "text/plain", endless{})
		if err == nil {
			resp.Body.Close()
		}
		if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took < timeout || took > 4*timeout {
			t.Errorf("%v after %v", err, took)
		}
	})
}
