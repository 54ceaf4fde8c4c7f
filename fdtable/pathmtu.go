package fdtable

import (
	"slices"
	"syscall"

	"github.com/unet-go/unet/stack/tcp"
)

// discoveries are the values of IP_MTU_DISCOVER.
var discoveries = []tcp.PathMTUDiscovery{
	IP_PMTUDISC_DONT: tcp.DiscoverDont, IP_PMTUDISC_WANT: tcp.DiscoverWant, IP_PMTUDISC_DO: tcp.DiscoverDo,
	IP_PMTUDISC_PROBE: tcp.DiscoverProbe, IP_PMTUDISC_INTERFACE: tcp.DiscoverInterface, IP_PMTUDISC_OMIT: tcp.DiscoverOmit,
}

// setDiscoverLocked sets IP_MTU_DISCOVER: EINVAL for an unknown value.
func (s *socket) setDiscoverLocked(value int) error {
	if value < 0 || value >= len(discoveries) {
		return syscall.EINVAL
	}
	mode := discoveries[value]
	if u := s.udp.Load(); u != nil {
		_ = u.SetPathMTUDiscovery(mode) // fails only after close
	}
	return s.updateLocked(func(o *tcp.Options) { o.Discover = mode })
}

// pathMTULocked returns IP_MTU: ENOTCONN if the socket has no peer.
func (s *socket) pathMTULocked() (int, error) {
	if u := s.udp.Load(); u != nil {
		return u.PathMTU()
	}
	if c := s.conn.Load(); c != nil && s.phase != unconnected {
		return c.Info().PathMTU, nil
	}
	return 0, syscall.ENOTCONN
}

// discoverLocked returns IP_MTU_DISCOVER.
func (s *socket) discoverLocked() int { return slices.Index(discoveries, s.optionsLocked().Discover) }
