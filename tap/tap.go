// Package tap opens TAP and TUN interfaces as devices of a userspace stack.
//
// On Linux a device talks to /dev/net/tun itself: frames carry the virtio network header, so that checksums
// need not be computed and TCP super-segments of up to 64 KB cross in one piece in both directions, and a
// read takes all frames that are waiting. Elsewhere, or where Config.Portable asks for it,
// github.com/songgao/water moves one plain frame at a time. A program uses both backends in the same way.
package tap

import (
	"errors"
	"net/netip"
	"sync"

	"github.com/unet-go/unet/stack/link"
)

// Limits of Config.MTU in octets: RFC 791's least, and the largest IP packet.
const (
	minMTU = 68
	maxMTU = 65535
)

// Config says which interface to open and how. The zero value opens a new TAP interface of one queue with
// a name that the kernel chooses, an MTU of 1500 octets, no address and all offloads.
type Config struct {
	// Name is the interface's name; empty lets the kernel choose one ("tap0", "tun0"). If an interface of that name
	// exists, Open attaches to it. An ordinary user may do that with an interface that root has made for that user.
	Name string
	// TUN asks for bare IP packets in place of Ethernet frames.
	TUN bool
	// MTU is the interface's MTU in octets, 68 to 65,535. Zero keeps the MTU that the interface has, 1500 if it is new.
	MTU int
	// PeerAddrs are the addresses that Open gives to the kernel's side, each with the length of its subnet. Only Linux
	// can set them: elsewhere Open fails with errors.ErrUnsupported if there are any.
	PeerAddrs []netip.Prefix
	// MAC is the Ethernet address of our side. It is not the address that the kernel's side has. By default it is a
	// locally administered one that is the same each time the interface is opened: it is made from the interface's
	// name, Addr, and the ID of the machine (/etc/machine-id) or, where there is none, of this boot. See
	// Device.MACSource.
	MAC link.MAC
	// Addr is the first address of our side, if it is known. Only the default of MAC depends on it.
	Addr netip.Addr
	// Queues is the number of queues, by default 1. More than one need the native backend. The kernel then spreads the
	// flows over the queues: TCP's by their ports. All other packets between two hosts are in one queue, so that
	// datagrams stay in order, whole ones and fragments. Spreading in this way takes the right CAP_BPF: see
	// Device.KeepsOrder.
	Queues int
	// QueueLen is the number of frames that the kernel holds for us in each queue before it drops.
	// Zero means 4096 for a new interface and leaves an existing one alone. Linux only.
	QueueLen int
	// NoOffload asks for plain frames: whole checksums, and nothing above the MTU.
	NoOffload bool
	// NoIOUring makes each frame a system call of its own. By default io_uring moves frames in batches, where the
	// system has it and allows it.
	NoIOUring bool
	// NoSteering leaves the kernel's work on the frames that we write on the processor that writes them. By default a
	// new interface hands it to another processor (RPS) where the system allows that, which takes the right
	// CAP_SYS_ADMIN over the network namespace. An interface that existed before keeps its setting.
	NoSteering bool
	// Portable asks for the songgao/water backend even where there is a better one.
	Portable bool
	// Persist keeps the interface after Close. Linux only.
	Persist bool
}

// queue is one queue of a device. Each backend implements it.
type queue interface {
	link.Device
	// addTo adds what the queue has counted to s.
	addTo(s *Stats)
}

// Device is an open TAP or TUN interface. Each of its queues follows link.Device's contract on its own:
// Read and Write may run at the same time, in each of them.
type Device struct {
	info   link.Info
	peers  []netip.Prefix
	queues []queue

	macSource MACSource
	ordered   bool

	closing  sync.Once
	closeErr error

	hooksMutex sync.Mutex
	closed     bool     // Close has taken the hooks
	closeHooks []func() // called by Close
}

var (
	_ link.MultiQueue = (*Device)(nil)
	_ link.Announcer  = (*Device)(nil)
)

// Open opens the interface that cfg describes, gives the kernel's side its MTU and addresses and brings it up.
//
// The error wraps the system's errno. EPERM and EACCES mean that the right to configure the network,
// CAP_NET_ADMIN, is missing, and the text says how to get it; ENOENT and ENODEV that the system has no TUN
// driver; EBUSY that another process holds the interface; EINVAL that the configuration is not possible, for
// instance because the name belongs to an interface of another kind. Where the system knows no such devices
// at all the error satisfies errors.Is(err, errors.ErrUnsupported).
func Open(cfg Config) (*Device, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	return open(&cfg)
}

