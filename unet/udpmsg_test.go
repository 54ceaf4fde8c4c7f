package unet

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/unet-go/unet/stack/sim"
)

// manyAddresses runs test in fake time with a client and a server that has two addresses of each family.
func manyAddresses(t *testing.T, test func(t *testing.T, client, server *Host)) {
	synctest.Test(t, func(t *testing.T) {
		segment := sim.NewSegment(sim.Config{})
		t.Cleanup(func() { _ = segment.Close() })
		open := func(addrs ...string) *Host {
			cfg := Config{Link: segment.Port()}
			for _, a := range addrs {
				cfg.Addrs = append(cfg.Addrs, netip.MustParsePrefix(a))
			}
			h, err := Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = h.Close() })
			return h
		}
		client := open("10.0.0.1/24", "fd00::1/64")
		server := open("10.0.0.2/24", "10.0.0.3/24", "fd00::2/64", "fd00::3/64")
		test(t, client, server)
	})
}

// serverAddresses are those of manyAddresses' server.
var serverAddresses = []string{"10.0.0.2", "10.0.0.3", "fd00::2", "fd00::3"}

func packetSocket(t *testing.T, h *Host, network, at string) *UDPConn {
	t.Helper()
	p, err := h.ListenPacket(network, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p.(*UDPConn)
}

// TestAnswersFromTheAddressAsked has a server on the wildcard of a host with several addresses answer clients that are
// connected to one of them, and so hear no other.
func TestAnswersFromTheAddressAsked(t *testing.T) {
	answers := map[string]func(t *testing.T, p *UDPConn){
		"by control messages": func(t *testing.T, p *UDPConn) {
			if err := p.SetControlMessage(ControlPacketInfo, true); err != nil {
				t.Fatal(err)
			}
			b, oob := make([]byte, 100), make([]byte, 100)
			n, oobn, flags, from, err := p.ReadMsgUDPAddrPort(b, oob)
			if err != nil || flags != 0 {
				t.Fatal(flags, err)
			}
			m, err := ParseControlMessage(oob[:oobn])
			if err != nil || m.Dst.String() != string(b[:n]) || m.Src != m.Dst || m.IfIndex != 2 {
				t.Errorf("told %+v, %v of a datagram to %s", m, err, b[:n])
			}
			reply := m.Reply()
			if _, _, err := p.WriteMsgUDPAddrPort(b[:n], reply.Append(nil, from.Addr()), from); err != nil {
				t.Error(err)
			}
		},
		"by ReplyConn": func(t *testing.T, p *UDPConn) {
			c, b := ReplyConn{p}, make([]byte, 100)
			n, from, err := c.ReadFrom(b)
			if err != nil || from.(*ReplyAddr).Local.String() != string(b[:n]) {
				t.Fatal(from, err)
			}
			if _, err := c.WriteTo(b[:n], from); err != nil {
				t.Error(err)
			}
		},
		"by x/net's control messages": func(t *testing.T, p *UDPConn) {
			if runtime.GOOS != "linux" {
				t.Skip("x/net's have the layout of the system")
			}
			if err := p.SetControlMessage(ControlPacketInfo, true); err != nil {
				t.Fatal(err)
			}
			b, oob := make([]byte, 100), make([]byte, 100)
			n, oobn, _, from, err := p.ReadMsgUDP(b, oob)
			if err != nil {
				t.Fatal(err)
			}
			var four ipv4.ControlMessage
			var six ipv6.ControlMessage
			if err := errors.Join(four.Parse(oob[:oobn]), six.Parse(oob[:oobn])); err != nil {
				t.Fatal(err)
			}
			var out []byte
			if four.Dst != nil {
				out = (&ipv4.ControlMessage{Src: four.Dst, IfIndex: four.IfIndex}).Marshal()
			} else {
				out = (&ipv6.ControlMessage{Src: six.Dst, IfIndex: six.IfIndex}).Marshal()
			}
			if _, oobn, err := p.WriteMsgUDP(b[:n], out, from); err != nil || oobn != len(out) {
				t.Error(oobn, err)
			}
		},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			manyAddresses(t, func(t *testing.T, client, server *Host) {
				p := packetSocket(t, server, "udp", ":53")
				for _, at := range serverAddresses {
					c, err := client.Dial("udp", net.JoinHostPort(at, "53"))
					if err != nil {
						t.Fatal(err)
					}
					if _, err := c.Write([]byte(at)); err != nil {
						t.Fatal(err)
					}
					if err := errors.Join(p.SetReadDeadline(time.Now().Add(time.Second)), c.SetReadDeadline(time.Now().Add(time.Second))); err != nil {
						t.Fatal(err)
					}
					answer(t, p)
					b := make([]byte, 100)
					if n, err := c.Read(b); err != nil || string(b[:n]) != at {
						t.Errorf("answered %q, %v from %s", b[:n], err, at)
					}
					_ = c.Close()
				}
			})
		})
	}
}

