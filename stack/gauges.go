package stack

import "github.com/unet-go/unet/stack/tcp"

// TCPGauges are what TCP holds at one moment, and its counters outside of package tcp.
type TCPGauges struct {
	// Connections counts the connections by state, indexed by tcp.State. LISTEN counts listeners,
	// SYN-RECEIVED half-open records too, TIME-WAIT its records.
	Connections [11]int
	// HalfOpen counts the half-open records, Orphans the connections that their owner has closed and that
	// are not gone.
	HalfOpen, Orphans int
	// AcceptQueue counts the connections that wait for Accept.
	AcceptQueue int
	// Ports counts the bindings: listeners and bound sockets.
	Ports int
	// ListenOverflows counts the SYNs and final ACKs that a full accept queue ignored.
	ListenOverflows uint64
	// SYNCookies counts the SYNs that a cookie answered, CookiesOK the connections that came of them.
	SYNCookies, CookiesOK uint64
	// OrphansReset counts the connections that were reset because there were too many orphans.
	OrphansReset uint64
	// TimeWaitOverflows counts the TIME-WAIT records that left early because there were too many.
	TimeWaitOverflows uint64
	// ResetsHeldBack counts the resets for no connection that a limit held back.
	ResetsHeldBack uint64
	// Malformed counts segments with a header that lies or an option of illegal length.
	Malformed uint64
	// BadChecksum counts segments whose checksum is wrong.
	BadChecksum uint64
	// Dropped counts segments that nobody may send: to broadcast addresses, or from a host to itself over
	// the wire.
	Dropped uint64
}

func (l *tcpLayer) stats(s *Stats) {
	var sum tcp.Counters
	s.TCP = sum
}
