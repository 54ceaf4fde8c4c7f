// Package tcp is TCP alone (RFC 9293): the TCB and its event processing, windows, retransmission, selective
// acknowledgment and congestion control, and the two small records that stand for a connection before and
// after it, HalfOpen and TimeWait.
//
// It is pure: it takes no lock, starts no goroutine, reads no clock and does no I/O. The caller passes the
// time in, serialises all calls for the connections of one Env, and takes what must leave from a Sink.
// Calls that end in nothing said otherwise may transmit through the connection's Sink before they return.
package tcp
