package stack

import (
	"net/netip"
	"syscall"

	"github.com/unet-go/unet/stack/tcp"
)

// route is the way from an address of ours to a remote one. It is immutable and shared: everybody who asks
// for the same pair gets the same route as long as the cache remembers it.
type route struct {
	iface                  *iface
	local, remote, nextHop netip.Addr
	path                   tcp.Path
}

// outPacket is a transport's packet on its way down. Everything in it is borrowed for the call of send.
type outPacket struct {
	proto, tos, ttl uint8      // ttl 0: the host's default
	header          []byte     // transport header, its checksum field zero
	sumOffset       int        // of the checksum field in header; negative: header needs none
	payload         []tcp.Span // gathered behind header
	payloadLen      int
	gsoSize         uint16 // payload of each segment of a super-segment; 0 for a plain packet
	df              bool
}

// Route is a route of the host: packets for Dst leave through Via, or directly where Via is not valid.
type Route struct {
	Dst netip.Prefix
	Via netip.Addr
}

// AddRoute adds a route through a gateway that a directly connected network holds; ENETUNREACH otherwise.
func (h *Host) AddRoute(dst netip.Prefix, via netip.Addr) error { return syscall.ENETUNREACH }

// Routes returns the host's routes, most specific first.
func (h *Host) Routes() []Route { return nil }

// Addrs returns the host's addresses, without loopback's.
func (h *Host) Addrs() []netip.Prefix { return nil }

// isLocal says whether a is an address of this host.
func (h *Host) isLocal(a netip.Addr) bool { return a.IsLoopback() }

// routeTo finds the way to remote. Where local is not valid it chooses the source address.
func (h *Host) routeTo(local, remote netip.Addr) (*route, error) { return nil, syscall.ENETUNREACH }

// send queues p on the route's interface. It takes leaf locks only and never blocks: callable under a
// shard's lock. Whoever calls it calls Host.flush once no lock is held.
func (r *route) send(p *outPacket) {}

// confirm tells that the peer was heard over this route, so its neighbour is reachable (RFC 4861 7.3.1).
// Cheap; callable under a shard's lock.
func (r *route) confirm() {}

// flush writes out what send queued, unless a receive burst is in progress, whose loop then does, or another
// goroutine is flushing, which then takes ours too. Called with no lock held; cheap with nothing queued.
func (h *Host) flush() {}
