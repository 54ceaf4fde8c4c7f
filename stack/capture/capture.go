// Package capture wraps a device so that the frames that pass are written down: by New to a pcapng file, which Wireshark
// and tcpdump read, by NewText as lines of text like tcpdump's own.
//
// A wrapped device offers the same offloads as the device itself. With offloads a capture shows the frames as the
// device sees them: a super-segment is one frame, and a transport checksum that is left to the device is not
// complete, so that a reader of the file may call it wrong. On such a host tcpdump shows the same.
package capture

import (
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/unet-go/unet/stack/link"
)

// Device is a link.Device, and a link.MultiQueue, that writes down every frame that passes: a frame that
// is sent before the device gets it, a received one before Read returns it. A frame's time is the moment when it is
// written down, and frames of all queues are written in the order of their times. An error of the writer does not
// disturb the traffic: frames that cannot be written are counted, and Err returns the error. But a slow writer slows the
// traffic down, since Read and Write wait for it.
type Device struct {
	queue // the parent's own Read and Write
	dev   link.Device
	all   []link.Device
	log   *log
}

var (
	_ link.MultiQueue = (*Device)(nil)
	_ link.Announcer  = (*Device)(nil)
	_ link.Carrier    = (*Device)(nil)
	_ link.Namer      = (*Device)(nil)
)

// New wraps dev and takes ownership of it: closing the Device closes dev. It writes a pcapng stream of one
// section and one interface to w, with nanosecond times and the direction of each frame. The stream is
// buffered: Flush and Close write it out, and neither closes w. If New cannot write the stream's header it returns the
// error, and dev stays the caller's.
func New(dev link.Device, w io.Writer) (*Device, error) {
	s, err := newPcapng(dev.Info(), w)
	if err != nil {
		return nil, err
	}
	return wrap(dev, s), nil
}

// NewText wraps dev as New does, and writes one line per frame to w, as Printer makes it. Each line is one
// call of w.Write; nothing is buffered.
func NewText(dev link.Device, w io.Writer) *Device {
	return wrap(dev, &text{w: w, printer: NewPrinter(dev.Info().Kind)})
}

func wrap(dev link.Device, s sink) *Device {
	d := &Device{dev: dev, log: &log{sink: s}}
	d.queue = queue{dev: dev, log: d.log}
	if multi, ok := dev.(link.MultiQueue); ok {
		for _, q := range multi.Queues() {
			d.all = append(d.all, &queue{dev: q, log: d.log})
		}
	}
	if len(d.all) == 0 {
		d.all = []link.Device{&d.queue}
	}
	return d
}

// Announces returns the answer of the wrapped device, as link.Announcer says.
func (d *Device) Announces() bool {
	a, ok := d.dev.(link.Announcer)
	return ok && a.Announces()
}

// Queues returns the wrapped queues of the device, or the one of a device without queues.
func (d *Device) Queues() []link.Device { return d.all }

// Close closes the wrapped device and writes out the buffered part of the stream. The error is the device's.
func (d *Device) Close() error { return d.queue.Close() }

// WatchMTU calls that of the wrapped device, if it has one.
func (d *Device) WatchMTU(f func(mtu int)) {
	if r, ok := d.dev.(link.Resizer); ok {
		r.WatchMTU(f)
	}
}

// WatchCarrier calls that of the wrapped device, if it has one.
func (d *Device) WatchCarrier(f func(up bool)) {
	if c, ok := d.dev.(link.Carrier); ok {
		c.WatchCarrier(f)
	}
}

// LookupHost asks the wrapped device, if its network has names, as link.Namer says.
func (d *Device) LookupHost(name string) (addrs []netip.Addr, known bool) {
	if n, ok := d.dev.(link.Namer); ok {
		return n.LookupHost(name)
	}
	return nil, false
}

// Flush writes out the buffered part of the stream. It returns the same error as Err.
func (d *Device) Flush() error {
	d.log.flush()
	return d.log.lastErr()
}

// Err returns the first error of the writer, or nil.
func (d *Device) Err() error { return d.log.lastErr() }

// Lost returns the number of frames that could not be written.
func (d *Device) Lost() uint64 {
	d.log.mu.Lock()
	defer d.log.mu.Unlock()
	return d.log.lost
}

// queue is one wrapped queue.
type queue struct {
	dev   link.Device
	log   *log
	again int // frames that are written down already but that the device has not taken: the next Write begins with them
}

// Info describes the device.
func (q *queue) Info() link.Info { return q.dev.Info() }

// Read reads from the device, and writes the frames down.
func (q *queue) Read(frames []link.Frame) (int, error) {
	n, err := q.dev.Read(frames)
	if n > 0 && n <= len(frames) { // any other count is an error, which the caller finds
		q.log.write(frames[:n], inbound)
	}
	return n, err
}

// Write writes to the device. It writes each frame down once, at the first attempt to send it.
func (q *queue) Write(frames []link.Frame) (int, error) {
	if q.again < len(frames) {
		q.log.write(frames[q.again:], outbound)
	}
	n, err := q.dev.Write(frames)
	q.again = max(q.again, len(frames)) - min(max(n, 0), len(frames))
	return n, err
}

// Close closes the queue.
func (q *queue) Close() error {
	err := q.dev.Close()
	q.log.flush()
	return err
}

type direction uint8

const (
	inbound direction = iota
	outbound
)

// sink writes frames in one format.
type sink interface {
	write(at time.Time, frame []byte, dir direction) error
	flush() error
}

// log is where all queues of a device write frames down, one at a time.
type log struct {
	mu      sync.Mutex
	sink    sink
	scratch []byte // a gathered frame
	err     error
	lost    uint64
}

func (l *log) write(frames []link.Frame, dir direction) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := time.Now()
	for i := range frames {
		data := frames[i].Header
		if len(frames[i].Payload) > 0 {
			n := frames[i].Len()
			if cap(l.scratch) < n {
				l.scratch = make([]byte, n)
			}
			data = l.scratch[:n]
			frames[i].CopyTo(data)
		}
		if err := l.sink.write(at, data, dir); err != nil {
			l.lost++
			l.note(err)
		}
	}
}

func (l *log) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(l.sink.flush())
}

func (l *log) note(err error) {
	if l.err == nil {
		l.err = err
	}
}

func (l *log) lastErr() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
