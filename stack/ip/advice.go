package ip

import (
	"net/netip"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/wire"
)

// RouterAdvice returns what the routers on all links advertise beside addresses and routes.
func (c *core) RouterAdvice() (advice RouterAdvice) {
	for _, ifc := range c.Interfaces() {
		if configured := ifc.configured(); configured != nil && !ifc.currentState().over() {
			configured.advice(&advice)
		}
	}
	return advice
}

// advice implements configurator.
func (a *autoconf) advice(to *RouterAdvice) {
	now := a.layer.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	to.Managed, to.Other = to.Managed || a.advised.Managed, to.Other || a.advised.Other
	for _, s := range a.dns {
		if !ended(s.until, now) {
			to.DNS = append(to.DNS, s.what)
		}
	}
	for _, s := range a.search {
		if !ended(s.until, now) {
			to.Search = append(to.Search, s.what)
		}
	}
}

// dnsLocked takes servers that resolve names (RFC 8106 5.3.1). It is false where there are too many.
func (a *autoconf) dnsLocked(o *wire.NDOption, now mono.Time) bool {
	var s wire.NDServers
	if s.Parse(o) != nil {
		return true
	}
	taken := true
	for b, ok := s.Next(); ok; b, ok = s.Next() {
		server := scoped(netip.AddrFrom16(b), a.ifc.info.Name)
		if isUnicast(server) && !server.IsLoopback() {
			taken = keep(&a.dns, server, s.Lifetime, maxAdvisedDNS, now) && taken
		}
	}
	return taken
}

// searchLocked takes domains in which short names are looked for. It is false where there are too many.
func (a *autoconf) searchLocked(o *wire.NDOption, now mono.Time) bool {
	var s wire.NDDomains
	if s.Parse(o) != nil {
		return true
	}
	taken := true
	for name, ok, _ := s.Next(); ok; name, ok, _ = s.Next() {
		taken = keep(&a.search, name, s.Lifetime, maxAdvisedDNS, now) && taken
	}
	return taken
}
