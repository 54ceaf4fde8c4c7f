package sim

import "sync"

// cable is what is wrong with a port's cable, and who wants to know of its carrier.
type cable struct {
	mu       sync.Mutex
	out      bool // Unplug
	down     bool // SetCarrier
	mtu      int  // SetMTU; 0 while it has not been called
	watching func(up bool)
	resizing func(mtu int)
}

// set changes the state by change and calls away with the result before anything that a watcher causes.
func (c *cable) set(change func(c *cable), away func(bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.down
	change(c)
	away(c.out || c.down)
	if c.down != before && c.watching != nil {
		c.watching(!c.down)
	}
}

// watch has f called with each change of the carrier.
func (c *cable) watch(f func(up bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watching = f
	if c.down {
		f(false)
	}
}

// resize notes an MTU, and tells the watcher if it is another one than before.
func (c *cable) resize(mtu, first int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.mtu
	if before == 0 {
		before = first
	}
	c.mtu = mtu
	if mtu != before && c.resizing != nil {
		c.resizing(mtu)
	}
}

// watchMTU has f called with each change of the MTU, which was first at first.
func (c *cable) watchMTU(f func(mtu int), first int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resizing = f
	if c.mtu != 0 && c.mtu != first {
		f(c.mtu)
	}
}

// forget ends what watch and watchMTU began.
func (c *cable) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watching, c.resizing = nil, nil
}
