// Package fdtable is the BSD face of a stack.Host: small integers for sockets, and the calls socket, bind,
// listen, accept, connect, read, write, shutdown, close, getsockname, getpeername, getsockopt and
// setsockopt with the errors that POSIX names and Linux returns. Every error is a syscall.Errno; the numbers
// of families, types and options are Linux's on every system.
//
// Defaults are those of a fresh POSIX socket, not package net's: descriptors block, Nagle's algorithm is on,
// keepalive is off (and 7200 s, 75 s, 9 probes once it is on).
//
// Any number of goroutines may use a descriptor at once. Where Linux leaves a call asleep on a descriptor
// that another thread closes, Close here wakes it with EBADF, and a number is given out again only after
// Close has returned.
package fdtable
