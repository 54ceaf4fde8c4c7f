package tcp

// State is a connection's state (RFC 9293 3.3.2).
type State uint8

// The states. LISTEN and SYN-RECEIVED of a passive open, and TIME-WAIT, live in records of their own
// outside Conn.
const (
	Closed State = iota
	Listen
	SynSent
	SynReceived
	Established
	FinWait1
	FinWait2
	CloseWait
	Closing
	LastAck
	TimeWaitState
)

var stateNames = [...]string{"CLOSED", "LISTEN", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1",
	"FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT"}

// String returns the state's name as RFC 9293 spells it.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "INVALID"
}

// Event says what has changed in a call.
type Event uint16

const (
	// Connected: the handshake of an active open is complete.
	Connected Event = 1 << iota
	// Readable: text, the end of the stream or an error can be read.
	Readable
	// Writable: there is room to write, or writing fails immediately.
	Writable
	// Urgent: there is new urgent data, or its mark has moved forward (RFC 9293 3.8.5).
	Urgent
	// EnteredTimeWait: the connection is in TIME-WAIT; the caller replaces it by Conn.TimeWait's record. Its
	// receive queue may still be read.
	EnteredTimeWait
	// Gone: the connection is CLOSED; the caller removes it from its tables. Its receive queue and its error may still be
	// read.
	Gone
	// Drained: all text that was written, and the FIN if there is one, has been acknowledged.
	Drained
	// Progress: something new was acknowledged, which proves that the peer receives our segments.
	Progress
	// Doubtful: R1 retransmissions or more have not been acknowledged, so the caller should check the route to the peer (RFC
	// 9293 3.8.3, MUST-20).
	Doubtful
	// PathTooBig: a router has lowered Conn.PathMTU, which other connections to the peer should know too.
	PathTooBig
	// PathFound: Conn.PathMTU is what the connection has found out by trying, without a word of a router.
	PathFound
)

// r1 is R1 of RFC 9293 3.8.3 in retransmissions (SHLD-10).
const r1 = 3
