//go:build !linux

package taptest

import (
	"errors"
	"fmt"
	"runtime"
)

// noNamespace are the errors that mean that no namespace can be made.
var noNamespace = []error{errors.ErrUnsupported}

// Inside reports whether the process is in a network namespace that Reexec made.
func Inside() bool { return false }

// Reexec runs the program again in a network namespace of its own. Only Linux has them: here it returns an
// error that satisfies errors.Is(err, errors.ErrUnsupported).
func Reexec() error {
	return fmt.Errorf("taptest: network namespaces: %w on %s", errors.ErrUnsupported, runtime.GOOS)
}
