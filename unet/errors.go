package unet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
)

var (
	errMissingAddress = errors.New("missing address")
	errNoAddress      = errors.New("no suitable address found")
	errCanceled       = canceledError{}
	errTimeout        = &timeoutError{}
)

// canceledError is the error of a dial whose context was cancelled, with package net's text.
type canceledError struct{}

func (canceledError) Error() string        { return "operation was canceled" }
func (canceledError) Is(target error) bool { return target == context.Canceled }

// timeoutError is the error of a dial whose time has run out, with package net's text.
type timeoutError struct{}

func (*timeoutError) Error() string   { return "i/o timeout" }
func (*timeoutError) Timeout() bool   { return true }
func (*timeoutError) Temporary() bool { return true }
func (*timeoutError) Is(target error) bool {
	return target == context.DeadlineExceeded || target == os.ErrDeadlineExceeded
}

// contextError returns package net's error for the error of a context.
func contextError(err error) error {
	switch err {
	case context.Canceled:
		return errCanceled
	case context.DeadlineExceeded:
		return errTimeout
	}
	return err
}

// syscallError converts an error of package stack to the one that package net has inside its *net.OpError. Call is
// the name of the system call that package net would make. It stands in many places, and inlining the comparisons into each
// would cost every program 6 KB.
//
//go:noinline
func syscallError(call string, err error) error {
	switch err {
	case nil:
		return nil
	case syscall.EAGAIN:
		return os.ErrDeadlineExceeded
	case syscall.EBADF:
		return net.ErrClosed
	}
	if errno, ok := err.(syscall.Errno); ok {
		return os.NewSyscallError(call, errno)
	}
	return err
}

func itoa(n int) string { return strconv.Itoa(n) }

// opAddr returns a as a net.Addr. For a nil pointer that is nil, and not an interface value that holds a nil pointer.
func opAddr[T any, P interface {
	*T
	net.Addr
}](a P) net.Addr {
	if a == nil {
		return nil
	}
	return a
}

// errorf is fmt.Errorf, which the compiler would copy to each place where it is called.
//
//go:noinline
func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }
