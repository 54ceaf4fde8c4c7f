package unet

import (
	"io"
	"net"
	"runtime"
	"testing"
	"unsafe"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
)

func TestIdleConnections(t *testing.T) {
	count := 100_000
	if testing.Short() || raceEnabled {
		count = 5000
	}
	for name, addrs := range map[string][2]string{"": {clientIP + "/24", serverIP + "/24"}, " (IPv6)": {"fd00::1/64", "fd00::2/64"}} {
		t.Run("E-GO-16 idle connections cost no goroutine, and leave nothing"+name, func(t *testing.T) { idleConnections(t, count, addrs) })
	}
}

func idleConnections(t *testing.T, count int, addrs [2]string) {
	segment := sim.NewSegment(sim.Config{})
	t.Cleanup(func() { _ = segment.Close() })
	deep := sim.PortConfig{Queue: 1 << 20} // loses nothing when all close at once
	client, server := openPort(t, segment.NewPort(deep), addrs[0], stack.Config{}), openPort(t, segment.NewPort(deep), addrs[1], stack.Config{})
	var listeners []*TCPListener
	for range (count + 19_999) / 20_000 { // four-tuples for all from one address
		listeners = append(listeners, listen(t, server))
	}
	conns := make([]net.Conn, 0, 2*count)
	before := runtime.NumGoroutine()
	memory := memoryNow()
	for i := range count {
		l := listeners[i%len(listeners)]
		c, err := client.DialTCP("tcp", nil, l.addr)
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c, s)
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines with %d connections, %d before", after, count, before)
	}
	each := (memoryNow() - memory) / uint64(len(conns))
	t.Logf("%d octets for each end", each)
	if count >= 100_000 && each > 576 {
		t.Errorf("%d octets for each end, more than 576", each)
	}
	for _, c := range conns {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range []*Host{client, server} {
		for g := h.Stats().TCPGauges; g.Connections() != 0; g = h.Stats().TCPGauges {
			runtime.Gosched()
		}
	}
}

// memoryNow returns the octets of the heap and of the runtime's own records, one for each finalizer among them.
func memoryNow() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.OtherSys
}

func BenchmarkRequest(b *testing.B) {
	client, server, _ := pair(b, sim.Config{Offload: true})
	c, s := connection(b, client, server)
	go func() { _, _ = io.Copy(struct{ io.Writer }{s}, struct{ io.Reader }{s}) }()
	p := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.Write(p)
		if _, err := io.ReadFull(c, p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStream(b *testing.B) {
	client, server, _ := pair(b, sim.Config{Offload: true})
	c, s := connection(b, client, server)
	go func() { _, _ = io.Copy(io.Discard, s) }()
	p := make([]byte, 64<<10)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(p); err != nil {
			b.Fatal(err)
		}
	}
}

// What a connection takes beside the record of package stack. Each record ends in one of the allocator's size classes.
func TestSizes(t *testing.T) {
	const finalizer = 56 // octets that the runtime keeps for each, of which nothing tells
	for _, x := range []struct {
		name     string
		got, max uintptr
	}{
		{"TCPConn", unsafe.Sizeof(TCPConn{}), 16},
		{"tcpHandle", unsafe.Sizeof(tcpHandle{}), 32},
		{"all of an idle connection", unsafe.Sizeof(stack.TCPConn{}) + unsafe.Sizeof(TCPConn{}) + unsafe.Sizeof(tcpHandle{}) + finalizer, 576 - 56}, // the tables have the rest
	} {
		if x.got > x.max {
			t.Errorf("%s: %d octets, more than %d", x.name, x.got, x.max)
		}
	}
}
