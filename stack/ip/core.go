package ip

import (
	"sync"
	"sync/atomic"

	"github.com/unet-go/unet/internal/mono"
)

// core is the state of the layer that its interfaces, addresses and routes share.
type core struct {
	base
	ids      identifier
	pathMTUs pathMTUs
	topology atomic.Pointer[topology]
	links    sync.Mutex // serialises changes of interfaces' states; before topology
	watch    atomic.Pointer[func()]
}

// Watch has f called after each change of interfaces, addresses or routes, maybe under a lock: f does not wait.
func (c *core) Watch(f func()) { c.watch.Store(&f) }

// change replaces the topology by a changed copy. f may be called several times.
func (c *core) change(f func(t *topology) error) error {
	for {
		before := c.topology.Load()
		after := before.clone()
		if err := f(after); err != nil {
			return err
		}
		if c.topology.CompareAndSwap(before, after) {
			if told := c.watch.Load(); told != nil {
				(*told)()
			}
			return nil
		}
	}
}

// Interfaces returns the interfaces, loopback's first, those that have failed included. The caller does not change the
// slice.
func (c *core) Interfaces() []*Interface { return c.topology.Load().ifaces }

// Lost says whether there was a device beside loopback's, and all have failed.
func (c *core) Lost() bool { return c.topology.Load().lost }

// Flush writes out what Route.Send queued, unless a receive burst is in progress, whose loop then does, or another
// goroutine is flushing, which then takes ours too. Called with no lock held; cheap with nothing queued.
func (c *core) Flush() {
	if c.arming.Load() != 0 {
		if at := c.arming.Swap(0); at != 0 {
			c.Clock.Armed(mono.Time(at))
		}
	}
	for _, ifc := range c.topology.Load().ifaces {
		for _, q := range ifc.queues {
			q.flush()
		}
	}
}
