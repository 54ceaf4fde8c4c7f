// Package fdtable is the BSD sockets API of a stack.Host: small integers for sockets, and the calls socket, bind,
// listen, accept, connect, read, write, sendmsg, recvmsg and their variants, shutdown, close, getsockname,
// getpeername, getsockopt, setsockopt, dup, fcntl, ioctl, poll and epoll with the errors that POSIX names and
// Linux returns. Every error is a syscall.Errno; the numbers of families, types, options and events are Linux's
// on every system. Where something differs from Linux, docs/differences.md says why.
//
// Any number of goroutines may wait on an epoll instance, for any number of connections. A descriptor that is
// registered and idle costs about a hundred octets, and no goroutine.
//
// A socket is AF_INET, or AF_INET6 and takes both families: an address of IPv4 is then a mapped one, ::ffff:a.b.c.d. The
// zone of a link-local address is the name of the interface; IfNametoindex tells its number.
//
// Defaults are those of a fresh POSIX socket, not package net's: descriptors block, Nagle's algorithm is on,
// keepalive is off (and 7200 s, 75 s, 9 probes once it is on).
//
// Any number of goroutines may use a descriptor at once. A call that waits on a descriptor while another goroutine closes
// it returns EBADF, where Linux would let it wait on. A number is used again only after Close has returned.
package fdtable
