package fdtable_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/fdtable"
	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

const peerPort, hostPort = 40000, 80

// frame is a packet from the host that has not been compared with a line yet.
type frame struct {
	at       time.Time
	packet   []byte           // from the IP header on
	neighbor *neighborMessage // in place of a packet
}

// runner plays a script's peer on a link with one host.
type runner struct {
	script  *script
	began   time.Time
	sockets sockets
	mac     link.MAC // the peer's
	hostMAC link.MAC
	mtu     int            // of the link
	put     func([][]byte) // puts frames on the wire as one burst
	host    *stack.Host
	table   *fdtable.Table
	segment *sim.Segment
	port    *sim.Port
	pcap    bytes.Buffer
	flows   map[string]*flow
	streams map[string]uint32 // octets read or written, by descriptor
	pending []*pendingCall
	done    [][2]string   // lines that were as expected: the line, and the packet that it matched
	batch   [][]byte      // frames of <+ lines, which leave with the next < line
	cookie  []byte        // of Fast Open: the last one that the host has sent
	reading chan struct{} // closed when the reader has ended
	edges   *edges        // the first values of numbers; nil for the usual ones

	mu   sync.Mutex // guards the fields below, which the reader fills
	seen []frame
	arp  bool // answer questions about neighbours
}

// pendingCall is a call that blocks.
type pendingCall struct {
	name   string // and the descriptor
	result chan string
}

// runScript runs a script. If it fails, the error shows why, and pcap is a capture of all frames.
func runScript(s *script) (pcap []byte, err error) { return newRunner(s, nil).run() }

func newRunner(s *script, e *edges) *runner {
	r := &runner{script: s, began: time.Now(), flows: make(map[string]*flow), streams: make(map[string]uint32),
		arp: true, reading: make(chan struct{}), edges: e}
	r.flows["a"] = r.newFlow("a")
	return r
}

func (r *runner) run() (pcap []byte, err error) {
	s := r.script
	if err := r.open(); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	defer func() { pcap = r.pcap.Bytes() }()
	defer r.close()
	for i := range s.lines {
		if err := r.step(&s.lines[i]); err != nil {
			return nil, fmt.Errorf("%s:%d: %v", s.name, s.lines[i].number, err)
		}
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("%s: at the end: %v", s.name, err)
	}
	return nil, nil
}

func (r *runner) close() {
	for fd := range 100 {
		_ = r.table.Close(fd)
	}
	_ = errors.Join(r.host.Close(), r.port.Close(), r.segment.Close())
	<-r.reading
	for _, p := range r.pending {
		<-p.result
	}
}

// listen collects the host's packets, and answers its questions about neighbours.
func (r *runner) listen() {
	defer close(r.reading)
	frames := make([]link.Frame, 64)
	for {
		n, err := r.port.Read(frames)
		if err != nil {
			return
		}
		for i := range n {
			r.heard(frames[i].Header)
			frames[i].Release()
		}
	}
}

func (r *runner) heard(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if answer := r.note(b); answer != nil {
		r.transmit([][]byte{answer})
	}
}

// note keeps a frame of the host's for a line to expect, or returns the peer's answer to it if it is a question about
// neighbours.
func (r *runner) note(b []byte) (answer []byte) {
	m, is := readNeighbor(b)
	switch {
	case isChatter(b[14:]):
	case is && r.arp:
		if m.isQuestion() {
			return m.answer(b, r.mac)
		}
	case is:
		r.seen = append(r.seen, frame{at: time.Now(), neighbor: &m})
	default:
		r.seen = append(r.seen, frame{at: time.Now(), packet: bytes.Clone(b[14:])})
	}
	return nil
}

// transmit puts frames on the simulated wire as one burst.
func (r *runner) transmit(burst [][]byte) {
	frames := make([]link.Frame, len(burst))
	for i, b := range burst {
		frames[i] = newFrame(b)
	}
	_, _ = r.port.Write(frames) // fails only when the link is closed
	for i := range frames {
		frames[i].Release()
	}
}

func newFrame(b []byte) (f link.Frame) {
	buf := link.NewBuffer(link.Headroom + len(b))
	copy(buf.Bytes()[link.Headroom:], b)
	f.Set(buf, link.Headroom, link.Headroom+len(b))
	return f
}

// ethernet puts a packet into a frame for the host.
func (r *runner) ethernet(packet []byte) []byte {
	return etherFrame(r.hostMAC, r.mac, packet)
}

var hostMAC = link.MAC{2, 0, 0, 0, 1, 1}

// now is the time of the script.
func (r *runner) now() time.Duration { return time.Since(r.began) }

// step runs one statement at its time.
func (r *runner) step(st *statement) error {
	if st.after > 0 {
		time.Sleep(st.after)
	}
	synctest.Wait()
	if st.verb == ">" {
		return r.expect(st)
	}
	if err := r.silent(st); err != nil {
		return err
	}
	if err := r.act(st); err != nil {
		return err
	}
	r.pass(st, "")
	return nil
}

