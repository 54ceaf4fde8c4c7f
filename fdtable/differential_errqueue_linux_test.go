package fdtable

// errqueueSequences are about the queue of errors, and run in both families.
var errqueueSequences = []scenario{
	{name: "B-UDP-17 RECVERR, set and got", calls: "d = socket dgram; get d recverr; set d recverr 7; get d recverr; set d recverr 0; get d recverr; recvmsg d 9 100 errqueue; d = socket; recvmsg d 9 100 errqueue"},
	{name: "B-UDP-17 an error of a socket that is not connected", calls: "d = socket dgram; set d recverr 1; sendto d hello nobody; await d err; poll d; recvmsg d 9 200 errqueue; poll d; get d error; recvmsg d 9 200 errqueue; recvmsg d 9 200 dontwait"},
	{name: "B-UDP-17 RECVERR before bind and connect", calls: "d = socket dgram; set d recverr 1; bind d lo; connect d nobody; send d hello; await d err; recvmsg d 9 200 errqueue; send d again; await d err; get d error; poll d; recvmsg d 9 200 errqueue; poll d; get d error"},
	{name: "B-UDP-17 the pending error of several", calls: "d = socket dgram; set d recverr 1; sendto d one nobody; await d err; get d error; sendto d two nobody; await d err; recv d 9; poll d; get d error; recvmsg d 9 200 errqueue; get d error; recvmsg d 9 200 errqueue; get d error; poll d"},
	{name: "B-UDP-17 a pending error that a dequeue clears", calls: "d = socket dgram; set d recverr 1; sendto d one nobody; await d err; recvmsg d 9 200 errqueue; sendto d two nobody; await d err; recvmsg d 9 200 errqueue peek; recv d 9 dontwait"},
	{name: "B-UDP-17 short buffers", calls: "d = socket dgram; set d recverr 1; sendto d hello nobody; await d err; recvmsg d 2 200 errqueue; sendto d hello nobody; await d err; recvmsg d 2 200 errqueue trunc; sendto d hello nobody; await d err; recvmsg d 9 15 errqueue; sendto d hello nobody; await d err; recvmsg d 9 30 errqueue; sendto d hello nobody; await d err; recvmsg d 0 0 errqueue"},
	{name: "B-UDP-17 an empty datagram", calls: "d = socket dgram; set d recverr 1; sendmsg d 0 nobody; await d err; recvmsg d 9 200 errqueue"},
	{name: "B-UDP-17 RECVERR off drops the queue", calls: "d = socket dgram; set d recverr 1; sendto d x nobody; await d err; get d error; poll d; set d recverr 0; poll d; recvmsg d 9 200 errqueue; sendto d x nobody; try d 9; connect d nobody; send d x; await d err; recvmsg d 9 200 errqueue; get d error"},
	{name: "B-UDP-17 messages about the ICMP message", calls: "d = socket dgram; set d recverr 1; set d pktinfo 1; set d recvttl 1; sendto d x nobody; await d err; recvmsg d 9 200 errqueue"},
	{name: "B-UDP-17 the traffic class of the ICMP message", calls: "d = socket dgram; set d recverr 1; set d recvtos 1; sendto d x nobody; await d err; recvmsg d 9 200 errqueue"},
	{name: "B-UDP-17 an error and datagrams", calls: "a = socket dgram; bind a lo; set a recverr 1; b = socket dgram; sendto a x nobody; await a err; sendto b hello lo:a; await a in; poll a; recvmsg a 9 200 errqueue; recvmsg a 9 200; poll a"},
	{name: "B-UDP-17 an error after connect to another", calls: "d = socket dgram; set d recverr 1; sendto d x nobody; await d err; connect d lo:9; recvmsg d 9 200 errqueue; get d error; disconnect d; sendto d y nobody; await d err; recvmsg d 9 200 errqueue"},
	{name: "B-UDP-17 the edges of errors", calls: "d = socket dgram; set d recverr 1; e = epoll; add e d err et; wait e 9; sendto d x nobody; await d err; wait e 9; wait e 9; get d error; sendto d y nobody; await d err; wait e 9; recvmsg d 9 200 errqueue; wait e 9; recvmsg d 9 200 errqueue; wait e 9"},
	{name: "B-UDP-17 a queue that is full", calls: "d = socket dgram; set d recverr 1; set d rcvbuf 1; sendto d one nobody; await d err; get d error; sendto d two nobody; await d err; get d error; sendto d three nobody; await d err; get d error; sendto d four nobody; await d err; get d error; sendto d five nobody; await d err; get d error; sendto d x nobody; await d err; get d error; sendto d x nobody; await d err; get d error; sendto d x nobody; await d err; get d error; sendto d x nobody; await d err; get d error; sendto d x nobody; await d err; get d error; sendto d x nobody; await d err; get d error; recvmsg d 9 0 errqueue"},
}

