//go:build !linux

package main

import (
	"fmt"
	"os"
	"runtime"
)

// The comparison needs namespaces, TAP and veth, which only Linux has.
func main() {
	fmt.Fprintln(os.Stderr, "benchmarks: network namespaces, TAP and veth are not to be had on", runtime.GOOS)
	os.Exit(1)
}
