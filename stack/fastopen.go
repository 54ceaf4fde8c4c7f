package stack

import (
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/tcp"
)

// The client's side of TCP Fast Open (RFC 7413). The listener's is in fastlisten.go.

const (
	// maxCookies bounds how many peers a host remembers; beyond, any one is forgotten.
	maxCookies = 4096
	// A path that has swallowed SYNs of Fast Open is spared them for blackHole, twice as long each time that
	// it happens again, up to 2^maxLosses times.
	blackHole = time.Minute
	maxLosses = 6
)

// cookieKey is a path as Fast Open knows it: a cookie is for one address of the client, from one of the server.
type cookieKey struct{ local, remote netip.Addr }

// cookieEntry is what is known of a path.
type cookieEntry struct {
	cookie tcp.Cookie
	mss    uint16
	losses uint8
	until  mono.Time // no Fast Open before
}

// cookieCache remembers the cookies that peers gave (RFC 7413 4.1.3). mu is a leaf.
type cookieCache struct {
	mu    sync.Mutex
	paths map[cookieKey]cookieEntry
}

// find returns what is known of a path, and whether Fast Open may be tried on it.
func (c *cookieCache) find(k cookieKey, now mono.Time) (e cookieEntry, usable bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e = c.paths[k]
	return e, now >= e.until
}

// change changes the entry of a path; one that says nothing afterwards is dropped.
func (c *cookieCache) change(k cookieKey, change func(e *cookieEntry)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, known := c.paths[k]
	change(&e)
	if e == (cookieEntry{}) {
		delete(c.paths, k)
		return
	}
	if c.paths == nil {
		c.paths = make(map[cookieKey]cookieEntry)
	}
	if !known && len(c.paths) >= maxCookies {
		for victim := range c.paths {
			delete(c.paths, victim)
			break
		}
	}
	c.paths[k] = e
}

// lost notes that a path does not answer SYNs of Fast Open.
func (c *cookieCache) lost(k cookieKey, now mono.Time) {
	c.change(k, func(e *cookieEntry) {
		e.until = now.Add(blackHole << e.losses)
		e.losses = min(e.losses+1, maxLosses)
		e.cookie = tcp.Cookie{}
	})
}

func (c *TCPConn) cookieKey() cookieKey { return cookieKey{c.route.local, c.route.remote} }

// ConnectTCPFastOpen is ConnectTCP that asks the peer for a Fast Open cookie (RFC 7413). If the host has one
// of the peer already, nothing is sent yet: the SYN leaves with the first Write, and its text goes along.
// Waits tells. A peer that sees such a SYN twice may see its text twice, so what is written first must be
// harmless to repeat (RFC 7413 2.1). On a path that has swallowed such SYNs it is ConnectTCP for a while, for
// a minute and then twice as long each time.
func (h *Host) ConnectTCPFastOpen(b *Binding, remote netip.AddrPort, o tcp.Options) (*TCPConn, error) {
	return h.connectTCP(b, remote, o, true)
}

// Waits says whether the SYN waits for the first Write.
func (c *TCPConn) Waits() bool {
	c.lock()
	defer c.unlock()
	return c.bits&waits != 0
}

// beginFastLocked opens c, which is in the table, as far as ConnectTCPFastOpen does.
func (c *TCPConn) beginFastLocked(o *tcp.Options, now mono.Time) {
	s := c.shard
	known, usable := s.layer.cookies.find(c.cookieKey(), now)
	if !usable {
		c.tcp.Connect(&s.env, (*connSink)(c), s.tuple(&c.flow), c.route.path, o, tcp.ISSFloor{}, now)
		return
	}
	c.tcp.ConnectLater(&s.env, (*connSink)(c), s.tuple(&c.flow), c.route.path, o, now)
	c.bits |= asked
	if known.cookie.Len > 0 {
		c.bits |= waits
		return
	}
	c.tcp.OpenWith(tcp.Cookie{}, 0, nil, now)
}

// openLocked sends the SYN that has waited for a Write, and returns how much of p it carries. EINPROGRESS when
// that is nothing and the caller only tries.
func (c *TCPConn) openLocked(p []byte, try bool) (int, error) {
	now := c.now()
	if err := c.writeErrorLocked(try, now); err != nil {
		return 0, err
	}
	c.bits &^= waits
	known, usable := c.shard.layer.cookies.find(c.cookieKey(), now)
	if !usable { // another connection has found out meanwhile
		known = cookieEntry{}
	}
	n := c.tcp.OpenWith(known.cookie, known.mss, p, now)
	c.afterLocked(now)
	if n == 0 && try {
		return 0, syscall.EINPROGRESS
	}
	return n, nil
}

// fastAnswerLocked learns from the end of the SYN-SENT of a connection that has asked for a cookie. seg is
// the segment that ended it, nil for none.
func (c *TCPConn) fastAnswerLocked(seg *tcp.Segment, now mono.Time) {
	s := c.shard
	state := c.tcp.State()
	if state == tcp.SynSent {
		return
	}
	c.bits &^= asked
	cache, key := &s.layer.cookies, c.cookieKey()
	repeated := c.tcp.SYNRepeated()
	switch {
	case state == tcp.Closed && c.tcp.Err() == syscall.ETIMEDOUT || state != tcp.Closed && repeated && !c.tcp.SYNTextTaken():
		s.events.fastOpenLost++
		cache.lost(key, now)
	case state == tcp.Closed || seg == nil || repeated:
		// It says nothing of Fast Open.
	case seg.Options&tcp.OptFastOpen != 0 && seg.Cookie.Len > 0:
		cache.change(key, func(e *cookieEntry) {
			*e = cookieEntry{cookie: seg.Cookie}
			if seg.Options&tcp.OptMSS != 0 {
				e.mss = seg.MSS
			}
		})
	case !c.tcp.SYNTextTaken():
		cache.change(key, func(e *cookieEntry) { *e = cookieEntry{} }) // the peer does without
	}
	if state != tcp.Closed && c.tcp.SYNTextTaken() {
		s.events.fastOpens++
	}
}

// fillCookie and cookieOf translate the option of wire.
func fillCookie(o *wire.TCPOptions, seg *tcp.Segment) {
	if seg.Options&tcp.OptFastOpen != 0 {
		o.FastOpenLen, o.FastOpen = seg.Cookie.Len, seg.Cookie.Octets
	}
}

func cookieOf(o *wire.TCPOptions) tcp.Cookie {
	if o.Has&wire.TCPOptFastOpen == 0 {
		return tcp.Cookie{}
	}
	return tcp.Cookie{Len: o.FastOpenLen, Octets: o.FastOpen}
}
