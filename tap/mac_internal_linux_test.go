package tap

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/unet-go/unet/stack/link"
)

// withIDs has the machine and the boot have the IDs that files with these texts give; nil is no file.
func withIDs(t *testing.T, machine, boot *string) {
	t.Helper()
	oldMachine, oldBoot := machineIDFile, bootIDFile
	t.Cleanup(func() { machineIDFile, bootIDFile = oldMachine, oldBoot })
	dir := t.TempDir()
	machineIDFile, bootIDFile = filepath.Join(dir, "machine-id"), filepath.Join(dir, "boot_id")
	for file, text := range map[string]*string{machineIDFile: machine, bootIDFile: boot} {
		if text != nil {
			if err := os.WriteFile(file, []byte(*text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestChooseMAC(t *testing.T) {
	text := func(s string) *string { return &s }
	one, other := text("3d1219c7c4c5404aaa1f6d2a48adfda4\n"), text("3d1219c7c4c5404aaa1f6d2a48adfda5\n")
	boot := text("c10115ac-8647-4b92-98fd-b5dca1bcf238\n")
	at2, at3 := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")
	choose := func(machine, boot *string, name string, cfg Config) (link.MAC, MACSource) {
		withIDs(t, machine, boot)
		mac, source := cfg.chooseMAC(name)
		if source != MACNone && source != MACGiven && mac[0]&3 != 2 {
			t.Errorf("% x is not one station's, locally administered", mac)
		}
		return mac, source
	}
	first, _ := choose(one, boot, "unet0", Config{Addr: at2})
	for _, tt := range []struct {
		what          string
		machine, boot *string
		name          string
		cfg           Config
		source        MACSource
		same          bool
	}{
		{"opened again", one, boot, "unet0", Config{Addr: at2}, MACMachine, true},
		{"in another boot", one, nil, "unet0", Config{Addr: at2}, MACMachine, true},
		{"the address in its other form", one, boot, "unet0", Config{Addr: netip.AddrFrom16(at2.As16())}, MACMachine, true},
		{"another name", one, boot, "unet1", Config{Addr: at2}, MACMachine, false},
		{"another address", one, boot, "unet0", Config{Addr: at3}, MACMachine, false},
		{"no address", one, boot, "unet0", Config{}, MACMachine, false},
		{"another machine", other, boot, "unet0", Config{Addr: at2}, MACMachine, false},
		{"no machine ID", nil, boot, "unet0", Config{Addr: at2}, MACBoot, false},
		{"an empty machine ID", text(""), boot, "unet0", Config{Addr: at2}, MACBoot, false},
		{"an image that was never started", text("uninitialized\n"), boot, "unet0", Config{Addr: at2}, MACBoot, false},
		{"zeros", text("00000000000000000000000000000000"), boot, "unet0", Config{Addr: at2}, MACBoot, false},
		{"neither", nil, nil, "unet0", Config{Addr: at2}, MACRandom, false},
	} {
		mac, source := choose(tt.machine, tt.boot, tt.name, tt.cfg)
		if source != tt.source || (mac == first) != tt.same {
			t.Errorf("%s: % x from %v, want from %v, the same as % x: %t", tt.what, mac, source, tt.source, first, tt.same)
		}
		again, _ := choose(tt.machine, tt.boot, tt.name, tt.cfg)
		if (again == mac) != (source != MACRandom) {
			t.Errorf("%s: % x, and then % x", tt.what, mac, again)
		}
	}
	given := link.MAC{2, 0, 0, 0, 0, 7}
	if mac, source := choose(one, boot, "unet0", Config{MAC: given}); mac != given || source != MACGiven {
		t.Errorf("given: % x from %v", mac, source)
	}
	if mac, source := choose(one, boot, "unet0", Config{MAC: given, TUN: true}); mac != (link.MAC{}) || source != MACNone {
		t.Errorf("TUN: % x from %v", mac, source)
	}
	// 48 is "0": the name unet1 and an address that begins with it are not the name unet10.
	a, _ := choose(one, boot, "unet1", Config{Addr: netip.MustParseAddr("48.0.0.1")})
	b, _ := choose(one, boot, "unet10", Config{})
	if a == b {
		t.Error("name and address run together")
	}
}
