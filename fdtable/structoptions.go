package fdtable

import (
	"math"
	"syscall"
	"time"

	"github.com/unet-go/unet/stack/tcp"
)

// Linger is the value of SO_LINGER. Onoff other than 0 makes Close wait up to Linger seconds until the peer
// has acknowledged everything; with Linger 0 Close resets the connection instead.
type Linger struct {
	Onoff  int32
	Linger int32
}

// SetsockoptLinger sets SO_LINGER, the only option with such a value. A negative time is, as in Linux, a very long
// one. ENOPROTOOPT for any other option, EBADF.
func (t *Table) SetsockoptLinger(fd, level, opt int, l *Linger) error {
	s, err := t.acquire(fd)
	if err != nil {
		return err
	}
	defer s.release()
	if level != SOL_SOCKET || opt != SO_LINGER {
		return syscall.ENOPROTOOPT
	}
	seconds := l.Linger
	switch {
	case l.Onoff == 0:
		seconds = -1
	case seconds < 0:
		seconds = math.MaxInt32
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.updateLocked(func(o *tcp.Options) { o.Linger = seconds })
}

// GetsockoptLinger returns SO_LINGER.
func (t *Table) GetsockoptLinger(fd, level, opt int) (*Linger, error) {
	s, err := t.acquire(fd)
	if err != nil {
		return nil, err
	}
	defer s.release()
	if level != SOL_SOCKET || opt != SO_LINGER {
		return nil, syscall.ENOPROTOOPT
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if seconds := s.optionsLocked().Linger; seconds >= 0 {
		return &Linger{Onoff: 1, Linger: seconds}, nil
	}
	return &Linger{}, nil
}

// Timeval is the value of SO_RCVTIMEO and SO_SNDTIMEO: seconds, and microseconds below a million.
type Timeval struct{ Sec, Usec int64 }

// SetsockoptTimeval sets SO_RCVTIMEO or SO_SNDTIMEO: how long each Read or Accept, and each Write or Connect,
// waits. Zero, the default, is for ever; negative seconds mean not at all. EDOM for microseconds outside of
// [0, 1e6), ENOPROTOOPT for any other option, EBADF.
func (t *Table) SetsockoptTimeval(fd, level, opt int, tv *Timeval) error {
	s, err := t.acquire(fd)
	if err != nil {
		return err
	}
	defer s.release()
	if level != SOL_SOCKET || opt != SO_RCVTIMEO && opt != SO_SNDTIMEO {
		return syscall.ENOPROTOOPT
	}
	const most = math.MaxInt64 / int64(time.Second)
	var limit int64
	switch {
	case tv.Usec < 0 || tv.Usec >= 1e6:
		return syscall.EDOM
	case tv.Sec < 0:
		limit = -1
	case tv.Sec < most: // a longer time means no limit, as in Linux
		limit = tv.Sec*int64(time.Second) + tv.Usec*int64(time.Microsecond)
	}
	if opt == SO_RCVTIMEO {
		s.limits().receive.limit.Store(limit)
	} else {
		s.limits().send.limit.Store(limit)
	}
	return nil
}

// GetsockoptTimeval returns SO_RCVTIMEO or SO_SNDTIMEO.
func (t *Table) GetsockoptTimeval(fd, level, opt int) (*Timeval, error) {
	s, err := t.acquire(fd)
	if err != nil {
		return nil, err
	}
	defer s.release()
	if level != SOL_SOCKET || opt != SO_RCVTIMEO && opt != SO_SNDTIMEO {
		return nil, syscall.ENOPROTOOPT
	}
	var limit int64
	if l := s.timeouts.Load(); l != nil {
		limit = l.receive.limit.Load()
		if opt == SO_SNDTIMEO {
			limit = l.send.limit.Load()
		}
	}
	d := time.Duration(max(limit, 0))
	return &Timeval{Sec: int64(d / time.Second), Usec: int64(d % time.Second / time.Microsecond)}, nil
}

// SetsockoptString sets TCP_CONGESTION, the only option with such a value: the name of the controller, "cubic" or "reno".
// A connection keeps its window. ENOENT for any other name, EINVAL for none, ENOPROTOOPT for any other option,
// EBADF.
func (t *Table) SetsockoptString(fd, level, opt int, value string) error {
	s, err := t.acquire(fd)
	if err != nil {
		return err
	}
	defer s.release()
	switch {
	case level != IPPROTO_TCP || opt != TCP_CONGESTION || s.typ != SOCK_STREAM:
		return syscall.ENOPROTOOPT
	case value == "":
		return syscall.EINVAL
	case !tcp.HasCongestionControl(value):
		return syscall.ENOENT
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.updateLocked(func(o *tcp.Options) { o.CongestionControl = value })
}

// GetsockoptString returns TCP_CONGESTION.
func (t *Table) GetsockoptString(fd, level, opt int) (string, error) {
	s, err := t.acquire(fd)
	if err != nil {
		return "", err
	}
	defer s.release()
	if level != IPPROTO_TCP || opt != TCP_CONGESTION || s.typ != SOCK_STREAM {
		return "", syscall.ENOPROTOOPT
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if name := s.optionsLocked().CongestionControl; name != "" {
		return name, nil
	}
	return s.host.CongestionControl(), nil
}
