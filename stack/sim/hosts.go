package sim

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// hosts is a table of names, as /etc/hosts is one.
type hosts struct {
	mu    sync.Mutex
	table map[string][]netip.Addr
}

// hostKey is the form in which a name is in the table: names have no case, and a dot at the end makes no other name.
func hostKey(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

func (h *hosts) set(name string, addrs []netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.table == nil {
		h.table = make(map[string][]netip.Addr)
	}
	if len(addrs) == 0 {
		delete(h.table, hostKey(name))
		return
	}
	addrs = slices.Clone(addrs)
	for i, a := range addrs {
		addrs[i] = a.Unmap()
	}
	h.table[hostKey(name)] = addrs
}

// lookup returns the addresses of a name, and whether there is any name.
func (h *hosts) lookup(name string) (addrs []netip.Addr, any bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.table[hostKey(name)]), len(h.table) > 0
}

func (h *hosts) all() map[string][]netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.table)
}
