package tap

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/songgao/water"
)

// peerAddrsSettable reports whether Open can give the kernel's side the addresses of cfg.
func peerAddrsSettable(*Config) bool { return false }

// openSystem opens a utun interface, or a TAP interface of the tuntaposx driver, and returns its MTU in octets.
func openSystem(cfg *Config, _ bool) (*water.Interface, int, error) {
	if cfg.Persist || cfg.QueueLen > 0 {
		return nil, 0, fmt.Errorf("tap: Persist and QueueLen: %w on this system", errors.ErrUnsupported)
	}
	wc := water.Config{DeviceType: water.TUN}
	wc.Name = cfg.Name
	if !cfg.TUN {
		wc.DeviceType, wc.Driver = water.TAP, water.MacOSDriverTunTapOSX
		if cfg.Name == "" {
			wc.Name = "tap0" // the driver's interfaces exist beforehand, so one must be named
		}
	}
	ifc, err := water.New(wc)
	if err != nil {
		return nil, 0, fmt.Errorf("tap: open %s: %w: utun needs root, TAP the tuntaposx driver", cfg.Name, err)
	}
	return ifc, systemMTU(ifc.Name(), cfg.MTU), nil
}

// isGone reports whether err means that the interface no longer exists.
func isGone(err error) bool {
	return errors.Is(err, syscall.EBADF) || errors.Is(err, syscall.ENXIO)
}
