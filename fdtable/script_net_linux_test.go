package fdtable_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack/tcp"
)

// unlike is the reason why a script cannot be run on Linux.
type unlike string

func (u unlike) Error() string { return string(u) }

// sysctls make a namespace behave as similarly to a host of unet as possible. Those that the kernel does not have are skipped.
var sysctls = map[string]string{
	"ipv4/tcp_ecn":      "2",
	"ipv4/tcp_fastopen": "3",
	"ipv4/tcp_fastopen_blackhole_timeout_sec": "0",
	"ipv4/tcp_no_metrics_save":                "1",
	"ipv4/tcp_autocorking":                    "0",
	"ipv4/tcp_invalid_ratelimit":              "0",
	"ipv4/tcp_challenge_ack_limit":            "2147483647",
	"ipv4/icmp_ratelimit":                     "0",
	"ipv4/tcp_rmem":                           "4096 131072 6291456",
	"ipv4/tcp_wmem":                           "4096 131072 4194304",
	"ipv4/tcp_min_tso_segs":                   "1",
	"ipv4/ip_no_pmtu_disc":                    "0",
	"ipv4/tcp_syn_linear_timeouts":            "0",
	"ipv4/tcp_rfc1337":                        "1",
	"ipv4/tcp_comp_sack_nr":                   "0",
	"ipv4/conf/all/rp_filter":                 "2",
	"ipv4/conf/default/rp_filter":             "2",
	"ipv6/icmp/ratelimit":                     "0",
}

// silence6 are the sysctls with which an interface has the IPv6 address that it is given, at once, and no other.
var silence6 = map[string]string{"addr_gen_mode": "1", "accept_dad": "0", "accept_ra": "0", "router_solicitations": "0"}

// setSysctls sets the sysctls of the thread's namespace for a script of a family.
func setSysctls(f *family) error {
	all := maps.Clone(sysctls)
	for _, of := range []string{"all", "default"} {
		all["ipv6/conf/"+of+"/disable_ipv6"] = map[int]string{4: "1", 6: "0"}[f.version]
		for name, value := range silence6 {
			all["ipv6/conf/"+of+"/"+name] = value
		}
	}
	for name, value := range all {
		if err := setSysctl(name, value); err != nil {
			return fmt.Errorf("%s: %v", name, err)
		}
	}
	return nil
}

func setSysctl(name, value string) error {
	err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0)
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// configure sets the sysctl that corresponds to a config line.
func configure(name, value string) error {
	on := value == "true"
	flag := map[bool]string{true: "0", false: "1"}[on]
	seconds := func(unit time.Duration) string {
		d, _ := time.ParseDuration(value)
		return fmt.Sprint(int64(d / unit))
	}
	var err error
	switch name {
	case "TCP.NoTimestamps":
		err = setSysctl("ipv4/tcp_timestamps", flag)
	case "TCP.NoSACK":
		err = setSysctl("ipv4/tcp_sack", flag)
	case "TCP.ECN":
		err = setSysctl("ipv4/tcp_ecn", map[string]string{fmt.Sprint(uint8(tcp.ECNPassive)): "2", fmt.Sprint(uint8(tcp.ECNActive)): "1"}[value])
	case "TCP.TimeWaitObeysReset":
		err = setSysctl("ipv4/tcp_rfc1337", flag)
	case "TCP.FINWait2":
		err = setSysctl("ipv4/tcp_fin_timeout", seconds(time.Second))
	case "TCP.MaxRTO":
		err = setSysctl("ipv4/tcp_rto_max_ms", seconds(time.Millisecond))
	case "TCP.SYNACKRetries":
		err = setSysctl("ipv4/tcp_synack_retries", value)
	default:
		err = unlike(name + " has no equivalent in Linux")
	}
	if errnoOf(err) == 0 && err != nil {
		if _, ok := err.(unlike); !ok {
			return unlike(fmt.Sprintf("%s=%s is not possible in Linux", name, value))
		}
	}
	return err
}

