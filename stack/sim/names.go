package sim

import (
	"net/netip"

	"github.com/unet-go/unet/stack/link"
)

var _ link.Namer = (*Port)(nil)

// SetHost gives a name addresses, of either family, in place of those that it had; without any the name is gone. Dials and
// lookups of the hosts on the segment find them: package unet asks its device (link.Namer), so that no name server has to
// run and no lookup leaves a synctest bubble. Once a segment has a name, other names do not exist for a host that has no
// Config.DNS of its own; before, lookups go where they go without a segment. Names have no case. Addresses need no order:
// unet sorts what it finds by RFC 6724 for each dial.
func (s *Segment) SetHost(name string, addrs ...netip.Addr) { s.hosts.set(name, addrs) }

// Hosts returns the names and their addresses, in lower case. The caller may change the map.
func (s *Segment) Hosts() map[string][]netip.Addr { return s.hosts.all() }

// LookupHost returns what SetHost has said of a name, as link.Namer says.
func (p *Port) LookupHost(name string) (addrs []netip.Addr, known bool) {
	return p.segment.hosts.lookup(name)
}
