package unet

import (
	"testing"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/tap/taptest"
)

// The Ethernet address of a device is the same whenever a host with the same first address is opened on it, and another
// one for a host with another first address, which may stand beside it on the same network.
func TestMACOfDevice(t *testing.T) {
	taptest.Need(t)
	open := func(device string, addrs ...string) link.MAC {
		t.Helper()
		h, err := Open(Config{Device: device, Addrs: prefixes(addrs...)})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		return macOf(h)
	}
	mac := open("unet-mac0", "10.200.9.2/24")
	if mac[0]&3 != 2 {
		t.Errorf("%v is not locally administered, or a group's", mac)
	}
	for _, same := range [][]string{{"10.200.9.2/24"}, {"10.200.9.2/16", "10.201.9.3/24"}} {
		if again := open("unet-mac0", same...); again != mac {
			t.Errorf("%v with %v, and then %v", mac, same, again)
		}
	}
	seen := map[link.MAC]string{mac: "the first"}
	for name, other := range map[string]link.MAC{
		"another address": open("unet-mac0", "10.200.9.3/24", "10.200.9.2/24"),
		"another device":  open("unet-mac1", "10.200.9.2/24"),
	} {
		if before := seen[other]; before != "" {
			t.Errorf("%s and %s: both %v", before, name, other)
		}
		seen[other] = name
	}
}
