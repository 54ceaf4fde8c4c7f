package tcp

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/stack/tcp/cc"
)

// TCP Fast Open (RFC 7413): a SYN carries text, and the listener's user can read it before the handshake is complete, if the
// SYN also carries a cookie that the listener's host has given to the same address before.

// FastOpenCookie is what the Fast Open option carries: a request for a cookie while Len is zero, else one of 4 to 16
// octets.
type FastOpenCookie struct {
	Len    uint8
	Octets [16]byte
}

const (
	cookieLen = 8 // of our own cookies
	// cookiePeriod is how long one key is used for new cookies. They are valid for one period more.
	cookiePeriod = time.Hour
	// synOptions is the room for the options of a SYN that carries text.
	synOptions = 40
)

// FastOpenCookie returns the cookie of the tuple's remote address for now (RFC 7413 4.1.2): a keyed hash of
// both addresses, under a key that changes with the hour.
func (e *Env) FastOpenCookie(t Tuple, now mono.Time) FastOpenCookie {
	return e.Secret.fastOpen(t, cookieEpoch(now))
}

// CheckFastOpen says whether c is a cookie for the tuple, and whether it was made with the present key, not
// the one before.
func (e *Env) CheckFastOpen(t Tuple, c *FastOpenCookie, now mono.Time) (valid, fresh bool) {
	epoch := cookieEpoch(now)
	if *c == e.Secret.fastOpen(t, epoch) {
		return true, true
	}
	return epoch > 0 && *c == e.Secret.fastOpen(t, epoch-1), false
}

func cookieEpoch(now mono.Time) uint64 { return uint64(now) / uint64(cookiePeriod) }

func (s *Secret) fastOpen(t Tuple, epoch uint64) FastOpenCookie {
	t.Local, t.Remote = addrOnly(t.Local), addrOnly(t.Remote)
	h := s.prf(purposeFastOpen, t, epoch)
	c := FastOpenCookie{Len: cookieLen}
	copy(c.Octets[:], h[:cookieLen])
	return c
}

// SetFastOpenCookie gives a SYN or SYN-ACK the Fast Open option. A cookie is left out if the path's packets are too small for all
// options together; a request always fits.
func (s *Segment) SetFastOpenCookie(c FastOpenCookie, p Path) {
	if c.Len > 0 && p.MaxSegment() < headerLen+synOptions {
		return
	}
	s.Options |= OptFastOpen
	s.FastOpen = c
}

// handshaking says whether nothing may be sent before the peer answers our SYN. In a SYN-RECEIVED that is due to Fast Open,
// text may be sent (RFC 7413 4.2.2).
func (c *Conn) handshaking() bool {
	switch c.state {
	case SynSent:
		return true
	case SynReceived:
		return c.has(flagActive)
	case Closed, Listen, Established, FinWait1, FinWait2, CloseWait, Closing, LastAck, TimeWaitState:
	}
	return false
}

// ConnectLater is Connect without the SYN, which OpenWith sends. There is no floor: text on a SYN must not come to a
// four-tuple that was in use a moment ago.
func (c *Conn) ConnectLater(env *Env, out Sink, t Tuple, p Path, o *Options, now mono.Time) {
	c.open(env, out, t, p, o, ISSFloor{}, now)
}

// OpenWith transmits the SYN after ConnectLater, with a cookie or a request for one. With a cookie the SYN carries the first
// octets of p, as many as fit in a segment of mss, the MSS that the peer announced last time (RFC 7413 4.2.1); 0 means the
// family's default. It returns how many octets the connection has taken.
func (c *Conn) OpenWith(cookie FastOpenCookie, mss uint16, p []byte, now mono.Time) int {
	if c.state != SynSent || c.timers[timerRetransmit] != 0 {
		return 0
	}
	c.stalledSince, c.rtoFrom = now, now
	n := 0
	if cookie.Len > 0 && len(p) > 0 {
		if mss == 0 {
			mss = c.defaultMSS()
		}
		n = min(len(p), max(int(min(mss, limitMSS(int(c.maxSegment), c.opts)))-synOptions, 0), c.SendSpace())
	}
	if n > 0 {
		tx := c.sending()
		tx.q.write(p[:n], c.chunkSize(), c.env.Alloc)
		c.chargeSend()
		tx.sb.sent(c.snd.nxt, uint32(n), false, now)
		c.snd.nxt = c.snd.nxt.Add(uint32(n))
		c.env.Counters.OctetsOut += uint64(n)
		c.set(flagSYNText)
	}
	c.sendFastSYN(cookie, uint32(n), now)
	c.armSYN()
	return n
}

