//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"

	"github.com/unet-go/unet/unet"
)

// bulk measures streams at their greatest speed.
var bulk = part{
	name: "bulk", title: "Bulk", rows: "direction", unit: "GB/s", scale: 1e-9, per: "GB", families: true, procs: true, server: &streamServer,
	points: func(*options) []point {
		return []point{
			{Name: "server to client, 1 stream", Conns: 1, mode: "down"},
			{Name: "client to server, 1 stream", Conns: 1, mode: "up"},
			{Name: "server to client, 8 streams", Conns: 8, mode: "down"},
			{Name: "client to server, 8 streams", Conns: 8, mode: "up"},
		}
	},
	measure: func(ctx context.Context, t *turn) (Sample, error) {
		var r bulkResult
		used, err := t.server.busy(func() error {
			return t.lab.client(ctx, &r, "bulk-client", "-target", t.server.target, "-mode", t.at.mode,
				"-streams", strconv.Itoa(t.at.Conns), "-duration", t.options.Duration.String())
		})
		if err != nil {
			return Sample{}, err
		}
		if r.Octets == 0 {
			return Sample{}, errors.New("nothing arrived")
		}
		gigabytes := float64(r.Octets) * 1e-9
		return Sample{Rate: float64(r.Octets) / r.Took.Seconds(), CPU: time.Duration(float64(used.process) / gigabytes),
			Machine: time.Duration(float64(used.machine) / gigabytes)}, nil
	},
}

// bulkResult is the output of the client: the counts of the receiver.
type bulkResult struct {
	Octets int64
	Took   time.Duration
}

// chunk is the size in octets of a read or a write.
const chunk = 256 << 10

// The first octet that a client sends.
const (
	sendToMe = 'd'
	readMine = 'u' // the answer to the last octet is their number
)

func bulkClient(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("bulk-client", flag.ContinueOnError)
	target := flags.String("target", "", "host:port")
	mode := flags.String("mode", "down", "down or up")
	streams := flags.Int("streams", 1, "number of connections")
	duration := flags.Duration("duration", time.Second, "how long")
	if err := flags.Parse(args); err != nil {
		return err
	}
	transfer := download
	if *mode == "up" {
		transfer = upload
	}
	conns := make([]*net.TCPConn, *streams)
	for i := range conns {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", *target)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(*duration + patience)); err != nil {
			return err
		}
		conns[i] = c.(*net.TCPConn)
	}
	r, err := transferAll(conns, transfer, *duration)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(r)
}

// transferAll transfers over all connections at once.
func transferAll(conns []*net.TCPConn, transfer func(*net.TCPConn, time.Duration) (*bulkResult, error), duration time.Duration) (*bulkResult, error) {
	results, errs := make([]bulkResult, len(conns)), make([]error, len(conns))
	var all sync.WaitGroup
	for i, c := range conns {
		all.Go(func() {
			r, err := transfer(c, duration)
			if errs[i] = err; err == nil {
				results[i] = *r
			}
		})
	}
	all.Wait()
	var total bulkResult
	for _, r := range results {
		total.Octets += r.Octets
		total.Took = max(total.Took, r.Took)
	}
	return &total, errors.Join(errs...)
}

func download(c *net.TCPConn, duration time.Duration) (*bulkResult, error) {
	if _, err := c.Write([]byte{sendToMe}); err != nil {
		return nil, err
	}
	buf := make([]byte, chunk)
	var r bulkResult
	begin := time.Now()
	for r.Took < duration {
		n, err := c.Read(buf)
		r.Octets += int64(n)
		r.Took = time.Since(begin)
		if err != nil {
			return nil, err
		}
	}
	return &r, nil
}

func upload(c *net.TCPConn, duration time.Duration) (*bulkResult, error) {
	if _, err := c.Write([]byte{readMine}); err != nil {
		return nil, err
	}
	buf := make([]byte, chunk)
	var sent int64
	begin := time.Now()
	for time.Since(begin) < duration {
		n, err := c.Write(buf)
		sent += int64(n)
		if err != nil {
			return nil, err
		}
	}
	if err := c.CloseWrite(); err != nil {
		return nil, err
	}
	var count [8]byte
	if _, err := io.ReadFull(c, count[:]); err != nil {
		return nil, err
	}
	r := bulkResult{Octets: int64(binary.BigEndian.Uint64(count[:])), Took: time.Since(begin)}
	if r.Octets != sent {
		return nil, fmt.Errorf("%d octets of %d arrived", r.Octets, sent)
	}
	return &r, nil
}

// bulkServer serves streams on unet or, without -dev, on the kernel's TCP, until ctx ends.
func bulkServer(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("bulk-server", flag.ContinueOnError)
	listen := flags.String("listen", "", "host:port")
	device := flags.String("dev", "", "TAP device")
	addr := flags.String("addr", "", "own address with prefix length")
	peer := flags.String("peer", "", "the kernel's")
	profile := flags.String("cpuprofile", "", "file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	listener := net.Listen
	if *device != "" {
		ours, err := netip.ParsePrefix(*addr)
		if err != nil {
			return err
		}
		theirs, err := netip.ParsePrefix(*peer)
		if err != nil {
			return err
		}
		host, err := unet.Open(unet.Config{Device: *device, Addrs: []netip.Prefix{ours}, PeerAddrs: []netip.Prefix{theirs}})
		if err != nil {
			return err
		}
		defer host.Close()
		listener = host.Listen
	}
	ln, err := listener("tcp", *listen)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	fmt.Fprintln(stdout, "serves", ln.Addr())
	for {
		c, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		go serveStream(c)
	}
}

// serveStream serves one stream. It is no error if the client closes the connection at the end of its time.
func serveStream(c net.Conn) {
	defer c.Close()
	buf := make([]byte, chunk)
	if _, err := io.ReadFull(c, buf[:1]); err != nil {
		return
	}
	if buf[0] == sendToMe {
		for {
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	}
	var octets uint64
	for {
		n, err := c.Read(buf)
		octets += uint64(n)
		if err != nil {
			_, _ = c.Write(binary.BigEndian.AppendUint64(nil, octets))
			return
		}
	}
}
