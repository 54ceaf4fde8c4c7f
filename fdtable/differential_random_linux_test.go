package fdtable

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/unet-go/unet/tap/taptest"
)

var (
	randomSequences = flag.Int("differential.sequences", 200, "sequences of TestDifferentialRandom")
	randomSeed      = flag.Uint64("differential.seed", 1, "seed of the first")
)

// randomSequence is calls at random about the addresses of four sockets of one type, of both families: what they may be
// bound and connected to beside each other, and which of them gets a datagram.
func randomSequence(seed uint64) string {
	rnd := rand.New(rand.NewPCG(seed, 7))
	pick := func(words ...string) string { return words[rnd.IntN(len(words))] }
	addr := func() string {
		return pick("any4", "any6", "any6", "lo4", "lo6", "lo6", "maplo", "mapany", "other4", "mapother", "foreign6", "link")
	}
	typ := pick("stream", "dgram")
	var calls []string
	add := func(format string, args ...any) { calls = append(calls, fmt.Sprintf(format, args...)) }
	names := []string{"a", "b", "c", "d"}
	connected := map[string]bool{}
	domains := map[string]string{}
	for _, s := range names {
		domains[s] = pick("inet", "inet6", "inet6")
		add("%s = socket %s %s", s, domains[s], typ)
	}
	shared := rnd.IntN(3) == 0 // which of them gets a datagram is chance then
	if shared {
		option := pick("reuseaddr", "reuseport")
		for _, s := range names {
			if rnd.IntN(4) > 0 {
				add("set %s %s 1", s, option)
			}
		}
	}
	if domains["a"] == "inet" {
		add("bind a %s", pick("lo4", "any4"))
	} else {
		add("bind a %s", pick("any6", "any6", "lo6", "maplo", "mapany"))
	}
	for range 14 {
		s, other := pick(names...), pick(names...)
		switch k := rnd.IntN(12); {
		case k < 5:
			add("bind %s %s:a", s, addr())
		case k < 6:
			add("set %s v6only %d", s, rnd.IntN(2))
		case k < 7 && typ == "stream":
			add("listen %s 1", s)
		case k < 8 && typ == "dgram" && !connected[s]:
			connected[s] = true
			add("connect %s %s:a", s, addr())
		case k < 10:
			add("name %s", s)
			add("peer %s", s)
			add("get %s v6only", s)
		case typ == "dgram" && !shared:
			to := addr()
			for to == "link" { // B-23
				to = addr()
			}
			add("sendto %s %s%d %s:%s", s, s, len(calls), to, other)
			for _, s := range names {
				add("try %s 9", s)
			}
		}
	}
	return strings.Join(calls, "; ")
}

// TestDifferentialRandom is TestDifferential with random sequences.
func TestDifferentialRandom(t *testing.T) {
	taptest.Need(t)
	family := socketFamilies[1]
	if err := family.onKernel(); err != nil {
		t.Skipf("the kernel does not have IPv6: %v", err)
	}
	for i := range *randomSequences {
		seed := *randomSeed + uint64(i)
		t.Run(fmt.Sprintf("E-LIS-10 addresses of both families at random, seed %d", seed), func(t *testing.T) {
			sc := scenario{calls: randomSequence(seed)}
			sc.compare(t, family)
		})
	}
	t.Logf("%d random sequences of calls on sockets of both families, from seed %d on", *randomSequences, *randomSeed)
}
