package main

import (
	"errors"
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

// throughHosts measures a cell with two whole hosts on a segment, as RunLinux does with two kernels, in a bubble.
func throughHosts(t *testing.T, c Cell, seed int64, warmup, measured time.Duration) (goodput uint64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		segment := sim.NewSegment(c.path(seed))
		open := func(addr string) *unet.Host {
			h, err := unet.Open(unet.Config{Link: segment.Port(), Addrs: []netip.Prefix{netip.MustParsePrefix(addr)},
				Stack: stack.Config{TCP: tcp.Config{CongestionControl: c.Control, MaxRecvBuffer: buffers, MaxSendBuffer: buffers}}})
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		client, server := open("10.0.0.1/24"), open("10.0.0.2/24")
		ln, err := server.Listen("tcp", "10.0.0.2:80")
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan net.Conn, 1)
		go func() {
			if s, err := ln.Accept(); err == nil {
				accepted <- s
			}
		}()
		conn, err := client.Dial("tcp", "10.0.0.2:80")
		if err != nil {
			t.Fatal(err)
		}
		go write(conn)
		receiver := <-accepted
		until := func(at time.Time) uint64 {
			if err := receiver.SetReadDeadline(at); err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, struct{ io.Reader }{receiver})
			var timeout net.Error
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Fatal(err)
			}
			return uint64(n)
		}
		start := time.Now()
		until(start.Add(warmup))
		received := until(start.Add(warmup + measured))
		if err := errors.Join(conn.Close(), receiver.Close(), ln.Close(), client.Close(), server.Close(), segment.Close()); err != nil {
			t.Error(err)
		}
		goodput = bitRate(received, measured)
	})
	return goodput
}

// The lab has the TCBs alone. Whole hosts, with their queues, batches and goroutines, must come to the same.
func TestHostsComeToTheSame(t *testing.T) {
	for _, c := range []Cell{
		{Rate: 100e6, RTT: 20 * time.Millisecond, Loss: 0.01, Control: "cubic"},
		{Rate: 10e6, RTT: 100 * time.Millisecond, Loss: 0.01, Control: "reno"},
		{Rate: 10e6, RTT: 20 * time.Millisecond, Control: "cubic"},
	} {
		t.Run(c.String(), func(t *testing.T) {
			var alone, whole uint64
			const seeds, warmup, measured = 2, Warmup / 5, Measured / 2
			for seed := range int64(seeds) {
				r, err := Run(c, seed+1, warmup, measured)
				if err != nil {
					t.Fatal(err)
				}
				alone += r.Goodput / seeds
				whole += throughHosts(t, c, seed+1, warmup, measured) / seeds
			}
			t.Logf("%s Mbit/s through hosts, %s without", megabits(whole), megabits(alone))
			if ratio := float64(whole) / float64(alone); ratio < 0.8 || ratio > 1.25 {
				t.Errorf("%s Mbit/s through hosts, %s without", megabits(whole), megabits(alone))
			}
		})
	}
}
