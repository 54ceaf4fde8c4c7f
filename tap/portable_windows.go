package tap

import (
	"errors"
	"fmt"

	"github.com/songgao/water"
	"golang.org/x/sys/windows"
)

// peerAddrsSettable reports whether Open can give the kernel's side the addresses of cfg: the driver takes
// one IPv4 address, of a TUN device.
func peerAddrsSettable(cfg *Config) bool {
	return cfg.TUN && len(cfg.PeerAddrs) == 1 && cfg.PeerAddrs[0].Addr().Is4()
}

// openSystem opens an adapter of the tap-windows driver and returns its MTU in octets.
func openSystem(cfg *Config, _ bool) (*water.Interface, int, error) {
	if cfg.Persist || cfg.QueueLen > 0 {
		return nil, 0, fmt.Errorf("tap: Persist and QueueLen: %w on this system", errors.ErrUnsupported)
	}
	wc := water.Config{DeviceType: water.TAP}
	if cfg.TUN {
		wc.DeviceType = water.TUN
	}
	wc.ComponentID = "tap0901"
	wc.InterfaceName = cfg.Name
	wc.Network = "192.168.1.10/24" // water's own default
	if len(cfg.PeerAddrs) == 1 {
		wc.Network = cfg.PeerAddrs[0].String()
	}
	ifc, err := water.New(wc)
	if err != nil {
		return nil, 0, fmt.Errorf("tap: open %s: %w: is the tap-windows driver installed?", cfg.Name, err)
	}
	return ifc, systemMTU(ifc.Name(), cfg.MTU), nil
}

// isGone reports whether err means that the adapter no longer exists.
func isGone(err error) bool {
	return errors.Is(err, windows.ERROR_INVALID_HANDLE) || errors.Is(err, windows.ERROR_FILE_NOT_FOUND)
}
