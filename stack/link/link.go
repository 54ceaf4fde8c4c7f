// Package link is the contract between a stack and the devices that carry its frames: the Device
// interface, the Frame that passes through it, the pooled and reference-counted Buffer that holds frames, and
// the metadata of checksum and segmentation offload. It knows no protocol, only the form of a frame.
package link

import (
	"errors"
	"net/netip"
	"strconv"
)

// ErrClosed is returned by Device.Read and Device.Write after Close, and by a call that Close interrupts.
var ErrClosed = errors.New("link: device closed")

// ErrGone is wrapped by an error of Device.Read or Device.Write when no call can succeed any more, for instance because
// the interface was deleted.
var ErrGone = errors.New("link: device is gone")

// MAC is an Ethernet address.
type MAC [6]byte

// String returns the octets in hexadecimal digits with colons, 01:23:45:67:89:ab.
//
//go:noinline
func (m MAC) String() string {
	const digits = "0123456789abcdef"
	text := make([]byte, 0, 3*len(m))
	for i, octet := range m {
		if i > 0 {
			text = append(text, ':')
		}
		text = append(text, digits[octet>>4], digits[octet&15])
	}
	return string(text)
}

// MarshalText returns the address in the usual form, six pairs of hexadecimal digits with colons between them.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the form that MarshalText writes, with digits of either case. Any other text is an error.
func (m *MAC) UnmarshalText(text []byte) error {
	if len(text) != 3*len(m)-1 {
		return errMAC
	}
	var mac MAC
	for i := range mac {
		octet, err := strconv.ParseUint(string(text[3*i:3*i+2]), 16, 8)
		if err != nil || i > 0 && text[3*i-1] != ':' {
			return errMAC
		}
		mac[i] = byte(octet)
	}
	*m = mac
	return nil
}

var errMAC = errors.New("link: not an Ethernet address of the form 01:23:45:67:89:ab")

// Kind is the kind of header that a device's frames begin with.
type Kind uint8

const (
	// Ethernet frames begin with a 14-byte Ethernet II header.
	Ethernet Kind = iota
	// IP frames begin with the IP header itself, as a TUN device's do.
	IP
)

// String returns "ethernet" or "ip".
func (k Kind) String() string {
	if k == IP {
		return "ip"
	}
	return "ethernet"
}

// Info describes a device. It does not change while the device is open.
type Info struct {
	// Name is the device's name for people and captures, "tap0" for instance.
	Name string
	// Kind is the kind of header that frames begin with.
	Kind Kind
	// MAC is the Ethernet address of the stack's side; zero for Kind IP.
	MAC MAC
	// MTU is the largest IP packet in octets that one frame carries on the wire. A TCP super-segment may
	// be larger: the device or the receiver cuts it.
	MTU int
	// Checksum says that Write takes frames whose transport checksum is left to the device
	// (Meta.NeedsChecksum), and that Read may deliver such frames, which are trusted.
	Checksum bool
	// TSO4 and TSO6 say that Write takes TCP super-segments over IPv4 and IPv6 (Meta.GSO), and that
	// Read may deliver them. They imply Checksum.
	TSO4, TSO6 bool
	// MaxPacket is the largest IP packet, in octets, of a super-segment that Write takes: at most 65,535.
	// Zero means MTU.
	MaxPacket int
}

// Device moves frames between a stack and a network. Read and Write may run at the same time; neither is
// called twice at once. Close may be called at any time and more than once.
//
// Read and Write may return an error that passes, such as EINTR or ENOBUFS. The call is made again after a pause of
// 1 ms, then of 2, 4 and so on, on the clock of package time; frames that a Write did not take stay in their queue and
// are written first. When eleven calls in a row have failed, after 1.023 seconds, or an error is ErrClosed or wraps
// ErrGone, the device is given up: the stack closes it, and the interface's addresses and routes are gone. A count
// outside of 0 to len(frames), and a Write of no frame without an error, are errors too. A network that is away for
// longer, like a cable that was pulled, is no error: Read waits, Write drops. See Carrier.
type Device interface {
	// Info describes the device.
	Info() Info
	// Read blocks until at least one frame is there. It then stores the frames that are there, or some of them, at the
	// front of frames without waiting for more, and returns their number. The caller owns each and calls Frame.Release.
	// A received frame is contiguous: all of it is in Frame.Header. After Close it returns ErrClosed; for other errors see
	// Device. It should not return 0 without an error: the stack calls it again after a pause of at most 10 ms.
	Read(frames []Frame) (int, error)
	// Write sends frames in order and returns the number of frames that it took. It borrows them until it returns and
	// changes neither Header nor Payload, though it may use the headroom in front of Header. It may keep
	// references of its own to their buffers, whose octets must not change any more; a Write of the application may
	// wait until those are released. A frame for which there is no room in the queue, or which the network refuses, is
	// dropped and counted as taken, as on a wire. After Close it returns ErrClosed.
	Write(frames []Frame) (int, error)
	// Close makes Read and Write return ErrClosed. It returns when no call of either is in progress any more.
	Close() error
}

// Carrier is a Device that knows whether its link is up.
type Carrier interface {
	Device
	// WatchCarrier arranges that f is called whenever the link goes down or comes up again, one call after the other. If
	// the link is down already it calls f before it returns. The function f must not wait. It is not called after Close
	// has returned. The stack calls WatchCarrier once at most.
	WatchCarrier(f func(up bool))
}

// Resizer is a Device whose MTU may change while it is open.
type Resizer interface {
	Device
	// WatchMTU arranges that f is called with the MTU whenever it is another one, one call after the other. If it is another
	// one than Info says already, it calls f before it returns. The function f must not wait. It is not called after Close
	// has returned. The stack calls WatchMTU once at most. Info goes on to return the MTU that the device had at first.
	WatchMTU(f func(mtu int))
}

// Namer is a Device whose network knows names of hosts, as a simulated one does: no name server has to be asked for them.
type Namer interface {
	Device
	// LookupHost returns the addresses of a name, of both families and in any order; none where the network does not know
	// the name. known says whether the network has names at all: a name that it does not have is nobody's then, unless
	// the host has name servers to ask. It does not wait, and may be called at any time, also after Close.
	LookupHost(name string) (addrs []netip.Addr, known bool)
}

// Glancer is a Device that several goroutines may read: one that waits for frames, and others that take frames only if
// there are some already.
// Only one of them holds frames at a time, until ReadDone, so that frames are processed in the order in which they were
// received.
type Glancer interface {
	Device
	// ReadHeld is Read. If it returns frames, no other call returns any until ReadDone.
	ReadHeld(frames []Frame) (int, error)
	// TryRead is ReadHeld without waiting: it returns 0 if there are no frames, or another goroutine holds some. It
	// leaves errors to ReadHeld. It may be called while ReadHeld waits.
	TryRead(frames []Frame) int
	// ReadDone tells the device that the frames of the last ReadHeld or TryRead have been processed. It is called only if
	// there were any.
	ReadDone()
}

// Announcer is a Device that tells whether hosts on it announce their addresses by default. They should where other
// machines may remember an address for longer than the host that has it exists, as on a bridge. On a Device without this
// method they do not.
type Announcer interface {
	Device
	// Announces reports whether hosts on the device announce their addresses. The answer does not change while the device
	// is open.
	Announces() bool
}

// MultiQueue is a Device of several queues. Each queue is a Device of its own with the same Info; closing
// the parent closes all of them. The network chooses the queue of a received frame by its flow.
type MultiQueue interface {
	Device
	// Queues returns the queues, at least one. The parent's own Read and Write use the first one.
	Queues() []Device
}
