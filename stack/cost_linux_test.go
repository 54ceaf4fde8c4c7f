package stack

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
)

var costPackets = flag.Int("cost.packets", 0, "packets of each row of TestPacketCost; 0: 300, and none is weighed")

// A row's packets are weighed this many times, each time with a new host. What counts of a packet is the least: the
// machine's own interruptions do not meet the same packet each time, and what the row makes expensive does.
const costRuns = 5

// costLimit is what the most expensive packet may take, in medians (ledger F-CPU-1).
const costLimit = 20

// TestPacketCost weighs the processor time of single packets for each kind of attack: `make cost`.
func TestPacketCost(t *testing.T) {
	n := *costPackets
	if n == 0 {
		for _, row := range costRows {
			t.Run(row.name, func(t *testing.T) { costOf(t, row, 300, 1) })
		}
		return
	}
	ordinary := costOf(t, costRows[0], n, costRuns)
	slices.Sort(ordinary)
	usual := ordinary[len(ordinary)/2]
	for _, row := range costRows {
		t.Run(fmt.Sprintf("F-CPU-1 %s", row.name), func(t *testing.T) {
			spent := costOf(t, row, n, costRuns)
			most := slices.Max(spent)
			at := slices.Index(spent, most)
			slices.Sort(spent)
			// A packet that is dropped at a glance makes the median small and no other one large.
			median := max(spent[len(spent)/2], usual)
			t.Logf("median %v, 99 %% %v, 99.9 %% %v, most %v (packet %d): %.1f medians", spent[len(spent)/2], spent[len(spent)*99/100],
				spent[len(spent)*999/1000], most, at, float64(most)/float64(median))
			if most > costLimit*median {
				t.Errorf("the most expensive packet took %v, more than %d times %v", most, costLimit, median)
			}
		})
	}
}

// costOf returns what the packets of a row took, n at least.
func costOf(t *testing.T, row costRow, n, runs int) []time.Duration {
	var least []time.Duration
	for range runs {
		w := newCostWorld(t, row.config)
		w.spent = make([]time.Duration, 0, n)
		row.give(w, n)
		w.close()
		if len(w.spent) < n {
			t.Fatalf("%d packets of %d", len(w.spent), n)
		}
		if least == nil {
			least = w.spent[:n]
		}
		for i := range least {
			least[i] = min(least[i], w.spent[i])
		}
	}
	return least
}

// costWorld is a host that is given its packets one by one, and a peer that keeps what it needs to forge them.
type costWorld struct {
	*testing.T
	h     *Host
	dev   *costDevice
	rc    *receiver
	l     *Listener
	rnd   *rand.Rand
	spent []time.Duration
}

// costDevice is a device that gives nothing, counts what it was to send and remembers the latest SYN-ACK.
type costDevice struct {
	closed chan struct{}
	mu     sync.Mutex
	frames int // sent
	synACK wire.TCP
}

func (d *costDevice) Info() link.Info {
	return link.Info{Name: "cost0", Kind: link.Ethernet, MAC: ourMAC, MTU: 1500}
}

func (d *costDevice) Read([]link.Frame) (int, error) {
	<-d.closed
	return 0, link.ErrClosed
}

func (d *costDevice) Write(frames []link.Frame) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frames += len(frames)
	for i := range frames {
		if f := frames[i].Header; len(f) >= 54 && f[12] == 8 && f[13] == 0 && f[14+9] == wire.ProtocolTCP && f[34+13]&wire.TCPSyn != 0 {
			_, _ = d.synACK.Parse(f[34:])
		}
	}
	return len(frames), nil
}

func (d *costDevice) sent() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.frames
}

// iss returns the initial sequence number that the host has given a connection with that port of the peer.
func (d *costDevice) iss(port uint16) uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.synACK.DstPort != port {
		return 0
	}
	return d.synACK.Seq
}

func (d *costDevice) Close() error {
	close(d.closed)
	return nil
}