// errqueue4Sequences and errqueue6Sequences name their family.
var errqueue4Sequences = []scenario{
	{name: "B-UDP-17 IPV6_RECVERR of an AF_INET socket", calls: "d = socket dgram; set d recverr6 1; get d recverr6"},
	{name: "B-UDP-17 a datagram that is too long", calls: "d = socket dgram; set d recverr 1; connect d nobody; send d 65536; poll d; recvmsg d 9 100 errqueue"},
	{name: "B-UDP-17 a datagram that is a little too long", calls: "d = socket dgram; set d recverr 1; connect d nobody; send d 65508; poll d; get d error; recvmsg d 9 100 errqueue"},
	{name: "IP_RECVERR of a datagram that is too long, of a socket that is not connected", calls: "d = socket dgram; set d recverr 1; sendmsg d 65508 nobody; poll d; recvmsg d 9 100 errqueue", differs: "its destination is told"},
	{name: "IP_RECVERR of a connection", calls: "a = socket; set a recverr 1; get a recverr", differs: "connections have no queue of errors"},
}

var errqueue6Sequences = []scenario{
	{name: "B-UDP-17 both levels are two", calls: "d = socket dgram; set d recverr6 1; get d recverr4; sendto d x maplo:1; try d 9; poll d; sendto d x lo6:1; await d err; recvmsg d 9 200 errqueue; set d recverr6 0; set d recverr4 1; get d recverr6; sendto d x lo6:1; try d 9; poll d; sendto d x maplo:1; await d err; recvmsg d 9 200 errqueue"},
	{name: "B-UDP-17 messages about an ICMP message of IPv4", calls: "d = socket dgram; set d recverr4 1; set d pktinfo6 1; set d recvttl4 1; sendto d x maplo:1; await d err; recvmsg d 9 200 errqueue"},
	{name: "B-UDP-17 one level off drops what the other one has queued", calls: "d = socket dgram; set d recverr6 1; set d recverr4 1; sendto d x lo6:1; await d err; set d recverr4 0; poll d; get d error; recvmsg d 9 200 errqueue"},
	{name: "B-UDP-17 a datagram over IPV6_MTU", calls: "d = socket dgram; set d recverr6 1; set d mtu6 1280; set d dontfrag6 1; sendmsg d 1233 nobody; poll d; get d error; recvmsg d 9 200 errqueue; poll d; connect d nobody; send d 1300; sendmsg d 1 nobody; await d err; get d error; recvmsg d 9 200 errqueue; get d error; recvmsg d 9 200 errqueue; get d error; poll d"},
	{name: "B-UDP-17 a local error between two others", calls: "d = socket dgram; set d recverr6 1; set d mtu6 1280; set d dontfrag6 1; sendto d x nobody; await d err; get d error; sendmsg d 1233 nobody; sendto d y nobody; try d 9; get d error; recvmsg d 9 200 errqueue; get d error; recvmsg d 9 200 errqueue; get d error; recvmsg d 9 200 errqueue; get d error"},
	{name: "B-UDP-17 a datagram that is too long by message", calls: "d = socket dgram; set d recverr6 1; set d mtu6 1280; sendmsg d 1233 nobody 41/62/i1; recvmsg d 9 200 errqueue; sendmsg d 1232 nobody 41/62/i1; await d err; recvmsg d 0 200 errqueue"},
	{name: "B-UDP-17 a datagram that is too long over IPv6", calls: "d = socket dgram; set d recverr 1; set d mtu6 1280; connect d nobody; send d 65528; poll d; get d error; recvmsg d 9 100 errqueue; send d 70000; poll d"},
	{name: "B-UDP-17 a datagram over IPv4 that is too long", calls: "d = socket dgram; set d recverr4 1; connect d maplo:1; send d 65508; poll d; get d error; recvmsg d 9 100 errqueue; send d 70000; poll d"},
	{name: "IPV6_RECVERR of a connection", calls: "a = socket; set a recverr6 1; get a recverr6", differs: "connections have no queue of errors"},
}
