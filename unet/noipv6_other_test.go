//go:build !linux

package unet

// withoutIPv6 has nothing to do where no kernel is compared with.
func withoutIPv6() error { return nil }
