//go:build !linux

package tap

import (
	"errors"
	"fmt"
	"syscall"
)

const (
	errInvalid  = syscall.EINVAL
	nameLimited = false // Windows knows adapters by names such as "Local Area Connection 2"
)

// open opens the portable backend: there is no other outside Linux.
func open(cfg *Config) (*Device, error) {
	if len(cfg.PeerAddrs) > 0 && !peerAddrsSettable(cfg) {
		return nil, fmt.Errorf("tap: setting the kernel's addresses: %w on this system: leave PeerAddrs empty "+
			"and set them with the system's own tools", errors.ErrUnsupported)
	}
	return openWater(cfg, false)
}
