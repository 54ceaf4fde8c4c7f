// Package link is the contract between a stack and the devices that carry its frames: the Device
// interface, the Frame that crosses it, the pooled and reference-counted Buffer that frames live in, and
// the metadata of checksum and segmentation offload. It knows no protocol but the shape of a frame.
package link

import "errors"

// ErrClosed is returned by Device.Read and Device.Write after Close, and by a call that Close interrupts.
var ErrClosed = errors.New("link: device closed")

// ErrGone is wrapped by an error of Device.Read or Device.Write when no call can succeed any more: the interface was
// deleted, the machine at the other end is no more.
var ErrGone = errors.New("link: device is gone")

// MAC is an Ethernet address.
type MAC = [6]byte

// Kind says what a device's frames begin with.
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
	// Kind says what frames begin with.
	Kind Kind
	// MAC is the Ethernet address of the stack's side; zero for Kind IP.
	MAC MAC
	// MTU is the largest IP packet in octets that one frame carries on the wire. A TCP super-segment may
	// be larger: the device, or whoever receives it, cuts it.
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
	// Read blocks until at least one frame is there, fills frames from the front with those that are there,
	// or some of them, without waiting further, and returns their number. It passes ownership of each to the
	// caller, who calls Frame.Release. A received frame is contiguous: all of it stands in Frame.Header.
	// After Close it returns ErrClosed, see below for other errors. It should not return 0 without one: it is
	// called again after a pause of at most 10 ms.
	Read(frames []Frame) (int, error)
	// Write sends frames in order and returns how many it took; it borrows them until it returns and
	// changes neither Header nor Payload, though it may use the headroom in front of Header. It may keep
	// references of its own to their buffers, whose octets must not change any more; a Write of the application may
	// wait until they are given back.
	// A full queue or a frame that the network refuses is dropped and counted as taken, as on a wire.
	// After Close it returns ErrClosed.
	Write(frames []Frame) (int, error)
	// Close makes Read and Write return ErrClosed, and returns when both are safe to forget.
	Close() error
}

// Carrier is a Device that knows whether its link is up.
type Carrier interface {
	Device
	// WatchCarrier has f called whenever the link goes down or comes up again, one call after the other, and before
	// WatchCarrier returns if the link is down already. f must not wait. There is no call of f after Close has returned.
	// The stack calls WatchCarrier once at most.
	WatchCarrier(f func(up bool))
}

// Glancer is a Device that several goroutines may read: one that waits for frames, and others that take what is there.
// Only one of them holds frames at a time, until ReadDone, so that frames are processed in the order in which they were
// received.
type Glancer interface {
	Device
	// ReadHeld is Read. If it returns frames, no other call returns any until ReadDone.
	ReadHeld(frames []Frame) (int, error)
	// TryRead is ReadHeld without waiting: it returns 0 if there are no frames, or another goroutine holds some. It
	// leaves errors to ReadHeld. It may be called while ReadHeld waits.
	TryRead(frames []Frame) int
	// ReadDone says that the frames of the last ReadHeld or TryRead have been processed. It is called only if there were any.
	ReadDone()
}

// Announcer is a Device that says whether hosts on it announce their addresses by default. They should where machines
// that know an address may outlive the host that has it, as on a bridge. On a Device without this method they do not.
type Announcer interface {
	Device
	// Announces says whether hosts on the device announce their addresses. It is the same as long as the device is open.
	Announces() bool
}

// MultiQueue is a Device of several queues. Each queue is a Device of its own with the same Info; closing
// the parent closes them all. The network chooses the queue by flow.
type MultiQueue interface {
	Device
	// Queues returns the queues, at least one; the first one is what the parent's own Read and Write use.
	Queues() []Device
}
