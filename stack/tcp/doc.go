// Package tcp is TCP alone (RFC 9293): the TCB and its event processing, windows, selective acknowledgment, loss detection and
// retransmission, and two small records, HalfOpen and TimeWait, that represent a connection before and after its TCB. Package
// cc has the congestion control.
//
// It is pure: it takes no lock, starts no goroutine, reads no clock and does no I/O. The caller passes the
// time in, serialises all calls for the connections of one Env, and takes what must leave from a Sink.
// Unless a comment says otherwise, a call may transmit through the connection's Sink before it returns.
package tcp
