package stack

import (
	"net/netip"
	"syscall"
	"time"
)

type udpLayer struct{}

// UDPSocket is a UDP endpoint. Its methods may be called from any goroutine.
type UDPSocket struct{}

// ListenUDP binds a UDP socket; port 0 chooses one. An invalid or unspecified address binds to all.
func (h *Host) ListenUDP(local netip.AddrPort, opt BindOptions) (*UDPSocket, error) {
	return nil, syscall.EADDRNOTAVAIL
}

// Connect sets the peer of Read and Write. The zero AddrPort dissolves the association.
func (s *UDPSocket) Connect(remote netip.AddrPort) error { return syscall.ENETUNREACH }

// ReadFrom waits for a datagram. truncated says that p was too short, and the rest is lost.
func (s *UDPSocket) ReadFrom(p []byte) (n int, from netip.AddrPort, truncated bool, err error) {
	return 0, netip.AddrPort{}, false, syscall.EBADF
}

// Read is ReadFrom without the address.
func (s *UDPSocket) Read(p []byte) (int, error) { return 0, syscall.EBADF }

// WriteTo sends p as one datagram to an address.
func (s *UDPSocket) WriteTo(p []byte, to netip.AddrPort) (int, error) { return 0, syscall.EBADF }

// Write sends p as one datagram to the connected peer.
func (s *UDPSocket) Write(p []byte) (int, error) { return 0, syscall.EBADF }

// SetReadDeadline sets when reads give up; zero for never.
func (s *UDPSocket) SetReadDeadline(t time.Time) error { return syscall.EBADF }

// SetWriteDeadline sets when writes give up; zero for never.
func (s *UDPSocket) SetWriteDeadline(t time.Time) error { return syscall.EBADF }

// SetReadBuffer bounds the memory of the receive queue in octets.
func (s *UDPSocket) SetReadBuffer(octets int) error { return syscall.EBADF }

// SetBroadcast allows sending to broadcast addresses.
func (s *UDPSocket) SetBroadcast(on bool) error { return syscall.EBADF }

// TakeError returns the pending error and clears it.
func (s *UDPSocket) TakeError() error { return nil }

// Local returns the address that the socket is bound to.
func (s *UDPSocket) Local() netip.AddrPort { return netip.AddrPort{} }

// Remote returns the connected peer, not valid where there is none.
func (s *UDPSocket) Remote() netip.AddrPort { return netip.AddrPort{} }

// Close ends the socket and wakes all that wait on it.
func (s *UDPSocket) Close() error { return nil }
