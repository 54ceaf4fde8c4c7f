package unet_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
	"github.com/unet-go/unet/unet"
)

// farConnection is a connection whose round trips take a tenth of a second, in a bubble. Hosts and ends are closed with
// the test.
func farConnection(t *testing.T, control string, offload bool) (client, server *unet.TCPConn) {
	segment := sim.NewSegment(sim.Config{Delay: 50 * time.Millisecond, Offload: offload})
	t.Cleanup(func() { _ = segment.Close() })
	open := func(addr string) *unet.Host {
		h, err := unet.Open(unet.Config{Link: segment.Port(), Addrs: []netip.Prefix{netip.MustParsePrefix(addr)},
			Stack: stack.Config{TCP: tcp.Config{CongestionControl: control}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		return h
	}
	a, b := open("10.0.0.1/24"), open("10.0.0.2/24")
	l, err := b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := a.Dial("tcp", "10.0.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	client, server = dialled.(*unet.TCPConn), accepted.(*unet.TCPConn)
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return client, server
}

// answer writes n octets for each request of one octet, n being what sizes says next, and then ends the stream.
func answer(c net.Conn, sizes []int) error {
	var request [1]byte
	for _, n := range sizes {
		if _, err := io.ReadFull(c, request[:]); err != nil {
			return err
		}
		if _, err := c.Write(make([]byte, n)); err != nil {
			return err
		}
	}
	return c.(*unet.TCPConn).CloseWrite()
}

// TestLimitedResponses holds what the application's limits do to cwnd: responses that double take one round trip each,
// to the nanosecond, and those that come nowhere near cwnd leave it as it was.
func TestLimitedResponses(t *testing.T) {
	for _, control := range []string{"cubic", "reno"} {
		for _, offload := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s offload %v", control, offload), func(t *testing.T) {
				testLimitedResponses(t, control, offload)
			})
		}
	}
}

func testLimitedResponses(t *testing.T, control string, offload bool) {
	const mss = 1448 // with timestamps
	run := func(t *testing.T, segments []int, cwnd int) {
		synctest.Test(t, func(t *testing.T) {
			client, server := farConnection(t, control, offload)
			if got := server.Info().SndCwnd; got != 10*mss {
				t.Fatalf("cwnd is %d at first", got)
			}
			sizes := make([]int, len(segments))
			for i, n := range segments {
				sizes[i] = n * mss
			}
			done := make(chan error, 1)
			go func() { done <- answer(server, sizes) }()
			buf := make([]byte, 1<<20)
			for i, n := range sizes {
				began := time.Now()
				if _, err := client.Write(buf[:1]); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(client, buf[:n]); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took != 100*time.Millisecond {
					t.Errorf("%d segments took %v, want one round trip", segments[i], took)
				}
			}
			began := time.Now()
			if _, err := client.Read(buf); err != io.EOF || time.Since(began) != 0 {
				t.Errorf("%v %v after the last response, want EOF with it", err, time.Since(began))
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if got := server.Info().SndCwnd; int(got)/mss != cwnd {
				t.Errorf("cwnd is %v segments in the end, want %d", float64(got)/mss, cwnd)
			}
		})
	}
	t.Run("C-CC-10 doubling", func(t *testing.T) { run(t, []int{10, 20, 40, 80, 160}, 320) })
	t.Run("C-CC-10 never near cwnd", func(t *testing.T) {
		small := make([]int, 100)
		for i := range small {
			small[i] = 1 + i%4
		}
		run(t, small, 10)
	})
	t.Run("C-CC-10 once large, then small", func(t *testing.T) { run(t, []int{10, 3, 2, 20, 4, 19}, 40) })
}