// openTAP makes the host's end of the link in the thread's namespace, and returns the descriptor that is the peer's end.
func openTAP(mtu int, addrs []netip.Prefix) (fd int, err error) {
	fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	req, err := unix.NewIfreq("host")
	if err != nil {
		return -1, err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return -1, fmt.Errorf("TUNSETIFF: %w", err)
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(s)
	set := func(name string, request uint, fill func(*unix.Ifreq)) {
		r, e := unix.NewIfreq(name)
		if e == nil {
			fill(r)
			e = unix.IoctlIfreq(s, request, r)
		}
		if e != nil && err == nil {
			err = fmt.Errorf("%s: ioctl %#x: %w", name, request, e)
		}
	}
	set("host", unix.SIOCSIFMTU, func(r *unix.Ifreq) { r.SetUint32(uint32(mtu)) })
	for _, i := range []string{"host", "lo"} {
		set(i, unix.SIOCSIFFLAGS, func(r *unix.Ifreq) { r.SetUint16(unix.IFF_UP) })
	}
	for _, p := range addrs {
		if err == nil {
			err = addAddress("host", p)
		}
	}
	if err == nil {
		err = cutEarly("host")
	}
	return fd, err
}

// addAddress gives an interface an address, and waits until the host takes packets to it: over IPv6 that is some time
// after the address is there.
func addAddress(name string, p netip.Prefix) error {
	index, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	domain := byte(unix.AF_INET)
	if p.Addr().Is6() {
		domain = unix.AF_INET6
	}
	// struct ifaddrmsg
	message := binary.NativeEndian.AppendUint32([]byte{domain, byte(p.Bits()), unix.IFA_F_NODAD, 0}, uint32(index.Index))
	message = append(message, attribute(unix.IFA_LOCAL, p.Addr().AsSlice())...)
	if err := netlink(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, message); err != nil {
		return fmt.Errorf("address %v: %w", p, err)
	}
	return awaitAddress(p.Addr())
}

// awaitAddress waits until packets to an address of the host's are its own.
func awaitAddress(a netip.Addr) error {
	if a.Is4() {
		return nil
	}
	own := fmt.Sprintf("%x 80 ", a.AsSlice()) // a route to the address alone
	for range 5000 {
		routes, err := os.ReadFile("/proc/thread-self/net/ipv6_route")
		if err != nil {
			return err
		}
		if strings.Contains(string(routes), own) {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("the kernel has no route to its own address %v", a)
}

// cutEarly makes the kernel's TCP send single segments: the link takes no super-segments (IFLA_GSO_MAX_SEGS).
func cutEarly(name string) error {
	index, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	// struct ifinfomsg
	message := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(message[4:], uint32(index.Index))
	one := binary.NativeEndian.AppendUint32(nil, 1)
	return netlink(unix.RTM_NEWLINK, 0, append(message, attribute(unix.IFLA_GSO_MAX_SEGS, one)...))
}

// attribute is an attribute of a netlink message, whose value has a length that is a multiple of 4.
func attribute(typ uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofRtAttr+len(value)))
	return append(binary.NativeEndian.AppendUint16(b, typ), value...)
}

// netlink sends a message to rtnetlink, and returns the error that it answers with.
func netlink(typ, flags uint16, message []byte) error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	u16, u32 := binary.NativeEndian.AppendUint16, binary.NativeEndian.AppendUint32
	b := u32(nil, uint32(unix.SizeofNlMsghdr+len(message)))
	b = u32(u16(u16(b, typ), unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags), 1)
	b = append(u32(b, 0), message...)
	if err := unix.Sendto(s, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(s, answer, 0)
	if err != nil || n < unix.SizeofNlMsghdr+4 {
		return fmt.Errorf("netlink: %d octets, %v", n, err)
	}
	if errno := -int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); errno != 0 {
		return fmt.Errorf("netlink: %w", unix.Errno(errno))
	}
	return nil
}

// kernelStat returns a counter of the thread's namespace by its name in stack.Stats. It counts connections of a family.
func (f *family) kernelStat(name string) (value string, known bool) {
	state, ok := strings.CutPrefix(name, "TCPGauges.States.")
	if name == "TCPGauges.HalfOpen" {
		state, ok = "SYN-RECEIVED", true
	}
	if ok {
		text, err := os.ReadFile("/proc/thread-self/net/" + map[int]string{4: "tcp", 6: "tcp6"}[f.version])
		if err != nil {
			return "", false
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			if words := strings.Fields(line); len(words) > 3 && words[3] == procStates[state] {
				n++
			}
		}
		return fmt.Sprint(n), true
	}
	return "", false
}

// procStates are the states in /proc/net/tcp.
var procStates = map[string]string{"ESTABLISHED": "01", "SYN-SENT": "02", "SYN-RECEIVED": "03", "FIN-WAIT-1": "04", "FIN-WAIT-2": "05",
	"TIME-WAIT": "06", "CLOSED": "07", "CLOSE-WAIT": "08", "LAST-ACK": "09", "LISTEN": "0A", "CLOSING": "0B"}

// kernelStates are the states of TCP_INFO.
var kernelStates = map[uint8]tcp.State{1: tcp.Established, 2: tcp.SynSent, 3: tcp.SynReceived, 4: tcp.FinWait1, 5: tcp.FinWait2,
	6: tcp.TimeWaitState, 7: tcp.Closed, 8: tcp.CloseWait, 9: tcp.LastAck, 10: tcp.Listen, 11: tcp.Closing}

// kernelInfo returns the kernel's TCP_INFO, by the names of the fields of tcp.Info.
func kernelInfo(fd int) (map[string]any, error) {
	i, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return nil, err
	}
	micros := func(n uint32) time.Duration { return time.Duration(n) * time.Microsecond }
	const stamps, sack, ecn, synData = 1, 2, 8, 32
	return map[string]any{
		"State": kernelStates[i.State], "Retransmits": i.Retransmits, "Backoff": i.Backoff, "Probes": i.Probes,
		"RTO": micros(i.Rto), "RTT": micros(i.Rtt), "RTTVar": micros(i.Rttvar), "MinRTT": micros(i.Min_rtt),
		"SndMSS": i.Snd_mss, "SndCwnd": i.Snd_cwnd * i.Snd_mss, "SndSsthresh": uint64(i.Snd_ssthresh) * uint64(i.Snd_mss),
		"SndWnd": i.Snd_wnd, "Unacked": i.Unacked * i.Snd_mss, "Sacked": i.Sacked * i.Snd_mss, "Lost": i.Lost * i.Snd_mss,
		"NotSent": i.Notsent_bytes, "TotalRetrans": i.Total_retrans,
		"Timestamps": i.Options&stamps != 0, "SACK": i.Options&sack != 0, "ECN": i.Options&ecn != 0,
		"SYNData": i.Options&synData != 0,
	}, nil
}
