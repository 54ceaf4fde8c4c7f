package tap

import "golang.org/x/sys/windows/registry"

// machineID returns the ID of the installation; empty if it has none.
func machineID() string {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, `SOFTWARE\Microsoft\Cryptography`, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return ""
	}
	defer k.Close()
	id, _, err := k.GetStringValue("MachineGuid")
	if err != nil {
		return ""
	}
	return id
}

// bootID returns nothing: Windows has no such ID.
func bootID() string { return "" }
