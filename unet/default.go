package unet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/tap"
)

const (
	defaultAddr  = "10.0.0.2/24"
	defaultAddr6 = "fd75:6e65:7400::2/64" // of a unique-local network (RFC 4193 3), whose octets spell "unet"
	none         = "none"                 // value of a variable that has a default, for no address at all
)

// defaultHost is the host of the package's functions, made on first use.
var defaultHost struct {
	sync.Mutex
	host *Host
}

// Default returns the default host, which the functions of this package use, and makes it on the first call.
// When that fails the next call tries again; when the host was closed, or its device has failed (Host.Done), the next
// call makes a new one. Environment variables configure it. Each has a default:
//
//	UNET_DEVICE    name of the TAP device                                  unet0
//	UNET_ADDR      the host's addresses, comma separated                   10.0.0.2/24,fd75:6e65:7400::2/64
//	UNET_PEER      addresses of the kernel's side of the device, or none   10.0.0.1/24 beside an address of 10.0.0.0/24, fd75:6e65:7400::1/64 likewise where the kernel has IPv6 (Linux), otherwise none
//	UNET_GATEWAY   where packets for other networks go, or none            the first address of each family of UNET_PEER in one of UNET_ADDR's networks
//	UNET_DNS       servers that resolve names, asked over this network     none: the kernel's
//	UNET_MAC       Ethernet address of the host                            made from device, first address and machine
//	UNET_MTU       largest IP packet in octets                             1500
//	UNET_PORTABLE  1 for the TAP device of every system                    0
func Default() (*Host, error) {
	defaultHost.Lock()
	defer defaultHost.Unlock()
	if h := defaultHost.host; h != nil && h.Err() == nil {
		return h, nil
	}
	cfg, err := configFromEnv(os.Getenv, tap.KernelIPv6)
	if err != nil {
		return nil, err
	}
	h, err := Open(cfg)
	if plain := cfg.withoutPeers6(); errors.Is(err, syscall.EPERM) && os.Getenv("UNET_PEER") == "" && len(plain.PeerAddrs) < len(cfg.PeerAddrs) {
		// The device may have been prepared for a user without privilege, with an address of IPv4 alone.
		if other, again := Open(plain); again == nil {
			h, err = other, nil
		}
	}
	if err != nil {
		if set := variablesSet(os.Getenv); set != "" {
			err = errorf("%w (from %s)", err, set)
		}
		return nil, err
	}
	defaultHost.host = h
	return h, nil
}

// withoutPeers6 returns the configuration without IPv6 addresses of the kernel's side, and without a gateway that is one.
func (cfg Config) withoutPeers6() Config {
	var peers []netip.Prefix
	for _, p := range cfg.PeerAddrs {
		switch {
		case p.Addr().Is4():
			peers = append(peers, p)
		case p.Addr() == cfg.Gateway6:
			cfg.Gateway6 = netip.Addr{}
		}
	}
	cfg.PeerAddrs = peers
	return cfg
}

// forget makes Default make a new host at the next call, if h is the default host.
func forget(h *Host) {
	defaultHost.Lock()
	defer defaultHost.Unlock()
	if defaultHost.host == h {
		defaultHost.host = nil
	}
}

// Shutdown is Host.Shutdown of the default host. A program that uses the functions of this package calls it at its end.
// If there is no default host it does nothing, and makes none.
func Shutdown(ctx context.Context) error {
	defaultHost.Lock()
	h := defaultHost.host
	defaultHost.Unlock()
	if h == nil {
		return nil
	}
	if err := h.Shutdown(ctx); err != net.ErrClosed { // otherwise another call has closed it
		return err
	}
	return nil
}

