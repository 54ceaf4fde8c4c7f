package fdtable

// Address families (domains) of Socket.
const (
	AF_UNSPEC = 0
	AF_INET   = 2
	AF_INET6  = 10
)

// Types of Socket, and the flags that may be or-ed to them. SOCK_CLOEXEC sets FD_CLOEXEC, which has no effect here.
const (
	SOCK_STREAM   = 1
	SOCK_DGRAM    = 2
	SOCK_NONBLOCK = 0x800
	SOCK_CLOEXEC  = 0x80000
)

// SOMAXCONN is the longest backlog of Listen; a longer or negative backlog means this one.
const SOMAXCONN = 65535

// Protocols of Socket, and levels of the socket options.
const (
	IPPROTO_IP   = 0
	IPPROTO_TCP  = 6
	IPPROTO_UDP  = 17
	IPPROTO_IPV6 = 41
	SOL_SOCKET   = 1
)

// The directions that Shutdown ends.
const (
	SHUT_RD   = 0
	SHUT_WR   = 1
	SHUT_RDWR = 2
)

// Flags of Sendto, Recvfrom, Sendmsg and Recvmsg. MSG_NOSIGNAL is accepted and always in force.
const (
	MSG_OOB          = 0x1
	MSG_PEEK         = 0x2
	MSG_CTRUNC       = 0x8
	MSG_TRUNC        = 0x20
	MSG_DONTWAIT     = 0x40
	MSG_EOR          = 0x80
	MSG_WAITALL      = 0x100
	MSG_ERRQUEUE     = 0x2000
	MSG_NOSIGNAL     = 0x4000
	MSG_MORE         = 0x8000
	MSG_WAITFORONE   = 0x10000
	MSG_FASTOPEN     = 0x20000000
	MSG_CMSG_CLOEXEC = 0x40000000
)

// Options of level SOL_SOCKET.
const (
	SO_REUSEADDR  = 2
	SO_TYPE       = 3
	SO_ERROR      = 4
	SO_BROADCAST  = 6
	SO_SNDBUF     = 7
	SO_RCVBUF     = 8
	SO_KEEPALIVE  = 9
	SO_OOBINLINE  = 10
	SO_LINGER     = 13
	SO_REUSEPORT  = 15
	SO_RCVLOWAT   = 18
	SO_SNDLOWAT   = 19
	SO_RCVTIMEO   = 20
	SO_SNDTIMEO   = 21
	SO_ACCEPTCONN = 30
	SO_PROTOCOL   = 38
	SO_DOMAIN     = 39
)

// Options of level IPPROTO_TCP.
const (
	TCP_NODELAY          = 1
	TCP_MAXSEG           = 2
	TCP_CORK             = 3
	TCP_KEEPIDLE         = 4
	TCP_KEEPINTVL        = 5
	TCP_KEEPCNT          = 6
	TCP_SYNCNT           = 7
	TCP_LINGER2          = 8
	TCP_DEFER_ACCEPT     = 9
	TCP_WINDOW_CLAMP     = 10
	TCP_INFO             = 11
	TCP_QUICKACK         = 12
	TCP_CONGESTION       = 13
	TCP_USER_TIMEOUT     = 18
	TCP_FASTOPEN         = 23
	TCP_NOTSENT_LOWAT    = 25
	TCP_FASTOPEN_CONNECT = 30
)

// Options of levels IPPROTO_IP and IPPROTO_IPV6, and types of their control messages.
const (
	IP_TOS             = 1
	IP_TTL             = 2
	IP_PKTINFO         = 8
	IP_MTU_DISCOVER    = 10
	IP_RECVERR         = 11
	IP_RECVTTL         = 12
	IP_RECVTOS         = 13
	IP_MTU             = 14
	IPV6_ADDRFORM      = 1
	IPV6_UNICAST_HOPS  = 16
	IPV6_MTU_DISCOVER  = 23
	IPV6_MTU           = 24
	IPV6_RECVERR       = 25
	IPV6_V6ONLY        = 26
	IPV6_RECVPKTINFO   = 49
	IPV6_PKTINFO       = 50
	IPV6_RECVHOPLIMIT  = 51
	IPV6_HOPLIMIT      = 52
	IPV6_DONTFRAG      = 62
	IPV6_RECVTCLASS    = 66
	IPV6_TCLASS        = 67
	IPV6_AUTOFLOWLABEL = 70
)

// Options of level IPPROTO_UDP, and types of their control messages.
const (
	UDP_SEGMENT = 103
	UDP_GRO     = 104
)

// Values of IP_MTU_DISCOVER and IPV6_MTU_DISCOVER.
const (
	IP_PMTUDISC_DONT      = 0
	IP_PMTUDISC_WANT      = 1
	IP_PMTUDISC_DO        = 2
	IP_PMTUDISC_PROBE     = 3
	IP_PMTUDISC_INTERFACE = 4
	IP_PMTUDISC_OMIT      = 5
)

// Values of ee_origin in the struct sock_extended_err that IP_RECVERR and IPV6_RECVERR messages begin with: the host refused
// the datagram itself, or there was an ICMP or ICMPv6 message. The address of its sender follows the struct: SO_EE_OFFENDER.
const (
	SO_EE_ORIGIN_NONE  = 0
	SO_EE_ORIGIN_LOCAL = 1
	SO_EE_ORIGIN_ICMP  = 2
	SO_EE_ORIGIN_ICMP6 = 3
)
