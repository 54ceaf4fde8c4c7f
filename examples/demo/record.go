package main

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unet-go/unet/stack/capture"
	"github.com/unet-go/unet/stack/link"
)

// recorder is a device that writes down the frames that pass while it is on; capture.NewText would do so all the time.
// During a load it is off, because writing a line takes longer than sending the frame.
type recorder struct {
	link.Device
	on atomic.Bool

	mu      sync.Mutex
	printer *capture.Printer
	lines   []string
}

func newRecorder(dev link.Device) *recorder {
	return &recorder{Device: dev, printer: capture.NewPrinter(dev.Info().Kind)}
}

// Read implements link.Device.
func (r *recorder) Read(frames []link.Frame) (int, error) {
	n, err := r.Device.Read(frames)
	r.record(frames[:n])
	return n, err
}

// Write implements link.Device. It writes down a frame first, so that the answer comes after it.
func (r *recorder) Write(frames []link.Frame) (int, error) {
	r.record(frames)
	return r.Device.Write(frames)
}

func (r *recorder) record(frames []link.Frame) {
	if !r.on.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range frames {
		octets := make([]byte, frames[i].Len())
		frames[i].CopyTo(octets)
		r.lines = append(r.lines, r.printer.Line(time.Now(), octets))
	}
}

// take returns the lines about an address and port, and those of ARP or neighbour discovery, and removes all lines.
func (r *recorder) take(at netip.AddrPort) (lines []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	about := fmt.Sprintf(" %v.%d", at.Addr(), at.Port())
	neighbors := " ARP, "
	if at.Addr().Is6() {
		neighbors = ", neighbor "
	}
	for _, l := range r.lines {
		if strings.Contains(l, neighbors) || strings.Contains(l, about) {
			lines = append(lines, l)
		}
	}
	r.lines = nil
	return lines
}
