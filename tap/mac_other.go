//go:build !linux && !darwin && !windows

package tap

// machineID and bootID return nothing: no backend opens a device here.
func machineID() string { return "" }
func bootID() string    { return "" }
