package unet

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

// TestTrains sends several datagrams by a call and reads them by one, and one by one.
func TestTrains(t *testing.T) {
	manyAddresses(t, func(t *testing.T, client, server *Host) {
		p, c := packetSocket(t, server, "udp", ":53"), packetSocket(t, client, "udp", ":0")
		if err := p.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		b, oob := make([]byte, 3500), make([]byte, 100)
		for _, at := range serverAddresses {
			to := &net.UDPAddr{IP: net.ParseIP(at), Port: 53}
			m := ControlMessage{SegmentSize: 1000}
			segments := m.Append(nil, to.AddrPort().Addr())
			send := func() {
				t.Helper()
				if n, _, err := c.WriteMsgUDP(make([]byte, 4200), segments, to); n != 4200 || err != nil {
					t.Fatal(n, err)
				}
				time.Sleep(time.Second)
			}
			send()
			for _, want := range []int{1000, 1000, 1000, 1000, 200} {
				if n, _, _, _, err := p.ReadMsgUDP(b, oob); n != want || err != nil {
					t.Errorf("read %d, %v; want %d", n, err, want)
				}
			}
			if err := p.SetControlMessage(ControlSegments, true); err != nil {
				t.Fatal(err)
			}
			send()
			for _, want := range []struct{ n, size int }{{3000, 1000}, {1200, 1000}} {
				n, oobn, flags, _, err := p.ReadMsgUDP(b, oob)
				if told, _ := ParseControlMessage(oob[:oobn]); n != want.n || int(told.SegmentSize) != want.size || flags != 0 || err != nil {
					t.Errorf("read %d in datagrams of %d, flags %#x, %v; want %d and %d", n, told.SegmentSize, flags, err, want.n, want.size)
				}
			}
			if err := errors.Join(p.SetControlMessage(ControlSegments, false), c.SetSegmentSize(700)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.WriteToUDP(make([]byte, 800), to); err != nil {
				t.Error(err)
			}
			for _, want := range []int{700, 100} {
				if n, _, err := p.ReadFromUDP(b); n != want || err != nil {
					t.Errorf("read %d, %v; want %d", n, err, want)
				}
			}
			err := c.SetSegmentSize(1473)
			_, err1 := c.WriteToUDP(make([]byte, 2000), to)
			err2 := c.SetSegmentSize(1)
			_, err3 := c.WriteToUDP(make([]byte, 65), to)
			if err := errors.Join(err, is(err1, syscall.EMSGSIZE), err2, is(err3, syscall.EINVAL), c.SetSegmentSize(0), is(c.SetSegmentSize(-1), syscall.EINVAL)); err != nil {
				t.Error(err)
			}
		}
	})
}
