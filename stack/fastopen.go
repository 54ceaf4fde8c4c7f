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
	// maxFastOpenPaths bounds how many paths a host remembers. A further one takes the place of any other.
	maxFastOpenPaths = 4096
	// On a path that has lost SYNs of Fast Open it is not used for the time blackHole, and for twice as long each time
	// that this happens again, up to 2^maxLosses times as long.
	blackHole = time.Minute
	maxLosses = 6
)

// fastOpenPath is what a Fast Open cookie is for: one address of the client, and the server that gave it.
type fastOpenPath struct{ local, remote netip.Addr }

// fastOpenRecord is what is known of a path.
type fastOpenRecord struct {
	cookie tcp.FastOpenCookie
	mss    uint16
	losses uint8
	until  mono.Time // Fast Open is not used before
}

// fastOpenCache remembers the cookies that peers gave (RFC 7413 4.1.3). mu is a leaf.
type fastOpenCache struct {
	mu    sync.Mutex
	paths map[fastOpenPath]fastOpenRecord
}

// find returns what is known of a path, and whether Fast Open may be tried on it.
func (f *fastOpenCache) find(p fastOpenPath, now mono.Time) (r fastOpenRecord, usable bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r = f.paths[p]
	return r, now >= r.until
}

// change changes the record of a path, and removes it if it is zero afterwards.
func (f *fastOpenCache) change(p fastOpenPath, change func(r *fastOpenRecord)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, known := f.paths[p]
	change(&r)
	if r == (fastOpenRecord{}) {
		delete(f.paths, p)
		return
	}
	if f.paths == nil {
		f.paths = make(map[fastOpenPath]fastOpenRecord)
	}
	if !known && len(f.paths) >= maxFastOpenPaths {
		for victim := range f.paths {
			delete(f.paths, victim)
			break
		}
	}
	f.paths[p] = r
}

// lost notes that SYNs of Fast Open are not answered on a path.
func (f *fastOpenCache) lost(p fastOpenPath, now mono.Time) {
	f.change(p, func(r *fastOpenRecord) {
		r.until = now.Add(blackHole << r.losses)
		r.losses = min(r.losses+1, maxLosses)
		r.cookie = tcp.FastOpenCookie{}
	})
}

func (c *TCPConn) fastOpenPath() fastOpenPath {
	r := c.route.Load()
	return fastOpenPath{r.Local(), r.Remote()}
}

// learnFastOpenLocked learns from the end of the SYN-SENT of a connection whose SYN has asked for Fast Open. seg is
// the segment that ended it, nil for none.
func (c *TCPConn) learnFastOpenLocked(seg *tcp.Segment, now mono.Time) {
	s := c.shard
	state := c.tcp.State()
	if state == tcp.SynSent {
		return
	}
	c.bits &^= fastOpenAsked
	cache, path := &s.layer.fastOpen, c.fastOpenPath()
	repeated := c.tcp.SYNRepeated()
	switch {
	case state == tcp.Closed && c.tcp.Err() == syscall.ETIMEDOUT || state != tcp.Closed && repeated && !c.tcp.SYNTextTaken():
		s.events.fastOpenLost++
		cache.lost(path, now)
	case state == tcp.Closed || seg == nil || repeated:
		// This says nothing about Fast Open.
	case seg.Options&tcp.OptFastOpen != 0 && seg.FastOpen.Len > 0:
		cache.change(path, func(r *fastOpenRecord) {
			*r = fastOpenRecord{cookie: seg.FastOpen}
			if seg.Options&tcp.OptMSS != 0 {
				r.mss = seg.MSS
			}
		})
	case !c.tcp.SYNTextTaken():
		cache.change(path, func(r *fastOpenRecord) { *r = fastOpenRecord{} }) // the peer does not use Fast Open
	}
	if state != tcp.Closed && c.tcp.SYNTextTaken() {
		s.events.fastOpens++
	}
}

// fillFastOpenCookie and fastOpenCookieOf translate between a segment's cookie and the option in package wire.
func fillFastOpenCookie(o *wire.TCPOptions, seg *tcp.Segment) {
	if seg.Options&tcp.OptFastOpen != 0 {
		o.FastOpenLen, o.FastOpen = seg.FastOpen.Len, seg.FastOpen.Octets
	}
}

func fastOpenCookieOf(o *wire.TCPOptions) tcp.FastOpenCookie {
	if o.Has&wire.TCPOptFastOpen == 0 {
		return tcp.FastOpenCookie{}
	}
	return tcp.FastOpenCookie{Len: o.FastOpenLen, Octets: o.FastOpen}
}
