package unet

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack/capture"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

// brokenLink is a device of which a test can make Read fail.
type brokenLink struct {
	link.Device
	frames chan []link.Frame
	fail   chan error
}

func newBrokenLink(dev link.Device) *brokenLink {
	d := &brokenLink{Device: dev, frames: make(chan []link.Frame), fail: make(chan error)}
	go func() {
		defer close(d.frames)
		for {
			frames := make([]link.Frame, 4)
			n, err := dev.Read(frames)
			if err != nil {
				return
			}
			d.frames <- frames[:n]
		}
	}()
	return d
}

func (d *brokenLink) Read(frames []link.Frame) (int, error) {
	select {
	case got, ok := <-d.frames:
		if !ok {
			return 0, link.ErrClosed
		}
		return copy(frames, got), nil
	case err := <-d.fail:
		return 0, err
	}
}

func TestDeviceFails(t *testing.T) {
	for _, captured := range []bool{false, true} {
		t.Run(fmt.Sprintf("captured %v", captured), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { deviceFails(t, captured) })
		})
	}
}

func deviceFails(t *testing.T, captured bool) {
	segment := sim.NewSegment(sim.Config{})
	defer segment.Close()
	client, err := Open(Config{Link: segment.Port(), Addrs: prefixes("10.0.0.1/24")})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	broken := newBrokenLink(segment.Port())
	dev := link.Device(broken)
	if captured {
		dev = capture.NewText(broken, io.Discard)
	}
	h, err := Open(Config{Link: dev, Addrs: prefixes("10.0.0.2/24")})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	l, err := h.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	u, err := h.ListenPacket("udp", ":53")
	if err != nil {
		t.Fatal(err)
	}
	// A request whose handler reads a body that does not come, while the server waits for more.
	read := make(chan error, 1)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		read <- err
	})}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	c, err := client.Dial("tcp", "10.0.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf"); err != nil {
		t.Fatal(err)
	}
	received := make(chan error, 1)
	go func() {
		_, _, err := u.ReadFrom(make([]byte, 9))
		received <- err
	}()
	dialed := make(chan error, 1)
	go func() {
		_, err := h.Dial("tcp", "10.0.0.1:81") // nobody answers: the frames of the client's host go nowhere
		dialed <- err
	}()
	synctest.Wait()
	<-dialed
	for range 10 { // which pass
		broken.fail <- syscall.EINTR
	}
	synctest.Wait()
	if h.Err() != nil {
		t.Fatalf("Err() = %v after errors that pass", h.Err())
	}
	broken.fail <- link.ErrGone
	<-h.Done()
	for what, err := range map[string]error{"Serve": <-served, "read of a body": <-read, "ReadFrom": <-received} {
		var op *net.OpError
		if !errors.Is(err, syscall.ENETDOWN) || !errors.As(err, &op) || op.Timeout() || op.Temporary() {
			t.Errorf("%s: %T %v, want an OpError with ENETDOWN", what, err, err)
		}
	}
	if err := h.Err(); !errors.Is(err, syscall.ENETDOWN) || !errors.Is(err, link.ErrGone) {
		t.Errorf("Err() = %v", err)
	}
	began := time.Now()
	for _, network := range []string{"tcp", "udp"} {
		_, err := h.Dial(network, "10.0.0.1:80")
		if want := "dial " + network + " 10.0.0.1:80: connect: network is down"; fmt.Sprint(err) != want {
			t.Errorf("Dial: %v, want %s", err, want)
		}
	}
	if _, err := h.Listen("tcp", ":80"); fmt.Sprint(err) != "listen tcp :80: bind: network is down" {
		t.Errorf("Listen: %v", err)
	}
	if time.Since(began) != 0 {
		t.Error("that took time")
	}
	loopbackGoesOn(t, h)
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if errors.Is(h.Err(), net.ErrClosed) {
		t.Errorf("Err() = %v after Close, want what it was before", h.Err())
	}
}

// loopbackGoesOn checks that a host serves itself.
func loopbackGoesOn(t *testing.T, h *Host) {
	t.Helper()
	l, err := h.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := h.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if s, err := l.Accept(); err != nil {
		t.Error(err)
	} else {
		s.Close()
	}
	p, err := h.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	from, err := h.Dial("udp", p.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	if _, err := from.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if n, _, err := p.ReadFrom(make([]byte, 9)); n != 1 || err != nil {
		t.Errorf("ReadFrom: %d, %v", n, err)
	}
}

func TestErrAfterClose(t *testing.T) {
	h, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if h.Err() != nil {
		t.Errorf("Err() = %v of an open host", h.Err())
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if <-h.Done(); h.Err() != net.ErrClosed || os.IsTimeout(h.Err()) {
		t.Errorf("Err() = %v, want net.ErrClosed", h.Err())
	}
}
