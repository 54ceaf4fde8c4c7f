package fdtable_test

import (
	"fmt"
	"log"
	"net/netip"
	"syscall"

	fd "github.com/unet-go/unet/fdtable"
	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
)

// server is where the examples' servers listen.
var server = netip.MustParseAddrPort("10.0.0.2:8080")

// tables makes a client at 10.0.0.1 and a server at 10.0.0.2, on a simulated segment.
func tables() (client, server *fd.Table, closeAll func()) {
	segment := sim.NewSegment(sim.Config{})
	hosts := make([]*stack.Host, 2)
	for i, addr := range []string{"10.0.0.1/24", "10.0.0.2/24"} {
		h, err := stack.New(stack.Config{})
		must(err)
		must(h.Attach(segment.Port(), stack.Interface{Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}))
		hosts[i] = h
	}
	return fd.New(hosts[0]), fd.New(hosts[1]), func() {
		_, _, _ = hosts[0].Close(), hosts[1].Close(), segment.Close()
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// listen makes a listener on 10.0.0.2:8080.
func listen(t *fd.Table) int {
	l, err := t.Socket(fd.AF_INET, fd.SOCK_STREAM, 0)
	must(err)
	must(t.Bind(l, server))
	must(t.Listen(l, fd.SOMAXCONN))
	return l
}

// dial connects a new socket to 10.0.0.2:8080.
func dial(t *fd.Table) int {
	c, err := t.Socket(fd.AF_INET, fd.SOCK_STREAM, 0)
	must(err)
	must(t.Connect(c, server))
	return c
}

// Socket, bind, listen, accept at the server; socket, connect at the client; then text, and the end of it.
func ExampleTable() {
	client, server, closeAll := tables()
	defer closeAll()
	l := listen(server)
	c := dial(client)
	s, _, err := server.Accept(l)
	must(err)
	fmt.Println("the server's descriptors:", l, s)

	_, err = client.Write(c, []byte("hello"))
	must(err)
	must(client.Close(c))
	for p := make([]byte, 100); ; {
		n, err := server.Read(s, p)
		must(err)
		fmt.Printf("read %d: %q\n", n, p[:n])
		if n == 0 {
			break
		}
	}
	must(server.Close(s))
	// Output:
	// the server's descriptors: 0 1
	// read 5: "hello"
	// read 0: ""
}

// A connect that does not wait: poll says when it is over, and SO_ERROR how.
func ExampleTable_Connect() {
	client, _, closeAll := tables()
	defer closeAll()
	c, err := client.Socket(fd.AF_INET, fd.SOCK_STREAM|fd.SOCK_NONBLOCK, 0)
	must(err)
	fmt.Println(client.Connect(c, server) == syscall.EINPROGRESS)

	list := []fd.PollFd{{Fd: int32(c), Events: fd.POLLOUT}}
	_, err = client.Poll(list, -1)
	must(err)
	errno, err := client.GetsockoptInt(c, fd.SOL_SOCKET, fd.SO_ERROR)
	must(err)
	fmt.Println(syscall.Errno(errno) == syscall.ECONNREFUSED)
	// Output:
	// true
	// true
}

// One goroutine serves a listener and its connections.
func ExampleTable_EpollWait() {
	client, server, closeAll := tables()
	defer closeAll()
	l := listen(server)
	ep, err := server.EpollCreate1(0)
	must(err)
	watch := func(d int) {
		must(server.EpollCtl(ep, fd.EPOLL_CTL_ADD, d, &fd.EpollEvent{Events: fd.EPOLLIN, Fd: int32(d)}))
	}
	watch(l)

	c := dial(client)
	_, err = client.Write(c, []byte("hello"))
	must(err)
	events, p := make([]fd.EpollEvent, 64), make([]byte, 100)
	for answered := false; !answered; {
		n, err := server.EpollWait(ep, events, -1)
		must(err)
		for _, e := range events[:n] {
			if d := int(e.Fd); d == l {
				s, peer, err := server.Accept4(l, fd.SOCK_NONBLOCK)
				must(err)
				fmt.Println("accepted from", peer.Addr())
				watch(s)
			} else {
				n, err := server.Read(d, p)
				must(err)
				_, err = server.Write(d, p[:n])
				must(err)
				answered = true
			}
		}
	}
	n, err := client.Read(c, p)
	must(err)
	fmt.Printf("%s\n", p[:n])
	// Output:
	// accepted from 10.0.0.1
	// hello
}

// Options have Linux's names, numbers and ranges.
func ExampleTable_SetsockoptInt() {
	client, _, closeAll := tables()
	defer closeAll()
	c, err := client.Socket(fd.AF_INET, fd.SOCK_STREAM, 0)
	must(err)
	must(client.SetsockoptInt(c, fd.IPPROTO_TCP, fd.TCP_NODELAY, 1))
	on, err := client.GetsockoptInt(c, fd.IPPROTO_TCP, fd.TCP_NODELAY)
	fmt.Println(on, err)
	fmt.Println(client.SetsockoptInt(c, fd.IPPROTO_TCP, fd.TCP_KEEPCNT, 128) == syscall.EINVAL)
	// Output:
	// 1 <nil>
	// true
}

// Several buffers are one message, and MSG_PEEK leaves what it reads where it is.
func ExampleTable_Recvmsg() {
	client, server, closeAll := tables()
	defer closeAll()
	l := listen(server)
	c := dial(client)
	s, _, err := server.Accept(l)
	must(err)

	_, err = client.Sendmsg(c, &fd.Msghdr{Iov: [][]byte{[]byte("head"), []byte("body")}}, 0)
	must(err)
	for _, flags := range []int{fd.MSG_PEEK | fd.MSG_WAITALL, 0} {
		m := fd.Msghdr{Iov: [][]byte{make([]byte, 4), make([]byte, 4)}}
		n, err := server.Recvmsg(s, &m, flags)
		must(err)
		fmt.Printf("%d: %s, %s\n", n, m.Iov[0], m.Iov[1])
	}
	// Output:
	// 8: head, body
	// 8: head, body
}

// What the connection knows of its path, as Linux's struct tcp_info.
func ExampleTable_GetsockoptTCPInfo() {
	client, server, closeAll := tables()
	defer closeAll()
	listen(server)
	info, err := client.GetsockoptTCPInfo(dial(client), fd.IPPROTO_TCP, fd.TCP_INFO)
	must(err)
	fmt.Println(info.State, info.Snd_mss, info.Options&fd.TCPI_OPT_SACK != 0)
	// Output: 1 1448 true
}
