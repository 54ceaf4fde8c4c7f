package ip

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/link"
)

// AnnounceMode says whether a host announces its addresses on an interface (RFC 5227 2.3, RFC 4861 7.2.6): by ARP requests
// for its own address, or neighbour advertisements of it, which correct an older Ethernet address in the caches of its
// neighbours.
type AnnounceMode uint8

const (
	// AnnounceAuto leaves it to the device: a host does so on a TAP device, and on no other unless it is a link.Announcer that asks for it.
	AnnounceAuto AnnounceMode = iota
	// AnnounceAlways has the host announce each address when the interface gets it, and all when the carrier returns.
	AnnounceAlways
	// AnnounceNever has the host announce nothing, not even in defence of an address that another host has too.
	AnnounceNever
)

// The constants of RFC 5227 1.1.
const (
	announceNum      = 2
	announceInterval = 2 * time.Second
	defendInterval   = 10 * time.Second
)

// announcer announces the addresses of one interface and defends them. Its lock comes before a transmit queue's.
type announcer struct {
	base  *base
	queue func() *Queue // to send by now
	nd    *ndSender
	name  string
	mac   link.MAC
	mode  AnnounceMode

	mu       sync.Mutex
	due      []announcement           // in the order of their times
	defended map[netip.Addr]mono.Time // when an address was last defended; made with the first conflict
}

// announcement is what is still to be sent for an address.
type announcement struct {
	addr netip.Addr
	left int
	at   mono.Time
}

func newAnnouncer(b *base, info *link.Info, nd *ndSender, dev link.Device, mode AnnounceMode) *announcer {
	if dev, ok := dev.(link.Announcer); mode == AnnounceAuto && ok && dev.Announces() {
		mode = AnnounceAlways
	}
	return &announcer{base: b, queue: nd.queue, nd: nd, name: info.Name, mac: info.MAC, mode: mode}
}

// announce sends one announcement of an address.
func (a *announcer) announce(addr netip.Addr) {
	if addr.Is4() {
		announceARP(a.queue(), a.mac, addr)
	} else {
		a.nd.announce(addr)
	}
}

// sendLocked sends one announcement of d, and notes when the next one is due if any remains.
func (a *announcer) sendLocked(d announcement, now mono.Time) {
	a.announce(d.addr)
	if d.left--; d.left > 0 {
		d.at = now.Add(announceInterval)
		a.due = append(a.due, d)
		a.base.arm(d.at)
	}
}

func (a *announcer) nextDeadline() (mono.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.due) == 0 {
		return 0, false
	}
	return a.due[0].at, true
}

func (a *announcer) advance(now mono.Time) []Report {
	a.mu.Lock()
	n := 0
	for n < len(a.due) && a.due[n].at <= now {
		n++
	}
	batch := slices.Clone(a.due[:n])
	a.due = slices.Delete(a.due, 0, n)
	for _, d := range batch {
		a.sendLocked(d, now)
	}
	a.mu.Unlock()
	return nil
}

// conflict defends an address of the interface against a host at mac that sends ARP packets, or neighbour advertisements,
// as if the address were its own. The address is configured, and never given up (RFC 5227 2.4 (c)): one announcement in defendInterval, however
// many such packets there are, since two hosts that answer each other would never end.
func (a *announcer) conflict(addr netip.Addr, mac link.MAC) {
	now := a.base.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if last, ok := a.defended[addr]; ok && now.Sub(last) < defendInterval {
		return
	}
	if a.defended == nil {
		a.defended = make(map[netip.Addr]mono.Time)
	}
	a.defended[addr] = now
	if a.mode != AnnounceNever {
		a.announce(addr)
	}
	a.base.Log.Warn("another host uses our address", "interface", a.name, "address", addr.String(),
		"mac", mac.String(), "ours", a.mac.String())
}

// forget ends the announcements of an address that the host has no more.
func (a *announcer) forget(addr netip.Addr) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.due = slices.DeleteFunc(a.due, func(d announcement) bool { return d.addr == addr })
	delete(a.defended, addr)
}
