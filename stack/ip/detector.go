package ip

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/unet-go/unet/internal/mono"
)

// detector finds out whether other hosts on the link have addresses of an interface (RFC 4862 5.4). The addresses are
// optimistic meanwhile (RFC 4429): in use, but in no packet that would replace another owner's MAC in the caches of others.
// Its lock comes before a transmit queue's.
type detector struct {
	base *base
	nd   *ndSender
	// transmits is RFC 4862's DupAddrDetectTransmits, the number of questions for each address; 0 for none.
	transmits int
	// up says whether the link is up: what is asked while it is down proves nothing.
	up func() bool
	// unique is called when an address is known to be the host's alone, under no lock.
	unique func(netip.Addr)

	mu        sync.Mutex
	tentative []detection
}

// detection is an address that is being asked for.
type detection struct {
	addr netip.Addr
	left int       // questions
	at   mono.Time // of the next one, or of the end; 0 while the link is down
}

// start begins to ask for an address, at once: the random delay of RFC 4862 5.4.2 is for addresses that are of no use
// before the end.
func (d *detector) start(a netip.Addr) {
	if d.transmits == 0 {
		d.unique(a)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.tentative {
		if t.addr == a { // another address of the interface has come meanwhile
			return
		}
	}
	d.askLocked(detection{addr: a, left: d.transmits}, d.base.now())
}

// askLocked asks for an address, and notes when there is something to do again.
func (d *detector) askLocked(t detection, now mono.Time) {
	d.nd.detect(t.addr)
	t.left--
	t.at = now.Add(d.nd.advised.retransTime())
	d.tentative = append(d.tentative, t)
	d.base.arm(t.at)
}

// restart begins again with the addresses for which the link went down.
func (d *detector) restart() {
	d.mu.Lock()
	defer d.mu.Unlock()
	again := d.tentative
	d.tentative = nil
	for _, t := range again {
		d.askLocked(detection{addr: t.addr, left: d.transmits}, d.base.now())
	}
}

// conflict ends the search for another owner of an address: there is one. It is false where none was going on.
func (d *detector) conflict(a netip.Addr) bool {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	at := slices.IndexFunc(d.tentative, func(t detection) bool { return t.addr == a })
	if at < 0 {
		return false
	}
	d.tentative = slices.Delete(d.tentative, at, at+1)
	return true
}

func (d *detector) nextDeadline() (at mono.Time, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.tentative {
		if t.at != 0 && (!ok || t.at < at) {
			at, ok = t.at, true
		}
	}
	return at, ok
}

func (d *detector) advance(now mono.Time) []Report {
	var done []netip.Addr
	d.mu.Lock()
	before := d.tentative
	d.tentative = nil
	for _, t := range before {
		switch {
		case t.at > now || t.at == 0:
			d.tentative = append(d.tentative, t)
		case !d.up():
			t.at = 0
			d.tentative = append(d.tentative, t)
		case t.left > 0:
			d.askLocked(t, now)
		default:
			done = append(done, t.addr)
		}
	}
	d.mu.Unlock()
	for _, a := range done {
		d.unique(a)
	}
	return nil
}
