package tap

import (
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"
)

// openSystem opens the interface through water and configures the kernel's side. It returns the MTU in octets.
func openSystem(cfg *Config, existed bool) (*water.Interface, int, error) {
	// water leaks its descriptor when the kernel refuses the interface, so attach asks the kernel first, with a
	// descriptor of our own.
	fd, _, err := attach(cfg.Name, cfg, 0)
	if err != nil {
		return nil, 0, openError(cfg.Name, err)
	}
	unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, 0) // an interface that existed may have the offloads of its last user
	unix.Close(fd)

	wc := water.Config{DeviceType: water.TAP}
	if cfg.TUN {
		wc.DeviceType = water.TUN
	}
	wc.Name = cfg.Name
	// water clears the flag where it is not asked to set it, and Close would then remove an interface that is not ours.
	wc.Persist = cfg.Persist || existed
	syscall.ForkLock.RLock() // until adopt has made the descriptor close-on-exec, which water does not
	ifc, err := water.New(wc)
	if err == nil {
		err = adopt(ifc)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, 0, openError(cfg.Name, err)
	}
	mtu, err := configure(ifc.Name(), cfg)
	if err != nil {
		ifc.Close()
		return nil, 0, err
	}
	return ifc, mtu, nil
}

// adopt makes water's descriptor close-on-exec, and makes sure that it is in the runtime's poller: if a Read waited in the
// kernel, Close could not wake it.
func adopt(ifc *water.Interface) error {
	file, ok := ifc.ReadWriteCloser.(*os.File)
	if !ok {
		ifc.Close()
		return errorf("water: unexpected %T: %w", ifc.ReadWriteCloser, errors.ErrUnsupported)
	}
	err := file.SetDeadline(time.Time{})
	if err == nil {
		var conn syscall.RawConn
		if conn, err = file.SyscallConn(); err == nil {
			err = conn.Control(func(fd uintptr) { unix.CloseOnExec(int(fd)) })
		}
	}
	if err != nil {
		file.Close()
	}
	return err
}

// isGone reports whether err means that the interface no longer exists.
func isGone(err error) bool {
	for _, e := range []error{unix.EBADF, unix.EBADFD, unix.EFAULT, unix.ENODEV, unix.ENXIO} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
