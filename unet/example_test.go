package unet_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/unet"
)

// A server on the default host, a TAP device from the environment. The kernel reaches it: curl 10.0.0.2:8080.
func ExampleListen() {
	ln, err := unet.Listen("tcp", ":8080")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(http.Serve(ln, http.FileServer(http.Dir("."))))
}

// Two hosts on a simulated segment, one serving the other.
func ExampleOpen() {
	segment := sim.NewSegment(sim.Config{})
	defer segment.Close()
	open := func(addr string) *unet.Host {
		h, err := unet.Open(unet.Config{Link: segment.Port(), Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
		if err != nil {
			panic(err)
		}
		return h
	}
	server, client := open("10.0.0.2/24"), open("10.0.0.1/24")
	defer server.Close()
	defer client.Close()

	ln, err := server.Listen("tcp", ":7")
	if err != nil {
		panic(err)
	}
	go func() {
		c, err := ln.Accept()
		if err != nil {
			panic(err)
		}
		defer c.Close()
		_, _ = io.Copy(c, c) // echo until the client has closed its side
	}()

	c, err := client.Dial("tcp", "10.0.0.2:7")
	if err != nil {
		panic(err)
	}
	defer c.Close()
	fmt.Fprint(c, "over our own TCP")
	_ = c.(*unet.TCPConn).CloseWrite()
	echo, err := io.ReadAll(c)
	fmt.Printf("%s says %q, %v\n", c.RemoteAddr(), echo, err)
	// Output: 10.0.0.2:7 says "over our own TCP", <nil>
}

// net.Buffers reaches the fast way of package net's own connections only; Writev is ours.
func ExampleTCPConn_Writev() {
	var c *unet.TCPConn // from Dial or Accept
	buffers := net.Buffers{[]byte("header "), []byte("body")}
	_, err := c.Writev(buffers)
	fmt.Println(err)
	// Output: invalid argument
}
