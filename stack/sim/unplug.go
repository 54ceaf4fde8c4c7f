package sim

import "github.com/unet-go/unet/stack/link"

var (
	_ link.Carrier = (*Port)(nil)
	_ link.Resizer = (*Port)(nil)
)

// Unplug takes the port's cable out at the far end, or puts it back. An unplugged port loses every frame in both directions
// and does not tell the host. To its peers the host looks like one that has lost power. SetCarrier tells the host.
func (p *Port) Unplug(out bool) {
	p.cable.set(func(c *cable) { c.out = out }, p.away.Store)
}

// SetCarrier takes the port's cable out at the host's end, or puts it back: without a carrier the port loses every frame in
// both directions, and the host, which learns of it (WatchCarrier), uses no route over the port until the carrier is back.
func (p *Port) SetCarrier(up bool) {
	p.cable.set(func(c *cable) { c.down = !up }, p.away.Store)
}

// WatchCarrier has f called when SetCarrier changes something, as link.Carrier says.
func (p *Port) WatchCarrier(f func(up bool)) { p.cable.watch(f) }

// SetMTU changes the largest packet in octets that the port sends, as Update does with Config.MTU, and tells the host
// (WatchMTU). What it receives is bounded by the ports that send it.
func (p *Port) SetMTU(mtu int) {
	p.Update(func(c *Config) { c.MTU = mtu })
	p.cable.resize(p.Config().MTU, p.info.MTU)
}

// WatchMTU has f called when SetMTU changes something, as link.Resizer says.
func (p *Port) WatchMTU(f func(mtu int)) { p.cable.watchMTU(f, p.info.MTU) }
