package unet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unet-go/unet/internal/wire"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

func TestIntegrationBursts(t *testing.T) {
	// A tenth of the time the link is bad, and then loses nine of ten frames.
	bad := sim.Burst{Enter: 0.02, Leave: 0.18, Loss: 0.9}
	for seed := range int64(5) {
		t.Run(fmt.Sprintf("F-LOSS-2 bursts, seed %d", seed), func(t *testing.T) {
			inBubble(t, sim.Config{Seed: seed, Delay: 25 * time.Millisecond}, func(t *testing.T, client, server *Host, segment *sim.Segment) {
				transfer(t, client, server, 1)
				segment.Update(func(cfg *sim.Config) { cfg.Burst = bad })
				transfer(t, client, server, 1<<20)
				if segment.Stats().Lost == 0 {
					t.Error("nothing was lost")
				}
			})
		})
		t.Run(fmt.Sprintf("F-LOSS-2 half of the acknowledgments, seed %d", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 0))
			cfg := sim.Config{Delay: 25 * time.Millisecond, Rate: 100e6, Filter: func(from *sim.Port, frame []byte) sim.Verdict {
				if from.Name() == "port2" && isACK(frame) && r.IntN(2) == 0 {
					return sim.Drop
				}
				return sim.Pass
			}}
			inBubble(t, cfg, func(t *testing.T, client, server *Host, segment *sim.Segment) {
				took := transfer(t, client, server, 1<<20)
				// A later acknowledgment stands for those before it: little is lost but the last one, now and then.
				if sent := client.Stats().TCP.Retransmitted; took > 2*time.Second || sent > 40 {
					t.Errorf("it took %v, with %d segments sent again", took, sent)
				}
				if segment.Stats().Filtered < 50 {
					t.Errorf("the segment was too kind: %+v", segment.Stats())
				}
			})
		})
	}
}

// isACK reports whether frame is an acknowledgment over IPv4 and nothing else.
func isACK(frame []byte) bool {
	var ethernet wire.Ethernet
	var ip wire.IPv4
	var tcp wire.TCP
	packet, err := ethernet.Parse(frame)
	if err != nil || ethernet.Type != wire.EtherTypeIPv4 {
		return false
	}
	segment, err := ip.Parse(packet)
	if err != nil || ip.Protocol != wire.ProtocolTCP {
		return false
	}
	text, err := tcp.Parse(segment)
	return err == nil && len(text) == 0 && tcp.Flags == wire.TCPAck
}

