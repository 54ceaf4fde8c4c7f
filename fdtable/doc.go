// Package fdtable is the BSD face of a stack.Host: small integers for sockets, and the calls socket, bind,
// listen, accept, connect, read, write, sendmsg, recvmsg and their kin, shutdown, close, getsockname,
// getpeername, getsockopt, setsockopt, dup, fcntl, ioctl, poll and epoll with the errors that POSIX names and
// Linux returns. Every error is a syscall.Errno; the numbers of families, types, options and events are Linux's
// on every system. Where something differs from Linux, docs/differences.md says why.
//
// An epoll instance serves any number of connections with as many goroutines as one likes: a descriptor that is
// registered and idle costs an item of about a hundred octets, and no goroutine.
//
// Defaults are those of a fresh POSIX socket, not package net's: descriptors block, Nagle's algorithm is on,
// keepalive is off (and 7200 s, 75 s, 9 probes once it is on).
//
// Any number of goroutines may use a descriptor at once. Where Linux leaves a call asleep on a descriptor
// that another thread closes, Close here wakes it with EBADF, and a number is given out again only after
// Close has returned.
package fdtable
