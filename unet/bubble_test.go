package unet_test

import (
	"io"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/unet"
)

func TestSlowServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		segment := sim.NewSegment(sim.Config{Seed: 1, Delay: 100 * time.Millisecond, Loss: 0.02})
		defer segment.Close()
		open := func(addr string) *unet.Host {
			h, err := unet.Open(unet.Config{Link: segment.Port(), Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		server, client := open("10.0.0.2/24"), open("10.0.0.1/24")
		defer server.Close()
		defer client.Close()

		ln, err := server.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		srv := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(2 * time.Hour) // takes no time at all
			io.WriteString(w, "done")
		})}
		go srv.Serve(ln)
		defer srv.Close()

		c := http.Client{Timeout: 3 * time.Hour, Transport: &http.Transport{DialContext: client.DialContext}}
		defer c.CloseIdleConnections()
		began := time.Now()
		resp, err := c.Get("http://10.0.0.2/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || string(body) != "done" {
			t.Errorf("%q, %v", body, err)
		}
		resp.Body.Close()
		if took := time.Since(began); took < 2*time.Hour || took > 2*time.Hour+10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}
