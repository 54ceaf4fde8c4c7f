package tap

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"

	"github.com/unet-go/unet/stack/link"
)

// MACSource says where the Ethernet address of our side comes from.
type MACSource uint8

const (
	// MACNone: the device is a TUN device, and has none.
	MACNone MACSource = iota
	// MACGiven: from Config.MAC.
	MACGiven
	// MACMachine: made from the machine's ID, and so the same whenever the interface is opened.
	MACMachine
	// MACBoot: made from the ID of this boot, since the machine has no ID: it changes when the machine starts again.
	MACBoot
	// MACRandom: chosen at random, since the system has neither ID: the address is another one each time.
	MACRandom
)

// String names the source in a few words.
func (s MACSource) String() string {
	switch s {
	case MACGiven:
		return "given"
	case MACMachine:
		return "machine ID"
	case MACBoot:
		return "boot ID"
	case MACRandom:
		return "random"
	case MACNone:
		return "none"
	}
	return "invalid"
}

// MACSource says where the Ethernet address of our side, Info().MAC, comes from.
func (d *Device) MACSource() MACSource { return d.macSource }

// Announces reports that hosts on the device should announce their addresses, as link.Announcer says: there may be a
// bridge behind a TAP device, and machines that remember which station had an address before.
func (d *Device) Announces() bool { return d.info.Kind == link.Ethernet }

// chooseMAC returns the Ethernet address of our side: that of cfg, or one made for the interface's name.
func (cfg *Config) chooseMAC(name string) (link.MAC, MACSource) {
	switch {
	case cfg.TUN:
		return link.MAC{}, MACNone
	case cfg.MAC != (link.MAC{}):
		return cfg.MAC, MACGiven
	}
	if id := machineID(); id != "" {
		return makeMAC(id, name, cfg.Addr), MACMachine
	}
	if id := bootID(); id != "" {
		return makeMAC(id, name, cfg.Addr), MACBoot
	}
	var b [8]byte
	rand.Read(b[:]) // never fails, by its own documentation
	return local(b[:]), MACRandom
}

// makeMAC makes the Ethernet address of the named interface on the machine with the ID. It is a hash, since the ID of a
// machine must not be seen on the network (machine-id(5)). The IP address goes into it too: two containers may have the
// same ID and the same name of the interface.
func makeMAC(id, name string, addr netip.Addr) link.MAC {
	b := []byte("unet MAC\x00")
	for _, s := range []string{id, name, string(addr.Unmap().AsSlice())} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	sum := sha256.Sum256(b)
	return local(sum[:])
}

// local makes an Ethernet address of random octets: one station's, and locally administered (IEEE 802 8.4).
func local(b []byte) link.MAC {
	mac := link.MAC(b[:6])
	mac[0] = mac[0]&^1 | 2
	return mac
}
