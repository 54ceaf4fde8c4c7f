/*
Package unet has the functions and types of package net, over a TCP/IP stack within the program. The names, signatures,
defaults and errors are package net's. Packets come and go through a TAP device, or any other link.Device, and the
kernel's TCP is not involved.

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

The connections of a host exist in the process only. Shutdown waits until the peers have acknowledged all that was
written to them. Close resets the connections at once. If the process ends without either, its peers are not told, and
notice it by their own timeouts.

A host inside a testing/synctest bubble, on a port of package stack/sim, runs in fake time: an hour of
keepalive takes a millisecond. Close ends every goroutine of a host and waits for it.

# What differs from package net

There is no descriptor. File returns errors.ErrUnsupported, and a Dialer or ListenConfig with a Control function fails
with the same error. No type implements syscall.Conn: drivers that find one look at the descriptor before they
use a connection again, and take an error for a dead connection. TCPConn.Buffered tells them what they need to know.
Networks are "tcp" and "udp", also with 4 or 6 at the end. Multipath TCP is never used. net.Buffers does one Write for each buffer, since only package net's own
types can do better; use TCPConn.Writev. docs/differences.md lists all differences, and a test checks that the rest is
the same.

# Connections that the program forgets

A connection, a listener or a UDP socket that the program can no longer reach is closed after a garbage
collection has found it, as package net's are; its peer reads the end of the stream. One on which a call waits stays
open. A Host has goroutines of its own and stays open until its Close, the default host until the process ends.

Names are resolved by the servers of Config.DNS over the host's own network, or without any by
net.DefaultResolver over the kernel's, except "localhost", which is the host's own loopback.

# Errors

Errors are *net.OpError around os.SyscallError and syscall.Errno, as package net's are. A deadline that has
passed is os.ErrDeadlineExceeded, a closed connection or listener net.ErrClosed; use errors.Is. The end of a
stream is io.EOF itself.
*/
package unet
