package soak

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// An exchange is one connection: the dialling end says how much goes each way and which octets, sends its part and
// ends its stream; the other end compares, answers with its part and ends.
type exchange struct {
	seed     uint64
	up, down uint32
	// kind says how the two ends go about it.
	kind kind
}

type kind uint32

const (
	plain  kind = iota
	slow        // the answer is read with pauses
	duplex      // the answer does not wait for the request's end
	cut         // the answering end resets the connection in the midst of its answer
	kinds
)

// headerLen is what announces an exchange.
const headerLen = 24

// hung is how long an exchange may take. Loss and a path that was away for a while cost seconds.
const hung = 5 * time.Minute

// errMismatch is an octet that is not the one that was sent.
var errMismatch = errors.New("an octet came that was not sent")

// tally counts the exchanges of one process.
type tally struct {
	exchanges, octets, mismatches, broken atomic.Uint64
}

func random(rnd *rand.Rand) exchange {
	size := func() uint32 {
		switch rnd.IntN(8) {
		case 0:
			return 0
		case 1:
			return uint32(rnd.IntN(1 << 20))
		}
		return uint32(rnd.IntN(1 << rnd.IntN(17)))
	}
	return exchange{seed: rnd.Uint64(), up: size(), down: size(), kind: kind(rnd.IntN(int(kinds)))}
}

// stream returns the octets of a seed.
func stream(seed uint64) io.Reader {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

// send writes n octets of the seed, in writes of any size.
func send(c net.Conn, seed uint64, n uint32) error {
	octets, rnd := stream(seed), rand.New(rand.NewPCG(seed, 1))
	p := make([]byte, 64<<10)
	for n > 0 {
		k := min(n, uint32(1+rnd.IntN(1<<rnd.IntN(17))))
		k = min(k, uint32(len(p)))
		_, _ = io.ReadFull(octets, p[:k])
		if _, err := c.Write(p[:k]); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// receive reads n octets and compares them with those of the seed.
func (t *tally) receive(r io.Reader, seed uint64, n uint32, pauses bool) error {
	octets, rnd := stream(seed), rand.New(rand.NewPCG(seed, 2))
	got, want := make([]byte, 32<<10), make([]byte, 32<<10)
	for n > 0 {
		k, err := r.Read(got[:min(n, uint32(len(got)))])
		_, _ = io.ReadFull(octets, want[:k])
		if !bytes.Equal(got[:k], want[:k]) {
			t.mismatches.Add(1)
			return errMismatch
		}
		t.octets.Add(uint64(k))
		n -= uint32(k)
		if err != nil && n > 0 {
			return err
		}
		if pauses && rnd.IntN(32) == 0 {
			time.Sleep(time.Duration(rnd.IntN(50)) * time.Millisecond)
		}
	}
	return nil
}

// ended reads the end of the stream, and nothing before it.
func (t *tally) ended(r io.Reader) error {
	n, err := r.Read(make([]byte, 1))
	switch {
	case n > 0:
		t.mismatches.Add(1)
		return errMismatch
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		return io.ErrNoProgress
	}
	return err
}

type halfCloser interface{ CloseWrite() error }

// ask is the dialling end.
func (t *tally) ask(c net.Conn, x exchange) error {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(hung))
	var h [headerLen]byte
	binary.BigEndian.PutUint64(h[:], x.seed)
	binary.BigEndian.PutUint32(h[8:], x.up)
	binary.BigEndian.PutUint32(h[12:], x.down)
	binary.BigEndian.PutUint32(h[16:], uint32(x.kind))
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(h[:])
		if err == nil {
			err = send(c, x.seed, x.up)
		}
		if err == nil {
			err = c.(halfCloser).CloseWrite()
		}
		sent <- err
	}()
	err := t.receive(c, ^x.seed, x.down, x.kind == slow)
	if err == nil {
		err = t.ended(c)
	}
	if x.kind == cut && err != nil && !errors.Is(err, errMismatch) && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil // as announced
		c.Close()
		<-sent
	} else if err != nil {
		c.Close()
		<-sent
	} else {
		err = <-sent
	}
	if err == nil {
		t.exchanges.Add(1)
	}
	return err
}

// askUntil dials and asks for one thing after the other until stop is closed. failed has each exchange that failed, and
// when it began.
func (t *tally) askUntil(stop <-chan struct{}, dial func() (net.Conn, error), rnd *rand.Rand, failed func(began time.Time, err error)) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		began := time.Now()
		c, err := dial()
		if err == nil {
			err = t.ask(c, random(rnd))
		}
		if err != nil {
			failed(began, err)
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// answer is the other end.
func (t *tally) answer(c net.Conn) error {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(hung))
	r := bufio.NewReaderSize(c, 4096)
	var h [headerLen]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return err
	}
	x := exchange{seed: binary.BigEndian.Uint64(h[:]), up: binary.BigEndian.Uint32(h[8:]), down: binary.BigEndian.Uint32(h[12:]),
		kind: kind(binary.BigEndian.Uint32(h[16:]))}
	if x.kind >= kinds {
		t.mismatches.Add(1)
		return errMismatch
	}
	down := x.down
	if x.kind == cut {
		down /= 2
	}
	sent := make(chan error, 1)
	if x.kind == duplex {
		go func() { sent <- send(c, ^x.seed, down) }()
	}
	err := t.receive(r, x.seed, x.up, false)
	if err == nil {
		err = t.ended(r)
	}
	switch {
	case x.kind == duplex:
		if err != nil {
			c.Close()
		}
		err = errors.Join(err, <-sent)
	case err == nil:
		err = send(c, ^x.seed, down)
	}
	if x.kind == cut {
		if tc, ok := c.(interface{ SetLinger(int) error }); ok {
			_ = tc.SetLinger(0)
		}
	}
	if err != nil {
		return fmt.Errorf("answering: %w", err)
	}
	return nil
}

// serve answers until the listener is closed. report has each failed exchange.
func (t *tally) serve(l net.Listener, report func(error)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			if err := t.answer(c); err != nil {
				report(err)
			}
		}()
	}
}
