package tcp

import (
	"strconv"
	"syscall"
	"time"
)

// ConfigError says that a field of a configuration has a value that it cannot have. For errors.Is it is EINVAL.
type ConfigError struct {
	// Field is the field's name, with those of the structs that it is in, and Value what it has.
	Field, Value string
}

// Error names the field and its value.
func (e *ConfigError) Error() string {
	return "Config." + e.Field + " is " + e.Value + ", out of range"
}

// Unwrap returns EINVAL.
func (e *ConfigError) Unwrap() error { return syscall.EINVAL }

// longestConfigured is the longest time that may be configured.
const longestConfigured = 10 * 365 * 24 * time.Hour

// ConfigCheck collects the first field that is out of range.
type ConfigCheck struct {
	// Prefix stands before the names of fields.
	Prefix string
	// Err is nil, or a *ConfigError.
	Err error
}

// Number checks that n is not negative.
func (k *ConfigCheck) Number(field string, n int64) {
	if n < 0 {
		k.refuse(field, strconv.FormatInt(n, 10))
	}
}

// Duration checks that d is neither negative nor longer than ten years.
func (k *ConfigCheck) Duration(field string, d time.Duration) {
	if d < 0 || d > longestConfigured {
		k.refuse(field, d.String())
	}
}

func (k *ConfigCheck) refuse(field, value string) {
	if k.Err == nil {
		k.Err = &ConfigError{Field: k.Prefix + field, Value: value}
	}
}

// Check returns a *ConfigError for the first field that is out of range: a negative number or time, a time of more than
// ten years, an unknown ECN. prefix stands before the field's name in it. It does not check CongestionControl: see
// HasCongestionControl.
func (c *Config) Check(prefix string) error {
	k := ConfigCheck{Prefix: prefix}
	k.Duration("MSL", c.MSL)
	k.Duration("FINWait2", c.FINWait2)
	k.Duration("OrphanTimeout", c.OrphanTimeout)
	k.Duration("DelayedACK", c.DelayedACK)
	k.Duration("MinRTO", c.MinRTO)
	k.Duration("MaxRTO", c.MaxRTO)
	k.Duration("SYNTimeout", c.SYNTimeout)
	k.Duration("UserTimeout", c.UserTimeout)
	k.Number("SYNACKRetries", int64(c.SYNACKRetries))
	k.Number("RecvBuffer", int64(c.RecvBuffer))
	k.Number("MaxRecvBuffer", int64(c.MaxRecvBuffer))
	k.Number("SendBuffer", int64(c.SendBuffer))
	k.Number("MaxSendBuffer", int64(c.MaxSendBuffer))
	if c.ECN > ECNOff {
		k.refuse("ECN", strconv.Itoa(int(c.ECN)))
	}
	return k.Err
}