// newCostWorld returns a host that listens on port 80 and knows its peer.
func newCostWorld(t *testing.T, cfg Config) *costWorld {
	t.Helper()
	cfg.Shards = 1
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := &costWorld{T: t, h: h, dev: &costDevice{closed: make(chan struct{})}, rnd: rand.New(rand.NewPCG(1, 2))}
	w.must(h.Attach(w.dev, Interface{Addrs: []netip.Prefix{ourNet}}))
	ifc := h.ip.Interfaces()[1]
	w.rc = newReceiver(h, ifc, ifc.Queues()[0])
	b, err := h.BindTCP(netip.AddrPortFrom(ourIP, 80), BindOptions{})
	w.must(err)
	o := tcp.DefaultOptions()
	o.NoDelay = true
	w.l, err = h.ListenTCP(b, 1024, o)
	w.must(err)
	w.give(request(peerIP, peerMAC, ourIP))
	for i := range strangers {
		w.give(request(strangerIP(i), otherMAC, ourIP))
	}
	return w
}

func (w *costWorld) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// close ends the world: what the row did to the host must not keep another connection from being made.
func (w *costWorld) close() {
	w.Helper()
	w.connect(9, 65535).conn.Abort()
	w.must(w.h.Close())
}

// give gives the host a frame as a burst of its own.
func (w *costWorld) give(frame []byte) {
	w.rc.frames[0] = linkFrames([][]byte{frame})[0]
	w.process()
}

// weigh is give for a packet whose cost counts. What the host sends for it are packets too: one acknowledgment may
// rightly cost as much as all the segments that it lets go.
func (w *costWorld) weigh(frame []byte) {
	w.rc.frames[0] = linkFrames([][]byte{frame})[0]
	sent := w.dev.sent()
	before := processorTime()
	w.process()
	took := processorTime() - before
	w.spent = append(w.spent, took/time.Duration(1+w.dev.sent()-sent))
}

func (w *costWorld) process() {
	w.rc.beginBurst(1)
	w.rc.segments.wakes.run()
	w.rc.segments.wakes.clear()
	w.rc.endBurst()
}

// processorTime returns the time that this thread has had of a processor.
func processorTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}

// undisturbed keeps the goroutine on its thread and the collector away while f weighs packets, the first of which need
// not fill pools and the processor's caches.
func (w *costWorld) undisturbed(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	c := w.connect(8, 65535)
	for i := range 500 {
		w.give(ordinary(c, i))
		w.give(icmpEcho(i))
	}
	c.conn.Abort()
	f()
}

// costConn is a connection, from its peer's side.
type costConn struct {
	w        *costWorld
	conn     *TCPConn
	port     uint16
	seq, ack uint32 // of the next segment in order
	win      uint16
}

// connect makes a connection from a port of the peer, whose window is win without a scale of 7.
func (w *costWorld) connect(port, win uint16) *costConn {
	w.Helper()
	return w.connectWith(port, win, wire.TCPOptions{Has: wire.TCPOptMSS | wire.TCPOptSACKPermitted | wire.TCPOptWScale, MSS: 1460, WScale: 7})
}

// connectWith is connect with the options of the SYN.
func (w *costWorld) connectWith(port, win uint16, o wire.TCPOptions) *costConn {
	w.Helper()
	c := &costConn{w: w, port: port, seq: w.rnd.Uint32(), win: win}
	syn := wire.TCP{Flags: wire.TCPSyn, Window: win, Options: o}
	w.give(c.frame(syn, nil))
	c.seq++
	c.ack = w.dev.iss(port) + 1
	w.give(c.frame(wire.TCP{Flags: wire.TCPAck, Window: win}, nil))
	var err error
	c.conn, err = w.l.TryAccept()
	w.must(err)
	return c
}

// frame frames a segment; Seq and Ack of h count from the next in order.
func (c *costConn) frame(h wire.TCP, text []byte) []byte {
	h.SrcPort, h.DstPort = c.port, 80
	h.Seq += c.seq
	if h.Flags&wire.TCPAck != 0 {
		h.Ack += c.ack
	}
	return in4(ip4(fromPeer(wire.ProtocolTCP), tcp4(peerIP, ourIP, h, text)))
}

// ackFrame frames an acknowledgment with blocks that count from the next octet.
func (c *costConn) ackFrame(ack uint32, blocks ...wire.SACKBlock) []byte {
	h := wire.TCP{Flags: wire.TCPAck, Window: c.win, Ack: ack}
	for i, b := range blocks {
		h.Options.Has |= wire.TCPOptSACK
		h.Options.NumSACK++
		h.Options.SACK[i] = wire.SACKBlock{Left: c.ack + b.Left, Right: c.ack + b.Right}
	}
	return c.frame(h, nil)
}
