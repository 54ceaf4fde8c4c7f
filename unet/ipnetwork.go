package unet

import (
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
)

// known has what readProtocols returned first. With sync.OnceValue every program would have that function.
var known struct {
	once      sync.Once
	protocols map[string]int
}

// readProtocols returns the numbers of package net's protocols, and those of the file of that name as far as there is one.
func readProtocols() map[string]int {
	known := map[string]int{"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "ipv6-icmp": 58}
	text, _ := os.ReadFile("/etc/protocols") // without it package net knows no others either
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, err := strconv.Atoi(f[1])
		for i, name := range f {
			if _, there := known[name]; err == nil && !there && i != 1 {
				known[name] = n
			}
		}
	}
	return known
}

// parseProtocol returns the number of the protocol in the name of a network of IP, as in "ip4:icmp" or "ip6:58"; 0 for the
// name of another network.
func parseProtocol(network string) (int, error) {
	version, protocol, ok := cutLast(network)
	if !ok || version != "ip" && version != "ip4" && version != "ip6" {
		return 0, nil
	}
	if strings.Trim(protocol, "0123456789") == "" && protocol != "" {
		if n, err := strconv.Atoi(protocol); err == nil {
			return n, nil
		}
	}
	known.once.Do(func() { known.protocols = readProtocols() })
	n, ok := known.protocols[strings.ToLower(protocol)]
	if !ok {
		return 0, &net.AddrError{Err: "unknown IP protocol specified", Addr: protocol}
	}
	return n, nil
}

// parseIP returns the network of a name such as "ip4:icmp", and the protocol's number.
func parseIP(name string) (network, int, error) {
	protocol, err := parseProtocol(name)
	if err != nil {
		return 0, 0, err
	}
	n, err := parseNetwork(name)
	if err == nil && !n.ip() {
		err = net.UnknownNetworkError(name)
	}
	return n, protocol, err
}
