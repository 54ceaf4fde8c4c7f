package tap

import (
	"os"
	"strconv"
	"strings"
)

// The files that tell machines and boots apart.
var (
	machineIDFile = "/etc/machine-id"
	bootIDFile    = "/proc/sys/kernel/random/boot_id"
)

// machineID returns the ID of the machine; empty if it has none: in an image that was never started the file is empty or
// says "uninitialized" (machine-id(5)).
func machineID() string { return readID(machineIDFile) }

// bootID returns the ID that the kernel chose when it started.
func bootID() string { return readID(bootIDFile) }

// readID returns the 32 hexadecimal digits in a file, without hyphens.
func readID(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	id := strings.ToLower(strings.Join(strings.Split(strings.TrimSpace(string(b)), "-"), ""))
	if len(id) != 32 {
		return ""
	}
	high, err := strconv.ParseUint(id[:16], 16, 64)
	low, lowErr := strconv.ParseUint(id[16:], 16, 64)
	if err != nil || lowErr != nil || high|low == 0 {
		return ""
	}
	return id
}
