package fdtable

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
)

// queued is what an error of the queue says, in words.
func (w *world) queued(fd int) string {
	w.t.Helper()
	p, control := make([]byte, 100), make([]byte, 100)
	m := Msghdr{Iov: [][]byte{p[:2], p[2:]}, Control: control}
	n, err := w.a.Recvmsg(fd, &m, MSG_ERRQUEUE)
	if err != nil {
		return err.Error()
	}
	ee := control[16:]
	offender, known := netip.AddrFromSlice(ee[20:24])
	if w.domain == AF_INET6 {
		offender, known = netip.AddrFromSlice(ee[24:40])
	}
	from := offender.String()
	if !known || binary.NativeEndian.Uint16(ee[16:]) != uint16(w.domain) {
		from = "nobody"
	}
	return fmt.Sprintf("%v: origin %d, type %d, code %d, info %d from %s about %q to %v, flags %#x", syscall.Errno(binary.NativeEndian.Uint32(ee)),
		ee[4], ee[5], ee[6], binary.NativeEndian.Uint32(ee[8:]), from, p[:n], m.Name, m.Flags)
}

// recverr makes a datagram socket of a's with a queue of errors.
func (w *world) recverr() int {
	w.t.Helper()
	fd, err := w.a.Socket(w.domain, SOCK_DGRAM|SOCK_NONBLOCK, 0)
	w.is(err, nil)
	opt := map[int]int{IPPROTO_IP: IP_RECVERR, IPPROTO_IPV6: IPV6_RECVERR}[w.level]
	w.is(w.a.SetsockoptInt(fd, w.level, opt, 1), nil)
	return fd
}

// sendto sends a datagram of a's, and returns its frame.
func (w *world) sendto(fd int, text string, to netip.AddrPort) (frame []byte) {
	w.t.Helper()
	stop := w.segment.Tap(func(r sim.Record) {
		if _, is := packetOf(r.Frame, wire.ProtocolUDP); is && r.From.Name() == "a" {
			frame = slices.Clone(r.Frame)
		}
	})
	defer stop()
	n, err := w.a.Sendto(fd, []byte(text), 0, to)
	w.got(n, err, len(text), nil)
	w.settle()
	return frame
}

func dropUDP(_ *sim.Port, f []byte) sim.Verdict {
	if _, is := packetOf(f, wire.ProtocolUDP); is {
		return sim.Drop
	}
	return sim.Pass
}

