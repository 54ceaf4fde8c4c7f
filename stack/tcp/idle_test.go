package tcp

import (
	"testing"
	"time"

	"github.com/unet-go/unet/stack/tcp/cc"
)

// exchange sends a little text from each end to the other, which reads it, and waits until all timers have run
// but keepalive's.
func exchange(w *wire) {
	for _, e := range []*end{w.a, w.b} {
		e.conn.Send([]byte("a few octets"), w.now)
		e.settle()
	}
	w.idle(10 * time.Second)
	for _, e := range []*end{w.a, w.b} {
		e.read()
		e.settle()
	}
	w.idle(10 * time.Second)
}

func TestIdle(t *testing.T) {
	for _, name := range []string{"cubic", "reno"} {
		t.Run("an idle "+name+" connection holds nothing but itself", func(t *testing.T) {
			w := newWire(t, Config{CongestionControl: name}, DefaultOptions(), impairment{delay: time.Millisecond}, 1)
			w.connect()
			exchange(w)
			for _, e := range []*end{w.a, w.b} {
				if c := &e.conn; c.tx != nil || c.rx != nil || c.cc != nil || c.Deadline() != 0 {
					t.Errorf("%s: sender %v, receiver %v, controller %v, deadline %v", e.name, c.tx, c.rx, c.cc, c.Deadline())
				}
			}
			if n := testing.AllocsPerRun(1, func() { w.a.conn.sending(); w.a.conn.dropSender() }); n != 0 {
				t.Errorf("the next text allocates %v times", n)
			}
		})
	}
	t.Run("what congestion control has learnt is kept", func(t *testing.T) {
		w := newWire(t, Config{}, DefaultOptions(), impairment{delay: time.Millisecond}, 1)
		w.connect()
		exchange(w)
		c := &w.a.conn
		c.sending()
		before := c.cc
		c.cc.OnSignal(c.window(), cc.Repaired, 100_000, w.now)
		c.dropSender()
		if c.cc != before {
			t.Error("it is gone")
		}
		c.sending() // takes a sender whose spare is another one
		if c.cc != before {
			t.Error("another one has its place")
		}
		c.dropSender()
	})
	t.Run("connections share options until one changes them", func(t *testing.T) {
		o := DefaultOptions()
		o.KeepAlive = true
		w := newWire(t, Config{}, o, impairment{delay: time.Millisecond}, 1)
		w.connect()
		other := new(Conn)
		other.Connect(w.a.env, w.a, w.a.tup, path, &o, ISSFloor{}, w.now)
		c := &w.a.conn
		if c.opts != other.opts || *c.opts != o {
			t.Errorf("%p %+v and %p %+v", c.opts, *c.opts, other.opts, *other.opts)
		}
		changed := o
		changed.NoDelay = true
		c.SetOptions(&changed, w.now)
		if c.Options() != changed || other.Options() != o {
			t.Errorf("%+v and %+v", c.Options(), other.Options())
		}
		for i := range int32(100) { // more than are remembered
			changed.Linger = i
			c.SetOptions(&changed, w.now)
			if c.Options() != changed || other.Options() != o {
				t.Fatalf("%d: %+v and %+v", i, c.Options(), other.Options())
			}
		}
	})
}
