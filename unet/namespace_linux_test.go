package unet

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// namespace is a network namespace besides that of the process. A socket stays in the namespace in which it was made.
type namespace struct {
	fd    int // names it
	calls chan func()
}

// newNamespace makes a namespace, which is gone when the test and its sockets are.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	n := &namespace{calls: make(chan func())}
	made, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // for good: the thread ends with the goroutine, and nobody else runs in the namespace
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		made <- err
		for call := range n.calls {
			call()
		}
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(n.calls)
		<-ended
		_ = unix.Close(n.fd)
	})
	n.do(func() { forwarding(t) })
	return n
}

// do calls f in the namespace. Goroutines that f starts are not there.
func (n *namespace) do(f func()) {
	done := make(chan struct{})
	n.calls <- func() {
		defer close(done)
		f()
	}
	<-done
}

// forwarding lets the namespace of the caller forward packets, and use addresses without asking who else has them.
func forwarding(t *testing.T) {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Error(err)
	}
	for _, name := range []string{"ipv4/ip_forward=1", "ipv6/conf/all/forwarding=1", "ipv6/conf/default/accept_dad=0", "ipv6/conf/all/accept_dad=0"} {
		sysctl(t, name)
	}
}

// sysctl sets a variable of /proc/sys/net, as path=value, in the namespace of the caller.
func sysctl(t *testing.T, assignment string) {
	t.Helper()
	path, value, _ := strings.Cut(assignment, "=")
	if err := os.WriteFile("/proc/sys/net/"+path, []byte(value), 0); err != nil {
		t.Error(err)
	}
}

// connect joins the caller's namespace to another one by a pair of interfaces, and gives each end its addresses.
func (n *namespace) connect(t *testing.T, name string, mtu int, here, there []string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = name, mtu
	peer := name + "p"
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: peer, PeerMTU: uint32(mtu), PeerTxQLen: -1, PeerNamespace: netlink.NsFd(n.fd)}
	if err := netlink.LinkAdd(veth); err != nil {
		t.Errorf("veth %s: %v", name, err)
		return
	}
	bring(t, name, here)
	n.do(func() { bring(t, peer, there) })
}

// bring gives an interface of the caller's namespace its addresses, and brings it up.
func bring(t *testing.T, name string, addrs []string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Error(err)
		return
	}
	for _, text := range addrs {
		addr, err := netlink.ParseAddr(text)
		if err == nil {
			addr.Flags = unix.IFA_F_NODAD
			err = netlink.AddrAdd(link, addr)
		}
		if err != nil {
			t.Errorf("%s on %s: %v", text, name, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		t.Error(err)
	}
}

// route adds a route to the caller's namespace.
func route(t *testing.T, r netlink.Route) {
	t.Helper()
	if err := netlink.RouteAdd(&r); err != nil {
		t.Errorf("route to %v: %v", r.Dst, err)
	}
}