// configFromEnv reads the default host's configuration. Its errors name the variable. kernelIPv6 says whether the kernel's
// side may have an IPv6 address.
func configFromEnv(getenv func(string) string, kernelIPv6 func() bool) (Config, error) {
	get := func(name, def string) string {
		if v := strings.TrimSpace(getenv(name)); v != "" {
			return v
		}
		return def
	}
	cfg := Config{Device: get("UNET_DEVICE", "unet0")}
	var err error
	if mtu := get("UNET_MTU", ""); mtu != "" {
		if cfg.MTU, err = strconv.Atoi(mtu); err != nil || cfg.MTU < 68 || cfg.MTU > 65535 {
			return Config{}, badVariable("UNET_MTU", mtu, "a number of octets from 68 to 65535")
		}
	}
	addrs := defaultAddr + "," + defaultAddr6
	if cfg.MTU != 0 && cfg.MTU < leastMTU6 {
		addrs = defaultAddr
	}
	if cfg.Addrs, err = parsePrefixes("UNET_ADDR", get("UNET_ADDR", addrs)); err != nil {
		return Config{}, err
	}
	if cfg.PeerAddrs, err = peersFromEnv(get("UNET_PEER", ""), cfg.Addrs, kernelIPv6); err != nil {
		return Config{}, err
	}
	if err = cfg.gatewaysFromEnv(get("UNET_GATEWAY", "")); err != nil {
		return Config{}, err
	}
	if list := get("UNET_DNS", ""); list != "" {
		if cfg.DNS, err = parseServers(list); err != nil {
			return Config{}, err
		}
	}
	if mac := get("UNET_MAC", ""); mac != "" {
		if cfg.MAC, err = parseMAC(mac); err != nil {
			return Config{}, err
		}
	}
	if portable := get("UNET_PORTABLE", ""); portable != "" {
		if cfg.Portable, err = strconv.ParseBool(portable); err != nil {
			return Config{}, badVariable("UNET_PORTABLE", portable, "0 or 1")
		}
	}
	return cfg, nil
}

// variablesSet lists the variables of the default host that are set. Errors of the device or the stack get the list, since
// they cannot name the variables themselves.
func variablesSet(getenv func(string) string) string {
	var set []string
	_, _ = configFromEnv(func(name string) string {
		v := getenv(name)
		if s := fmt.Sprintf("%s=%q", name, v); strings.TrimSpace(v) != "" && !slices.Contains(set, s) {
			set = append(set, s)
		}
		return v
	}, func() bool { return false })
	return strings.Join(set, " ")
}

// peersFromEnv returns the addresses of the kernel's side. By default it has an address in the default network only: in
// another network the address might belong to another machine, a router for instance.
func peersFromEnv(value string, addrs []netip.Prefix, kernelIPv6 func() bool) ([]netip.Prefix, error) {
	switch {
	case value == none:
		return nil, nil
	case value != "":
		return parsePrefixes("UNET_PEER", value)
	case runtime.GOOS != "linux": // package tap cannot set them
		return nil, nil
	}
	peers := defaultPeer(defaultAddr, addrs)
	if kernelIPv6() {
		peers = append(peers, defaultPeer(defaultAddr6, addrs)...)
	}
	return peers, nil
}

// gatewaysFromEnv sets the gateways, one for each family. By default they are the kernel's side, so that containers and
// machines of the LAN, for which the kernel forwards packets, get answers.
func (cfg *Config) gatewaysFromEnv(value string) error {
	if value == none {
		return nil
	}
	if value == "" {
		cfg.Gateway = firstWithin(cfg.PeerAddrs, cfg.Addrs, netip.Addr.Is4)
		cfg.Gateway6 = firstWithin(cfg.PeerAddrs, cfg.Addrs, netip.Addr.Is6)
		return nil
	}
	for s := range strings.SplitSeq(value, ",") {
		gw, err := netip.ParseAddr(strings.TrimSpace(s))
		field := &cfg.Gateway
		if gw = gw.Unmap(); gw.Is6() {
			field = &cfg.Gateway6
		}
		if err != nil || field.IsValid() {
			return badVariable("UNET_GATEWAY", value, "an IP address such as 10.0.0.1, one of each family, or none")
		}
		*field = gw
	}
	return nil
}

