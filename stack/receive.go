package stack

import (
	"net/netip"
	"runtime"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
)

// packet is an IP packet for this host on its way up to a transport, borrowed for the call. All addresses
// are plain ones, never IPv4-mapped; src is one host's unicast address.
type packet struct {
	src, dst netip.Addr
	iface    *iface
	header   []byte // the IP header
	payload  []byte // transport header and data, cut to the IP length
	// buf holds payload; who wants to keep payload takes a reference to it. nil: copy to keep.
	buf      *link.Buffer
	tos, ttl uint8
	// sumOK says that the transport checksum need not be verified.
	sumOK bool
	// broadcast says that the frame or the packet went to more than one host.
	broadcast bool
	// gsoSize is the payload of each segment that a super-segment stands for; 0 for a plain packet.
	gsoSize uint16
}

// burstFrames is how many frames the receive loop takes at once.
const burstFrames = 64

// A burst of large frames ends while the text is still in the processor's cache when it is read. Where several
// connections share it, it goes on for longer: else it would end after some frames of each of them, and the
// acknowledgments of each burst interrupt the peer's processor, at some 28 us.
const (
	// largeFrame is the mean size in octets of a burst's frames from which its length is bounded by octets.
	largeFrame = 16384
	// connOctets is the length in octets of such a burst for each reader that it wakes.
	connOctets = 512 << 10
)

// receiver is the receive loop of one device queue. What a burst makes the protocols and the application say
// leaves as one batch: goroutines that the burst woke get to run before it is flushed. To let them, the loop is
// two goroutines that take turns. With a burst that woke many, one wakes all of these but one, its twin, and then the
// last: so the twin stands behind those who answer in the run queue of this processor, ends the burst when it comes
// up there, and reads on. runtime.Gosched would start another processor at once, and put the loop in the queue that
// all processors share: the other one took the loop, or half of those who answer, and all they touch with them.
type receiver struct {
	host  *Host
	iface *iface
	queue *txQueue
	// turn has a token for the goroutine whose turn it is. It alone uses what follows.
	turn chan struct{}

	topology *topology // of the burst
	now      mono.Time // when it began
	// The destination and the source of the latest packet that passed for our own and for a foreign address
	// of topology: most packets are between the same two.
	lastDst, lastSrc netip.Addr

	frames   [burstFrames]link.Frame
	segments burst          // TCP's of the burst, and then whom they wake
	room     int            // frames that the next burst may have
	owned    []*link.Buffer // reassembled ones among them, to be released after the burst
	// What beginBurst returned, and how many were woken, of the burst that the turn was last given away for.
	parked uint32
	woken  int
}

func newReceiver(ifc *iface, q *txQueue) *receiver {
	return &receiver{host: ifc.host, iface: ifc, queue: q, segments: newBurst(len(ifc.host.tcp.shards)),
		room: burstFrames}
}

// turnFrom is how many goroutines a burst must have woken for the loop to give its turn away. Where a few answer, an
// idle processor would take the twin over before they have.
const turnFrom = 4