// sendFastSYN transmits the first SYN, or SYN-ACK, with the Fast Open option and n octets of text. Retransmissions carry
// neither, since the path may not let them through (RFC 7413 4.2.1).
func (c *Conn) sendFastSYN(cookie FastOpenCookie, n uint32, now mono.Time) {
	seg := c.env.segment()
	c.fillSYN(seg, now)
	seg.SetFastOpenCookie(cookie, c.path())
	if n > 0 {
		c.env.gather = c.tx.q.gather(c.env.gather[:0], c.snd.iss.Add(1), n)
		seg.Gather, seg.TextLen = c.env.gather, n
	}
	c.transmit(seg)
	clear(c.env.gather)
}

// synTextAcked processes how much of the text on our SYN the peer has acknowledged. The rest is sent again at once, and is no
// sign of congestion (RFC 7413 4.2.2). The time-outs of text written during the handshake begin now.
func (c *Conn) synTextAcked(ack Seq, now mono.Time) {
	tx := c.tx
	if tx == nil {
		return
	}
	c.stalledSince, c.rtoFrom = now, now
	if !c.has(flagActive) || c.snd.una == c.snd.nxt {
		return
	}
	if c.snd.una.LessThan(ack) {
		c.snd.una = ack
		c.set(flagTaken)
		tx.sb.ack(ack, func(*record, *cc.Stamp) {})
		tx.q.free(ack)
		c.chargeSend()
	}
	if c.snd.una == c.snd.nxt {
		c.events |= Drained
		return
	}
	c.clear(flagSYNText)
	for i := tx.sb.head; i < len(tx.sb.recs); i++ {
		c.noteLoss(i, lossOfSYNText, now)
	}
	tx.ignoreCwnd = true
}

// SYNTextTaken says whether Fast Open has worked: the peer accepted the text on our SYN, or we accepted that on the peer's. It
// is meaningful from ESTABLISHED on.
func (c *Conn) SYNTextTaken() bool { return c.has(flagSYNText) }

// SYNRepeated says whether our SYN was sent more than once.
func (c *Conn) SYNRepeated() bool { return c.has(flagSYNRetrans) }

// AcceptFastOpen makes c a connection in SYN-RECEIVED from a SYN whose cookie is valid, and takes its text. h was made by Init
// from the same SYN. The SYN-ACK is sent at once, with cookie if it is not empty. Text may be written and is sent at once too.
func (c *Conn) AcceptFastOpen(env *Env, out Sink, h *HalfOpen, p Path, o *Options, seg *Segment, cookie FastOpenCookie, now mono.Time) {
	c.adopt(env, out, h, p, o, now)
	c.snd.una = h.iss
	c.setState(SynReceived)
	c.stalledSince, c.rtoFrom = now, now
	c.openCwnd()
	seg.Seq, seg.Flags = seg.Seq.Add(1), ACK
	c.trim(seg)
	if seg.TextLen > 0 && !c.noRoom() {
		c.takeText(seg, now)
		c.set(flagSYNText)
	}
	c.timers[timerACK] = 0 // the SYN-ACK acknowledges it
	if cookie.Len > 0 {
		c.sendFastSYN(cookie, 0, now)
	} else {
		c.sendSYN(now)
	}
	c.armSYN()
}
