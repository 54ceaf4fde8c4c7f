package unet

import (
	"math"
	"net"
	"syscall"
	"time"

	"github.com/unet-go/unet/stack/tcp"
)

// Package net's defaults, and the largest values that Linux accepts.
const (
	defaultKeepAlive      = 15 * time.Second // idle and interval
	defaultKeepAliveCount = 9
	maxKeepAlive          = 32767 // seconds
	maxKeepAliveCount     = 127
)

// tcpOptions returns the options of a new connection, as package net sets them: Nagle off, keepalive on
// unless it is turned off by a negative period. Urgent data stays in the stream.
func tcpOptions(period time.Duration, cfg net.KeepAliveConfig) tcp.Options {
	o := tcp.DefaultOptions()
	o.NoDelay = true
	o.OutOfBand = false // there is no call that reads urgent data, so the urgent octet stays in the stream
	if !cfg.Enable && period >= 0 {
		cfg = net.KeepAliveConfig{Enable: true, Idle: period}
	}
	if cfg.Enable {
		_ = setKeepAlive(&o, cfg) // package net too ignores values that the kernel refuses here
	}
	return o
}

// setKeepAlive changes o as (*net.TCPConn).SetKeepAliveConfig does, step by step until one fails.
func setKeepAlive(o *tcp.Options, cfg net.KeepAliveConfig) error {
	o.KeepAlive = cfg.Enable
	if err := setKeepTime(&o.KeepIdle, cfg.Idle); err != nil {
		return err
	}
	if err := setKeepTime(&o.KeepInterval, cfg.Interval); err != nil {
		return err
	}
	switch n := cfg.Count; {
	case n < 0:
	case n == 0:
		o.KeepCount = defaultKeepAliveCount
	case n > maxKeepAliveCount:
		return syscall.EINVAL
	default:
		o.KeepCount = uint8(n)
	}
	return nil
}

// setKeepTime sets *p to d in seconds, rounded up. Zero is the default, a negative d changes nothing.
func setKeepTime(p *uint16, d time.Duration) error {
	if d < 0 {
		return nil
	}
	if d == 0 {
		d = defaultKeepAlive
	}
	s := (d + time.Second - 1) / time.Second
	if s <= 0 || s > maxKeepAlive {
		return syscall.EINVAL
	}
	*p = uint16(s)
	return nil
}

// update changes the connection's options. If change returns an errno, the changes that it has made until then stay.
func (c *TCPConn) update(change func(*tcp.Options) error) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	var refused error
	if err := c.conn.Update(func(o *tcp.Options) { refused = change(o) }); err != nil {
		refused = err
	}
	if refused != nil {
		return c.opError("set", "setsockopt", refused)
	}
	return nil
}

// SetKeepAlive turns keepalive probes on or off. They are on by default: after 15 s without traffic, every
// 15 s, and nine unanswered ones end the connection with ETIMEDOUT.
func (c *TCPConn) SetKeepAlive(keepalive bool) error {
	return c.update(func(o *tcp.Options) error { o.KeepAlive = keepalive; return nil })
}

// SetKeepAlivePeriod sets the time without traffic before the first keepalive probe, rounded up to seconds;
// zero means 15 s, a negative d changes nothing.
func (c *TCPConn) SetKeepAlivePeriod(d time.Duration) error {
	return c.update(func(o *tcp.Options) error { return setKeepTime(&o.KeepIdle, d) })
}

// SetKeepAliveConfig sets all values of keepalive. Zero fields mean 15 s, 15 s and 9, negative ones change nothing.
func (c *TCPConn) SetKeepAliveConfig(config net.KeepAliveConfig) error {
	return c.update(func(o *tcp.Options) error { return setKeepAlive(o, config) })
}

// SetLinger sets what Close does with data that is not yet acknowledged. A negative sec, the default, sends
// it in the background; zero discards it and resets the connection; a positive sec makes Close wait that
// many seconds at most until all is acknowledged, as Linux does.
func (c *TCPConn) SetLinger(sec int) error {
	return c.update(func(o *tcp.Options) error {
		o.Linger = int32(min(max(sec, -1), math.MaxInt32))
		return nil
	})
}

// SetNoDelay sets whether data is sent as soon as possible after a Write. The default is true; false turns
// Nagle's algorithm on.
func (c *TCPConn) SetNoDelay(noDelay bool) error {
	return c.update(func(o *tcp.Options) error { o.NoDelay = noDelay; return nil })
}

// SetReadBuffer fixes the size of the receive buffer in octets, to 2304 at least, as in Linux, and to
// Config.Stack.TCP.MaxRecvBuffer at most. Without it the buffer tunes itself to the path.
func (c *TCPConn) SetReadBuffer(bytes int) error {
	return c.resize(func(o *tcp.Options) { o.RecvBuffer = bufferSize(bytes) })
}

// SetWriteBuffer fixes the size of the send buffer in octets, to 4608 at least, as in Linux, and to
// Config.Stack.TCP.MaxSendBuffer at most. Without it the buffer tunes itself to the path.
func (c *TCPConn) SetWriteBuffer(bytes int) error {
	return c.resize(func(o *tcp.Options) { o.SendBuffer = bufferSize(bytes) })
}

// resize changes the connection's buffers.
func (c *TCPConn) resize(change func(*tcp.Options)) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if err := c.conn.Update(change); err != nil {
		return c.setError(err)
	}
	return nil
}

// bufferSize returns n, but never zero, with which the buffer would tune itself again. The stack raises small
// values to its minimum.
func bufferSize(n int) int32 { return int32(min(max(n, 1), math.MaxInt32)) }

// SetUserTimeout sets how long written data may stay unacknowledged before the connection ends with
// ETIMEDOUT, in milliseconds rounded up: TCP_USER_TIMEOUT of Linux, RFC 9293 3.9.1. Zero means the stack's
// default, a negative d is EINVAL.
func (c *TCPConn) SetUserTimeout(d time.Duration) error {
	return c.update(func(o *tcp.Options) error {
		if d < 0 {
			return syscall.EINVAL
		}
		ms := (d + time.Millisecond - 1) / time.Millisecond
		o.UserTimeout = uint32(min(ms, math.MaxUint32))
		return nil
	})
}