// start starts the loop. It ends when the device is closed or has failed.
func (rc *receiver) start() {
	rc.turn = make(chan struct{}, 1)
	rc.turn <- struct{}{}
	rc.host.loops.Add(2)
	go rc.run()
	go rc.run()
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
		rc.queue.readDone()
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

// beginBurst takes the first n frames, which have just been read, as a burst. It returns what awaitAnswers wants to know.
func (rc *receiver) beginBurst(n int) (parked uint32) {
	rc.queue.beginBurst()
	rc.now = rc.host.clock.Now()
	parked = rc.host.tcp.beginBurst(rc.now)
	rc.burst(rc.frames[:n])
	return parked
}

// endBurst transmits what the burst has held.
func (rc *receiver) endBurst() {
	rc.host.tcp.endBurst()
	rc.queue.endBurst()
	rc.host.flush()
}

// burst takes one burst of frames and releases them. Who is to be woken is then in segments.wakes.
func (rc *receiver) burst(frames []link.Frame) {
	if t := rc.host.topology.Load(); t != rc.topology {
		rc.topology, rc.lastDst, rc.lastSrc = t, netip.Addr{}, netip.Addr{}
	}
	var octets int
	for i := range frames {
		octets += len(frames[i].Header)
		rc.frame(&frames[i])
	}
	if len(rc.segments.in) > 0 {
		rc.host.tcp.input(&rc.segments, rc.now)
	}
	for i, b := range rc.owned {
		b.Release()
		rc.owned[i] = nil
	}
	rc.owned = rc.owned[:0]
	for i := range frames {
		frames[i].Release()
	}
	rc.room = roomFor(len(frames), octets, len(rc.segments.wakes.conds))
	c := &rc.iface.counters
	c.framesIn.Add(uint64(len(frames)))
	c.octetsIn.Add(uint64(octets))
}

// roomFor returns how many frames the burst may have that follows upon one of so many frames and octets, which woke
// so many readers.
func roomFor(frames, octets, woken int) int {
	if octets < max(frames, 1)*largeFrame {
		return burstFrames
	}
	return min(max(connOctets*max(woken, 1)*frames/octets, 1), burstFrames)
}

// frame takes one frame. The network layer gets it without its link header, pad included.
func (rc *receiver) frame(f *link.Frame) {
	p := packet{iface: rc.iface, buf: f.Buffer()}
	// A partial checksum means that the packet never crossed a wire.
	p.sumOK = f.Meta.ChecksumValid || f.Meta.NeedsChecksum && rc.iface.info.Checksum
	if f.Meta.GSO != link.NoSegmentation {
		p.gsoSize = f.Meta.GSOSize
	}
	if rc.iface.info.Kind == link.IP {
		rc.ip(f.Header, &p)
		return
	}
	var eth wire.Ethernet
	b, err := eth.Parse(f.Header)
	if err != nil {
		rc.host.drop(DropRunt)
		return
	}
	if !rc.accepts(&eth) {
		return
	}
	if eth.Type == wire.EtherTypeVLAN || eth.Type == wire.EtherTypeServiceVLAN {
		var ok bool
		if eth.Type, b, ok = rc.untag(eth.Type, b); !ok {
			return
		}
	}
	p.broadcast = eth.Dst[0]&1 != 0
	switch eth.Type {
	case wire.EtherTypeIPv4:
		rc.ipv4(b, &p)
	case wire.EtherTypeARP:
		rc.arp(b)
	case wire.EtherTypeIPv6:
		rc.host.drop(DropIPv6)
	default:
		rc.host.drop(DropEtherType)
	}
}

// accepts says whether a frame is for us: our own address, everybody's, or that of a group we are in.
func (rc *receiver) accepts(eth *wire.Ethernet) bool {
	own := rc.iface.info.MAC
	switch {
	case eth.Src == own:
		rc.host.drop(DropOwnMAC)
	case eth.Dst == own, eth.Dst == wire.BroadcastMAC, eth.Dst == allHostsMAC:
		return true
	default:
		rc.host.drop(DropForeignMAC)
	}
	return false
}

// untag takes the tags of VLAN 0 off, which name a priority and no VLAN (IEEE 802.1Q 6.9.1), and returns what they
// enclose and its EtherType. As Linux does it, it takes all of them, a service provider's too.
func (rc *receiver) untag(typ uint16, b []byte) (uint16, []byte, bool) {
	for typ == wire.EtherTypeVLAN || typ == wire.EtherTypeServiceVLAN {
		var tag wire.VLANTag
		rest, err := tag.Parse(b)
		switch {
		case err != nil:
			rc.host.drop(DropRunt)
			return 0, nil, false
		case tag.ID != 0:
			rc.host.drop(DropVLAN)
			return 0, nil, false
		}
		typ, b = tag.Type, rest
	}
	return typ, b, true
}

// ip takes a packet from a device that has no link header.
func (rc *receiver) ip(b []byte, p *packet) {
	switch {
	case len(b) == 0:
		rc.host.drop(DropRunt)
	case b[0]>>4 == 6:
		rc.host.drop(DropIPv6)
	default:
		rc.ipv4(b, p)
	}
}

// deliver gives a packet to its protocol. Whoever delivers a reassembled one adds p.buf to rc.owned.
func (rc *receiver) deliver(proto uint8, p *packet) {
	switch proto {
	case wire.ProtocolTCP:
		rc.segments.add(&rc.host.tcp, p)
	case wire.ProtocolUDP:
		rc.host.udpInput(p)
	case wire.ProtocolICMP:
		rc.icmp4(p)
	default:
		// Encapsulated packets of protocol 4 or 41 end here too: nobody unpacks them (ledger D-PARSE-4).
		rc.host.drop(DropProtocol)
		rc.host.sendICMPError(p, wire.ICMPv4DestinationUnreachable, wire.ICMPv4ProtocolUnreachable, [4]byte{})
	}
}
