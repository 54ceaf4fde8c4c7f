// Package cc is the congestion control of package tcp: the controllers by name, and what they have in common.
//
// A connection detects losses, counts what is in flight and keeps its congestion window. Its Controller decides how
// large that window is. Whenever something happens that may change it, the connection fills in a Window, calls the
// Controller's method for the event, and takes Cwnd and Ssthresh from the Window afterwards.
//
// CUBIC and NewReno hear of acknowledgments and losses alone. A controller that models the path, as BBR does, returns a
// Sampler, which makes the connection measure the delivery rate, and may return a pacing rate.
package cc
