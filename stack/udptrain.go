package stack

import (
	"syscall"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/ip"
)

// A train is several datagrams between the same sockets, all of one length but the last, which may be shorter, that cross the
// interface to the program together: UDP_SEGMENT and UDP_GRO of Linux.

// Bounds of a train, as Linux has them.
const (
	maxTrain      = 64
	maxTrainOctet = 1<<16 - 1
)

// SetSegmentSize makes a write of more octets one of several datagrams of so many octets each; 0, the default, for none.
// EMSGSIZE of the write: a datagram would be over the path's MTU; EINVAL: more than 64 datagrams.
func (s *UDPSocket) SetSegmentSize(octets uint16) error {
	return s.set(func() { s.segment = octets })
}

// SetTrains makes ReadMsg read datagrams of one sender and one length that have arrived one after the other together, as far
// as there is room, and tell their length in Datagram.SegmentSize. Default off. The other calls read one datagram.
func (s *UDPSocket) SetTrains(on bool) error { return s.set(func() { s.trains.Store(on) }) }

// writeTrain sends p in datagrams of segment octets.
func (s *UDPSocket) writeTrain(r *ip.Route, port uint16, p []byte, segment, mtu int, o udpOptions) (int, error) {
	switch {
	case r.HeaderLen()+wire.UDPLen+segment > mtu:
		return 0, syscall.EMSGSIZE
	case len(p) > segment*maxTrain:
		return 0, syscall.EINVAL
	}
	local := s.Local().Port()
	for rest := p; len(rest) > 0; {
		n := min(segment, len(rest))
		s.layer.send(r, local, port, rest[:n], mtu, o)
		rest = rest[n:]
	}
	return len(p), nil
}

// readTrain reads into bufs what follows first, which d tells of, as long as it belongs to the same train and there is room
// for whole datagrams. It returns the octets that bufs hold then.
func (s *UDPSocket) readTrain(bufs [][]byte, discard bool, first *datagramIn, d *Datagram) (n int) {
	n = len(first.data)
	room := 0
	for _, p := range bufs {
		room += len(p)
	}
	room = min(room, maxTrainOctet)
	for count := 1; count < maxTrain; count++ {
		next, ok := s.nextOfTrain(first, room-n)
		if !ok {
			break
		}
		n += scatter(bufs, n, next.data, discard)
		last := len(next.data) < len(first.data)
		next.release()
		d.SegmentSize = len(first.data)
		if last {
			break
		}
	}
	d.Size = n
	return n
}

// nextOfTrain takes the next datagram out of the queue if it continues the train and fits into room octets.
func (s *UDPSocket) nextOfTrain(first *datagramIn, room int) (datagramIn, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue.Len() == 0 {
		return datagramIn{}, false
	}
	q := s.queue.First()
	if n := len(q.data); n == 0 || n > len(first.data) || n > room || q.from != first.from || q.to != first.to ||
		q.tos != first.tos || q.ttl != first.ttl || q.iface != first.iface {
		return datagramIn{}, false
	}
	return s.popLocked(), true
}

// scatter copies data into bufs, from their octet at on, and returns how many octets had room. With discard it only counts.
func scatter(bufs [][]byte, at int, data []byte, discard bool) (n int) {
	for _, p := range bufs {
		if at >= len(p) {
			at -= len(p)
			continue
		}
		k := min(len(p)-at, len(data)-n)
		if !discard {
			copy(p[at:], data[n:n+k])
		}
		n, at = n+k, 0
	}
	return n
}
