package ip

import (
	"maps"
	"net/netip"
	"syscall"
)

// maxRedirects bounds how many destinations have another first hop than the routing table's because of a redirect; beyond,
// any one is forgotten.
const maxRedirects = 256

// redirect has packets to dst, one host's address, go by way of via from now on, or straight to dst if via is that too. The
// router at from, on the interface, has said so. It is false unless packets go by way of that router now (RFC 1122 3.2.2.2,
// RFC 4861 8.1). It is rare, and inlining would make a copy of the change for each family.
//
//go:noinline
func (c *core) redirect(ifc *Interface, from, dst, via netip.Addr) (accepted bool) {
	_ = c.change(func(t *topology) error {
		now, ok := t.lookup(dst)
		accepted = ok && now.iface == ifc && now.via == from && t.class(dst) == foreign && t.class(via) == foreign
		if !accepted {
			return syscall.EINVAL // nothing changes
		}
		e := hop{dst: netip.PrefixFrom(dst, dst.BitLen()), via: via, iface: ifc}
		if via == dst {
			e.via = netip.Addr{}
		}
		t.redirects = maps.Clone(t.redirects)
		if t.redirects == nil {
			t.redirects = make(map[netip.Addr]hop)
		}
		for victim := range t.redirects {
			if len(t.redirects) < maxRedirects {
				break
			}
			delete(t.redirects, victim)
		}
		t.redirects[dst] = e
		return nil
	})
	return accepted
}

// forgetRedirects forgets the redirects to a neighbour that does not answer (RFC 4861 7.3.3).
func (c *core) forgetRedirects(ifc *Interface, silent netip.Addr) {
	over := func(dst netip.Addr, e hop) bool {
		return e.iface == ifc && (e.via == silent || !e.via.IsValid() && dst == silent)
	}
	for dst, e := range c.topology.Load().redirects {
		if over(dst, e) {
			_ = c.change(func(t *topology) error {
				t.redirects = maps.Clone(t.redirects)
				maps.DeleteFunc(t.redirects, over)
				return nil
			})
			return
		}
	}
}

// watchRedirects has redirects to neighbours of the interface forgotten when they do not answer.
func (c *core) watchRedirects(ifc *Interface) {
	for _, cache := range ifc.neighbors {
		cache.silent = func(a netip.Addr) { c.forgetRedirects(ifc, a) }
	}
}
