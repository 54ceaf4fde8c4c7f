//go:build !linux && !darwin && !windows

package tap

import (
	"errors"
	"fmt"
	"runtime"
)

// peerAddrsSettable reports whether Open can give the kernel's side the addresses of cfg.
func peerAddrsSettable(*Config) bool { return false }

// openWater reports that water has no driver for this system.
func openWater(*Config, bool) (*Device, error) {
	return nil, fmt.Errorf("tap: TAP and TUN devices: %w on %s", errors.ErrUnsupported, runtime.GOOS)
}
