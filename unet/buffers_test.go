package unet

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack/sim"
)

// timeThrough sends octets from c to s in writes of chunk octets, and returns how long that took.
func timeThrough(t *testing.T, c, s *TCPConn, octets, chunk int) time.Duration {
	t.Helper()
	wrote := make(chan error, 1)
	go func() {
		b := make([]byte, chunk)
		for range octets / chunk {
			if _, err := c.Write(b); err != nil {
				wrote <- err
				return
			}
		}
		wrote <- c.CloseWrite()
	}()
	start := time.Now()
	n, err := io.Copy(io.Discard, s)
	took := time.Since(start)
	if err := errors.Join(err, <-wrote); err != nil || n != int64(octets) {
		t.Fatalf("%d octets arrived of %d: %v", n, octets, err)
	}
	return took
}

// TestSmallBuffers sends over connections whose buffers are the smallest that there are: none is smaller than Linux's,
// and what they hold leaves in each round trip, without a wait for a delayed acknowledgment.
func TestSmallBuffers(t *testing.T) {
	const octets, trip = 200_000, 2 * time.Millisecond
	for _, buffers := range []struct{ write, read, window int }{{1, 0, 4608}, {1000, 0, 4608}, {4607, 0, 4608}, {0, 1, 2304}, {0, 1000, 2304},
		{1, 1, 2304}, {-1, -1, 2304}, {10_000, 0, 10_000}} {
		for _, noDelay := range []bool{true, false} {
			for _, chunk := range []int{octets, 1000, 100} {
				name := fmt.Sprintf("write buffer %d, read buffer %d, NoDelay %v, writes of %d", buffers.write, buffers.read, noDelay, chunk)
				t.Run(name, func(t *testing.T) {
					inBubble(t, sim.Config{Delay: trip / 2}, func(t *testing.T, client, server *Host, _ *sim.Segment) {
						c, s := connection(t, client, server)
						err := c.SetNoDelay(noDelay)
						if buffers.write != 0 {
							err = errors.Join(err, c.SetWriteBuffer(buffers.write))
						}
						if buffers.read != 0 {
							err = errors.Join(err, s.SetReadBuffer(buffers.read))
						}
						if err != nil {
							t.Fatal(err)
						}
						// Half of the buffer a round trip is what Nagle's algorithm leaves of writes that do not fill segments.
						// A partial segment may wait 200 ms, once, for the window that was offered before.
						if took := timeThrough(t, c, s, octets, chunk); took > octets/(time.Duration(buffers.window)/5*2)*trip+200*time.Millisecond {
							t.Errorf("took %v, %d octets a round trip", took, octets*trip/took)
						}
						if err := errors.Join(c.Close(), s.Close()); err != nil {
							t.Error(err)
						}
					})
				})
			}
		}
	}
	t.Run("within a host, whose segments are larger than the buffers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server, segment := pair(t, sim.Config{})
			for _, size := range []int{1, 1000, 20_000} {
				c, s := connection(t, server, server)
				if err := errors.Join(c.SetWriteBuffer(size), c.SetNoDelay(size > 1)); err != nil {
					t.Fatal(err)
				}
				if took := timeThrough(t, c, s, octets, octets); took > 100*time.Millisecond {
					t.Errorf("%d octets took %v with a write buffer of %d", octets, took, size)
				}
				if err := errors.Join(c.Close(), s.Close()); err != nil {
					t.Error(err)
				}
			}
			if err := errors.Join(client.Close(), server.Close(), segment.Close()); err != nil {
				t.Error(err)
			}
		})
	})
}