// firstWithin returns the first address of peers in a family that is in a network of addrs, and not one of them.
func firstWithin(peers, addrs []netip.Prefix, family func(netip.Addr) bool) netip.Addr {
	for _, p := range peers {
		if !family(p.Addr()) {
			continue
		}
		within := slices.ContainsFunc(addrs, func(a netip.Prefix) bool { return a.Contains(p.Addr()) })
		own := slices.ContainsFunc(addrs, func(a netip.Prefix) bool { return a.Addr() == p.Addr() })
		if within && !own {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// badVariable is called in many places, none of them hot, and is not copied to them.
//
//go:noinline
func badVariable(name, value, want string) error {
	return errorf("unet: %s=%q: want %s", name, value, want)
}

func parsePrefixes(name, list string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for s := range strings.SplitSeq(list, ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(s))
		if err != nil || p.Addr().IsUnspecified() || p.Addr().IsMulticast() {
			return nil, badVariable(name, list, "addresses with the length of their networks, such as "+defaultAddr)
		}
		prefixes = append(prefixes, p)
	}
	return unmapPrefixes(prefixes), nil
}

// parseMAC reads UNET_MAC: the address of one station.
func parseMAC(s string) (mac link.MAC, err error) {
	text := []byte(s)
	for i := range text {
		if text[i] == '-' { // as IEEE 802 writes it
			text[i] = ':'
		}
	}
	if mac.UnmarshalText(text) != nil || mac == (link.MAC{}) || mac[0]&1 != 0 {
		return link.MAC{}, badVariable("UNET_MAC", s, "the Ethernet address of one host, such as 02:00:00:00:00:02")
	}
	return mac, nil
}

func parseServers(list string) (servers []netip.AddrPort, err error) {
	for s := range strings.SplitSeq(list, ",") {
		s = strings.TrimSpace(s)
		server, err := netip.ParseAddrPort(s)
		if err != nil {
			var a netip.Addr
			a, err = netip.ParseAddr(s)
			server = netip.AddrPortFrom(a, 0)
		}
		if err != nil || server.Addr().IsUnspecified() || server.Addr().IsMulticast() {
			return nil, badVariable("UNET_DNS", list, "IP addresses such as 10.0.0.1, with or without a port")
		}
		servers = append(servers, unmap(server))
	}
	return servers, nil
}

// defaultPeer returns the first address of a default network that addrs leave free, if they are in that network.
func defaultPeer(of string, addrs []netip.Prefix) []netip.Prefix {
	network := netip.MustParsePrefix(of).Masked()
	taken := make(map[netip.Addr]bool)
	inside := false
	for _, p := range addrs {
		taken[p.Addr()] = true
		inside = inside || p.Masked() == network
	}
	if !inside {
		return nil
	}
	a := network.Addr().Next()
	for taken[a] {
		a = a.Next()
	}
	if !network.Contains(a.Next()) { // the last one is the broadcast address
		return nil
	}
	return []netip.Prefix{netip.PrefixFrom(a, network.Bits())}
}

// Listen is net.Listen on the default host, which it makes if there is none; see Default. The network is
// "tcp", "tcp4" or "tcp6". The listener is a *TCPListener.
func Listen(network, address string) (net.Listener, error) {
	var lc ListenConfig
	return lc.Listen(context.Background(), network, address)
}

// ListenTCP is net.ListenTCP on the default host.
func ListenTCP(network string, laddr *net.TCPAddr) (*TCPListener, error) {
	var lc ListenConfig
	return lc.listenTCP(network, laddr)
}

// ListenPacket is net.ListenPacket on the default host. The network is "udp", "udp4" or "udp6", and the
// connection a *UDPConn, or the network is one of IP with a protocol, and the connection an *IPConn; see ListenIP.
func ListenPacket(network, address string) (net.PacketConn, error) {
	var lc ListenConfig
	return lc.ListenPacket(context.Background(), network, address)
}

// ListenUDP is net.ListenUDP on the default host.
func ListenUDP(network string, laddr *net.UDPAddr) (*UDPConn, error) {
	var lc ListenConfig
	return lc.listenUDP(network, laddr)
}

// Dial is net.Dial from the default host. The network is "tcp", "udp" or one of these followed by 4 or 6, or one of IP with a
// protocol. The connection is a *TCPConn, a *UDPConn or an *IPConn; see DialIP.
func Dial(network, address string) (net.Conn, error) {
	var d Dialer
	return d.Dial(network, address)
}

// DialTimeout is net.DialTimeout from the default host.
func DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	d := Dialer{Timeout: timeout}
	return d.Dial(network, address)
}

// DialContext is (*net.Dialer).DialContext from the default host.
func DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var d Dialer
	return d.DialContext(ctx, network, address)
}

// DialTCP is net.DialTCP from the default host.
func DialTCP(network string, laddr, raddr *net.TCPAddr) (*TCPConn, error) {
	var d Dialer
	return d.dialTCP(context.Background(), network, laddr, raddr)
}

// DialUDP is net.DialUDP from the default host.
func DialUDP(network string, laddr, raddr *net.UDPAddr) (*UDPConn, error) {
	var d Dialer
	return d.dialUDP(context.Background(), network, laddr, raddr)
}

// leastMTU6 is the least MTU in octets of a link with IPv6 (RFC 8200 5).
const leastMTU6 = 1280
