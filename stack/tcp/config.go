package tcp

import (
	"net/netip"
	"time"
)

// Config is the configuration of all connections of a host. The zero value of a field means its default. A value outside of
// a field's range counts as the nearest value inside, but negative values and times of more than ten years are errors.
type Config struct {
	// MSL is the maximum segment lifetime; TIME-WAIT lasts twice as long. Default 30 s (RFC 9293 says
	// 2 minutes; ledger Z-7).
	MSL time.Duration
	// FINWait2 bounds how long a connection that its owner has closed waits for the peer's FIN. Default 60 s.
	FINWait2 time.Duration
	// OrphanTimeout bounds how long a connection that its owner has closed may wait with queued text for the peer to open its
	// window, counted from the last progress. Default 60 s.
	OrphanTimeout time.Duration
	// DelayedACK is the longest an acknowledgment is held back. Default 40 ms, at most 500 ms (RFC 9293 3.8.6.3).
	DelayedACK time.Duration
	// MinRTO is the floor of the variance term of the retransmission timeout. Default 200 ms (ledger Z-4).
	MinRTO time.Duration
	// MaxRTO caps the retransmission timeout and the zero-window probe interval. Default 120 s, at least 60 s.
	MaxRTO time.Duration
	// SYNTimeout is for how long connect repeats its SYN. Default 180 s (RFC 9293 3.8.3: at least 3 minutes).
	SYNTimeout time.Duration
	// UserTimeout is how long data may stay unacknowledged before the connection ends (R2 of RFC 9293
	// 3.8.3). Default 924 s, which is about what Linux's fifteen retransmissions take.
	UserTimeout time.Duration
	// SYNACKRetries is how often a SYN-ACK is sent again. Default 5 (ledger Z-11).
	SYNACKRetries int
	// RecvBuffer is the initial size of a connection's receive buffer in octets, MaxRecvBuffer the largest size that
	// autotuning may give it. Defaults 128 KiB and 6 MiB.
	RecvBuffer, MaxRecvBuffer int
	// SendBuffer is the initial size of a connection's send buffer in octets, MaxSendBuffer the largest size that
	// autotuning may give it. Defaults 128 KiB and 4 MiB.
	SendBuffer, MaxSendBuffer int
	// CongestionControl names the controller of new connections: "cubic" (default) or "reno".
	CongestionControl string
	// ECN says what connections do about Explicit Congestion Notification (RFC 3168). Default ECNPassive.
	ECN ECN
	// NoTimestamps and NoSACK leave the options out of our SYNs.
	NoTimestamps, NoSACK bool
	// TimeWaitObeysReset lets any RST at RCV.NXT end TIME-WAIT early (RFC 1337's hazard). Default off: only one that
	// follows a SYN does (ledger Z-8).
	TimeWaitObeysReset bool
}

// WithDefaults returns the configuration with each zero field replaced by its default and each other one
// kept within its bounds.
func (c Config) WithDefaults() Config {
	duration := func(d *time.Duration, def, low, high time.Duration) {
		if *d == 0 {
			*d = def
		}
		*d = min(max(*d, low), high)
	}
	duration(&c.MSL, 30*time.Second, time.Millisecond, 2*time.Minute)
	duration(&c.FINWait2, 60*time.Second, time.Millisecond, time.Hour)
	duration(&c.OrphanTimeout, 60*time.Second, time.Millisecond, time.Hour)
	duration(&c.DelayedACK, 40*time.Millisecond, time.Millisecond, 490*time.Millisecond)
	duration(&c.MinRTO, 200*time.Millisecond, time.Millisecond, 10*time.Second)
	duration(&c.MaxRTO, 120*time.Second, time.Minute, time.Hour)
	duration(&c.SYNTimeout, 180*time.Second, time.Second, time.Hour)
	duration(&c.UserTimeout, 924*time.Second, time.Second, 24*365*time.Hour)
	number := func(n *int, def, low, high int) {
		if *n == 0 {
			*n = def
		}
		*n = min(max(*n, low), high)
	}
	number(&c.SYNACKRetries, 5, 1, 255)
	number(&c.RecvBuffer, 128<<10, leastRecvBuffer, mostBuffer)
	number(&c.MaxRecvBuffer, 6<<20, c.RecvBuffer, mostBuffer)
	number(&c.SendBuffer, 128<<10, leastSendBuffer, mostBuffer)
	number(&c.MaxSendBuffer, 4<<20, c.SendBuffer, mostBuffer)
	if c.ECN == ECNDefault {
		c.ECN = ECNPassive
	}
	if c.CongestionControl == "" {
		c.CongestionControl = "cubic"
	}
	return c
}

