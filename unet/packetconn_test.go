package unet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/stack/sim"
)

// TestPacketConn is for net.PacketConn what nettest.TestConn of golang.org/x/net is for net.Conn: that has no suite for
// packets. It runs over both families, in fake time.
func TestPacketConn(t *testing.T) {
	suite := map[string]func(t *testing.T, a, b net.PacketConn){
		"basic": packetBasic, "racy reads": packetRacyReads, "racy writes": packetRacyWrites, "past deadline": packetPastDeadline,
		"present deadline": packetPresentDeadline, "future deadline": packetFutureDeadline, "close": packetClose,
		"concurrent methods": packetConcurrent,
	}
	for _, f := range testFamilies {
		for name, test := range suite {
			t.Run("E-GO-14 "+name+f.suffix, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client, server := f.pair(t, sim.Config{Delay: time.Millisecond})
					a := packetSocket(t, client, "udp", net.JoinHostPort(f.client, "0"))
					b := packetSocket(t, server, "udp", net.JoinHostPort(f.server, "0"))
					// One datagram finds the neighbour: more than a few would not be kept meanwhile.
					if _, err := a.WriteTo(nil, b.LocalAddr()); err != nil {
						t.Fatal(err)
					}
					if _, _, err := b.ReadFrom(nil); err != nil {
						t.Fatal(err)
					}
					test(t, a, b)
				})
			})
		}
	}
}

// packetBasic sends numbered datagrams of many lengths to and fro; each arrives whole, in order, and from its sender.
func packetBasic(t *testing.T, a, b net.PacketConn) {
	for n := range 200 {
		for _, x := range [][2]net.PacketConn{{a, b}, {b, a}} {
			p := bytes.Repeat([]byte{byte(n)}, n*7)
			if k, err := x[0].WriteTo(p, x[1].LocalAddr()); k != len(p) || err != nil {
				t.Fatal(k, err)
			}
			buf := make([]byte, 2000)
			k, from, err := x[1].ReadFrom(buf)
			if err != nil || !bytes.Equal(buf[:k], p) || from.String() != x[0].LocalAddr().String() || from.Network() != "udp" {
				t.Fatalf("datagram %d: %d octets from %v, %v", n, k, from, err)
			}
		}
	}
}

// packetRacyReads has several readers share the datagrams: each datagram goes to one of them.
func packetRacyReads(t *testing.T, a, b net.PacketConn) {
	const readers, each = 8, 25
	seen := make(chan uint32, readers*each)
	var group sync.WaitGroup
	for range readers {
		group.Go(func() {
			buf := make([]byte, 100)
			for range each {
				n, _, err := b.ReadFrom(buf)
				if err != nil || n != 4 {
					t.Error(n, err)
					return
				}
				seen <- binary.BigEndian.Uint32(buf)
			}
		})
	}
	for i := range uint32(readers * each) {
		if _, err := a.WriteTo(binary.BigEndian.AppendUint32(nil, i), b.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	group.Wait()
	close(seen)
	all := make(map[uint32]bool)
	for i := range seen {
		all[i] = true
	}
	if len(all) != readers*each {
		t.Errorf("%d different datagrams were read, want %d", len(all), readers*each)
	}
}

// packetRacyWrites has several writers: no datagram is torn, and those of one writer stay in order.
func packetRacyWrites(t *testing.T, a, b net.PacketConn) {
	const writers, each = 8, 25
	for w := range writers {
		go func() {
			for i := range each {
				if _, err := a.WriteTo(bytes.Repeat([]byte{byte(w), byte(i)}, 20), b.LocalAddr()); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	next := make(map[byte]byte)
	buf := make([]byte, 100)
	for range writers * each {
		n, _, err := b.ReadFrom(buf)
		if err != nil || n != 40 || !bytes.Equal(buf[:n], bytes.Repeat(buf[:2], 20)) || buf[1] != next[buf[0]] {
			t.Fatalf("% x, %v", buf[:n], err)
		}
		next[buf[0]]++
	}
}

// timedOut demands the error of a deadline.
func timedOut(t *testing.T, err error) {
	t.Helper()
	var ne net.Error
	if !errors.As(err, &ne) || !ne.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want a timeout", err)
	}
}

// packetPastDeadline fails at once after a deadline that has passed, even if there is a datagram, and not without one.
func packetPastDeadline(t *testing.T, a, b net.PacketConn) {
	past := time.Unix(1, 0)
	if _, err := a.WriteTo([]byte("x"), b.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if err := errors.Join(b.SetDeadline(past), a.SetWriteDeadline(past)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 9)
	_, _, err := b.ReadFrom(buf)
	timedOut(t, err)
	_, err = a.WriteTo(buf, b.LocalAddr())
	timedOut(t, err)
	if err := errors.Join(b.SetDeadline(time.Time{}), a.SetWriteDeadline(time.Time{})); err != nil {
		t.Fatal(err)
	}
	if n, _, err := b.ReadFrom(buf); n != 1 || err != nil {
		t.Error(n, err)
	}
	if _, err := a.WriteTo(buf, b.LocalAddr()); err != nil {
		t.Error(err)
	}
}

// packetPresentDeadline ends a read that waits by a deadline of now.
func packetPresentDeadline(t *testing.T, a, _ net.PacketConn) {
	ended := make(chan error)
	go func() {
		_, _, err := a.ReadFrom(make([]byte, 9))
		ended <- err
	}()
	synctest.Wait()
	if err := a.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	timedOut(t, <-ended)
}

// packetFutureDeadline ends reads when it passes, and again those that come later.
func packetFutureDeadline(t *testing.T, a, _ net.PacketConn) {
	began := time.Now()
	if err := a.SetReadDeadline(began.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, _, err := a.ReadFrom(make([]byte, 9))
		timedOut(t, err)
		if took := time.Since(began); took != time.Minute {
			t.Errorf("after %v", took)
		}
	}
}

// packetClose wakes a read that waits, and fails what comes later.
func packetClose(t *testing.T, a, b net.PacketConn) {
	ended := make(chan error)
	go func() {
		_, _, err := a.ReadFrom(make([]byte, 9))
		ended <- err
	}()
	synctest.Wait()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, err1 := a.ReadFrom(make([]byte, 9))
	_, err2 := a.WriteTo([]byte("x"), b.LocalAddr())
	for _, err := range []error{<-ended, err1, err2, a.SetDeadline(time.Time{}), a.Close()} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v, want net.ErrClosed", err)
		}
	}
	if a.LocalAddr() == nil {
		t.Error("no LocalAddr after Close")
	}
}

// packetConcurrent calls all methods at once, which the race detector watches.
func packetConcurrent(t *testing.T, a, b net.PacketConn) {
	var group sync.WaitGroup
	for range 20 {
		for _, call := range []func(){
			func() { _, _ = a.WriteTo(make([]byte, 9), b.LocalAddr()) },
			func() { _, _, _ = a.ReadFrom(make([]byte, 9)) },
			func() { _ = a.SetDeadline(time.Now().Add(time.Second)) },
			func() { _ = a.SetReadDeadline(time.Now().Add(time.Second)) },
			func() { _ = a.SetWriteDeadline(time.Now().Add(time.Second)) },
			func() { _ = fmt.Sprint(a.LocalAddr()) },
		} {
			group.Go(call)
		}
	}
	group.Wait()
}
