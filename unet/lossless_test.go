package unet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// Where the network loses nothing, nothing is sent again and nothing is dropped, however small the buffers are
// and however slowly they are read: both ends write and read at once, and the windows close and open again and again.
func TestLossless(t *testing.T) {
	const size = 1 << 20
	for _, tt := range []struct {
		name   string
		link   sim.Config
		buffer int
		pause  time.Duration // of a reader, before each read
	}{
		{"at once", sim.Config{}, 4096, 0},
		{"at once, with offload", sim.Config{Offload: true}, 16384, 0},
		{"5 ms away", sim.Config{Delay: 5 * time.Millisecond}, 16384, 0},
		{"100 Mbit/s", sim.Config{Delay: time.Millisecond, Rate: 100e6}, 8192, 0},
		{"slow readers", sim.Config{Delay: time.Millisecond}, 8192, 3 * time.Millisecond},
		{"slow readers, with offload", sim.Config{Offload: true}, 65536, 100 * time.Millisecond},
	} {
		for conns := 1; conns <= 8; conns *= 8 {
			t.Run(fmt.Sprintf("%s, %d connections", tt.name, conns), func(t *testing.T) {
				inBubble(t, tt.link, func(t *testing.T, client, server *Host, _ *sim.Segment) {
					var wg sync.WaitGroup
					for i := range conns {
						c, s := connection(t, client, server)
						for _, end := range []*TCPConn{c, s} {
							if err := errors.Join(end.SetReadBuffer(tt.buffer), end.SetWriteBuffer(tt.buffer)); err != nil {
								t.Fatal(err)
							}
							text := random(byte(i), size/conns)
							wg.Go(func() {
								_, err := io.Copy(end, bytes.NewReader(text))
								if err := errors.Join(err, end.CloseWrite()); err != nil {
									t.Error(err)
								}
							})
							wg.Go(func() {
								if got, err := readSlowly(end, tt.pause); err != nil || !bytes.Equal(got, text) {
									t.Errorf("%d octets of %d, or others, %v", len(got), len(text), err)
								}
							})
						}
					}
					wg.Wait()
					time.Sleep(time.Second)
					nothingAgain(t, client.Stats(), server.Stats())
					nothingAgain(t, server.Stats(), client.Stats())
				})
			})
		}
	}
}

// readSlowly reads until the end of the stream, and pauses before each read.
func readSlowly(c *TCPConn, pause time.Duration) ([]byte, error) {
	var all []byte
	p := make([]byte, 3000)
	for {
		time.Sleep(pause)
		n, err := c.Read(p)
		all = append(all, p[:n]...)
		switch err {
		case nil:
		case io.EOF:
			return all, nil
		default:
			return all, err
		}
	}
}

// nothingAgain demands that a host's TCP has sent every segment once, and dropped none but those with which the peer
// probed a closed window.
func nothingAgain(t *testing.T, host, peer stack.Stats) {
	t.Helper()
	c := host.TCP
	got := tcp.Counters{Retransmitted: c.Retransmitted, Timeouts: c.Timeouts, FastRecoveries: c.FastRecoveries, DroppedPAWS: c.DroppedPAWS,
		DroppedBadACK: c.DroppedBadACK, DroppedNoACK: c.DroppedNoACK, DroppedPruned: c.DroppedPruned, DroppedReceiveFull: c.DroppedReceiveFull,
		ChallengeACKs: c.ChallengeACKs, ResetsOut: c.ResetsOut}
	if got != (tcp.Counters{}) || c.DroppedOutOfWindow > peer.TCP.Probes {
		t.Errorf("on a link that loses nothing: %+v", c)
	}
}
