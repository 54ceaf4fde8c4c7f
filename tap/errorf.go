package tap

import "fmt"

// errorf is fmt.Errorf, which the compiler would copy to each place where it is called.
//
//go:noinline
func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }
