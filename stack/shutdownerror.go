package stack

import "strconv"

// ShutdownError says what a Shutdown has lost. It wraps the context's error.
type ShutdownError struct {
	// Connections is the number of connections that were reset: those that their owners had not closed, and those whose
	// peer had not acknowledged all that was written, and the FIN.
	Connections int
	// Octets is how much was written to them and not acknowledged. The peers may have had a part of it.
	Octets int64
	// Err is the context's error, or ENETDOWN where Close has ended the wait.
	Err error
}

// Error returns one line with all fields.
func (e *ShutdownError) Error() string {
	return "shutdown: " + strconv.Itoa(e.Connections) + " connections reset, " + strconv.FormatInt(e.Octets, 10) +
		" octets unacknowledged: " + e.Err.Error()
}

// Unwrap returns Err.
func (e *ShutdownError) Unwrap() error { return e.Err }
