// Package mono is the time of the stack: moments of a monotonic clock, as plain numbers. It holds no clock.
package mono

import "time"

// Time is a moment in nanoseconds on the stack's monotonic clock. Zero, as a deadline, means never; the
// stack's clock starts above it.
type Time int64

// Add returns the moment d after t.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub returns the duration from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }
