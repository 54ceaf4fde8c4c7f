package stack

import (
	"runtime"
	"sync"

	"github.com/unet-go/unet/internal/drop"
	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/ip"
	"github.com/unet-go/unet/stack/link"
)

// burstFrames is how many frames the receive loop takes at once.
const burstFrames = 64

// receiver is the receive loop of one device queue. Everything that a burst causes to be sent, by the protocols and by the
// program, leaves as one batch. So the goroutines that the burst woke must run before the batch is flushed.
//
// To let them run, two goroutines share the loop. After a burst that woke at least turnFrom goroutines, the running one
// wakes all of them but one, hands the turn to its twin, and wakes the last. The scheduler of this processor then runs the
// woken goroutines first, which answer, and the twin after them, which ends the burst, flushes, and reads on.
// runtime.Gosched would not do: it wakes another processor at once and puts the loop on the queue that all processors
// share, so that the other processor takes the loop, or half of the goroutines, and the memory that they use with them.
type receiver struct {
	host  *Host
	iface *ip.Interface
	queue *ip.Queue // of the interface
	// turn has a token for the goroutine whose turn it is. It alone uses what follows.
	turn chan struct{}

	now mono.Time // when the burst began
	in  ip.Input

	frames   [burstFrames]link.Frame
	segments arrivals // the TCP segments of the burst, and then the goroutines that they wake
	room     int      // frames that the next burst may have
	// Of the burst after which the turn was last given away: what beginBurst returned, and how many goroutines it woke.
	parked uint32
	woken  int
}

// newReceiver returns the receive loop of a queue, which is not started. It is large, and called rarely.
//
//go:noinline
func newReceiver(h *Host, ifc *ip.Interface, q *ip.Queue) *receiver {
	rc := &receiver{host: h, iface: ifc, queue: q, segments: newArrivals(len(h.tcp.shards)), room: burstFrames}
	rc.in.Init(&h.ip, ifc)
	return rc
}

// start starts the loop, which loops counts. It ends when the device is closed or has failed.
func (rc *receiver) start(loops *sync.WaitGroup) {
	rc.turn = make(chan struct{}, 1)
	rc.turn <- struct{}{}
	rc.host.loops.Add(2)
	for range 2 {
		loops.Go(rc.run)
	}
}

// run is either of the two goroutines.
func (rc *receiver) run() {
	defer rc.host.loops.Done()
	var spare wakeList
	for range rc.turn {
		if rc.woken > 0 {
			rc.host.tcp.awaitAnswers(rc.parked, rc.woken)
			rc.endBurst()
		}
		rc.takeTurn(&spare)
	}
}

// takeTurn takes bursts until it has given the turn away, or the device is closed or has failed. spare is an empty list of the
// caller's, and is empty when it returns.
func (rc *receiver) takeTurn(spare *wakeList) {
	wakes := &rc.segments.wakes
	for {
		n, ok := rc.read()
		if !ok {
			close(rc.turn)
			return
		}
		parked := rc.beginBurst(n)
		rc.queue.ReadDone()
		woken := len(wakes.conds)
		if woken >= turnFrom {
			rc.parked, rc.woken = parked, woken
			*spare, *wakes = *wakes, *spare
			spare.allButLast()
			rc.turn <- struct{}{}
			// From here on the receiver is the twin's.
			spare.last()
			spare.clear()
			return
		}
		wakes.run()
		wakes.clear()
		runtime.Gosched()
		rc.host.tcp.awaitAnswers(parked, woken)
		rc.endBurst()
	}
}

// beginBurst takes the first n frames, which have just been read, as a burst. It returns the count
// of waits so far, so that awaitAnswers can tell how many goroutines have begun to wait since.
func (rc *receiver) beginBurst(n int) (parked uint32) {
	rc.queue.BeginBurst()
	rc.now = rc.host.clock.Now()
	parked = rc.host.tcp.holdOutput(rc.now)
	rc.burst(rc.frames[:n])
	return parked
}

// endBurst transmits what the burst has held.
func (rc *receiver) endBurst() {
	rc.host.tcp.releaseOutput()
	rc.queue.EndBurst()
	rc.host.flush()
}

// burst takes one burst of frames and releases them. Who is to be woken is then in segments.wakes.
func (rc *receiver) burst(frames []link.Frame) {
	rc.in.Begin()
	var octets int
	for i := range frames {
		octets += len(frames[i].Header)
		switch rc.in.Frame(&frames[i]) {
		case ip.ForTransport:
			rc.deliver(&rc.in.Packet)
		case ip.AboutOurs:
			rc.host.report(&rc.in.Report, &rc.in.Packet)
		case ip.ForOthers:
			rc.in.Forward(&frames[i])
		case ip.Taken:
		}
	}
	if len(rc.segments.in) > 0 {
		rc.host.tcp.input(&rc.segments, rc.now)
	}
	rc.in.End()
	for i := range frames {
		frames[i].Release()
	}
	rc.room = roomFor(len(frames), octets, len(rc.segments.wakes.conds))
	rc.iface.Received(len(frames), octets)
}

// roomFor returns how many frames the burst may have that follows upon one of so many frames and octets, which woke
// so many readers.
func roomFor(frames, octets, woken int) int {
	if octets < max(frames, 1)*largeFrame {
		return burstFrames
	}
	return min(max(connOctets*max(woken, 1)*frames/octets, 1), burstFrames)
}

// deliver gives a packet to its protocol.
func (rc *receiver) deliver(p *ip.Packet) {
	switch p.Protocol {
	case wire.ProtocolTCP:
		rc.segments.add(&rc.host.tcp, p)
	case wire.ProtocolUDP:
		rc.host.udp.input(p)
	default:
		if rc.host.rawInput(p) {
			return
		}
		// Encapsulated packets of protocol 4 or 41 end here too: no code unpacks them (ledger D-PARSE-4).
		rc.host.drop(drop.Protocol)
		rc.host.ip.SendError(p, ip.ProtocolUnreachable, 0)
	}
}