// act runs a statement other than >.
func (r *runner) act(st *statement) error {
	switch st.verb {
	case "<", "<+":
		return r.send(st)
	case "call":
		return r.call(st)
	case "done":
		return r.complete(st)
	case "none":
		return r.none(st)
	case "flow":
		return r.declare(st.args)
	case "arp":
		return r.switchARP(st.args)
	case "icmp":
		return r.sendICMP(st)
	case "info":
		return r.info(st)
	case "stats":
		return r.stats(st)
	}
	return fmt.Errorf("cannot do %q", st.verb)
}

// take returns the oldest packet that no line has been compared with.
func (r *runner) take() (frame, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seen) == 0 {
		return frame{}, false
	}
	f := r.seen[0]
	r.seen = r.seen[1:]
	return f, true
}

// flowOf returns the flow of a segment from the host, or nil. If the host's port is not known yet in several flows that
// match, it is the first of these by name.
func (r *runner) flowOf(s *segment) *flow {
	var match *flow
	for _, f := range r.flows {
		switch {
		case f.peer != s.dst || f.host.Addr() != s.src.Addr():
		case f.host.Port() == s.src.Port():
			return f
		case f.host.Port() == 0 && (match == nil || f.name < match.name):
			match = f
		}
	}
	return match
}

// send puts the segments of a < line on the wire, together with those of the <+ lines before it as one burst.
func (r *runner) send(st *statement) error {
	f, err := r.flow(st.flow)
	if err != nil {
		return err
	}
	for i := range st.times {
		args := st.args
		if i > 0 { // the next numbers, whatever the first ones were
			args = without(args, "seq")
		}
		s, err := f.make(args)
		if err != nil {
			return err
		}
		if s.dst.Port() == 0 {
			return fmt.Errorf("the host's port of flow %s is not known yet", f.name)
		}
		p := s.packet()
		if len(p) > r.mtu {
			return fmt.Errorf("a packet of %d octets on a link of %d", len(p), r.mtu)
		}
		b := r.ethernet(p)
		if mac, group := groupMAC(s.dst.Addr()); group {
			copy(b, mac[:])
		} else if slices.Contains(args, "bmac") {
			copy(b, wire.BroadcastMAC[:])
		}
		r.batch = append(r.batch, b)
		if st.verb == "<" {
			r.flush()
		}
	}
	return nil
}

// flush sends the batch.
func (r *runner) flush() {
	r.put(r.batch)
	r.batch = r.batch[:0]
}

func without(args []string, name string) []string {
	var rest []string
	for _, a := range args {
		if !strings.HasPrefix(a, name+"=") {
			rest = append(rest, a)
		}
	}
	return rest
}

// sendICMP sends an ICMP error about a segment of the host's.
func (r *runner) sendICMP(st *statement) error {
	name, args := "a", st.args
	if len(args) > 0 {
		if m := flowPattern.FindStringSubmatch(args[0]); m != nil {
			name, args = m[1], args[1:]
		}
	}
	f, err := r.flow(name)
	if err != nil {
		return err
	}
	values, err := fields(args, "type code seq mtu from")
	if err != nil {
		return err
	}
	var typ, code, seq, mtu uint32
	for name, to := range map[string]*uint32{"type": &typ, "code": &code, "seq": &seq, "mtu": &mtu} {
		if text, said := values[name]; said {
			if _, err := fmt.Sscan(text, to); err != nil {
				return fmt.Errorf("%s: %v", name, err)
			}
		}
	}
	said := [2]byte{byte(typ), byte(code)}
	if ends := r.script.family; ends.wider > 0 {
		var known bool
		if said, known = icmp6[said]; !known {
			return fmt.Errorf("type %d and code %d are of IPv4 alone", typ, code)
		}
		mtu += uint32(ends.wider)
	}
	quoted := (&segment{src: f.host, dst: f.peer, seq: f.iss + seq, flags: ack, ttl: 60}).packet()
	r.batch = append(r.batch, r.ethernet(r.script.family.icmpError(said[0], said[1], mtu, quoted)))
	r.flush()
	return nil
}

// none runs "none SECONDS": the host must send nothing in that time.
func (r *runner) none(st *statement) error {
	if len(st.args) != 1 {
		return fmt.Errorf("none takes the time in seconds")
	}
	d, err := time.ParseDuration(st.args[0] + "s")
	if err != nil {
		return err
	}
	time.Sleep(d)
	synctest.Wait()
	return r.silent(st)
}

// end ends a script: the host must send nothing for 200 ms, and no call may still be waiting.
func (r *runner) end() error {
	synctest.Wait()
	last := &statement{text: "(nothing)"}
	if err := r.silent(last); err != nil {
		return err
	}
	time.Sleep(200 * time.Millisecond)
	synctest.Wait()
	if err := r.silent(last); err != nil {
		return err
	}
	for _, p := range r.pending {
		return fmt.Errorf("%s) still waits", p.name)
	}
	return nil
}
