package unet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/unet"
)

// network opens a server on 10.0.0.2 and a client on 10.0.0.1, on a simulated segment.
func network() (client, server *unet.Host, closeAll func()) {
	segment := sim.NewSegment(sim.Config{})
	open := func(addr string) *unet.Host {
		h, err := unet.Open(unet.Config{Link: segment.Port(), Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
		if err != nil {
			log.Fatal(err)
		}
		return h
	}
	client, server = open("10.0.0.1/24"), open("10.0.0.2/24")
	return client, server, func() { _, _, _ = client.Close(), server.Close(), segment.Close() }
}

// echo answers each connection with what it sends, until the listener is closed.
func echo(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			io.Copy(c, c)
		}()
	}
}

// A server on the default host, a TAP device from the environment. The kernel reaches it: curl 10.0.0.2:8080. SIGINT and
// SIGTERM end it without a loss.
func ExampleListen() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ln, err := unet.Listen("tcp", ":8080")
	if err != nil {
		log.Fatal(err)
	}
	server := http.Server{Handler: http.FileServer(http.Dir("."))}
	go func() {
		log.Print(server.Serve(ln))
		stop()
	}()

	<-ctx.Done()
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := errors.Join(server.Shutdown(grace), unet.Shutdown(grace)); err != nil {
		log.Print(err)
	}
}

// A client on the default host, of a server on the kernel's side.
func ExampleDial() {
	c, err := unet.Dial("tcp", "10.0.0.1:80")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n")
	page, err := io.ReadAll(c)
	fmt.Println(len(page), err)
}

// A UDP server on the default host that sends each datagram back.
func ExampleListenPacket() {
	pc, err := unet.ListenPacket("udp", ":7")
	if err != nil {
		log.Fatal(err)
	}
	defer pc.Close()
	b := make([]byte, 1500)
	for {
		n, from, err := pc.ReadFrom(b)
		if err != nil {
			log.Fatal(err)
		}
		pc.WriteTo(b[:n], from)
	}
}

// The default host, for what has no function of the package.
func ExampleDefault() {
	h, err := unet.Default()
	if err != nil {
		log.Fatal(err) // it says which right is missing, and how to get it
	}
	defer h.Close()
	fmt.Println(h.Addrs())
}

// Two hosts on a simulated segment, one serving the other.
func ExampleOpen() {
	segment := sim.NewSegment(sim.Config{})
	defer segment.Close()
	open := func(addr string) *unet.Host {
		h, err := unet.Open(unet.Config{Link: segment.Port(), Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
		if err != nil {
			log.Fatal(err)
		}
		return h
	}
	server, client := open("10.0.0.2/24"), open("10.0.0.1/24")
	defer server.Close()
	defer client.Close()

	ln, err := server.Listen("tcp", ":7")
	if err != nil {
		log.Fatal(err)
	}
	go echo(ln)

	c, err := client.Dial("tcp", "10.0.0.2:7")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "over our own TCP")
	c.(*unet.TCPConn).CloseWrite()
	answer, err := io.ReadAll(c)
	fmt.Printf("%s says %q, %v\n", c.RemoteAddr(), answer, err)
	// Output: 10.0.0.2:7 says "over our own TCP", <nil>
}

func ExampleHost_Listen() {
	client, server, closeAll := network()
	defer closeAll()
	ln, err := server.Listen("tcp", "10.0.0.2:80")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := client.Dial("tcp", ln.Addr().String())
		if err == nil {
			c.Close()
		}
	}()
	c, err := ln.Accept() // blocks until a connection is established
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(ln.Addr(), "has a connection from", c.RemoteAddr().(*net.TCPAddr).IP)
	// Output: 10.0.0.2:80 has a connection from 10.0.0.1
}

// An HTTP client on a host of its own, and a server that net/http serves there.
func ExampleHost_DialContext() {
	client, server, closeAll := network()
	defer closeAll()
	ln, err := server.Listen("tcp", ":80")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello "+r.URL.Path) }))

	c := http.Client{Transport: &http.Transport{DialContext: client.DialContext}}
	defer c.CloseIdleConnections()
	resp, err := c.Get("http://10.0.0.2/world")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Printf("%s %q %v\n", resp.Status, body, err)
	// Output: 200 OK "hello /world" <nil>
}

func ExampleHost_ListenPacket() {
	client, server, closeAll := network()
	defer closeAll()
	pc, err := server.ListenPacket("udp", ":53")
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.Dial("udp", "10.0.0.2:53")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(c, "who is it?")
	b := make([]byte, 64)
	n, from, err := pc.ReadFrom(b)
	fmt.Printf("%q from %s, %v\n", b[:n], from.(*net.UDPAddr).IP, err)
	// Output: "who is it?" from 10.0.0.1, <nil>
}

// A dial that gives up: no host has that address.
func ExampleDialer() {
	client, _, closeAll := network()
	defer closeAll()
	d := unet.Dialer{Host: client, Timeout: 10 * time.Millisecond, KeepAlive: -1}
	_, err := d.DialContext(context.Background(), "tcp", "10.0.0.99:80")
	fmt.Println(err)
	// Output: dial tcp 10.0.0.99:80: i/o timeout
}

// A listener whose connections notice within half a minute that their peer has gone.
func ExampleListenConfig() {
	_, server, closeAll := network()
	defer closeAll()
	lc := unet.ListenConfig{
		Host:            server,
		Backlog:         128,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	ln, err := lc.Listen(context.Background(), "tcp4", ":8080")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	fmt.Println(ln.Addr())
	// Output: 0.0.0.0:8080
}

// A listener on one port whose connections are relayed to another.
func ExampleProxy() {
	client, server, closeAll := network()
	defer closeAll()
	backend, err := server.Listen("tcp", ":7")
	if err != nil {
		log.Fatal(err)
	}
	defer backend.Close()
	go echo(backend)
	front, err := server.Listen("tcp", ":7007")
	if err != nil {
		log.Fatal(err)
	}
	defer front.Close()
	go func() {
		for {
			in, err := front.Accept()
			if err != nil {
				return
			}
			go func() {
				out, err := server.Dial("tcp", backend.Addr().String())
				if err != nil {
					in.Close()
					return
				}
				unet.Proxy(in, out)
			}()
		}
	}()

	c, err := client.Dial("tcp", "10.0.0.2:7007")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "there and back")
	c.(*unet.TCPConn).CloseWrite() // passes through the proxy, and so does the end of the answer
	answer, err := io.ReadAll(c)
	fmt.Printf("%q %v\n", answer, err)
	// Output: "there and back" <nil>
}

// net.Buffers reaches the fast way of package net's own connections only; Writev is ours.
func ExampleTCPConn_Writev() {
	client, server, closeAll := network()
	defer closeAll()
	ln, err := server.ListenTCP("tcp", &net.TCPAddr{Port: 7})
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go echo(ln)
	c, err := client.DialTCP("tcp", nil, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 7})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	n, err := c.Writev(net.Buffers{[]byte("header "), []byte("body")})
	fmt.Println(n, err)
	// Output: 11 <nil>
}

// What TCP_INFO tells on Linux.
func ExampleTCPConn_Info() {
	client, server, closeAll := network()
	defer closeAll()
	ln, err := server.Listen("tcp", ":7")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go echo(ln)
	c, err := client.DialTCP("tcp", nil, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 7})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Info().State)
	c.Close()
	// Output: ESTABLISHED
}