// Options are what a user may set on one connection; accepted connections inherit their listener's.
type Options struct {
	// NoDelay turns Nagle's algorithm off (RFC 9293 3.7.4).
	NoDelay bool
	// Cork holds back partial segments until it is cleared, at most 200 ms.
	Cork bool
	// OutOfBand takes the octet before the urgent pointer out of the stream, for ReceiveUrgent, as a POSIX socket does
	// without SO_OOBINLINE. If it is off, urgent data is text with a mark (RFC 6093 6).
	OutOfBand bool
	// QuickACK turns delayed acknowledgments off.
	QuickACK bool
	// KeepAlive turns keepalive on (RFC 9293 3.8.4). KeepIdle is the idle time in seconds before the first
	// probe, KeepInterval the time between probes, KeepCount how many unanswered probes end the connection.
	// Zero means 7200 s, 75 s and 9.
	KeepAlive              bool
	KeepIdle, KeepInterval uint16
	KeepCount              uint8
	// Linger is the SO_LINGER time in seconds. Negative means off: Close returns at once, and the connection closes in the
	// background. Zero makes Close reset the connection.
	Linger int32
	// UserTimeout is TCP_USER_TIMEOUT in milliseconds; zero means Config.UserTimeout.
	UserTimeout uint32
	// RecvBuffer and SendBuffer fix the buffer sizes in octets and end autotuning; zero leaves it on. Sizes below 2304
	// and 4608 count as 2304 and 4608, as in Linux, and larger ones are limited by Config.MaxRecvBuffer and MaxSendBuffer.
	RecvBuffer, SendBuffer int32
	// WindowClamp bounds the receive window in octets, whatever the buffer is; zero for no bound.
	WindowClamp int32
	// NotSentLowat bounds how many octets may be written and not yet sent; zero for no bound but the buffer's.
	NotSentLowat uint32
	// SYNRetries is how often connect repeats its SYN; zero means as often as Config.SYNTimeout allows.
	SYNRetries uint8
	// DeferAccept is how many seconds a listener waits for the peer's first text before it accepts a connection without
	// text; zero for not at all.
	DeferAccept uint16
	// FINWait2 is Config.FINWait2 for this connection, in seconds; zero means the value of Config. If it is negative the
	// connection ends as soon as it would have to wait.
	FINWait2 int32
	// RecvLowat is SO_RCVLOWAT: a read waits for so many octets, or for as many as it asks for if that is less. Zero
	// means 1.
	RecvLowat int32
	// MaxSeg caps the MSS in octets in both directions; zero for none.
	MaxSeg uint16
	// CongestionControl names the connection's controller, "cubic" or "reno"; empty or unknown means
	// Config.CongestionControl.
	CongestionControl string
	// ECN is Config.ECN for this connection; the zero value means the value of Config.
	ECN ECN
	// Discover says how the MTU of the path is found. If Discover.Off(), routers may cut the connection's packets, and ICMP
	// messages that call them too large are ignored.
	Discover PathMTUDiscovery
	// TTL is the IPv4 TTL or IPv6 hop limit of the packets that the connection sends, TOS their traffic class, whose ECN bits
	// TCP sets itself. TTL zero means the host's default.
	TTL, TOS uint8
}

// DefaultOptions returns the options of a fresh POSIX socket: Nagle on, keepalive off, no linger, the urgent
// octet out of band.
func DefaultOptions() Options { return Options{Linger: -1, OutOfBand: true} }

// PathMTUDiscovery says how to find the largest packet that no router of a path has to cut: IP_MTU_DISCOVER of Linux.
type PathMTUDiscovery uint8

const (
	// DiscoverWant, the default, sets don't-fragment (RFC 1191). A datagram that is larger than the path's MTU leaves in
	// fragments without it.
	DiscoverWant PathMTUDiscovery = iota
	// DiscoverDont sets it on nothing. Over IPv6, where no router cuts packets, connections are as with DiscoverWant.
	DiscoverDont
	// DiscoverDo sets it on all, and refuses a datagram that is larger than the path's MTU.
	DiscoverDo
	// DiscoverProbe sets it on all (Linux: on datagrams). For datagrams the interface's MTU counts, whatever routers say.
	DiscoverProbe
	// DiscoverInterface sets it on nothing, and refuses a datagram that is larger than the interface's MTU.
	DiscoverInterface
	// DiscoverOmit sets it on nothing, and cuts datagrams to the interface's MTU.
	DiscoverOmit
)

// Off says whether routers may cut packets of IPv4.
func (d PathMTUDiscovery) Off() bool {
	return d == DiscoverDont || d == DiscoverInterface || d == DiscoverOmit
}

// Believes says whether what a router says of the MTU of a path counts for a connection. With DiscoverDont over IPv4 it does
// not, since routers cut what is too big; those of IPv6 do not.
func (d PathMTUDiscovery) Believes(v6 bool) bool { return d.heedsPath() && (v6 || d != DiscoverDont) }

// heedsPath says whether what is known of the path beyond the interface counts for a connection's segments.
func (d PathMTUDiscovery) heedsPath() bool { return d != DiscoverInterface && d != DiscoverOmit }

// Refuses says whether a datagram that is too large is an error. Otherwise it is sent in fragments.
func (d PathMTUDiscovery) Refuses() bool {
	return d == DiscoverDo || d == DiscoverProbe || d == DiscoverInterface
}

// Tuple is a connection's four-tuple as this host sees it.
type Tuple struct{ Local, Remote netip.AddrPort }

// Path is the properties of the way to the peer that TCP needs.
type Path struct {
	// MTU is the largest IP packet in octets that one frame carries.
	MTU int
	// PathMTU is what the way to the peer is known to carry in octets, at most MTU; zero for MTU. It bounds what we send. What
	// we announce that we take depends on MTU alone.
	PathMTU int
	// TooNarrow says that the way is narrower than PathMTU, of IPv4, which is the least that is believed: routers have to cut
	// packets there, and with DiscoverWant may.
	TooNarrow bool
	// MaxSuper is the largest IP packet in octets that the device cuts into segments itself; zero if it cuts none.
	MaxSuper int
	// V6 says that the packets are IPv6's.
	V6 bool
}

// MaxSegment returns the largest TCP segment in octets, header included, that a frame carries: MMS_S and MMS_R of RFC 9293
// 3.7.1.
func (p Path) MaxSegment() int { return p.MTU - p.headerLen() }

// headerLen returns the octets of an IP header.
func (p Path) headerLen() int {
	if p.V6 {
		return 40
	}
	return 20
}
