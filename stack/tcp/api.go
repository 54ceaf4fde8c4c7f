package tcp

import (
	"syscall"
	"time"
)

// ICMPError is what an ICMP error message says about a connection (RFC 9293 3.9.2.2, RFC 5927).
type ICMPError struct {
	// Errno is what the error means to a user, EHOSTUNREACH for instance.
	Errno syscall.Errno
	// Hard says that the error ends a connection that is not yet synchronized.
	Hard bool
	// MTU is the next-hop MTU in octets of a "packet too big"; zero for any other error. Errno is then EMSGSIZE.
	MTU int
	// Seq is the sequence number that the message quotes.
	Seq Seq
}

// Info is a connection's state at one moment, for people and tools; the names follow Linux's tcp_info.
type Info struct {
	State                    State
	Retransmits, Backoff     int
	RTO, RTT, RTTVar, MinRTT time.Duration
	SndMSS, RcvMSS           int
	SndCwnd, SndSsthresh     uint32 // octets
	SndWnd, RcvWnd           uint32 // octets
	Unacked, Sacked, Lost    uint32 // octets in flight, and of those selectively acknowledged and deemed lost
	NotSent, Queued, Unread  int    // octets: written but not sent, written but not acknowledged, received but not read
	TotalRetrans             uint32 // segments
	Probes                   int    // keepalive probes in a row without an answer
	PathMTU, AdvMSS          int    // octets; the MSS that our SYN announced
	Recovering, TimedOut     bool   // loss recovery: fast, or after a retransmission timeout
	Disorder                 bool   // no recovery, but something is selectively acknowledged, or sent again and not acknowledged
	Reduced                  bool   // the window was cut for congestion that ECN has told, and the round is not over
	CongestionControl        string
	WindowScale, RcvScale    uint8
	Timestamps, SACK, ECN    bool
	SYNData                  bool // text on the SYN was taken (RFC 7413)
	SoftError                syscall.Errno
}
