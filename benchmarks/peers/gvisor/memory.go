//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/link/loopback"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
)

// perPort is the number of connections to one port, so that the ports of one address are enough.
const perPort = 20_000

// weight is the output, with the names that the benchmark reads: octets of all connections together.
type weight struct {
	Heap, Resident, Kernel float64
	Setup                  time.Duration
}

// weigh makes idle connections, both ends of which are in this process without a goroutine that waits, and measures their
// memory.
func weigh(ctx context.Context, conns int) error {
	addr := netip.MustParsePrefix("10.9.0.2/24")
	s, err := newStack(loopback.New(), addr, true)
	if err != nil {
		return err
	}
	at := tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(addr.Addr().AsSlice())}
	held := make([]net.Conn, 0, 2*conns)
	before, err := now()
	if err != nil {
		return err
	}
	begin := time.Now()
	var ln *gonet.TCPListener
	for i := range conns {
		if i%perPort == 0 {
			at.Port = uint16(1000 + i/perPort)
			if ln, err = listen(s, at); err != nil {
				return err
			}
		}
		c, err := gonet.DialContextTCP(ctx, s, at, ipv4.ProtocolNumber)
		if err != nil {
			return fmt.Errorf("connection %d: %w", i+1, err)
		}
		peer, err := ln.Accept()
		if err != nil {
			return fmt.Errorf("connection %d: %w", i+1, err)
		}
		held = append(held, c, peer)
	}
	took := time.Since(begin)
	after, err := now()
	if err != nil {
		return err
	}
	runtime.KeepAlive(held)
	return json.NewEncoder(os.Stdout).Encode(weight{Heap: after.Heap - before.Heap, Resident: after.Resident - before.Resident, Setup: took})
}

// now returns the memory that is in use.
func now() (w weight, err error) {
	runtime.GC()
	runtime.GC() // a pool keeps its objects for one collection
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	w.Heap = float64(m.HeapInuse + m.OtherSys) // with the runtime's records, as for the others
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return w, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	if _, err := fmt.Sscan(rest, &w.Resident); err != nil {
		return w, fmt.Errorf("/proc/self/status, VmRSS: %w", err)
	}
	w.Resident *= 1024
	return w, nil
}
