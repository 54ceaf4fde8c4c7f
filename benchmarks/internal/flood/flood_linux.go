//go:build linux

// Package flood floods a server of the comparison from the client's side of its link.
package flood

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack/link"
)

// flooder has a socket on the link and the addresses for its frames.
type flooder struct {
	socket         int
	own, peer      link.MAC   // of the frames
	client, server netip.Addr // the two ends of the link
	port           uint16     // where the server listens
	count          uint32     // frames made
	rnd            uint64
	attack         attackConn
}

// floodBatch is the most frames of a system call, and floodTick the time between two.
const (
	floodBatch = 256
	floodTick  = time.Millisecond
)

// Run is a process that sends frames of a kind at a rate until its standard input ends.
func Run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("flood", flag.ContinueOnError)
	target := flags.String("target", "", "host:port")
	name := flags.String("kind", "", "of flood")
	rate := flags.Int("rate", 50_000, "frames a second")
	if err := flags.Parse(args); err != nil {
		return err
	}
	kind := Named(*name)
	if kind == nil {
		return fmt.Errorf("no flood is called %q", *name)
	}
	at, err := netip.ParseAddrPort(*target)
	if err != nil {
		return err
	}
	f, err := newFlooder(at)
	if err != nil {
		return err
	}
	defer unix.Close(f.socket)
	if kind.begin != nil {
		if err := kind.begin(f); err != nil {
			return err
		}
	}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	fmt.Fprintln(stdout, "floods")
	begin := time.Now()
	sent, err := f.run(ctx, ended, kind, *rate)
	if err != nil {
		return err
	}
	took := time.Since(begin)
	if kind.end != nil {
		if err := kind.end(f); err != nil {
			return err
		}
	}
	return json.NewEncoder(stdout).Encode(float64(sent) / took.Seconds())
}

// newFlooder opens a socket on the interface that leads to a server whose MAC is known to this host.
func newFlooder(at netip.AddrPort) (*flooder, error) {
	f := &flooder{server: at.Addr(), port: at.Port(), rnd: 0x9e3779b97f4a7c15}
	routes, err := netlink.RouteGet(net.IP(at.Addr().AsSlice()))
	if err != nil || len(routes) == 0 {
		return nil, fmt.Errorf("the way to %v: %w", at, err)
	}
	dev, err := net.InterfaceByIndex(routes[0].LinkIndex)
	if err != nil {
		return nil, err
	}
	client, _ := netip.AddrFromSlice(routes[0].Src)
	f.client = client.Unmap()
	family := netlink.FAMILY_V4
	if f.server.Is6() {
		family = netlink.FAMILY_V6
	}
	copy(f.own[:], dev.HardwareAddr)
	neighbors, err := netlink.NeighList(dev.Index, family)
	if err != nil {
		return nil, err
	}
	for _, n := range neighbors {
		if n.IP.Equal(net.IP(at.Addr().AsSlice())) {
			copy(f.peer[:], n.HardwareAddr)
		}
	}
	if f.peer == (link.MAC{}) {
		return nil, fmt.Errorf("the MAC of %v is not known", at.Addr())
	}
	if f.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, err
	}
	// With protocol 0 it receives no frames: receiving would take processor time from the honest client.
	if err := unix.Bind(f.socket, &unix.SockaddrLinklayer{Ifindex: dev.Index}); err != nil {
		return nil, errors.Join(err, unix.Close(f.socket))
	}
	return f, nil
}

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// run floods until ended is closed or ctx ends, and returns the number of frames that it sent. Frames for which the device
// has no room count as sent: they are dropped.
func (f *flooder) run(ctx context.Context, ended <-chan struct{}, kind *Kind, rate int) (sent int, err error) {
	runtime.LockOSThread()
	var frames [floodBatch][128]byte
	var vectors [floodBatch]unix.Iovec
	var messages [floodBatch]mmsghdr
	for i := range messages {
		vectors[i].Base = &frames[i][0]
		messages[i].hdr.Iov, messages[i].hdr.Iovlen = &vectors[i], 1
	}
	begin := time.Now()
	for {
		select {
		case <-ended:
			return sent, nil
		case <-ctx.Done():
			return sent, nil
		default:
		}
		due := int(time.Since(begin).Seconds()*float64(rate)) - sent
		if due > rate/10 { // the process could not run for a while: do not send the missed frames in a burst
			begin = begin.Add(time.Duration(due-rate/10) * time.Second / time.Duration(rate))
			due = rate / 10
		}
		n := min(due, floodBatch)
		for i := range n {
			vectors[i].SetLen(kind.frame(f, frames[i][:]))
			f.count++
		}
		for at := 0; at < n; {
			r, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(f.socket), uintptr(unsafe.Pointer(&messages[at])), uintptr(n-at), 0, 0, 0)
			switch errno {
			case 0:
				at += int(r)
			case unix.ENOBUFS, unix.EAGAIN, unix.EINTR:
				at++
			default:
				return sent, errno
			}
		}
		sent += n
		if due <= floodBatch {
			unix.Nanosleep(&unix.Timespec{Nsec: int64(floodTick)}, nil)
		}
	}
}

// random is a generator of xorshift64.
func (f *flooder) random() uint32 {
	f.rnd ^= f.rnd << 13
	f.rnd ^= f.rnd >> 7
	f.rnd ^= f.rnd << 17
	return uint32(f.rnd >> 16)
}

// Names lists the kinds, comma separated.
func Names() string {
	var names []string
	for i := range kinds {
		names = append(names, kinds[i].Name)
	}
	return strings.Join(names, ",")
}

// Named returns the kind with a name, nil if there is none.
func Named(name string) *Kind {
	for i := range kinds {
		if kinds[i].Name == name {
			return &kinds[i]
		}
	}
	return nil
}