// TestControlMessages sends datagrams with control messages and reads them with what they were sent with.
func TestControlMessages(t *testing.T) {
	manyAddresses(t, func(t *testing.T, client, server *Host) {
		p := packetSocket(t, server, "udp", ":53")
		c := packetSocket(t, client, "udp", ":0")
		b, oob := make([]byte, 100), make([]byte, 100)
		read := func() (m ControlMessage, oobn, flags int) {
			t.Helper()
			_, oobn, flags, _, err := p.ReadMsgUDP(b, oob)
			if err != nil {
				t.Fatal(err)
			}
			m, err = ParseControlMessage(oob[:oobn])
			if err != nil {
				t.Fatal(err)
			}
			return m, oobn, flags
		}
		for _, at := range serverAddresses {
			to := netip.AddrPortFrom(netip.MustParseAddr(at), 53)
			send := func(m ControlMessage) {
				t.Helper()
				if _, _, err := c.WriteMsgUDPAddrPort([]byte("x"), m.Append(nil, to.Addr()), to); err != nil {
					t.Fatal(err)
				}
			}
			send(ControlMessage{})
			if _, oobn, flags := read(); oobn != 0 || flags != 0 {
				t.Errorf("%d octets of control messages, flags %#x, although nobody has asked", oobn, flags)
			}
			all := ControlPacketInfo | ControlTTL | ControlTOS
			if err := errors.Join(p.SetControlMessage(all, true), c.SetTTL(99), c.SetTOS(0x29)); err != nil {
				t.Fatal(err)
			}
			send(ControlMessage{})
			if m, _, _ := read(); m.TTL != 99 || m.TOS != 0x29 || !m.HasTOS || m.Dst != to.Addr() {
				t.Errorf("with the socket's options: %+v", m)
			}
			send(ControlMessage{TTL: 7, TOS: 0x02, HasTOS: true, IfIndex: 2})
			if m, _, _ := read(); m.TTL != 7 || m.TOS != 0x02 {
				t.Errorf("with control messages: %+v", m)
			}
			send(ControlMessage{HasTOS: true})
			if m, _, _ := read(); m.TTL != 99 || m.TOS != 0 {
				t.Errorf("with a traffic class of zero: %+v", m)
			}
			oob = oob[:10]
			send(ControlMessage{})
			if _, oobn, flags := read(); oobn != 0 || flags != msgCtrunc {
				t.Errorf("%d octets of control messages in ten, flags %#x", oobn, flags)
			}
			oob = oob[:100]
			if err := errors.Join(p.SetControlMessage(all, false), c.SetTTL(-1), c.SetTOS(0)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestControlMessageErrors(t *testing.T) {
	manyAddresses(t, func(t *testing.T, client, server *Host) {
		c := packetSocket(t, client, "udp", ":0")
		for _, at := range serverAddresses {
			to := netip.AddrPortFrom(netip.MustParseAddr(at), 53)
			is := func(oob []byte, want error) {
				t.Helper()
				var op *net.OpError
				if _, _, err := c.WriteMsgUDPAddrPort([]byte("x"), oob, to); !errors.Is(err, want) || !errors.As(err, &op) || op.Op != "write" {
					t.Errorf("to %s: %v, want %v", at, err, want)
				}
			}
			foreign, refused := ControlMessage{Src: to.Addr()}, syscall.ENETUNREACH
			if to.Addr().Is6() {
				refused = syscall.EINVAL
			}
			is(foreign.Append(nil, to.Addr()), refused)
			nowhere := ControlMessage{IfIndex: 9}
			is(nowhere.Append(nil, to.Addr()), syscall.ENODEV)
			lo := ControlMessage{IfIndex: 1}
			is(lo.Append(nil, to.Addr()), syscall.ENETUNREACH)
			short := lo.Append(nil, to.Addr())
			is(short[:len(short)-8], syscall.EINVAL)
			short[0] = 15
			is(short, syscall.EINVAL)
		}
		if err := errors.Join(is(c.SetControlMessage(1<<9, true), syscall.EINVAL), is(c.SetTTL(0), syscall.EINVAL),
			is(c.SetTTL(256), syscall.EINVAL), is(c.SetTOS(-1), syscall.EINVAL), is(c.SetTOS(256), syscall.EINVAL)); err != nil {
			t.Error(err)
		}
		_ = c.Close()
		if err := errors.Join(is(c.SetControlMessage(ControlTTL, true), net.ErrClosed), is(c.SetTTL(1), net.ErrClosed), is(c.SetTOS(1), net.ErrClosed)); err != nil {
			t.Error(err)
		}
	})
}

// is returns an error if err is not want.
func is(err, want error) error {
	if errors.Is(err, want) {
		return nil
	}
	return errors.Join(errors.New("not "+want.Error()), err)
}
