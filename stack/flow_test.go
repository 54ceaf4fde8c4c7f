package stack

import (
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func newTable() *table {
	book := new(addressBook)
	book.init()
	return &table{book: book, seed: maphash.MakeSeed()}
}

func randomKey(r *rand.Rand, span int) flowKey {
	local := netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(8))})
	remote := netip.AddrFrom4([4]byte{192, 0, byte(r.IntN(4)), byte(r.IntN(span))})
	if r.IntN(4) == 0 {
		b := remote.As16()
		b[0] = 0xfd
		remote, local = netip.AddrFrom16(b), netip.MustParseAddr("fd00::1")
	}
	return makeKey(netip.AddrPortFrom(local, uint16(r.IntN(3))), netip.AddrPortFrom(remote, uint16(r.IntN(span))))
}

// The table against a map, through growth and shrinkage.
func TestTable(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	tab := newTable()
	model := make(map[flowKey]*flow)
	for phase, fill := range []int{90, 10, 70, 0} { // of a hundred steps, how many insert
		for range 60000 {
			k := randomKey(r, 256)
			hash := tab.hash(&k)
			f := tab.find(&k, hash)
			if f != model[k] {
				t.Fatalf("phase %d: find returned %p, want %p", phase, f, model[k])
			}
			switch insert := r.IntN(100) < fill; {
			case insert && f == nil:
				f = new(flow)
				if !tab.insert(f, &k, hash) {
					t.Fatal("no number for a local address")
				}
				model[k] = f
			case insert:
				other := new(flow)
				tab.replace(f, other)
				model[k] = other
			case f != nil:
				tab.remove(f)
				delete(model, k)
			default:
				for k, f := range model {
					tab.remove(f)
					delete(model, k)
					break
				}
			}
			if tab.len != len(model) {
				t.Fatalf("phase %d: %d flows, want %d", phase, tab.len, len(model))
			}
		}
		for k, f := range model {
			if got := tab.find(&k, tab.hash(&k)); got != f {
				t.Fatalf("phase %d: lost %v", phase, k.remote())
			}
			if got := tab.key(f); got != k {
				t.Fatalf("phase %d: key %v, want %v", phase, got, k)
			}
		}
		if got := len(tab.all(func(*flow) bool { return true })); got != len(model) {
			t.Fatalf("phase %d: all returned %d, want %d", phase, got, len(model))
		}
	}
	if tab.old == nil && len(tab.buckets) > 4*minBuckets {
		t.Errorf("%d buckets for %d flows", len(tab.buckets), tab.len)
	}
}

// A table gives memory back as it empties.
func TestTableShrinks(t *testing.T) {
	tab := newTable()
	local := netip.MustParseAddrPort("10.0.0.1:80")
	flows := make([]flow, 1<<17)
	for i := range flows {
		remote := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 16), byte(i >> 8)}), uint16(i&0xff))
		k := makeKey(local, remote)
		tab.insert(&flows[i], &k, tab.hash(&k))
	}
	for i := range flows {
		tab.remove(&flows[i])
		if got, most := len(tab.buckets)+len(tab.old), max(25*tab.len, 4*keepBuckets); tab.len < len(flows)/8 && got > most {
			t.Fatalf("%d buckets for %d flows", got, tab.len)
		}
	}
	tab.remove(&flows[0]) // does nothing
	if got := len(tab.buckets) + len(tab.old); got > keepBuckets || tab.len != 0 {
		t.Errorf("%d buckets for %d flows", got, tab.len)
	}
}

func TestFlowKey(t *testing.T) {
	for _, pair := range [][2]string{
		{"10.0.0.1:80", "192.0.2.1:65535"}, {"[fd00::1]:1", "[2001:db8::ffff]:2"},
	} {
		local, remote := netip.MustParseAddrPort(pair[0]), netip.MustParseAddrPort(pair[1])
		k := makeKey(local, remote)
		if k.local() != local || k.remote() != remote {
			t.Errorf("%v-%v came back as %v-%v", local, remote, k.local(), k.remote())
		}
	}
}

func TestFindAllocatesNothing(t *testing.T) {
	tab := newTable()
	k := makeKey(netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("10.0.0.2:1000"))
	tab.insert(new(flow), &k, tab.hash(&k))
	if n := testing.AllocsPerRun(100, func() {
		k := makeKey(netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("10.0.0.2:1000"))
		if tab.find(&k, tab.hash(&k)) == nil {
			t.Error("not found")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFind(b *testing.B) {
	tab := newTable()
	local := netip.MustParseAddr("10.0.0.1")
	keys := make([]flowKey, 1<<16)
	for i := range keys {
		keys[i] = makeKey(netip.AddrPortFrom(local, 80), netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 1000))
		tab.insert(new(flow), &keys[i], tab.hash(&keys[i]))
	}
	i := 0
	for b.Loop() {
		k := &keys[i&(len(keys)-1)]
		if tab.find(k, tab.hash(k)) == nil {
			b.Fatal("lost")
		}
		i += 40503
	}
}
