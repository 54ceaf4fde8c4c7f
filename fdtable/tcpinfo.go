package fdtable

import (
	"syscall"
	"time"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/tcp"
)

// TCPInfo is the value of TCP_INFO: Linux's struct tcp_info, with those fields for which this stack has a value.
// Times are microseconds; Unacked, Sacked, Lost, Snd_ssthresh and Snd_cwnd count segments of Snd_mss octets,
// Total_retrans segments, the rest octets.
type TCPInfo struct {
	State       uint8 // 1 ESTABLISHED, 2 SYN-SENT, 3 SYN-RECEIVED, 4 FIN-WAIT-1, 5 FIN-WAIT-2, 7 CLOSED, 8 CLOSE-WAIT, 9 LAST-ACK, 10 LISTEN, 11 CLOSING
	Ca_state    uint8 // 0 open, 1 disorder, 2 CWR (ECN), 3 recovery, 4 loss
	Retransmits uint8 // timeouts in a row
	Probes      uint8 // keepalive probes in a row without an answer
	Backoff     uint8 // how often the retransmission timeout was doubled
	Options     uint8 // TCPI_OPT_TIMESTAMPS and the bits below
	Snd_wscale  uint8 // the peer's window scale
	Rcv_wscale  uint8 // ours

	Rto           uint32
	Snd_mss       uint32
	Rcv_mss       uint32
	Unacked       uint32 // of a listener: connections that wait for accept
	Sacked        uint32 // of a listener: its backlog
	Lost          uint32
	Pmtu          uint32
	Rtt           uint32
	Rttvar        uint32
	Snd_ssthresh  uint32
	Snd_cwnd      uint32
	Advmss        uint32
	Total_retrans uint32
	Notsent_bytes uint32
	Min_rtt       uint32
	Snd_wnd       uint32
	Rcv_wnd       uint32
}

// The bits of TCPInfo.Options: the options that both sides have agreed on, and TCPI_OPT_SYN_DATA, which says that the
// text on the SYN was accepted (Fast Open).
const (
	TCPI_OPT_TIMESTAMPS = 1
	TCPI_OPT_SACK       = 2
	TCPI_OPT_WSCALE     = 4
	TCPI_OPT_ECN        = 8
	TCPI_OPT_SYN_DATA   = 32
)

// linuxStates are Linux's numbers of the states.
var linuxStates = [...]uint8{tcp.Closed: 7, tcp.Listen: 10, tcp.SynSent: 2, tcp.SynReceived: 3, tcp.Established: 1,
	tcp.FinWait1: 4, tcp.FinWait2: 5, tcp.CloseWait: 8, tcp.Closing: 11, tcp.LastAck: 9, tcp.TimeWaitState: 6}

// GetsockoptTCPInfo returns TCP_INFO, the one option of its kind. ENOPROTOOPT for any other option,
// EOPNOTSUPP for a datagram socket (ENOPROTOOPT where it is AF_INET6), EBADF.
func (t *Table) GetsockoptTCPInfo(fd, level, opt int) (*TCPInfo, error) {
	s, err := t.acquire(fd)
	if err != nil {
		return nil, err
	}
	defer s.release()
	switch {
	case s.typ != SOCK_STREAM:
		return nil, s.noLevel()
	case level != IPPROTO_TCP || opt != TCP_INFO:
		return nil, syscall.ENOPROTOOPT
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.conn.Load(); c != nil {
		return linuxInfo(c), nil
	}
	info := &TCPInfo{State: linuxStates[tcp.Closed]}
	if s.phase == listening {
		info.State = linuxStates[tcp.Listen]
		info.Unacked, info.Sacked = uint32(s.setup.listener.Pending()), uint32(s.setup.backlog)
	}
	return info, nil
}

func linuxInfo(c *stack.TCPConn) *TCPInfo {
	i := c.Info()
	micros := func(d time.Duration) uint32 { return uint32(d / time.Microsecond) }
	mss := max(uint32(i.SndMSS), 1)
	segments := func(octets uint32) uint32 { return (octets + mss - 1) / mss }
	info := &TCPInfo{
		State: linuxStates[c.State()], Retransmits: uint8(i.Retransmits), Probes: uint8(i.Probes),
		Backoff: uint8(i.Backoff), Snd_wscale: i.WindowScale, Rcv_wscale: i.RcvScale,
		Rto: micros(i.RTO), Snd_mss: uint32(i.SndMSS), Rcv_mss: uint32(i.RcvMSS),
		Unacked: segments(i.Unacked), Sacked: segments(i.Sacked), Lost: segments(i.Lost),
		Pmtu: uint32(i.PathMTU), Rtt: micros(i.RTT), Rttvar: micros(i.RTTVar),
		Snd_ssthresh: i.SndSsthresh / mss, Snd_cwnd: i.SndCwnd / mss, Advmss: uint32(i.AdvMSS),
		Total_retrans: i.TotalRetrans, Notsent_bytes: uint32(i.NotSent), Min_rtt: micros(i.MinRTT),
		Snd_wnd: i.SndWnd, Rcv_wnd: i.RcvWnd,
	}
	info.Ca_state = congestionState(&i)
	for _, o := range []struct {
		on  bool
		bit uint8
	}{
		{i.Timestamps, TCPI_OPT_TIMESTAMPS}, {i.SACK, TCPI_OPT_SACK}, {i.RcvScale > 0 || i.WindowScale > 0, TCPI_OPT_WSCALE},
		{i.ECN, TCPI_OPT_ECN}, {i.SYNData, TCPI_OPT_SYN_DATA},
	} {
		if o.on {
			info.Options |= o.bit
		}
	}
	return info
}

// congestionState returns Linux's number of the state of congestion control.
func congestionState(i *tcp.Info) uint8 {
	switch {
	case i.TimedOut:
		return 4
	case i.Recovering:
		return 3
	case i.Reduced:
		return 2
	case i.Disorder:
		return 1
	}
	return 0
}
