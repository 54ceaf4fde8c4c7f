package fdtable_test

import (
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/fdtable"
	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/tcp"
)

// edges are the first values of sequence numbers, timestamps and the clock in a run of a script.
type edges struct {
	iss, irs   uint32
	stamp      uint32        // the host's first timestamp
	peerStamps uint32        // added to the peer's timestamps
	clock      time.Duration // by which the host's clock is ahead at its birth
}

// place makes the numbers of a host begin at the edges, by fields of its Config that programs cannot reach.
func (e *edges) place(cfg *stack.Config) {
	if e != nil {
		setHidden(cfg, "clock", e.clock)
		setHidden(cfg, "numbers", &tcp.Numbers{ISS: tcp.Seq(e.iss), Stamp: e.stamp})
	}
}

func setHidden[T any](cfg *stack.Config, name string, value T) {
	f := reflect.ValueOf(cfg).Elem().FieldByName(name)
	*(*T)(f.Addr().UnsafePointer()) = value
}

// half is the middle of the 2^32 numbers that wrap around: where the sign of a difference changes.
const half = 1 << 31

// positions are the places of an edge within the sequence numbers that an end uses. Each function returns the initial
// sequence number with which an end that uses length numbers passes the edge 0 at that place.
var positions = []struct {
	name  string
	begin func(length uint32) uint32
}{
	{"SYN is the first behind the edge", func(uint32) uint32 { return 0 }},
	{"SYN is the last before it", func(uint32) uint32 { return -1 & (1<<32 - 1) }},
	{"text begins behind it", func(uint32) uint32 { return -2 & (1<<32 - 1) }},
	{"text passes it", func(length uint32) uint32 { return -(length / 2) }},
	{"the last number is the first behind it", func(length uint32) uint32 { return 1 - length }},
	{"the last number is the last before it", func(length uint32) uint32 { return -length }},
}

// clocks are the times at which a counter of 32 bits wraps around or changes its sign, for several units.
var clocks = []time.Duration{half, 2 * half, half * time.Microsecond, 2 * half * time.Microsecond, half * time.Millisecond,
	2 * half * time.Millisecond, half * time.Second, 2 * half * time.Second, 1 << 62}

// TestScriptsAtEdges runs all scripts with sequence numbers, timestamps and clocks that begin just before the end or the
// middle of their 2^32 values. So the script passes that edge at its SYN, its first octet of text, in the middle of its
// text, or at its last number (RFC 9293 3.4, RFC 7323 5.2).
func TestScriptsAtEdges(t *testing.T) {
	scripts := everyScript(t)
	for i, at := range positions {
		for j, edge := range []uint32{half, 0} {
			world := i*2 + j
			if fdtable.RaceEnabled && world%4 != 1 {
				continue // make test runs all of them without the race detector, which three are enough for
			}
			t.Run(fmt.Sprintf("edge %#x, %s", edge, at.name), func(t *testing.T) {
				placed := 0
				for _, s := range scripts {
					e := &edges{
						iss: edge + at.begin(s.host),
						irs: edge + at.begin(s.peer),
						// Some scripts pass this edge, and some stand before it.
						stamp:      edge - uint32(world*50),
						peerStamps: edge - uint32(world*500),
						clock:      clocks[world%len(clocks)] - time.Second - time.Duration(world)*50*time.Millisecond,
					}
					synctest.Test(t, func(t *testing.T) {
						r := newRunner(s.script, e)
						if _, err := r.run(); err != nil {
							t.Errorf("%+v: %v", *e, err)
						}
						if r.flows["a"].iss == e.iss {
							placed++
						}
					})
				}
				if placed < len(scripts)*4/5 { // cookies and connections after another choose their own
					t.Errorf("only %d of %d began there", placed, len(scripts))
				}
			})
		}
	}
}

// measured is a script and how many numbers the ends of its flow a use up.
type measured struct {
	*script
	host, peer uint32
}

func everyScript(t *testing.T) (all []measured) {
	t.Helper()
	for _, s := range parseScripts(t) {
		synctest.Test(t, func(t *testing.T) {
			r := newRunner(s, nil)
			_, _ = r.run() // TestScripts says whether it is as it should be
			a := r.flows["a"]
			all = append(all, measured{script: s, host: max(a.hostNext, 1) - 1, peer: max(a.peerNext, 1) - 1})
		})
	}
	return all
}
