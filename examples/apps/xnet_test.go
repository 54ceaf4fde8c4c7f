package apps

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/unet"
)

// TestXNet finds out what of x/net's ipv4 and ipv6 packages works over a UDPConn, as row N-23 of docs/differences.md says: their
// ControlMessage types do, on Linux. All methods of their PacketConn that need a descriptor return an error;
// those of the net.PacketConn inside work.
func TestXNet(t *testing.T) {
	segment := sim.NewSegment(sim.Config{})
	t.Cleanup(func() { _ = segment.Close() })
	h := open(t, unet.Config{Link: segment.Port(), Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24"), netip.MustParsePrefix("fd00::2/64")}})
	p, err := h.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	four, six := ipv4.NewPacketConn(p), ipv6.NewPacketConn(p)
	b := make([]byte, 100)
	first := func(_ any, err error) error { return err }
	group := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251)}
	group6 := &net.UDPAddr{IP: net.ParseIP("ff02::fb")}
	read4 := func() error { _, _, _, err := four.ReadFrom(b); return err }
	read6 := func() error { _, _, _, err := six.ReadFrom(b); return err }
	for name, err := range map[string]error{
		"ipv4 SetControlMessage":    four.SetControlMessage(ipv4.FlagDst, true),
		"ipv6 SetControlMessage":    six.SetControlMessage(ipv6.FlagDst, true),
		"ipv4 SetTTL":               four.SetTTL(9),
		"ipv6 SetHopLimit":          six.SetHopLimit(9),
		"ipv4 SetTOS":               four.SetTOS(9),
		"ipv6 SetTrafficClass":      six.SetTrafficClass(9),
		"ipv4 TTL":                  first(four.TTL()),
		"ipv6 HopLimit":             first(six.HopLimit()),
		"ipv4 JoinGroup":            four.JoinGroup(nil, group),
		"ipv6 JoinGroup":            six.JoinGroup(nil, group6),
		"ipv4 SetMulticastTTL":      four.SetMulticastTTL(2),
		"ipv6 SetMulticastHops":     six.SetMulticastHopLimit(2),
		"ipv4 WriteTo":              first(four.WriteTo(b, nil, p.LocalAddr())),
		"ipv6 WriteTo":              first(six.WriteTo(b, nil, p.LocalAddr())),
		"ipv4 ReadFrom":             read4(),
		"ipv6 ReadFrom":             read6(),
		"ipv4 ReadBatch":            first(four.ReadBatch([]ipv4.Message{{Buffers: [][]byte{b}}}, 0)),
		"ipv6 ReadBatch":            first(six.ReadBatch([]ipv6.Message{{Buffers: [][]byte{b}}}, 0)),
		"ipv4 WriteBatch":           first(four.WriteBatch([]ipv4.Message{{Buffers: [][]byte{b}, Addr: p.LocalAddr()}}, 0)),
		"ipv6 WriteBatch":           first(six.WriteBatch([]ipv6.Message{{Buffers: [][]byte{b}, Addr: p.LocalAddr()}}, 0)),
		"ipv4 SetMulticastLoopback": four.SetMulticastLoopback(true),
		"ipv6 SetChecksum":          six.SetChecksum(true, 6),
	} {
		if err == nil || !strings.Contains(err.Error(), "invalid connection") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
