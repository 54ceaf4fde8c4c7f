package unet

import (
	"context"
	"errors"
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

// canceledError is what a dial returns whose context was cancelled, with package net's text.
type canceledError struct{}

func (canceledError) Error() string        { return "operation was canceled" }
func (canceledError) Is(target error) bool { return target == context.Canceled }

// timeoutError is what a dial returns whose time is up, with package net's text.
type timeoutError struct{}

func (*timeoutError) Error() string   { return "i/o timeout" }
func (*timeoutError) Timeout() bool   { return true }
func (*timeoutError) Temporary() bool { return true }
func (*timeoutError) Is(target error) bool {
	return target == context.DeadlineExceeded || target == os.ErrDeadlineExceeded
}

// contextError turns a context's error into package net's.
func contextError(err error) error {
	switch err {
	case context.Canceled:
		return errCanceled
	case context.DeadlineExceeded:
		return errTimeout
	}
	return err
}

// syscallError turns an error of package stack into what package net has inside its *net.OpError. call is
// the system call whose place the stack's function takes.
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

// opAddr keeps a nil pointer from becoming an address that is not nil.
func opAddr[T any, P interface {
	*T
	net.Addr
}](a P) net.Addr {
	if a == nil {
		return nil
	}
	return a
}
