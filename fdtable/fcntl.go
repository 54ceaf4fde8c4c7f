package fdtable

import "syscall"

// Commands of FcntlInt.
const (
	F_DUPFD         = 0
	F_GETFD         = 1
	F_SETFD         = 2
	F_GETFL         = 3
	F_SETFL         = 4
	F_DUPFD_CLOEXEC = 1030
)

// Flags of descriptors (F_SETFD) and of their files (F_SETFL), and of Dup3. FD_CLOEXEC is stored and
// has no effect here. O_RDWR is always set.
const (
	FD_CLOEXEC = 1
	O_RDWR     = 2
	O_NONBLOCK = 0x800
	O_CLOEXEC  = 0x80000
)

// Dup returns another descriptor, the lowest that is free, for the file of fd. Both share everything but
// FD_CLOEXEC, and the file is closed when both descriptors are closed. Errors: EBADF, EMFILE.
func (t *Table) Dup(fd int) (int, error) { return t.duplicate(fd, 0, false) }

// duplicate gives the file of fd the lowest free number from least on.
func (t *Table) duplicate(fd, least int, cloexec bool) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.at(fd)
	switch {
	case f == nil:
		return -1, syscall.EBADF
	case least < 0 || least >= t.limit && least > 0:
		return -1, syscall.EINVAL
	case t.used >= t.limit:
		return -1, syscall.EMFILE
	}
	number := t.numbers.lowest(least)
	if number >= t.limit {
		return -1, syscall.EMFILE
	}
	t.used++
	t.placeLocked(number, f, cloexec)
	return number, nil
}

// Dup2 makes newfd a descriptor for the file of oldfd, as Dup does, and closes newfd first if it is open. If both are the
// same it does nothing. Errors: EBADF (oldfd is not open, newfd out of range), EBUSY (newfd is being closed).
func (t *Table) Dup2(oldfd, newfd int) (int, error) {
	if oldfd != newfd {
		return t.Dup3(oldfd, newfd, 0)
	}
	f, err := t.file(oldfd)
	if err != nil {
		return -1, err
	}
	f.release()
	return newfd, nil
}

// Dup3 is Dup2 with flags (O_CLOEXEC). Errors besides those of Dup2: EINVAL when both descriptors are the same,
// or for other flags.
func (t *Table) Dup3(oldfd, newfd, flags int) (int, error) {
	if oldfd == newfd || flags&^O_CLOEXEC != 0 {
		return -1, syscall.EINVAL
	}
	displaced, err := t.replace(oldfd, newfd, flags&O_CLOEXEC != 0)
	if err != nil {
		return -1, err
	}
	if displaced != nil {
		displaced.close()
	}
	return newfd, nil
}

// replace makes newfd stand for the file of oldfd. It returns the file that newfd stood for before, if newfd was its last
// descriptor.
func (t *Table) replace(oldfd, newfd int, cloexec bool) (displaced *file, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.at(oldfd)
	if f == nil || newfd < 0 || newfd >= t.limit {
		return nil, syscall.EBADF
	}
	switch old := t.at(newfd); {
	case old != nil:
		if old.descriptors--; old.descriptors == 0 {
			displaced = old
		}
	case t.numbers.has(newfd):
		return nil, syscall.EBUSY
	case t.used >= t.limit: // calls in progress have reserved the rest
		return nil, syscall.EMFILE
	default:
		t.used++
	}
	t.placeLocked(newfd, f, cloexec)
	return displaced, nil
}

// FcntlInt is fcntl(2) with an int: F_DUPFD and F_DUPFD_CLOEXEC (Dup to a number of arg at least), F_GETFD and
// F_SETFD (FD_CLOEXEC), F_GETFL and F_SETFL (O_NONBLOCK, which all descriptors of a socket share; other flags
// are ignored). Errors: EBADF, EINVAL (another cmd, arg out of range), EMFILE.
func (t *Table) FcntlInt(fd, cmd, arg int) (int, error) {
	switch cmd {
	case F_DUPFD, F_DUPFD_CLOEXEC:
		return t.duplicate(fd, arg, cmd == F_DUPFD_CLOEXEC)
	case F_GETFD, F_SETFD:
		return t.cloexec(fd, cmd, arg)
	}
	f, err := t.file(fd)
	if err != nil {
		return -1, err
	}
	defer f.release()
	switch cmd {
	case F_GETFL:
		if f.nonblock.Load() {
			return O_RDWR | O_NONBLOCK, nil
		}
		return O_RDWR, nil
	case F_SETFL:
		f.nonblock.Store(arg&O_NONBLOCK != 0)
		return 0, nil
	}
	return -1, syscall.EINVAL
}

// cloexec reads or writes FD_CLOEXEC, which is the descriptor's own.
func (t *Table) cloexec(fd, cmd, arg int) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at(fd) == nil {
		return -1, syscall.EBADF
	}
	flag := &t.page(fd).cloexec[fd%pageSize]
	if cmd == F_GETFD {
		return number(*flag), nil
	}
	*flag = arg&FD_CLOEXEC != 0
	return 0, nil
}

// SetNonblock sets whether calls on the descriptor return EAGAIN (Connect: EINPROGRESS) instead of waiting.
// Calls that already wait continue to wait. It does the same as F_SETFL.
func (t *Table) SetNonblock(fd int, nonblocking bool) error {
	f, err := t.file(fd)
	if err != nil {
		return err
	}
	defer f.release()
	f.nonblock.Store(nonblocking)
	return nil
}
