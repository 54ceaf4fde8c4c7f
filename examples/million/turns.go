package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unet-go/unet/unet"
)

// turn is the number of connections that a worker serves at once.
const turn = 8

// ends holds both ends of all connections. The index is made from the client's address and port, so that the two ends of
// a connection have the same.
type ends struct {
	dialled, accepted []*unet.TCPConn
	first             netip.Addr
}

func newEnds(w *world) *ends {
	n := len(w.addrs) * ports
	return &ends{dialled: make([]*unet.TCPConn, n), accepted: make([]*unet.TCPConn, n), first: w.addrs[0]}
}

// slot returns the index of a client's address.
func (e *ends) slot(a net.Addr) int {
	at := a.(*net.TCPAddr).AddrPort()
	ip, first := at.Addr().As16(), e.first.As16() // they differ in the last octets only
	n := binary.BigEndian.Uint32(ip[12:]) - binary.BigEndian.Uint32(first[12:])
	return int(n)*ports + int(at.Port()) - firstPort
}

// establish dials the connections numbered from low to high, and accepts them all.
func (p *plan) establish(ctx context.Context, w *world, e *ends, low, high int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { _ = w.ln.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for range high - low {
			c, err := w.ln.AcceptTCP()
			if err != nil {
				cancel(err)
				return
			}
			e.accepted[e.slot(c.RemoteAddr())] = c
		}
	})
	err := p.turns(ctx, low, high, func(low, high int) error {
		for i := low; i < high; i++ {
			// Use the addresses in turn, so that all have the same number of ports in use.
			from := netip.AddrPortFrom(w.addrs[i%len(w.addrs)], 0)
			c, err := w.dialer.DialTCP(context.Background(), "tcp", from, p.network().server)
			if err != nil {
				return err
			}
			e.dialled[e.slot(c.LocalAddr())] = c
		}
		return nil
	})
	if err != nil {
		cancel(err)
	}
	accepting.Wait()
	return context.Cause(ctx)
}

// turns has the workers call do for the numbers from low to high, a few at a time, until all are done or
// one has failed.
func (p *plan) turns(ctx context.Context, low, high int, do func(low, high int) error) error {
	var next atomic.Int64
	next.Store(int64(low))
	errs := make([]error, p.workers)
	var workers sync.WaitGroup
	for i := range p.workers {
		workers.Go(func() {
			for ctx.Err() == nil {
				first := int(next.Add(turn)) - turn
				if first >= high {
					return
				}
				if errs[i] = do(first, min(first+turn, high)); errs[i] != nil {
					next.Store(int64(high))
					return
				}
			}
		})
	}
	workers.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// message is the client's message on the connection of a slot, and the server's answer.
type message [8]byte

func question(slot int) (m message) {
	binary.BigEndian.PutUint64(m[:], uint64(slot))
	return m
}

func (m message) answer() message {
	for i := range m {
		m[i] ^= 0xff
	}
	return m
}

// exchange sends a message on each connection of some slots, and the answer back. Each step is taken for all
// of them before the next one is.
func (e *ends) exchange(low, high int) error {
	var m message
	for i := low; i < high; i++ {
		if c := e.dialled[i]; c != nil {
			m = question(i)
			if _, err := c.Write(m[:]); err != nil {
				return err
			}
		}
	}
	for i := low; i < high; i++ {
		if c := e.accepted[i]; c != nil {
			if _, err := io.ReadFull(c, m[:]); err != nil {
				return err
			}
			m = m.answer()
			if _, err := c.Write(m[:]); err != nil {
				return err
			}
		}
	}
	for i := low; i < high; i++ {
		if c := e.dialled[i]; c != nil {
			if _, err := io.ReadFull(c, m[:]); err != nil {
				return err
			}
			if m != question(i).answer() {
				return fmt.Errorf("%v answered %x to %x", c.RemoteAddr(), m, question(i))
			}
		}
	}
	return nil
}

// finish closes the connections of some slots: the client first, the server when it has read the end of the
// stream.
func (e *ends) finish(low, high int) error {
	for i := low; i < high; i++ {
		if c := e.dialled[i]; c != nil {
			e.dialled[i] = nil
			if err := c.Close(); err != nil {
				return err
			}
		}
	}
	for i := low; i < high; i++ {
		if c := e.accepted[i]; c != nil {
			e.accepted[i] = nil
			var m message
			if n, err := c.Read(m[:]); err != io.EOF {
				return fmt.Errorf("%d octets and error %v where the stream should end", n, err)
			}
			if err := c.Close(); err != nil {
				return err
			}
		}
	}
	return nil
}
