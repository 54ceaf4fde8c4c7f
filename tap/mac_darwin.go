package tap

import "golang.org/x/sys/unix"

// machineID returns the ID of the machine; empty if it has none.
func machineID() string {
	id, err := unix.Sysctl("kern.uuid")
	if err != nil {
		return ""
	}
	return id
}

// bootID returns the ID that the kernel chose when it started.
func bootID() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}
