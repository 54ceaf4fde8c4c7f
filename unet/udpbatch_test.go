package unet

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// The messages of x/net's packages convert to ours, and back.
var (
	_ = Message(ipv4.Message{})
	_ = ipv6.Message(Message{})
)

// TestBatches sends and receives several datagrams by a call.
func TestBatches(t *testing.T) {
	manyAddresses(t, func(t *testing.T, client, server *Host) {
		p, c := packetSocket(t, server, "udp", ":53"), packetSocket(t, client, "udp", ":0")
		if err := errors.Join(p.SetControlMessage(ControlPacketInfo|ControlTTL, true), p.SetReadDeadline(time.Now().Add(time.Minute))); err != nil {
			t.Fatal(err)
		}
		var out []Message
		for i, at := range serverAddresses {
			to := &net.UDPAddr{IP: net.ParseIP(at), Port: 53}
			m := ControlMessage{TTL: uint8(i) + 5}
			out = append(out, Message{Buffers: [][]byte{[]byte("to "), []byte(at)}, Addr: to, OOB: m.Append(nil, to.AddrPort().Addr())})
		}
		if n, err := c.WriteBatch(out, 0); n != len(out) || err != nil {
			t.Fatal(n, err)
		}
		if m := out[1]; m.N != 11 || m.NN != len(m.OOB) {
			t.Errorf("%d octets and %d of control messages were sent", m.N, m.NN)
		}
		time.Sleep(time.Second) // until all are there
		in := make([]Message, len(out)+2)
		for i := range in {
			in[i] = Message{Buffers: [][]byte{make([]byte, 3), make([]byte, 7)}, OOB: make([]byte, 100)}
		}
		n, err := p.ReadBatch(in, 0)
		if n != len(out) || err != nil {
			t.Fatalf("read %d, %v", n, err)
		}
		seen := make(map[string]int)
		for _, m := range in[:n] {
			told, err := ParseControlMessage(m.OOB[:m.NN])
			if err != nil {
				t.Fatal(err)
			}
			seen[told.Dst.String()] = int(told.TTL)
			if text := string(m.Buffers[0]) + string(m.Buffers[1]); text != ("to " + told.Dst.String())[:10] || m.Addr.(*net.UDPAddr).Port != c.LocalAddr().(*net.UDPAddr).Port {
				t.Errorf("%q from %v to %v", text, m.Addr, told.Dst)
			}
			if cut := told.Dst.Is4(); (m.Flags&msgTrunc != 0) != cut {
				t.Errorf("flags %#x of a datagram to %v", m.Flags, told.Dst)
			}
		}
		for i, at := range serverAddresses {
			if seen[at] != i+5 {
				t.Errorf("%s was asked with a TTL of %d", at, seen[at])
			}
		}
	})
}

func TestBatchErrors(t *testing.T) {
	manyAddresses(t, func(t *testing.T, client, server *Host) {
		c := packetSocket(t, client, "udp", ":0")
		good := Message{Buffers: [][]byte{[]byte("x")}, Addr: &net.UDPAddr{IP: net.ParseIP("10.0.0.2"), Port: 53}}
		bad := Message{Buffers: [][]byte{make([]byte, 1<<16)}, Addr: good.Addr}
		nowhere := Message{Buffers: good.Buffers}
		for _, x := range []struct {
			ms   []Message
			n    int
			want error
		}{
			{[]Message{good, bad}, 1, nil}, {[]Message{bad, good}, 0, syscall.EMSGSIZE}, {[]Message{good, nowhere}, 1, nil},
			{[]Message{nowhere}, 0, errMissingAddress}, {nil, 0, nil},
		} {
			if n, err := c.WriteBatch(x.ms, 0); n != x.n || !errors.Is(err, x.want) {
				t.Errorf("%d datagrams were sent, %v; want %d, %v", n, err, x.n, x.want)
			}
		}
		_, err1 := c.ReadBatch(make([]Message, 1), 1)
		_, err2 := c.WriteBatch([]Message{good}, 1)
		_ = c.SetReadDeadline(time.Unix(1, 0))
		_, err3 := c.ReadBatch(make([]Message, 1), 0)
		_ = c.Close()
		_, err4 := c.ReadBatch(make([]Message, 1), 0)
		_, err5 := c.WriteBatch([]Message{good}, 0)
		if err := errors.Join(is(err1, syscall.EOPNOTSUPP), is(err2, syscall.EOPNOTSUPP), is(err4, net.ErrClosed), is(err5, net.ErrClosed)); err != nil {
			t.Error(err)
		}
		var timeout net.Error
		if !errors.As(err3, &timeout) || !timeout.Timeout() {
			t.Errorf("after the deadline: %v", err3)
		}
	})
}
