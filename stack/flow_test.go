package stack

import (
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/tcp"
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
	return makeKey(netip.AddrPortFrom(local, uint16(r.IntN(3))), netip.AddrPortFrom(remote, uint16(r.IntN(span))), 0)
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
		k := makeKey(local, remote, 0)
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
		k := makeKey(local, remote, 0)
		if k.local() != local || k.remote() != remote {
			t.Errorf("%v-%v came back as %v-%v", local, remote, k.local(), k.remote())
		}
	}
}

func TestFindAllocatesNothing(t *testing.T) {
	tab := newTable()
	k := makeKey(netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("10.0.0.2:1000"), 0)
	tab.insert(new(flow), &k, tab.hash(&k))
	if n := testing.AllocsPerRun(100, func() {
		k := makeKey(netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("10.0.0.2:1000"), 0)
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
		keys[i] = makeKey(netip.AddrPortFrom(local, 80), netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 1000), 0)
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

// address is one of 127.0.0.0/8.
func address(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(1 + i>>16), byte(i >> 8), byte(i)})
}

func TestAddressBook(t *testing.T) {
	const addresses = 70_000
	tab := newTable()
	insert := func(i int) *flow {
		k := makeKey(netip.AddrPortFrom(address(i), 80), netip.AddrPortFrom(addrA, 1), 0)
		f := new(flow)
		if !tab.insert(f, &k, tab.hash(&k)) {
			t.Fatalf("no number for address %d", i)
		}
		return f
	}
	// These keep their numbers in any case, the next one since its flow stays to the end.
	const lasting = 4
	for i := range lasting {
		insert(i)
	}
	stays := insert(lasting)
	for i := lasting + 1; i < addresses; i++ {
		f := insert(i)
		if k := tab.key(f); k.local().Addr() != address(i) {
			t.Fatalf("address %d is %v", i, k.local())
		}
		if i%2 == 0 { // as a connection is replaced by its TIME-WAIT record
			other := new(flow)
			tab.replace(f, other)
			f = other
		}
		tab.remove(f)
	}
	if k := tab.key(stays); k.local().Addr() != address(lasting) || tab.find(&k, tab.hash(&k)) != stays {
		t.Errorf("the flow that stayed is now at %v", k.local())
	}
	if n := len(*tab.book.list.Load()); n > lasting+2 {
		t.Errorf("%d addresses are kept for %d flows", n, tab.len)
	}
	// As many at once as there are numbers, and no more; each that goes makes room for another.
	flows := []*flow{}
	for i := addresses; tab.len < 1<<16; i++ {
		flows = append(flows, insert(i))
	}
	k := makeKey(netip.AddrPortFrom(address(0xf00000), 80), netip.AddrPortFrom(addrA, 1), 0)
	if tab.insert(new(flow), &k, tab.hash(&k)) {
		t.Error("the address after the last has a number")
	}
	tab.remove(flows[1000])
	if f := new(flow); !tab.insert(f, &k, tab.hash(&k)) || f.local != flows[1000].local {
		t.Error("the number of an address without flows was not given to another")
	}
}

func TestManyLocalAddresses(t *testing.T) {
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	b, err := h.BindTCP(netip.AddrPortFrom(netip.IPv4Unspecified(), 80), BindOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := h.ListenTCP(b, 16, tcp.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	var kept *TCPConn
	for i := range 70_000 {
		to := netip.AddrPortFrom(address(i), 80)
		c, err := h.ConnectTCP(nil, to, tcp.DefaultOptions())
		if err != nil {
			t.Fatal(i, err)
		}
		c.SetWriteDeadline(time.Now().Add(time.Minute))
		if err := c.WaitConnect(); err != nil {
			t.Fatal(i, err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(i, err)
		}
		if s.Local() != to || s.Remote() != c.Local() || c.Remote() != to {
			t.Fatalf("%v to %v is %v to %v", c.Local(), c.Remote(), s.Remote(), s.Local())
		}
		c.Abort()
		s.Abort()
		if i == 100 {
			kept = s
		}
	}
	if want := netip.AddrPortFrom(address(100), 80); kept.Local() != want {
		t.Errorf("the address of a connection that has ended is %v, was %v", kept.Local(), want)
	}
}

// TestScopedFlows checks that link-local addresses of IPv6 mean other flows on each interface, and all others do not.
func TestScopedFlows(t *testing.T) {
	h := hostWith(t, "eth0", "eth1")
	at := netip.MustParseAddrPort
	for _, x := range []struct{ local, remote string }{
		{"[fe80::1%%s]:80", "[fe80::2%%s]:1000"},
		{"[fd00::1]:80", "[fe80::2%%s]:1000"},
		{"[fe80::1%%s]:80", "[fd00::2]:1000"},
		{"[fd00::1]:80", "[2001:db8::2]:1000"},
		{"10.0.0.1:80", "10.0.0.2:1000"},
		{"169.254.0.1:80", "169.254.0.2:1000"},
	} {
		tab := newTable()
		on := func(text, zone string) netip.AddrPort { return at(strings.ReplaceAll(text, "%%s", "%"+zone)) }
		var keys []flowKey
		for _, zone := range []string{"eth0", "eth1"} {
			local, remote := on(x.local, zone), on(x.remote, zone)
			k := h.flowKey(local, remote)
			if got := h.tuple(&k); got.Local != local || got.Remote != remote || h.local(&k) != local {
				t.Errorf("%v-%v came back as %v-%v, %v", local, remote, got.Local, got.Remote, h.local(&k))
			}
			keys = append(keys, k)
		}
		first, second := keys[0], keys[1]
		scoped := strings.Contains(x.local+x.remote, "%")
		if (first != second) != scoped {
			t.Errorf("%v-%v: keys differ by interface: %t, want %t", x.local, x.remote, first != second, scoped)
		}
		if !scoped {
			continue
		}
		flows := map[flowKey]*flow{first: {}, second: {}}
		for k, f := range flows {
			if got := tab.find(&k, tab.hash(&k)); got != nil {
				t.Fatalf("%v: found %p before it was inserted", x.local, got)
			}
			tab.insert(f, &k, tab.hash(&k))
		}
		for k, f := range flows {
			if tab.find(&k, tab.hash(&k)) != f || tab.key(f) != k {
				t.Errorf("%v on two interfaces is one flow", x.local)
			}
		}
		record := new(flow)
		tab.replace(flows[first], record)
		tab.remove(flows[second])
		if tab.find(&first, tab.hash(&first)) != record || tab.find(&second, tab.hash(&second)) != nil {
			t.Errorf("%v: the end of a flow has changed that of the other interface", x.local)
		}
	}
}

// hostWith returns a host with an Ethernet device of each name.
func hostWith(t *testing.T, names ...string) *Host {
	t.Helper()
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	for i, name := range names {
		dev := newMemDevice(link.Info{Name: name, Kind: link.Ethernet, MAC: link.MAC{2, 0, 0, 0, 7, byte(i)}, MTU: 1500})
		if err := h.Attach(dev, Interface{}); err != nil {
			t.Fatal(err)
		}
	}
	return h
}
