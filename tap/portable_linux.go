package tap

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"
)

// openSystem opens the interface through water and configures the kernel's side. It returns the MTU in octets.
func openSystem(cfg *Config, existed bool) (*water.Interface, int, error) {
	// water loses its descriptor when the kernel refuses the interface, so that question is asked first
	// with a descriptor of our own.
	fd, _, err := attach(cfg.Name, cfg, 0)
	if err != nil {
		return nil, 0, openError(cfg.Name, err)
	}
	unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, 0) // what an existing interface may have from its last life
	unix.Close(fd)

	wc := water.Config{DeviceType: water.TAP}
	if cfg.TUN {
		wc.DeviceType = water.TUN
	}
	wc.Name = cfg.Name
	// water clears the flag where it is not asked to set it, which would remove somebody else's interface.
	wc.Persist = cfg.Persist || existed
	syscall.ForkLock.RLock() // until the descriptor is close-on-exec, which water leaves out
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

// adopt makes water's descriptor close-on-exec, and makes sure that it is in the runtime's poller: a Close
// could not wake a Read that waits in the kernel.
func adopt(ifc *water.Interface) error {
	file, ok := ifc.ReadWriteCloser.(*os.File)
	if !ok {
		ifc.Close()
		return fmt.Errorf("water: unexpected %T: %w", ifc.ReadWriteCloser, errors.ErrUnsupported)
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

// isGone reports whether err says that the interface is no more.
func isGone(err error) bool {
	for _, e := range []error{unix.EBADF, unix.EBADFD, unix.EFAULT, unix.ENODEV, unix.ENXIO} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
