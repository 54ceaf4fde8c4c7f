package tap

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack/link"
)

const (
	errInvalid  = unix.EINVAL
	nameLimited = true // IFNAMSIZ holds 15 octets and a zero
)

// tunPath is the TUN driver's device node.
const tunPath = "/dev/net/tun"

// sharedErrors are errors of the native backend that the portable one would return as well, so that it is not tried.
var sharedErrors = []error{
	unix.EPERM, unix.EACCES, unix.ENOENT, unix.ENXIO, unix.ENODEV, unix.EBUSY,
	unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EEXIST, unix.EADDRINUSE, unix.E2BIG,
}

// open opens the native backend. It opens the portable one where cfg asks for it, or where the native one fails in a way
// in which the portable one might not.
func open(cfg *Config) (*Device, error) {
	existed := false
	if cfg.Name != "" {
		_, err := interfaceIndex(cfg.Name)
		existed = err == nil
	}
	if cfg.QueueLen == 0 && !existed {
		cfg.QueueLen = newQueueLen
	}
	if cfg.Portable {
		return openWater(cfg, existed)
	}
	d, err := openNative(cfg, existed)
	if err == nil {
		return d, nil
	}
	if !slices.ContainsFunc(sharedErrors, func(e error) bool { return errors.Is(err, e) }) {
		if d, waterErr := openWater(cfg, existed); waterErr == nil {
			return d, nil
		}
	}
	return nil, err
}

// openNative opens all queues of the interface and configures the kernel's side.
func openNative(cfg *Config, existed bool) (d *Device, err error) {
	fds, name, vnet, err := attachQueues(cfg)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			closeAll(fds)
		}
	}()
	mac, source := cfg.chooseMAC(name)
	info := link.Info{Name: name, Kind: cfg.kind(), MAC: mac}
	if vnet = offer(fds, vnet, &info); vnet > 0 {
		info.MaxPacket = maxMTU
	}
	spreads := cfg.Queues == 1
	if !spreads {
		spreads = spread(fds[0], int32(networkStart(info.Kind))) == nil // else the kernel chooses the queues
	}
	if cfg.Persist {
		if err := unix.IoctlSetInt(fds[0], unix.TUNSETPERSIST, 1); err != nil {
			return nil, openError(name, err)
		}
	}
	if info.MTU, err = configure(name, cfg); err != nil {
		return nil, err
	}
	d = &Device{info: info, peers: slices.Clone(cfg.PeerAddrs), macSource: source, ordered: spreads}
	for len(fds) > 0 {
		file, err := pollable(fds[0], name)
		fds = fds[1:]
		if err != nil {
			d.Close()
			return nil, err
		}
		q, err := newNative(info, file, vnet, !cfg.NoIOUring)
		if err != nil {
			file.Close()
			d.Close()
			return nil, err
		}
		if !existed && !cfg.NoSteering {
			// Where it is not possible, frames stay with the processor that writes them.
			q.steering, _ = newSteering(name, len(d.queues))
		}
		d.queues = append(d.queues, q)
	}
	return d, nil
}

// attachQueues opens a descriptor for each queue. It returns them with the interface's name and the length of the virtio
// header in front of each frame, 0 for none.
func attachQueues(cfg *Config) (fds []int, name string, vnet int, err error) {
	name = cfg.Name
	if !cfg.NoOffload {
		vnet = vnetLen
	}
	for range cfg.Queues {
		fd, got, err := attach(name, cfg, vnet)
		if errors.Is(err, unix.EINVAL) && vnet > 0 && len(fds) == 0 {
			// A driver that knows no virtio header, such as an emulated one.
			vnet = 0
			fd, got, err = attach(name, cfg, vnet)
		}
		if err != nil {
			closeAll(fds)
			return nil, "", 0, openError(name, err)
		}
		fds, name = append(fds, fd), got
	}
	return fds, name, vnet, nil
}

