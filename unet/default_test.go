package unet

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/tap"
)

func prefixes(list ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, s := range list {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

func TestConfigFromEnv(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		want Config
		err  string
	}{
		{name: "defaults", want: Config{Device: "unet0", Addrs: prefixes("10.0.0.2/24", "fd75:6e65:7400::2/64"), PeerAddrs: prefixes("10.0.0.1/24", "fd75:6e65:7400::1/64"),
			Gateway: netip.MustParseAddr("10.0.0.1"), Gateway6: netip.MustParseAddr("fd75:6e65:7400::1")}},
		{name: "a kernel without IPv6", env: map[string]string{"KERNEL": "4"}, want: Config{Device: "unet0", Addrs: prefixes("10.0.0.2/24", "fd75:6e65:7400::2/64"),
			PeerAddrs: prefixes("10.0.0.1/24"), Gateway: netip.MustParseAddr("10.0.0.1")}},
		{name: "packets too small for IPv6", env: map[string]string{"UNET_MTU": "1279"}, want: Config{Device: "unet0", MTU: 1279, Addrs: prefixes("10.0.0.2/24"),
			PeerAddrs: prefixes("10.0.0.1/24"), Gateway: netip.MustParseAddr("10.0.0.1")}},
		{name: "IPv6 alone", env: map[string]string{"UNET_ADDR": "fd75:6e65:7400::1/64"}, want: Config{Device: "unet0", Addrs: prefixes("fd75:6e65:7400::1/64"),
			PeerAddrs: prefixes("fd75:6e65:7400::2/64"), Gateway6: netip.MustParseAddr("fd75:6e65:7400::2")}},
		{name: "IPv6 of one's own", env: map[string]string{"UNET_ADDR": "2001:db8::2/64", "UNET_PEER": "2001:db8::1/64", "UNET_DNS": "[2001:db8::53]:5353"},
			want: Config{Device: "unet0", Addrs: prefixes("2001:db8::2/64"), PeerAddrs: prefixes("2001:db8::1/64"), Gateway6: netip.MustParseAddr("2001:db8::1"),
				DNS: []netip.AddrPort{netip.MustParseAddrPort("[2001:db8::53]:5353")}}},
		{name: "a gateway of each family", env: map[string]string{"UNET_GATEWAY": "fe80::1, 10.0.0.9", "UNET_PEER": "none"}, want: Config{Device: "unet0",
			Addrs: prefixes("10.0.0.2/24", "fd75:6e65:7400::2/64"), Gateway: netip.MustParseAddr("10.0.0.9"), Gateway6: netip.MustParseAddr("fe80::1")}},
		{name: "two gateways of a family", env: map[string]string{"UNET_GATEWAY": "10.0.0.1,10.0.0.9"},
			err: `unet: UNET_GATEWAY="10.0.0.1,10.0.0.9": want an IP address such as 10.0.0.1, one of each family, or none`},
		{name: "all set", env: map[string]string{"UNET_DEVICE": "tap7", "UNET_ADDR": " 10.9.0.7/16 , ::ffff:10.8.0.7/112", "UNET_PEER": "10.9.9.9/16",
			"UNET_GATEWAY": "10.9.0.1", "UNET_DNS": "10.9.0.1, 10.9.0.2:5353", "UNET_MTU": "9000", "UNET_MAC": "02-00-5E-00-53-01", "UNET_PORTABLE": "true"},
			want: Config{Device: "tap7", Addrs: prefixes("10.9.0.7/16", "10.8.0.7/16"), PeerAddrs: prefixes("10.9.9.9/16"),
				Gateway: netip.MustParseAddr("10.9.0.1"), DNS: []netip.AddrPort{netip.MustParseAddrPort("10.9.0.1:0"), netip.MustParseAddrPort("10.9.0.2:5353")}, MTU: 9000, MAC: [6]byte{2, 0, 0x5e, 0, 0x53, 1}, Portable: true}},
		{name: "peer of the network's first address", env: map[string]string{"UNET_ADDR": "10.0.0.1/24"},
			want: Config{Device: "unet0", Addrs: prefixes("10.0.0.1/24"), PeerAddrs: prefixes("10.0.0.2/24"), Gateway: netip.MustParseAddr("10.0.0.2")}},
		{name: "two addresses of one network have one peer", env: map[string]string{"UNET_ADDR": "10.0.0.1/24,10.0.0.2/24"},
			want: Config{Device: "unet0", Addrs: prefixes("10.0.0.1/24", "10.0.0.2/24"), PeerAddrs: prefixes("10.0.0.3/24"), Gateway: netip.MustParseAddr("10.0.0.3")}},
		{name: "another host of the default network", env: map[string]string{"UNET_ADDR": "10.0.0.7/24"},
			want: Config{Device: "unet0", Addrs: prefixes("10.0.0.7/24"), PeerAddrs: prefixes("10.0.0.1/24"), Gateway: netip.MustParseAddr("10.0.0.1")}},
		{name: "the usual router keeps its address", env: map[string]string{"UNET_ADDR": "192.168.1.50/24"},
			want: Config{Device: "unet0", Addrs: prefixes("192.168.1.50/24")}},
		{name: "part of the default network, or more than it, is another one", env: map[string]string{"UNET_ADDR": "10.0.0.0/31,10.0.0.2/16"},
			want: Config{Device: "unet0", Addrs: prefixes("10.0.0.0/31", "10.0.0.2/16")}},
		{name: "the default network beside another one", env: map[string]string{"UNET_ADDR": "192.168.1.50/24,10.0.0.2/24"},
			want: Config{Device: "unet0", Addrs: prefixes("192.168.1.50/24", "10.0.0.2/24"), PeerAddrs: prefixes("10.0.0.1/24"), Gateway: netip.MustParseAddr("10.0.0.1")}},
		{name: "no peer, and so no gateway", env: map[string]string{"UNET_PEER": "none"},
			want: Config{Device: "unet0", Addrs: prefixes("10.0.0.2/24", "fd75:6e65:7400::2/64")}},
		{name: "no gateway", env: map[string]string{"UNET_GATEWAY": "none"},
			want: Config{Device: "unet0", Addrs: prefixes("10.0.0.2/24", "fd75:6e65:7400::2/64"), PeerAddrs: prefixes("10.0.0.1/24", "fd75:6e65:7400::1/64")}},
		{name: "no peer, but a gateway", env: map[string]string{"UNET_ADDR": "192.168.1.50/24", "UNET_PEER": "none", "UNET_GATEWAY": "192.168.1.1"},
			want: Config{Device: "unet0", Addrs: prefixes("192.168.1.50/24"), Gateway: netip.MustParseAddr("192.168.1.1")}},
		{name: "the gateway is the peer that can be reached", env: map[string]string{"UNET_ADDR": "10.9.0.2/24", "UNET_PEER": "10.8.0.1/24,10.9.0.2/24,10.9.0.1/24"},
			want: Config{Device: "unet0", Addrs: prefixes("10.9.0.2/24"), PeerAddrs: prefixes("10.8.0.1/24", "10.9.0.2/24", "10.9.0.1/24"), Gateway: netip.MustParseAddr("10.9.0.1")}},
		{name: "IPv6", env: map[string]string{"UNET_ADDR": "fd00::2/64", "UNET_PEER": "fd00::1/64", "UNET_DNS": "fd00::1, [fd00::3]:5353"},
			want: Config{Device: "unet0", Addrs: prefixes("fd00::2/64"), PeerAddrs: prefixes("fd00::1/64"), Gateway6: netip.MustParseAddr("fd00::1"),
				DNS: []netip.AddrPort{netip.MustParseAddrPort("[fd00::1]:0"), netip.MustParseAddrPort("[fd00::3]:5353")}}},
		{name: "IPv6 gateway", env: map[string]string{"UNET_ADDR": "fd00::2/64", "UNET_GATEWAY": "fd00::9"},
			want: Config{Device: "unet0", Addrs: prefixes("fd00::2/64"), Gateway6: netip.MustParseAddr("fd00::9")}},
		{name: "bad address", env: map[string]string{"UNET_ADDR": "10.0.0.2"},
			err: `unet: UNET_ADDR="10.0.0.2": want addresses with the length of their networks, such as 10.0.0.2/24`},
		{name: "multicast address", env: map[string]string{"UNET_ADDR": "224.0.0.1/4"},
			err: `unet: UNET_ADDR="224.0.0.1/4": want addresses with the length of their networks, such as 10.0.0.2/24`},
		{name: "bad peer", env: map[string]string{"UNET_PEER": "x"},
			err: `unet: UNET_PEER="x": want addresses with the length of their networks, such as 10.0.0.2/24`},
		{name: "bad gateway", env: map[string]string{"UNET_GATEWAY": "router"},
			err: `unet: UNET_GATEWAY="router": want an IP address such as 10.0.0.1, one of each family, or none`},
		{name: "bad server", env: map[string]string{"UNET_DNS": "dns.example"},
			err: `unet: UNET_DNS="dns.example": want IP addresses such as 10.0.0.1, with or without a port`},
		{name: "server at no address", env: map[string]string{"UNET_DNS": "10.0.0.1,0.0.0.0"},
			err: `unet: UNET_DNS="10.0.0.1,0.0.0.0": want IP addresses such as 10.0.0.1, with or without a port`},
		{name: "bad MTU", env: map[string]string{"UNET_MTU": "67"},
			err: `unet: UNET_MTU="67": want a number of octets from 68 to 65535`},
		{name: "MAC that is group's", env: map[string]string{"UNET_MAC": "03:00:00:00:00:01"},
			err: `unet: UNET_MAC="03:00:00:00:00:01": want the Ethernet address of one host, such as 02:00:00:00:00:02`},
		{name: "MAC that is everybody's", env: map[string]string{"UNET_MAC": "ff:ff:ff:ff:ff:ff"},
			err: `unet: UNET_MAC="ff:ff:ff:ff:ff:ff": want the Ethernet address of one host, such as 02:00:00:00:00:02`},
		{name: "MAC that is zero", env: map[string]string{"UNET_MAC": "00:00:00:00:00:00"},
			err: `unet: UNET_MAC="00:00:00:00:00:00": want the Ethernet address of one host, such as 02:00:00:00:00:02`},
		{name: "MAC that is EUI-64", env: map[string]string{"UNET_MAC": "02:00:00:00:00:00:00:01"},
			err: `unet: UNET_MAC="02:00:00:00:00:00:00:01": want the Ethernet address of one host, such as 02:00:00:00:00:02`},
		{name: "MAC that is short", env: map[string]string{"UNET_MAC": "02:00:00:00:00"},
			err: `unet: UNET_MAC="02:00:00:00:00": want the Ethernet address of one host, such as 02:00:00:00:00:02`},
		{name: "MAC that is not hexadecimal", env: map[string]string{"UNET_MAC": "x"},
			err: `unet: UNET_MAC="x": want the Ethernet address of one host, such as 02:00:00:00:00:02`},
		{name: "bad switch", env: map[string]string{"UNET_PORTABLE": "maybe"},
			err: `unet: UNET_PORTABLE="maybe": want 0 or 1`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if runtime.GOOS != "linux" && tt.env["UNET_PEER"] == "" {
				tt.want.PeerAddrs = nil
				if tt.env["UNET_GATEWAY"] == "" {
					tt.want.Gateway, tt.want.Gateway6 = netip.Addr{}, netip.Addr{}
				}
			}
			got, err := configFromEnv(func(k string) string { return tt.env[k] }, func() bool { return tt.env["KERNEL"] != "4" })
			if text := errorText(err); text != tt.err {
				t.Fatalf("error %q, want %q", text, tt.err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
				cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmpopts.EquateEmpty(), cmpopts.IgnoreTypes(stack.Config{})); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestLogMAC(t *testing.T) {
	info := link.Info{Name: "unet0", MAC: link.MAC{2, 0, 0, 0, 0, 2}}
	for source, want := range map[tap.MACSource]string{
		tap.MACMachine: "", tap.MACGiven: "", tap.MACNone: "",
		tap.MACBoot:   `level=WARN msg="the machine has no ID (/etc/machine-id): the MAC changes when it boots again" interface=unet0 mac=02:00:00:00:00:02` + "\n",
		tap.MACRandom: `level=WARN msg="the system has no ID of the machine: the MAC is another one each time" interface=unet0 mac=02:00:00:00:00:02` + "\n",
	} {
		var b strings.Builder
		logger := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		(&Config{Logger: logger}).logMAC(info, source)
		if b.String() != want {
			t.Errorf("%v: logged %q, want %q", source, b.String(), want)
		}
		b.Reset()
		(&Config{Logger: logger, Stack: stack.Config{Logger: (*slog.Logger)(nil)}}).logMAC(info, source)
		(&Config{}).logMAC(info, source)
		if b.String() != "" {
			t.Errorf("%v: logged %q to nobody", source, b.String())
		}
	}
}

func TestConfigMAC(t *testing.T) {
	port := func() link.Device { return sim.NewSegment(sim.Config{}).Port() }
	for _, tt := range []struct {
		cfg Config
		err string
	}{
		{Config{Device: "unet-nope", MAC: link.MAC{1}}, "unet: Config.MAC is 01:00:00:00:00:00, the address of a group, which no host can have"},
		{Config{Link: port(), MAC: link.MAC{2}}, "unet: Config.MAC without Device: a Link has an address of its own"},
		{Config{Link: port(), Announce: 9}, "unet: Config.Announce is 9, which means nothing"},
	} {
		if h, err := Open(tt.cfg); h != nil || errorText(err) != tt.err {
			t.Errorf("%v, %v; want %s", h, err, tt.err)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Every function of the package reports why there is no default host, as package net would report it, and
// none returns a typed nil.
func TestNoDefaultHost(t *testing.T) {
	t.Setenv("UNET_ADDR", "nonsense")
	const why = `unet: UNET_ADDR="nonsense": want addresses with the length of their networks, such as 10.0.0.2/24`
	tcpAt, udpAt := &net.TCPAddr{IP: net.IP{10, 0, 0, 1}, Port: 1}, &net.UDPAddr{IP: net.IP{10, 0, 0, 1}, Port: 1}
	calls := []struct {
		name, want string
		call       func() (any, error)
	}{
		{"Listen", "listen tcp: ", func() (any, error) { l, err := Listen("tcp", ":80"); return orNil(l == nil, l), err }},
		{"ListenTCP", "listen tcp 10.0.0.1:1: ", func() (any, error) { l, err := ListenTCP("tcp", tcpAt); return orNil(l == nil, l), err }},
		{"ListenPacket", "listen udp: ", func() (any, error) { c, err := ListenPacket("udp", ":53"); return orNil(c == nil, c), err }},
		{"ListenUDP", "listen udp 10.0.0.1:1: ", func() (any, error) { c, err := ListenUDP("udp", udpAt); return orNil(c == nil, c), err }},
		{"Dial", "dial tcp: ", func() (any, error) { c, err := Dial("tcp", "10.0.0.1:1"); return orNil(c == nil, c), err }},
		{"DialTimeout", "dial tcp: ", func() (any, error) { c, err := DialTimeout("tcp", "10.0.0.1:1", 1e9); return orNil(c == nil, c), err }},
		{"DialContext", "dial udp: ", func() (any, error) {
			c, err := DialContext(context.Background(), "udp", "10.0.0.1:1")
			return orNil(c == nil, c), err
		}},
		{"DialTCP", "dial tcp 10.0.0.1:1: ", func() (any, error) { c, err := DialTCP("tcp", nil, tcpAt); return orNil(c == nil, c), err }},
		{"DialUDP", "dial udp 10.0.0.1:1: ", func() (any, error) { c, err := DialUDP("udp", nil, udpAt); return orNil(c == nil, c), err }},
	}
	for _, tt := range calls {
		v, err := tt.call()
		if v != nil {
			t.Errorf("%s returned %T with an error", tt.name, v)
		}
		if _, ok := err.(*net.OpError); !ok || err.Error() != tt.want+why {
			t.Errorf("%s: %T %v, want *net.OpError %s", tt.name, err, err, tt.want+why)
		}
	}
	if _, err := Default(); err == nil || err.Error() != why {
		t.Errorf("Default: %v", err)
	}
}

func orNil(isNil bool, v any) any {
	if isNil {
		return nil
	}
	return v
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
		want string
	}{
		{"addresses without a device", Config{Addrs: prefixes("10.0.0.2/24")}, "neither Device nor Link"},
		{"peers without a device", Config{PeerAddrs: prefixes("10.0.0.2/24")}, "PeerAddrs without Device"},
		{"MTU", Config{Device: "tap0", MTU: 70000}, "MTU is 70000"},
		{"unspecified address", Config{Device: "tap0", Addrs: prefixes("0.0.0.0/0")}, "0.0.0.0/0, which no host can have"},
		{"loopback address", Config{Device: "tap0", Addrs: prefixes("127.0.0.1/8")}, "Config.Addrs has 127.0.0.1/8, which no host can have"},
		{"unspecified address of IPv6", Config{Device: "tap0", Addrs: prefixes("::/0")}, "Config.Addrs has ::/0, which no host can have"},
		{"group of IPv6", Config{Device: "tap0", Addrs: prefixes("ff02::1/64")}, "Config.Addrs has ff02::1/64, which no host can have"},
		{"gateway of no host", Config{Device: "tap0", Gateway: netip.MustParseAddr("ff02::2")}, "Config.Gateway is ff02::2, which is no other host's address"},
		{"broadcast address", Config{Device: "tap0", Addrs: prefixes("255.255.255.255/32")}, "Config.Addrs has 255.255.255.255/32, which no host can have"},
		{"address twice", Config{Device: "tap0", Addrs: prefixes("10.0.0.2/24", "10.0.0.2/16")}, "Config.Addrs has 10.0.0.2 twice"},
		{"peer with the host's address", Config{Device: "tap0", Addrs: prefixes("10.0.0.2/24"), PeerAddrs: prefixes("10.0.0.2/24")},
			"Config.PeerAddrs has 10.0.0.2, which is the host's own"},
	}
	for _, tt := range tests {
		if h, err := Open(tt.cfg); h != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v", tt.name, h, err)
		}
	}
}
