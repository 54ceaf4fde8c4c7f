//go:build linux

package main

import (
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const nic = 1

// newStack returns a stack with one address on link. If it is tuned it has the settings of gVisor's large users.
func newStack(link stack.LinkEndpoint, ours netip.Prefix, tuned bool) (*stack.Stack, error) {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	if tuned {
		if err := tune(s); err != nil {
			return nil, err
		}
	}
	if err := s.CreateNIC(nic, link); err != nil {
		return nil, fmt.Errorf("interface: %s", err)
	}
	addr := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{
		Address: tcpip.AddrFromSlice(ours.Addr().AsSlice()), PrefixLen: ours.Bits()}}
	if err := s.AddProtocolAddress(nic, addr, stack.AddressProperties{}); err != nil {
		return nil, fmt.Errorf("address: %s", err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}})
	return s, nil
}

// Buffers in octets, the same as Tailscale's.
const (
	maxReceive = 8 << 20
	maxSend    = 6 << 20
)

// tune sets SACK, RACK, CUBIC and buffers that grow.
func tune(s *stack.Stack) error {
	sack := tcpip.TCPSACKEnabled(true)
	rack := tcpip.TCPRACKLossDetection
	cubic := tcpip.CongestionControlOption("cubic")
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: tcp.DefaultReceiveBufferSize, Max: maxReceive}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: tcp.DefaultSendBufferSize, Max: maxSend}
	for _, option := range []tcpip.SettableTransportProtocolOption{&sack, &rack, &cubic, &moderate, &receive, &send} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return fmt.Errorf("option %T: %s", option, err)
		}
	}
	return nil
}

// backlog is that of unet's and the kernel's listeners in the comparison; gonet.ListenTCP's is 10.
const backlog = 4096

// listen returns a listener at an address of the stack.
func listen(s *stack.Stack, at tcpip.FullAddress) (*gonet.TCPListener, error) {
	var queue waiter.Queue
	ep, err := s.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &queue)
	if err != nil {
		return nil, fmt.Errorf("socket: %s", err)
	}
	if err := ep.Bind(at); err != nil {
		return nil, fmt.Errorf("bind: %s", err)
	}
	if err := ep.Listen(backlog); err != nil {
		return nil, fmt.Errorf("listen: %s", err)
	}
	return gonet.NewTCPListener(s, &queue, ep), nil
}
