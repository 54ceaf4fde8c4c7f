/*
Package unet is package net over a TCP/IP stack of the program's own. The names, signatures, defaults and
errors are package net's; the packets come and go through a TAP device, or any other link.Device, and no TCP
of the kernel is in the path.

	ln, err := unet.Listen("tcp", ":8080")
	if err != nil {
		// handle error
	}
	go server.Serve(ln) // a net/http.Server, or any other

	<-interrupted
	err = errors.Join(server.Shutdown(ctx), unet.Shutdown(ctx))

The functions of the package use the default host, which the first of them makes from the environment: by
default a TAP device unet0 on which the host is 10.0.0.2 and the kernel 10.0.0.1 (see Default). A program that
wants several hosts, or another device, opens its own:

	h, err := unet.Open(unet.Config{
		Device: "tap0",
		Addrs:  []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")},
	})
	ln, err := h.Listen("tcp", "10.0.0.2:8080")
	c, err := h.DialContext(ctx, "tcp", "10.0.0.1:5432")

The connections of a host live in the process. Shutdown waits until the peers have all that was written to them; Close
resets at once; a process that just ends is silent, and its peers find out by their own timeouts.

A host inside a testing/synctest bubble, on a port of package stack/sim, runs in fake time: an hour of
keepalive takes a millisecond. Close ends every goroutine of a host and waits for it.

# What differs from package net

There is no descriptor. File returns errors.ErrUnsupported, and a Control function of a Dialer or ListenConfig
makes it fail with that. No type is a syscall.Conn: drivers that find one look at the descriptor before they
use a connection again, and take an error for a dead connection; TCPConn.Buffered answers what they ask. Networks
are "tcp" and "udp" and these with 4 or 6 behind, where 6 and addresses of IPv6 are EAFNOSUPPORT as long as there is
no IPv6. Multipath TCP is never used. net.Buffers does one Write for each buffer, since the faster way is open to
package net's own types only; TCPConn.Writev is that way. docs/differences.md lists everything, and a test holds
the rest to be the same.

# What is not closed

A connection, a listener or a UDP socket that the program can no longer reach is closed after a garbage
collection has found it, as package net's are; its peer reads the end of the stream. A call that waits keeps
what it waits for. A Host has goroutines of its own and lives until its Close, the default host as long as the
process.

Names are resolved by the servers of Config.DNS over the host's own network, or without any by
net.DefaultResolver over the kernel's, except "localhost", which is the host's own loopback.

# Errors

Errors are *net.OpError around os.SyscallError and syscall.Errno, as package net's are. A deadline that has
passed is os.ErrDeadlineExceeded, a closed connection or listener net.ErrClosed; use errors.Is. The end of a
stream is io.EOF itself.
*/
package unet
