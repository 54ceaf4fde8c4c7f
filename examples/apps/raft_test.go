package apps

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/unet"
)

// ledger is a state machine that remembers what was decided.
type ledger struct {
	mu      sync.Mutex
	entries []string
}

func (l *ledger) Apply(entry *raft.Log) any {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, string(entry.Data))
	return len(l.entries)
}

func (l *ledger) Snapshot() (raft.FSMSnapshot, error) { return nil, raft.ErrNothingNewToSnapshot }
func (l *ledger) Restore(io.ReadCloser) error         { return errors.ErrUnsupported }

func (l *ledger) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

// layer is how Raft asks for connections.
type layer struct {
	net.Listener
	host *unet.Host
}

func (l layer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return l.host.DialTimeout("tcp", string(address), timeout)
}

// node is one server of a cluster, on a host of its own.
type node struct {
	*raft.Raft
	ledger *ledger
	port   *sim.Port
	close  func() error
}

func startNode(t *testing.T, segment *sim.Segment, ip string) *node {
	t.Helper()
	n := &node{ledger: new(ledger), port: segment.Port()}
	h, err := unet.Open(unet.Config{Link: n.port, Addrs: []netip.Prefix{netip.MustParsePrefix(ip + "/24")}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := h.Listen("tcp", ip+":8300")
	if err != nil {
		t.Fatal(err)
	}
	logger := hclog.NewNullLogger()
	transport := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{Stream: layer{l, h}, MaxPool: 3, Timeout: time.Second, Logger: logger})
	config := raft.DefaultConfig()
	config.LocalID, config.Logger = raft.ServerID(ip), logger
	store := raft.NewInmemStore()
	if n.Raft, err = raft.NewRaft(config, n.ledger, store, store, raft.NewDiscardSnapshotStore(), transport); err != nil {
		t.Fatal(err)
	}
	n.close = func() error { return errors.Join(n.Shutdown().Error(), transport.Close(), h.Close()) }
	return n
}

// leader waits until all of the nodes agree on one of them, and returns that.
func leader(nodes []*node) *node {
	for {
		for _, n := range nodes {
			at, _ := n.LeaderWithID()
			if n.State() == raft.Leader && !slices.ContainsFunc(nodes, func(other *node) bool {
				theirs, _ := other.LeaderWithID()
				return theirs != at
			}) {
				return n
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestRaft runs a cluster of HashiCorp's Raft on three hosts and a network that loses frames, takes the leader
// off it and back: nothing that was decided is lost. Minutes of it pass in fake time.
func TestRaft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		segment := sim.NewSegment(sim.Config{Seed: 1, Delay: 2 * time.Millisecond, Loss: 0.01})
		defer segment.Close()
		var nodes []*node
		var servers []raft.Server
		for i := range 3 {
			ip := fmt.Sprintf("10.0.0.%d", i+1)
			n := startNode(t, segment, ip)
			defer func() {
				if err := n.close(); err != nil {
					t.Error(err)
				}
			}()
			nodes = append(nodes, n)
			servers = append(servers, raft.Server{ID: raft.ServerID(ip), Address: raft.ServerAddress(ip + ":8300")})
		}
		if err := nodes[0].BootstrapCluster(raft.Configuration{Servers: servers}).Error(); err != nil {
			t.Fatal(err)
		}

		var want []string
		decide := func(n *node, entries int) {
			t.Helper()
			for range entries {
				entry := fmt.Sprint("entry ", len(want))
				if err := n.Apply([]byte(entry), time.Minute).Error(); err != nil {
					t.Fatalf("%s: %v", entry, err)
				}
				want = append(want, entry)
			}
		}
		first := leader(nodes)
		decide(first, 200)

		first.port.Unplug(true)
		lost := first.Apply([]byte("never decided"), time.Second)
		rest := slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return n == first })
		second := leader(rest)
		if err := lost.Error(); err == nil {
			t.Error("a leader decided alone")
		}
		decide(second, 200)

		first.port.Unplug(false)
		third := leader(nodes)
		decide(third, 1)
		if err := third.Barrier(time.Minute).Error(); err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			for len(n.ledger.all()) < len(want) {
				time.Sleep(50 * time.Millisecond)
			}
			if got := n.ledger.all(); !slices.Equal(got, want) {
				t.Errorf("%d entries of %d, or others", len(got), len(want))
			}
		}
	})
}
