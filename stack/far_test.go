//go:build !race

package stack

import (
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
)

// TestFarStream sends a little more than 2 GiB one way, and then the other end talks back and both close (RFC 9293 3.4).
func TestFarStream(t *testing.T) {
	inNetwork(t, "2 GiB down, a megabyte up", sim.Config{Offload: true, MTU: 9000, Delay: 100 * time.Microsecond}, func(n *network) {
		client, server := n.connect()
		n.pour(server, client, 1<<31+100_000)
		n.pour(client, server, 1<<20)
		n.must(client.CloseWrite())
		n.reads(server, "EOF")
		n.pour(server, client, 1<<20)
		n.must(server.Close())
		n.reads(client, "EOF")
		n.must(client.Close())
		time.Sleep(time.Second)
		if g := n.a.Stats().TCPGauges; g.Connections() != 0 {
			n.Errorf("client: %+v", g)
		}
	})
}

// pour sends n octets from one end to the other.
func (n *network) pour(from, to *TCPConn, octets int) {
	n.Helper()
	began := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1<<20)
		for left := octets; left > 0; {
			k, err := to.Read(b[:min(len(b), left)])
			if err != nil || k == 0 {
				n.Errorf("read with %d to go: %d, %v", left, k, err)
				return
			}
			left -= k
		}
	}()
	b := make([]byte, 1<<20)
	for left := octets; left > 0; {
		k, err := from.Write(b[:min(len(b), left)])
		if err != nil {
			n.Errorf("write with %d to go: %v", left, err)
			break
		}
		left -= k
	}
	<-done
	if took, most := time.Since(began), time.Duration(octets/1000)*time.Microsecond+time.Second; took > most {
		n.Errorf("%d octets take %v, want %v at most", octets, took, most)
	}
}
