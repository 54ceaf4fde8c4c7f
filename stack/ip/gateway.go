package ip

import "net/netip"

// A gateway that does not answer is passed over as long as another route of the same length leads to the destination (RFC 1122
// 3.3.1.5, RFC 4861 7.3.3). The topology is replaced then, so that every route is chosen anew: that of a connection
// when it next sends something again.

// gatewayAnswers takes what neighbour unreachability detection has found out about the neighbour at addr. It is called under
// its cache's lock.
func (ifc *Interface) gatewayAnswers(addr netip.Addr, answers bool) {
	c := ifc.core
	if t := c.topology.Load(); answers && !t.silent || !t.leadsOver(ifc, addr, answers) {
		return
	}
	_ = c.change(func(t *topology) error { // which returns no error
		t.noteGateway(ifc, addr, answers)
		return nil
	})
	if answers {
		c.Log.Info("gateway answers again", "gateway", addr, "interface", ifc.info.Name)
	} else {
		c.Log.Warn("gateway does not answer", "gateway", addr, "interface", ifc.info.Name)
	}
}

// leadsOver says whether there is a route over the gateway that is marked silent, or one that is not.
func (t *topology) leadsOver(ifc *Interface, gateway netip.Addr, silent bool) bool {
	for i := range t.routes {
		if e := &t.routes[i]; e.over(ifc, gateway) && e.silent == silent {
			return true
		}
	}
	return false
}

// noteGateway marks the routes over a gateway, or removes their marks.
func (t *topology) noteGateway(ifc *Interface, gateway netip.Addr, answers bool) {
	t.silent = false
	for i := range t.routes {
		e := &t.routes[i]
		if e.over(ifc, gateway) {
			e.silent = !answers
		}
		t.silent = t.silent || e.silent
	}
}

// over says whether the entry leads over a gateway on the interface.
func (e *hop) over(ifc *Interface, gateway netip.Addr) bool {
	return e.iface == ifc && e.via.IsValid() && e.via.WithZone("") == gateway.WithZone("")
}
