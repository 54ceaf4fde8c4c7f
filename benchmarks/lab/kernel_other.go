//go:build !linux

package main

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

var errNoKernel = fmt.Errorf("two kernels need network namespaces: %w on %s", errors.ErrUnsupported, runtime.GOOS)

// RunLinux measures a cell between two kernels, where the system is Linux.
func RunLinux(Cell, int64, time.Duration, time.Duration) (Result, error) {
	return Result{}, errNoKernel
}

func enterNamespace() error { return errNoKernel }

func kernelVersion() string { return "" }