// The last segments of what was written are lost, once or twice, and nothing follows them that would show it.
func TestIntegrationTail(t *testing.T) {
	for _, lost := range []int64{1, 2, 4} {
		t.Run(fmt.Sprintf("F-LOSS-2 the last %d segments", lost), func(t *testing.T) {
			var left atomic.Int64
			cfg := sim.Config{Delay: 25 * time.Millisecond, Filter: func(from *sim.Port, frame []byte) sim.Verdict {
				if from.Name() == "port1" && len(frame) > 1000 && left.Load() > 0 && left.Add(-1) < lost {
					return sim.Drop
				}
				return sim.Pass
			}}
			inBubble(t, cfg, func(t *testing.T, client, server *Host, _ *sim.Segment) {
				c, s := connection(t, client, server)
				buf := make([]byte, 8*1448)
				round := func() time.Duration {
					start := time.Now()
					_, werr := c.Write(buf)
					_, rerr := io.ReadFull(s, buf)
					if err := errors.Join(werr, rerr); err != nil {
						t.Fatal(err)
					}
					return time.Since(start)
				}
				round() // which measures the round-trip time
				left.Store(8)
				// A probe after two round trips, and the peer's delay of acknowledgments, shows what is missing.
				if took := round(); took <= 50*time.Millisecond || took > 400*time.Millisecond {
					t.Errorf("it took %v", took)
				}
				if n := client.Stats().TCP.Timeouts; n != 0 {
					t.Errorf("%d timeouts", n)
				}
				if err := errors.Join(c.Close(), s.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// What comes late or twice is not lost. A sender that was told so sends hardly anything in vain again.
func TestIntegrationNeedless(t *testing.T) {
	for _, cfg := range []sim.Config{{Reorder: 0.01}, {Reorder: 0.1}, {Reorder: 0.5}, {Duplicate: 0.3}, {Jitter: 500 * time.Millisecond}} {
		cfg.Seed, cfg.Delay, cfg.Rate, cfg.ReorderDelay = 1, 25*time.Millisecond, 100e6, 12*time.Millisecond // of 100 frames
		t.Run(fmt.Sprintf("F-REO-1 reorder %g, duplicate %g, jitter %v", cfg.Reorder, cfg.Duplicate, cfg.Jitter), func(t *testing.T) {
			inBubble(t, cfg, func(t *testing.T, client, server *Host, _ *sim.Segment) {
				c, s := connection(t, client, server)
				var before tcp.Counters
				sent := make(chan error, 1)
				const octets, learning = 5 << 20, 1 << 20
				go func() {
					text := newContent(octets)
					_, err := io.CopyN(c, text, learning)
					before = client.Stats().TCP
					_, more := io.Copy(c, text)
					sent <- errors.Join(err, more, c.CloseWrite())
				}()
				sum, err := summary(s)
				if err := errors.Join(err, <-sent); err != nil || sum != summaryOf(octets) {
					t.Fatalf("%s, %v", sum, err)
				}
				after := client.Stats().TCP
				again, all := after.Retransmitted-before.Retransmitted, uint64(octets-learning)/1448
				t.Logf("%d of %d segments sent again, %d timeouts", again, all, after.Timeouts-before.Timeouts)
				if again > all/20 {
					t.Errorf("%d of %d segments were sent again, and none was lost", again, all)
				}
				if err := errors.Join(c.Close(), s.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestIntegrationMTU(t *testing.T) {
	for _, mtu := range []int{576, 1280, 1500, 9000, 65535} {
		t.Run(fmt.Sprintf("F-MTU-1 a link of %d", mtu), func(t *testing.T) {
			var largest atomic.Int64
			cfg := sim.Config{Delay: 5 * time.Millisecond, MTU: mtu, Loss: 0.01, Filter: func(_ *sim.Port, frame []byte) sim.Verdict {
				largest.Store(max(largest.Load(), int64(len(frame)-wire.EthernetLen)))
				return sim.Pass
			}}
			inBubble(t, cfg, func(t *testing.T, client, server *Host, segment *sim.Segment) {
				transfer(t, client, server, 1<<20)
				// The largest IPv4 packet of TCP is one of 65,515: a segment may have no more than 65,495 with its header.
				if s := segment.Stats(); s.Oversize != 0 || largest.Load() != int64(min(mtu, 65515)) {
					t.Errorf("%d packets were too large, the largest that passed has %d octets", s.Oversize, largest.Load())
				}
			})
		})
	}
	for _, mtu := range []int{1400, 1280, 576} {
		t.Run(fmt.Sprintf("F-MTU-1 a router of %d that comes into the way", mtu), func(t *testing.T) {
			narrow := new(router)
			inBubble(t, sim.Config{Delay: 5 * time.Millisecond, Rate: 100e6, Filter: narrow.filter}, func(t *testing.T, client, server *Host, segment *sim.Segment) {
				transfer(t, client, server, 1)
				narrow.start(t, segment)
				defer narrow.stop()
				c, s := connection(t, client, server)
				sent := make(chan error, 1)
				const octets = 1 << 20
				go func() {
					_, err := io.CopyN(c, newContent(octets), octets/2)
					narrow.mtu.Store(int64(mtu))
					rest := newContent(octets)
					_, skip := io.CopyN(io.Discard, rest, octets/2)
					_, more := io.Copy(c, rest)
					sent <- errors.Join(err, skip, more, c.CloseWrite())
				}()
				sum, err := summary(s)
				if err := errors.Join(err, <-sent); err != nil || sum != summaryOf(octets) {
					t.Fatalf("%s, %v", sum, err)
				}
				if n := client.Stats().TCP.Timeouts; n != 0 || narrow.dropped.Load() == 0 {
					t.Errorf("%d packets were too large, and there were %d timeouts", narrow.dropped.Load(), n)
				}
				if err := errors.Join(c.Close(), s.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// router stands in the way from the client to the server, of which it takes packets of up to mtu octets, and says so
// to the senders of larger ones (RFC 1191 4).
type router struct {
	mtu     atomic.Int64 // zero for no bound
	dropped atomic.Int64
	tooBig  chan []byte
	port    *sim.Port
	done    chan struct{}
}

// filter drops what is too large. It may not write to a port, which is run's.
func (r *router) filter(from *sim.Port, frame []byte) sim.Verdict {
	mtu := r.mtu.Load()
	if mtu == 0 || from.Name() != "port1" || int64(len(frame)-wire.EthernetLen) <= mtu {
		return sim.Pass
	}
	r.dropped.Add(1)
	r.tooBig <- append([]byte(nil), frame[:min(len(frame), 100)]...)
	return sim.Drop
}

func (r *router) start(t *testing.T, segment *sim.Segment) {
	r.tooBig, r.done = make(chan []byte, 1<<12), make(chan struct{})
	r.port = segment.Port()
	go func() {
		defer close(r.done)
		for frame := range r.tooBig {
			f := []link.Frame{r.answer(frame)}
			if _, err := r.port.Write(f); err != nil {
				t.Error(err)
			}
			f[0].Release()
		}
	}()
}

func (r *router) stop() {
	r.mtu.Store(0)
	close(r.tooBig)
	<-r.done
	_ = r.port.Close()
}

// answer is the ICMP error about a frame.
func (r *router) answer(frame []byte) (f link.Frame) {
	const quoted = wire.IPv4Len + 8
	packet := frame[wire.EthernetLen:]
	n := wire.EthernetLen + wire.IPv4Len + wire.ICMPLen + quoted
	b := link.NewBuffer(n)
	p := b.Bytes()
	ether := wire.Ethernet{Dst: wire.MAC(frame[6:12]), Src: r.port.Info().MAC, Type: wire.EtherTypeIPv4}
	at := ether.Marshal(p)
	ip := wire.IPv4{TotalLen: n - at, TTL: 64, Protocol: wire.ProtocolICMP, Src: [4]byte{10, 0, 0, 254}, Dst: [4]byte(packet[12:16])}
	at += ip.Marshal(p[at:])
	m := wire.ICMPv4{Type: wire.ICMPv4DestinationUnreachable, Code: wire.ICMPv4FragmentationNeeded}
	m.SetMTU(int(r.mtu.Load()))
	m.Marshal(p[at:])
	copy(p[at+wire.ICMPLen:], packet[:quoted])
	if length := int(binary.BigEndian.Uint16(packet[2:])); length <= int(r.mtu.Load()) {
		panic("a packet that fits")
	}
	wire.PutICMPv4Checksum(p[at:n])
	f.Set(b, 0, n)
	return f
}
