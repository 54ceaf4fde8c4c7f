package sim

import (
	"time"

	"github.com/unet-go/unet/stack/link"
)

// Defaults of fields that are zero.
const (
	DefaultMTU          = 1500
	DefaultQueue        = 1000
	DefaultReceiveQueue = 4096
	DefaultReorderDelay = time.Millisecond
)

// Config says how a segment treats frames. The zero value is a perfect wire: it delivers at once, in order,
// without loss. Probabilities lie between 0, never, and 1, always, and are applied to each frame on its own. A value below
// zero counts as zero, a probability above 1 as 1.
type Config struct {
	// Seed begins the random numbers of all ports. It is read once, by NewSegment.
	Seed int64
	// MTU is the largest IP packet in octets that passes. A larger one is dropped and no error is reported, as by a
	// black hole. A port's Info has the value with which the port was made;
	// Port.SetMTU tells the host of another one. Default 1500, at most 65,535.
	MTU int
	// Offload makes ports offer checksum and TCP segmentation offload, and carry super-segments whole: for
	// speed, not for fidelity, since loss then takes a whole super-segment. Read once, by NewSegment.
	Offload bool

	// Rate is the speed in bits per second at which a port sends; 0 is unlimited. Octets count from the
	// link header on, with all headers of the segments that a super-segment stands for.
	Rate int64
	// Queue is the number of frames, the one on its way out included, that a port holds back for Rate.
	// Frames beyond that number are dropped. Default 1000.
	Queue int
	// Delay is the time from a frame's last bit out to its delivery.
	Delay time.Duration
	// Jitter adds to Delay a time drawn evenly from [0, Jitter). It never lets frames of a port overtake
	// one another: that is Reorder's.
	Jitter time.Duration

	// Loss is the probability that a frame is lost.
	Loss float64
	// Burst loses frames in bursts, independently of Loss.
	Burst Burst
	// Corrupt is the probability that one random bit is flipped, one that a checksum covers, so that every receiver
	// notices and drops the frame: it is one bit because the Internet checksum always detects that. In IPv4 it is a
	// bit of the header or of what the checksum of TCP, UDP or ICMP covers. IPv6 has no header checksum: there it is a
	// bit of the addresses, if no extension header follows, or of what the checksum of TCP, UDP or ICMPv6 covers;
	// neighbour discovery is ICMPv6. Never flipped are those whose change a checksum may not see: the version and the
	// length of an IPv4 header, the other fields of an IPv6 header, extension headers, UDP's length, and pad.
	// Frames without such a bit, ARP's and those of other protocols over IPv6 among them, are lost instead: on a real
	// link their frame check sequence would be wrong. A frame whose checksums were wrong before may become right.
	Corrupt float64
	// Duplicate is the probability that a frame is delivered twice.
	Duplicate float64
	// Reorder is the probability that a frame is held back by ReorderDelay while others pass it.
	Reorder float64
	// ReorderDelay is the time that a reordered frame waits in addition to its delay. Default 1 ms.
	ReorderDelay time.Duration

	// Filter, if not nil, decides on every frame before chance does. It runs inside Port.Write, one call at
	// a time in the whole segment, and borrows frame, whose octets it may change. It must not call the
	// segment or a port, except for Name, Info and Stats.
	Filter func(from *Port, frame []byte) Verdict
}

// Burst is the loss model of Gilbert and Elliott: a link is good and loses nothing, or bad. Before each
// frame a good link turns bad with probability Enter and a bad one good with probability Leave. A zero
// Enter switches the model off, and back to good.
type Burst struct {
	Enter, Leave float64
	// Loss is the probability that a frame is lost while the link is bad. Default 1.
	Loss float64
}

// Verdict is a filter's decision on one frame.
type Verdict uint8

const (
	// Pass leaves the frame to chance.
	Pass Verdict = iota
	// Drop loses the frame.
	Drop
	// Corrupt flips a bit of the frame as Config.Corrupt does.
	Corrupt
	// Duplicate delivers the frame twice.
	Duplicate
	// Reorder holds the frame back by Config.ReorderDelay.
	Reorder
)

// PortConfig is a port's own configuration. Zero fields have defaults, and negative numbers count as zero.
type PortConfig struct {
	// Name is the port's name in Info and in captures. Default "port1", "port2" and so on.
	Name string
	// MAC is the port's Ethernet address. Default 02:00:00:00:00:01 and so on. Of two ports with the same
	// address the older one gets its frames.
	MAC link.MAC
	// Queue is the number of frames that wait for Read; newer ones are dropped. Default 4096.
	Queue int
	// Portions has Read return a quarter of the frames that wait, but at least 12, instead of all. Two busy hosts
	// in one process that read all waiting frames at once work in turn, each while the other waits; with Portions they
	// work at the same time. With two processors and 64 connections that gains 12 % of all requests, with one it costs 3 %.
	Portions bool
}

// plan is a Config with defaults filled in, and with precomputed answers to what is asked for each frame.
type plan struct {
	Config
	timed   bool // delivery may have to wait
	chance  bool // a random number is needed
	perfect bool // a frame needs checks of form only
}

func compile(c Config) *plan {
	if c.MTU <= 0 {
		c.MTU = DefaultMTU
	}
	c.MTU = min(c.MTU, maxPacket)
	if c.Queue <= 0 {
		c.Queue = DefaultQueue
	}
	if c.ReorderDelay <= 0 {
		c.ReorderDelay = DefaultReorderDelay
	}
	if c.Burst.Loss <= 0 {
		c.Burst.Loss = 1
	}
	c.Rate, c.Delay, c.Jitter = max(c.Rate, 0), max(c.Delay, 0), max(c.Jitter, 0)
	p := &plan{Config: c}
	p.timed = c.Rate > 0 || c.Delay > 0 || c.Jitter > 0 || c.Reorder > 0 || c.Filter != nil
	p.chance = c.Filter != nil || c.Loss > 0 || c.Burst.Enter > 0 || c.Corrupt > 0 || c.Duplicate > 0 || c.Reorder > 0 || c.Jitter > 0
	p.perfect = !p.timed && !p.chance
	return p
}
