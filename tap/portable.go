//go:build linux || darwin || windows

package tap

import (
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/unet-go/unet/stack/link"
)

// overhead is the room in octets that a buffer has beside the IP packet: for an Ethernet header with a VLAN tag, and for
// one octet more, by which a frame that was cut off is distinguished from one that fits.
const overhead = 14 + 4 + 1

// portable is the only queue of a device of the portable backend: github.com/songgao/water moves one whole, plain frame
// at a time.
type portable struct {
	info link.Info
	rw   io.ReadWriteCloser
	counters

	closing  sync.Once
	closed   atomic.Bool // set before rw is closed
	closeErr error
}

// openWater opens the portable backend. Existed means that the interface was there before.
func openWater(cfg *Config, existed bool) (*Device, error) {
	if cfg.Queues > 1 {
		return nil, errorf("tap: %d queues: %w by the portable backend", cfg.Queues, errors.ErrUnsupported)
	}
	ifc, mtu, err := openSystem(cfg, existed)
	if err != nil {
		return nil, err
	}
	mac, source := cfg.chooseMAC(ifc.Name())
	info := link.Info{Name: ifc.Name(), Kind: cfg.kind(), MAC: mac, MTU: mtu}
	d := &Device{info: info, peers: slices.Clone(cfg.PeerAddrs), macSource: source, ordered: true}
	d.queues = []queue{&portable{info: info, rw: ifc}}
	return d, nil
}

// Info describes the device that the queue belongs to.
func (q *portable) Info() link.Info { return q.info }

// Read reads one frame, as link.Device says: to ask for a second one could mean to wait for it.
func (q *portable) Read(frames []link.Frame) (int, error) {
	if len(frames) == 0 {
		return 0, nil
	}
	b := link.NewBuffer(link.Headroom + q.info.MTU + overhead)
	room := b.Bytes()[link.Headroom:]
	for {
		n, err := q.rw.Read(room)
		switch {
		case err != nil:
			b.Release()
			return 0, q.failure(err)
		case n >= len(room):
			q.in.truncated.Add(1)
			continue
		case n <= 0:
			q.in.malformed.Add(1)
			continue
		}
		frames[0].Set(b, link.Headroom, link.Headroom+n)
		frames[0].Meta = link.Meta{}
		q.in.frames.Add(1)
		q.in.octets.Add(uint64(n))
		return 1, nil
	}
}

// Write writes frames as link.Device says.
func (q *portable) Write(frames []link.Frame) (int, error) {
	if q.closed.Load() {
		return 0, link.ErrClosed
	}
	for i := range frames {
		f := &frames[i]
		if !metaFits(&f.Meta, &q.info, f.Len()) || f.Len() == 0 {
			q.out.malformed.Add(1)
			continue
		}
		err := q.send(f)
		switch {
		case err == nil:
			q.out.frames.Add(1)
			q.out.octets.Add(uint64(f.Len()))
		case q.closed.Load():
			return i, link.ErrClosed
		case errors.Is(err, syscall.EIO), errors.Is(err, syscall.ENETDOWN):
			// The kernel's side is not up; it may come up again.
			q.out.down.Add(1)
		case errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.ENOBUFS):
			q.out.noMemory.Add(1)
		case isGone(err):
			return i, q.failure(err)
		default:
			q.out.refused.Add(1)
		}
	}
	return len(frames), nil
}

// send writes one frame. It copies the parts of a frame together, since water cannot gather them.
func (q *portable) send(f *link.Frame) error {
	if len(f.Payload) == 0 {
		_, err := q.rw.Write(f.Header)
		return err
	}
	b := link.NewBuffer(f.Len())
	defer b.Release()
	n := f.CopyTo(b.Bytes())
	_, err := q.rw.Write(b.Bytes()[:n])
	return err
}

// failure returns the error of a Read or a Write, made from the system's. It wraps link.ErrGone if the queue can never
// work again.
func (q *portable) failure(err error) error {
	_, hasErrno := errors.AsType[syscall.Errno](err)
	switch {
	case q.closed.Load() || errors.Is(err, os.ErrClosed):
		return link.ErrClosed
	case isGone(err) || !hasErrno:
		// An error without an errno is the poller's, which has nothing to wait for any more.
		return errorf("tap: interface %s: %w: %w", q.info.Name, link.ErrGone, err)
	}
	return errorf("tap: interface %s: %w", q.info.Name, err)
}

// Close closes the queue, as link.Device says.
func (q *portable) Close() error {
	q.closing.Do(func() {
		q.closed.Store(true)
		q.closeErr = q.rw.Close()
	})
	return q.closeErr
}
