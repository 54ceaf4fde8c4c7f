package unet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// defaultHost is the host of the package's functions, made on first use.
var defaultHost struct {
	sync.Mutex
	host *Host
}

// Default returns the default host, which the functions of this package use, and makes it on the first call.
// When that fails the next call tries again; when the host was closed the next call makes a new one. The
// environment says how, each variable with its default:
//
//	UNET_DEVICE    name of the TAP device                                  unet0
//	UNET_ADDR      the host's addresses, comma separated                   10.0.0.2/24
//	UNET_PEER      addresses of the kernel's side of the device            the first other ones of UNET_ADDR's networks (Linux)
//	UNET_GATEWAY   where packets go that are not for UNET_ADDR's networks  none
//	UNET_DNS       servers that resolve names, asked over this network     none: the kernel's
//	UNET_MTU       largest IP packet in octets                             1500
//	UNET_PORTABLE  1 for the TAP device of every system                    0
func Default() (*Host, error) {
	defaultHost.Lock()
	defer defaultHost.Unlock()
	if defaultHost.host != nil {
		return defaultHost.host, nil
	}
	cfg, err := configFromEnv(os.Getenv)
	if err != nil {
		return nil, err
	}
	h, err := Open(cfg)
	if err != nil {
		return nil, err
	}
	defaultHost.host = h
	return h, nil
}

// forget makes h no longer be the default host, if it is.
func forget(h *Host) {
	defaultHost.Lock()
	defer defaultHost.Unlock()
	if defaultHost.host == h {
		defaultHost.host = nil
	}
}

// configFromEnv reads the default host's configuration. Its errors name the variable.
func configFromEnv(getenv func(string) string) (Config, error) {
	get := func(name, def string) string {
		if v := strings.TrimSpace(getenv(name)); v != "" {
			return v
		}
		return def
	}
	cfg := Config{Device: get("UNET_DEVICE", "unet0")}
	var err error
	if cfg.Addrs, err = parsePrefixes("UNET_ADDR", get("UNET_ADDR", "10.0.0.2/24")); err != nil {
		return Config{}, err
	}
	if peers := get("UNET_PEER", ""); peers != "" {
		if cfg.PeerAddrs, err = parsePrefixes("UNET_PEER", peers); err != nil {
			return Config{}, err
		}
	} else if runtime.GOOS == "linux" { // elsewhere package tap cannot set them
		cfg.PeerAddrs = otherAddrs(cfg.Addrs)
	}
	if gw := get("UNET_GATEWAY", ""); gw != "" {
		if cfg.Gateway, err = netip.ParseAddr(gw); err != nil {
			return Config{}, badVariable("UNET_GATEWAY", gw, "an IP address such as 10.0.0.1")
		}
		if cfg.Gateway = cfg.Gateway.Unmap(); cfg.Gateway.Is6() {
			return Config{}, noIPv6("UNET_GATEWAY", gw)
		}
	}
	if list := get("UNET_DNS", ""); list != "" {
		if cfg.DNS, err = parseServers(list); err != nil {
			return Config{}, err
		}
	}
	if mtu := get("UNET_MTU", ""); mtu != "" {
		if cfg.MTU, err = strconv.Atoi(mtu); err != nil || cfg.MTU < 68 || cfg.MTU > 65535 {
			return Config{}, badVariable("UNET_MTU", mtu, "a number of octets from 68 to 65535")
		}
	}
	if portable := get("UNET_PORTABLE", ""); portable != "" {
		if cfg.Portable, err = strconv.ParseBool(portable); err != nil {
			return Config{}, badVariable("UNET_PORTABLE", portable, "0 or 1")
		}
	}
	return cfg, nil
}

func badVariable(name, value, want string) error {
	return fmt.Errorf("unet: %s=%q: want %s", name, value, want)
}

func parsePrefixes(name, list string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for s := range strings.SplitSeq(list, ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(s))
		if err != nil || p.Addr().IsUnspecified() || p.Addr().IsMulticast() {
			return nil, badVariable(name, list, "addresses with the length of their networks, such as 10.0.0.2/24")
		}
		prefixes = append(prefixes, p)
	}
	return unmapPrefixes(name, prefixes)
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
		if err != nil {
			return nil, badVariable("UNET_DNS", list, "IP addresses such as 10.0.0.1, with or without a port")
		}
		if server = unmap(server); server.Addr().Is6() {
			return nil, noIPv6("UNET_DNS", s)
		}
		servers = append(servers, server)
	}
	return servers, nil
}

// otherAddrs returns, for each network in addrs, its first host address that is not taken by addrs. A
// network without room for another host gives none.
func otherAddrs(addrs []netip.Prefix) []netip.Prefix {
	var others []netip.Prefix
	taken := make(map[netip.Addr]bool)
	for _, p := range addrs {
		taken[p.Addr()] = true
	}
	served := make(map[netip.Prefix]bool)
	for _, p := range addrs {
		if served[p.Masked()] {
			continue
		}
		served[p.Masked()] = true
		a := p.Masked().Addr()
		pair := p.Addr().BitLen()-p.Bits() == 1 // RFC 3021: both addresses of a /31 are hosts
		if !pair {
			a = a.Next()
		}
		for taken[a] {
			a = a.Next()
		}
		next := a.Next()
		broadcast := a.Is4() && !pair && !(next.IsValid() && p.Contains(next))
		if p.Contains(a) && !broadcast {
			others = append(others, netip.PrefixFrom(a, p.Bits()))
		}
	}
	return others
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

// ListenPacket is net.ListenPacket on the default host. The network is "udp", "udp4" or "udp6". The
// connection is a *UDPConn.
func ListenPacket(network, address string) (net.PacketConn, error) {
	var lc ListenConfig
	return lc.ListenPacket(context.Background(), network, address)
}

// ListenUDP is net.ListenUDP on the default host.
func ListenUDP(network string, laddr *net.UDPAddr) (*UDPConn, error) {
	var lc ListenConfig
	return lc.listenUDP(network, laddr)
}

// Dial is net.Dial from the default host. The network is "tcp", "udp" or one of these followed by 4 or 6. The
// connection is a *TCPConn or a *UDPConn.
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