// complete checks cfg and fills in the defaults that do not depend on the system.
func (cfg *Config) complete() error {
	if cfg.MTU != 0 && (cfg.MTU < minMTU || cfg.MTU > maxMTU) {
		return errorf("tap: MTU %d is not within %d to %d: %w", cfg.MTU, minMTU, maxMTU, errInvalid)
	}
	if cfg.Queues < 0 || cfg.QueueLen < 0 {
		return errorf("tap: negative number of queues or queue length: %w", errInvalid)
	}
	for _, p := range cfg.PeerAddrs {
		if !p.IsValid() || p.Addr().Is4In6() || p.Addr().Zone() != "" {
			return errorf("tap: %v is not an address with its subnet's length: %w", p, errInvalid)
		}
	}
	if cfg.MAC[0]&1 != 0 {
		return errorf("tap: % x is a group address, no interface can have it: %w", cfg.MAC, errInvalid)
	}
	if err := checkName(cfg.Name); err != nil {
		return err
	}
	cfg.Queues = max(cfg.Queues, 1)
	return nil
}

// kind returns the kind of frames that cfg asks for.
func (cfg *Config) kind() link.Kind {
	if cfg.TUN {
		return link.IP
	}
	return link.Ethernet
}

// Info describes the device.
func (d *Device) Info() link.Info { return d.info }

// PeerAddrs returns the addresses that Open gave to the kernel's side. The caller may not change them.
func (d *Device) PeerAddrs() []netip.Prefix { return d.peers }

// KeepsOrder reports whether datagrams of one flow, whole or in fragments, are read in the order in which the kernel sent
// them. With one queue they are. With several they are if the system lets the program choose each frame's queue, which
// takes the right CAP_BPF; a container may lack it. The kernel's own choice puts fragments and whole datagrams into
// different queues.
func (d *Device) KeepsOrder() bool { return d.ordered }

// Read reads frames from the first queue, as link.Device says.
func (d *Device) Read(frames []link.Frame) (int, error) { return d.queues[0].Read(frames) }

// Write writes frames to the first queue, as link.Device says.
func (d *Device) Write(frames []link.Frame) (int, error) { return d.queues[0].Write(frames) }

// Queues returns the device's queues. Closing one leaves the others open.
func (d *Device) Queues() []link.Device {
	all := make([]link.Device, len(d.queues))
	for i, q := range d.queues {
		all[i] = q
	}
	return all
}

// Close closes all queues, so that every Read and Write returns link.ErrClosed. The interface goes away
// with the last of them unless it is persistent. A second Close does nothing and returns what the first one did.
func (d *Device) Close() error {
	d.closing.Do(func() {
		d.hooksMutex.Lock()
		d.closed = true
		hooks := d.closeHooks
		d.hooksMutex.Unlock()
		for _, hook := range hooks {
			hook()
		}
		errs := make([]error, len(d.queues))
		for i, q := range d.queues {
			errs[i] = q.Close()
		}
		d.closeErr = errors.Join(errs...)
	})
	return d.closeErr
}

// atClose makes Close call hook. If the device is closed already it calls hook at once.
func (d *Device) atClose(hook func()) {
	d.hooksMutex.Lock()
	late := d.closed
	if !late {
		d.closeHooks = append(d.closeHooks, hook)
	}
	d.hooksMutex.Unlock()
	if late {
		hook()
	}
}

// Stats returns what the device has counted since Open, in all its queues.
func (d *Device) Stats() Stats {
	var s Stats
	for _, q := range d.queues {
		q.addTo(&s)
	}
	return s
}

// checkName refuses names that no interface can have. The kernel would shorten them or take them for something else.
func checkName(name string) error {
	const longest = 15
	bad := len(name) > longest && nameLimited || name == "." || name == ".."
	for _, c := range []byte(name) {
		bad = bad || c <= ' ' && nameLimited || c == 0 || c == '/' || c == ':' || c == 0x7f
	}
	if bad {
		return errorf("tap: %q cannot be the name of an interface: %w", name, errInvalid)
	}
	return nil
}
