//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	mtu       = 1500
	vnetLen   = 10
	maxPacket = 65535
	hwAddr    = tcpip.LinkAddress("\x02\x00\x00\x00\x09\x02")
)

// open makes the device with one of the endpoints, and reports whether the stack is to be tuned.
func open(kind, device string) (link stack.LinkEndpoint, tuned bool, err error) {
	options := fdbased.Options{MTU: mtu, EthernetHeader: true, Address: hwAddr}
	switch kind {
	case "fdbased":
		fd, err := openTAP(device, 0)
		if err != nil {
			return nil, false, err
		}
		options.FDs = []int{fd}
		link, err = fdbased.New(&options)
		return link, false, err
	case "vnet":
		fd, err := openTAP(device, unix.IFF_VNET_HDR)
		if err != nil {
			return nil, false, err
		}
		const offload = unix.TUN_F_CSUM | unix.TUN_F_TSO4
		if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offload); err != nil {
			return nil, false, fmt.Errorf("%s: offload: %w", device, err)
		}
		options.FDs = []int{fd}
		// With TXChecksumOffload the stack would leave segments that are not GSO without any checksum, even a partial one.
		options.RXChecksumOffload = true
		under, err := fdbased.New(&options)
		if err != nil {
			return nil, false, err
		}
		return &vnet{LinkEndpoint: under, fd: fd}, true, nil
	}
	return nil, false, fmt.Errorf("-endpoint %q: not fdbased or vnet", kind)
}

// openTAP makes a TAP device.
func openTAP(name string, flags uint16) (fd int, err error) {
	if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		return -1, fmt.Errorf("/dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | flags)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		return -1, errors.Join(fmt.Errorf("%s: %w", name, err), unix.Close(fd))
	}
	return fd, nil
}

// vnet is fdbased's endpoint with the virtio network header in front of every frame, which fdbased itself writes
// and reads on sockets alone. Super-segments pass whole in both directions, and transport checksums are left to
// the kernel. Everything but reading and writing frames is fdbased's.
type vnet struct {
	stack.LinkEndpoint
	fd       int
	attached atomic.Bool
}

var _ stack.GSOEndpoint = (*vnet)(nil)

// GSOMaxSize and SupportedGSO make the stack pass super-segments to the endpoint.
func (v *vnet) GSOMaxSize() uint32               { return maxPacket }
func (v *vnet) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

// IsAttached replaces that of fdbased, since the reader is ours.
func (v *vnet) IsAttached() bool { return v.attached.Load() }

// Attach starts the reader. The reader and the stack run until the process ends.
func (v *vnet) Attach(d stack.NetworkDispatcher) {
	if d != nil && v.attached.CompareAndSwap(false, true) {
		go v.read(d)
	}
}

// Wait has nothing to wait for.
func (v *vnet) Wait() {}

// The fields of the virtio network header (virtio 1.2, 5.1.6).
const (
	needsChecksum = 1
	gsoTCP4       = 1
)

// WritePackets writes each packet by itself: a TAP device takes one frame for each call.
func (v *vnet) WritePackets(packets stack.PacketBufferList) (int, tcpip.Error) {
	for i, p := range packets.AsSlice() {
		if err := v.write(p); err != nil && i == 0 {
			return 0, &tcpip.ErrNoBufferSpace{}
		} else if err != nil {
			return i, nil
		}
	}
	return packets.Len(), nil
}

// write writes one packet. Unlike fdbased it waits while the device is full, so that no packet is lost there.
func (v *vnet) write(p *stack.PacketBuffer) error {
	var head [vnetLen]byte
	if gso := p.GSOOptions; gso.Type != stack.GSONone {
		if gso.NeedsCsum {
			head[0] = needsChecksum
			binary.NativeEndian.PutUint16(head[6:], header.EthernetMinimumSize+gso.L3HdrLen)
			binary.NativeEndian.PutUint16(head[8:], gso.CsumOffset)
		}
		if gso.Type == stack.GSOTCPv4 && p.Data().Size() > int(gso.MSS) {
			head[1] = gsoTCP4
			binary.NativeEndian.PutUint16(head[2:], uint16(p.HeaderSize()))
			binary.NativeEndian.PutUint16(head[4:], gso.MSS)
		}
	}
	pieces := append(make([][]byte, 0, 8), head[:])
	pieces = append(pieces, p.AsSlices()...)
	for {
		_, err := unix.Writev(v.fd, pieces)
		switch err {
		case unix.EAGAIN:
			if err := v.await(unix.POLLOUT); err != nil {
				return err
			}
		case unix.EINTR:
		default:
			return err
		}
	}
}

// read delivers frames until the device is gone.
func (v *vnet) read(d stack.NetworkDispatcher) {
	buf := make([]byte, vnetLen+header.EthernetMinimumSize+maxPacket)
	for {
		n, err := unix.Read(v.fd, buf)
		switch {
		case err == unix.EAGAIN:
			if v.await(unix.POLLIN) != nil {
				return
			}
		case err == unix.EINTR:
		case err != nil:
			return
		case n >= vnetLen+header.EthernetMinimumSize:
			v.deliver(d, buf[vnetLen:n])
		}
	}
}

// deliver hands a copy of one frame to the stack. Its checksum was verified by the kernel, or never left it.
func (v *vnet) deliver(d stack.NetworkDispatcher, frame []byte) {
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
	defer p.DecRef()
	p.RXChecksumValidated = true
	eth, ok := p.LinkHeader().Consume(header.EthernetMinimumSize)
	if !ok {
		return
	}
	p.NetworkProtocolNumber = header.Ethernet(eth).Type()
	d.DeliverNetworkPacket(p.NetworkProtocolNumber, p)
}

// await waits until the device is ready for events.
func (v *vnet) await(events int16) error {
	fds := []unix.PollFd{{Fd: int32(v.fd), Events: events}}
	for {
		if _, err := unix.Poll(fds, -1); err != unix.EINTR {
			return err
		}
	}
}