// What routers say of datagrams of a socket that is not connected, as Linux's __udp4_lib_err and udpv6_err tell it.
func TestErrorQueueOfRouters(t *testing.T) {
	const dont, interfaces = IP_PMTUDISC_DONT, IP_PMTUDISC_INTERFACE
	for _, x := range []struct {
		family    *worldFamily
		typ, code byte
		rest      [4]byte
		discover  int
		errno     syscall.Errno // 0 for none
		info      uint32
	}{
		{world4, 3, 0, [4]byte{1, 2, 3, 4}, 1, syscall.ENETUNREACH, 0}, {world4, 3, 1, [4]byte{}, 1, syscall.EHOSTUNREACH, 0},
		{world4, 3, 2, [4]byte{}, 1, syscall.ENOPROTOOPT, 0}, {world4, 3, 3, [4]byte{}, 1, syscall.ECONNREFUSED, 0},
		{world4, 3, 4, [4]byte{9, 9, 5, 0}, 1, syscall.EMSGSIZE, 1280}, {world4, 3, 4, [4]byte{}, 1, syscall.EMSGSIZE, 0},
		{world4, 3, 4, [4]byte{9, 9, 5, 0}, dont, 0, 0}, {world4, 3, 4, [4]byte{9, 9, 5, 0}, interfaces, syscall.EMSGSIZE, 1280},
		{world4, 3, 5, [4]byte{}, 1, syscall.EOPNOTSUPP, 0}, {world4, 11, 0, [4]byte{1, 2, 3, 4}, 1, syscall.EHOSTUNREACH, 0},
		{world4, 11, 1, [4]byte{}, 1, syscall.EHOSTUNREACH, 0}, {world4, 12, 0, [4]byte{20, 1, 1, 1}, 1, syscall.EPROTO, 20},
		{world6, 1, 0, [4]byte{0, 0, 0, 7}, 1, syscall.ENETUNREACH, 7}, {world6, 1, 1, [4]byte{}, 1, syscall.EACCES, 0},
		{world6, 1, 3, [4]byte{}, 1, syscall.EHOSTUNREACH, 0}, {world6, 1, 4, [4]byte{}, 1, syscall.ECONNREFUSED, 0},
		{world6, 2, 0, [4]byte{0, 0, 5, 0x14}, 1, syscall.EMSGSIZE, 1300}, {world6, 2, 0, [4]byte{0, 0, 5, 0x14}, dont, syscall.EMSGSIZE, 1300},
		{world6, 2, 0, [4]byte{0, 0, 5, 0x14}, interfaces, 0, 0}, {world6, 3, 0, [4]byte{}, 1, syscall.EHOSTUNREACH, 0},
		{world6, 4, 0, [4]byte{0, 0, 0, 40}, 1, syscall.EPROTO, 40}, {world6, 4, 1, [4]byte{0, 0, 0, 6}, 1, syscall.EPROTO, 6},
		{world6, 100, 3, [4]byte{1}, 1, syscall.EPROTO, 1 << 24},
	} {
		name := fmt.Sprintf("B-UDP-17 type %d, code %d, rest %v, discovery %d", x.typ, x.code, x.rest, x.discover)
		inWorldOf(t, x.family, fmt.Sprintf("%s over %d", name, x.family.domain), sim.Config{Filter: dropUDP}, func(t *testing.T, w *world) {
			router := w.segment.NewPort(sim.PortConfig{Name: "router"})
			fd := w.recverr()
			discover := map[int]int{IPPROTO_IP: IP_MTU_DISCOVER, IPPROTO_IPV6: IPV6_MTU_DISCOVER}[w.level]
			w.is(w.a.SetsockoptInt(fd, w.level, discover, x.discover), nil)
			w.icmpError(router, w.sendto(fd, "hello", w.at(9)), x.typ, x.code, x.rest)
			w.settle()
			if x.errno == 0 {
				if got := w.queued(fd); got != again.Error() {
					t.Fatal(got)
				}
				w.option(w.a, fd, SOL_SOCKET, SO_ERROR, 0)
				return
			}
			poll := []PollFd{{Fd: int32(fd)}}
			if n, err := w.a.Poll(poll, 0); n != 1 || err != nil || poll[0].Revents != POLLERR {
				t.Errorf("poll: %d, %v, %#x", n, err, poll[0].Revents)
			}
			w.option(w.a, fd, SOL_SOCKET, SO_ERROR, int(x.errno))
			origin := map[*worldFamily]int{world4: SO_EE_ORIGIN_ICMP, world6: SO_EE_ORIGIN_ICMP6}[x.family]
			want := fmt.Sprintf("%v: origin %d, type %d, code %d, info %d from %v about %q to %v, flags %#x", x.errno, origin, x.typ, x.code, x.info,
				w.absent, "hello", w.at(9), MSG_ERRQUEUE)
			if got := w.queued(fd); got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
			w.is(w.a.Close(fd), nil)
		})
	}
}

func TestErrorQueue(t *testing.T) {
	inWorld(t, "B-UDP-17 a neighbour does not answer", sim.Config{}, func(t *testing.T, w *world) {
		fd := w.recverr()
		n, err := w.a.Sendto(fd, []byte("hello"), 0, netip.AddrPortFrom(w.absent, 9))
		w.got(n, err, 5, nil)
		for range 100 {
			w.settle()
		}
		what := map[*worldFamily]string{world4: "origin 2, type 3, code 1", world6: "origin 3, type 1, code 3"}[w.worldFamily]
		want := fmt.Sprintf("%v: %s, info 0 from %v about %q to %v, flags %#x", syscall.EHOSTUNREACH, what, w.addrA, "hello",
			netip.AddrPortFrom(w.absent, 9), MSG_ERRQUEUE)
		if got := w.queued(fd); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	})
	inWorld(t, "B-UDP-17 a router floods the queue", sim.Config{Filter: dropUDP}, func(t *testing.T, w *world) {
		router := w.segment.NewPort(sim.PortConfig{Name: "router"})
		fd := w.recverr()
		w.is(w.a.SetsockoptInt(fd, SOL_SOCKET, SO_RCVBUF, 2304), nil) // 4608 octets
		frame := w.sendto(fd, "hello", w.at(9))
		for range 100 {
			w.icmpError(router, frame, w.unreachable(), 0, [4]byte{})
		}
		w.settle()
		n := 0
		for w.queued(fd) != again.Error() {
			n++
		}
		if dropped := w.hostA.Stats().Dropped[stack.DropUDPFull]; n != 17 || dropped != 83 {
			t.Errorf("%d queued, %d dropped", n, dropped)
		}
		w.icmpError(router, frame, w.unreachable(), 0, [4]byte{})
		w.settle()
		if got := w.queued(fd); got == again.Error() {
			t.Error("no room after the flood")
		}
	})
}

// unreachable is the type of an unreachable.
func (f *worldFamily) unreachable() byte {
	if f == world6 {
		return wire.ICMPv6DestinationUnreachable
	}
	return wire.ICMPv4DestinationUnreachable
}
