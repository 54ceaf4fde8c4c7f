package stack

import (
	"net/netip"
	"runtime"
	"testing"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// inReal returns two hosts on a perfect segment in real time.
func inReal(b testing.TB) (x, y *Host) {
	b.Helper()
	wire := sim.NewSegment(sim.Config{Offload: true})
	hosts := [2]*Host{}
	for i, addr := range []netip.Addr{addrA, addrB} {
		h, err := New(Config{})
		if err == nil {
			err = h.Attach(wire.Port(), Interface{Addrs: []netip.Prefix{netip.PrefixFrom(addr, 24)}})
		}
		if err != nil {
			b.Fatal(err)
		}
		hosts[i] = h
	}
	b.Cleanup(func() {
		for _, h := range hosts {
			if err := h.Close(); err != nil {
				b.Error(err)
			}
		}
		_ = wire.Close()
	})
	return hosts[0], hosts[1]
}

func listenOn(b testing.TB, h *Host) *Listener {
	b.Helper()
	o := tcp.DefaultOptions()
	o.NoDelay = true
	binding, err := h.BindTCP(netip.MustParseAddrPort("0.0.0.0:80"), BindOptions{ReuseAddr: true})
	if err != nil {
		b.Fatal(err)
	}
	l, err := h.ListenTCP(binding, 1024, o)
	if err != nil {
		b.Fatal(err)
	}
	return l
}

func connectedTo(b testing.TB, x *Host, l *Listener) (client, server *TCPConn) {
	b.Helper()
	o := tcp.DefaultOptions()
	o.NoDelay = true
	client, err := x.ConnectTCP(nil, netip.AddrPortFrom(addrB, 80), o)
	if err == nil {
		err = client.WaitConnect()
	}
	if err != nil {
		b.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	return client, server
}

// BenchmarkEcho is a round trip of 100 octets between two goroutines.
func BenchmarkEcho(b *testing.B) {
	x, y := inReal(b)
	l := listenOn(b, y)
	client, server := connectedTo(b, x, l)
	go func() {
		p := make([]byte, 4096)
		for {
			n, err := server.Read(p)
			if n == 0 || err != nil {
				return
			}
			if _, err := server.Write(p[:n]); err != nil {
				return
			}
		}
	}()
	p := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Write(p); err != nil {
			b.Fatal(err)
		}
		if _, err := client.Read(p); err != nil {
			b.Fatal(err)
		}
	}
	_ = client.Close()
}

// BenchmarkBulk moves 64 KiB at a time in one direction.
func BenchmarkBulk(b *testing.B) {
	x, y := inReal(b)
	l := listenOn(b, y)
	client, server := connectedTo(b, x, l)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := make([]byte, 1<<18)
		for {
			if n, err := server.Read(p); n == 0 || err != nil {
				return
			}
		}
	}()
	p := make([]byte, 1<<16)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Write(p); err != nil {
			b.Fatal(err)
		}
	}
	_ = client.CloseWrite()
	<-done
}

// BenchmarkConnect opens and resets a connection.
func BenchmarkConnect(b *testing.B) {
	x, y := inReal(b)
	l := listenOn(b, y)
	b.ReportAllocs()
	for b.Loop() {
		client, server := connectedTo(b, x, l)
		client.Abort()
		server.Abort()
	}
}

// BenchmarkIdle reports the memory of idle connections, both ends.
func BenchmarkIdle(b *testing.B) {
	x, y := inReal(b)
	l := listenOn(b, y)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const conns = 20000
	ends := make([]*TCPConn, 0, 2*conns)
	for range conns {
		client, server := connectedTo(b, x, l)
		ends = append(ends, client, server)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	for b.Loop() {
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(2*conns)-8, "octets/end")
	runtime.KeepAlive(ends)
}