// attach opens the driver and attaches the descriptor to the interface, which it makes if there is none. It
// returns the descriptor and the interface's name.
func attach(name string, cfg *Config, vnet int) (int, string, error) {
	fd, err := unix.Open(tunPath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, "", &nodeError{err}
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		unix.Close(fd)
		return -1, "", err
	}
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if cfg.TUN {
		flags = unix.IFF_TUN | unix.IFF_NO_PI
	}
	if vnet > 0 {
		flags |= unix.IFF_VNET_HDR
	}
	if cfg.Queues > 1 {
		flags |= unix.IFF_MULTI_QUEUE
	}
	req.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		unix.Close(fd)
		return -1, "", err
	}
	return fd, req.Name(), nil
}

// offer tells the driver which offloads we take and sets info's accordingly. It returns the length of the
// virtio header.
func offer(fds []int, vnet int, info *link.Info) int {
	if vnet == 0 {
		// An interface that existed may have the offloads of its last user.
		unix.IoctlSetInt(fds[0], unix.TUNSETOFFLOAD, 0)
		return 0
	}
	for _, fd := range fds {
		// The driver's default is ten octets too, so a refusal changes nothing.
		unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, vnetLen)
	}
	const checksum, segments = unix.TUN_F_CSUM, unix.TUN_F_TSO4 | unix.TUN_F_TSO6
	switch {
	case unix.IoctlSetInt(fds[0], unix.TUNSETOFFLOAD, checksum|segments) == nil:
		info.Checksum, info.TSO4, info.TSO6 = true, true, true
	case unix.IoctlSetInt(fds[0], unix.TUNSETOFFLOAD, checksum) == nil:
		info.Checksum = true
	}
	return vnet
}

// pollable makes fd, which is non-blocking, a file in the runtime's poller, and takes ownership of it. Only
// after TUNSETIFF can that be done: the poller sees nothing but an error before.
func pollable(fd int, name string) (*os.File, error) {
	file := os.NewFile(uintptr(fd), tunPath)
	if err := file.SetDeadline(time.Time{}); err != nil {
		file.Close()
		return nil, errorf("tap: %s: the system cannot poll it: %w", name, err)
	}
	return file, nil
}

// closeAll closes descriptors for which no device was made.
func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// configure gives the kernel's side of the interface its MTU, queue length and addresses and brings it up.
// It changes nothing that is right already, so that an ordinary user can open an interface that was
// prepared for that user. It returns the MTU in octets.
func configure(name string, cfg *Config) (mtu int, err error) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, openError(name, err)
	}
	defer unix.Close(s)
	if mtu, err = setMTU(s, name, cfg.MTU); err != nil {
		return 0, configError(name, fmt.Sprintf("set MTU %d", cfg.MTU), err)
	}
	if cfg.QueueLen > 0 {
		if err := setQueueLen(s, name, cfg.QueueLen); err != nil {
			return 0, configError(name, fmt.Sprintf("set queue length %d", cfg.QueueLen), err)
		}
	}
	if err := setUp(s, name); err != nil {
		return 0, configError(name, "bring up", err)
	}
	if err := addAddrs(name, cfg.PeerAddrs); err != nil {
		return 0, err
	}
	return mtu, nil
}

// addAddrs adds the addresses that the interface does not have yet.
func addAddrs(name string, addrs []netip.Prefix) error {
	if len(addrs) == 0 {
		return nil
	}
	index, err := interfaceIndex(name)
	if err != nil {
		return configError(name, "find", err)
	}
	for _, a := range addrs {
		if hasAddr(index, a) {
			continue
		}
		err := addAddr(index, a)
		if err != nil && a.Addr().Is6() && !KernelIPv6() {
			return errorf("tap: %s: add address %v: IPv6 is switched off in this network namespace "+
				"(sysctl net.ipv6.conf.all.disable_ipv6): %w", name, a, err)
		}
		if err != nil {
			return configError(name, "add address "+a.String(), err)
		}
		if a.Addr().Is6() {
			awaitAddr(a.Addr())
		}
	}
	return nil
}

// configError says which step of the configuration failed.
func configError(name, step string, err error) error {
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		return openError(name, errorf("%s: %w", step, err))
	}
	return errorf("tap: %s: %s: %w", name, step, err)
}
