package unet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// stream is what TCPConn and net.TCPConn have in common, and a script uses.
type stream interface {
	net.Conn
	io.ReaderFrom
	io.WriterTo
	CloseRead() error
	CloseWrite() error
	SetLinger(int) error
	SetKeepAlive(bool) error
	SetKeepAliveConfig(net.KeepAliveConfig) error
	SetKeepAlivePeriod(time.Duration) error
	SetNoDelay(bool) error
	SetReadBuffer(int) error
	SetWriteBuffer(int) error
	MultipathTCP() (bool, error)
	File() (*os.File, error)
}

var (
	_ stream = (*net.TCPConn)(nil)
	_ stream = (*TCPConn)(nil)
)

// face is one way to the functions of package net: the kernel's own over loopback, or ours.
type face struct {
	ip, foreign string
	listen      func(network, address string) (net.Listener, error)
	dial        func(ctx context.Context, network, address string) (net.Conn, error)
}

// at returns an address of the face with the port.
func (f *face) at(port string) string { return net.JoinHostPort(f.ip, port) }

// kernelFace is that of the kernel over loopback.
func kernelFace(f *testFamily) face {
	return face{ip: f.loopback, foreign: f.foreign, listen: net.Listen, dial: new(net.Dialer).DialContext}
}

var (
	addresses = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+:\d+|\[[0-9a-f:]*:[0-9a-f:]*\]:\d+`)
	hosts     = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+`)
)

// sentinels are the errors that programs compare with, beside the errnos.
var sentinels = []struct {
	name string
	err  error
}{
	{"net.ErrClosed", net.ErrClosed}, {"context.Canceled", context.Canceled}, {"context.DeadlineExceeded", context.DeadlineExceeded},
	{"io.EOF", io.EOF}, {"io.ErrUnexpectedEOF", io.ErrUnexpectedEOF}, {"io.ErrClosedPipe", io.ErrClosedPipe}, {"io.ErrShortWrite", io.ErrShortWrite},
	{"os.ErrInvalid", os.ErrInvalid}, {"os.ErrPermission", os.ErrPermission}, {"os.ErrExist", os.ErrExist}, {"os.ErrNotExist", os.ErrNotExist},
	{"fs.ErrClosed", fs.ErrClosed}, {"os.ErrDeadlineExceeded", os.ErrDeadlineExceeded}, {"net.ErrWriteToConnected", net.ErrWriteToConnected},
	{"ErrUnsupported", errors.ErrUnsupported},
}

// describe writes an error with all that a program can ask of it; addresses are left out.
func describe(err error) string {
	if err == nil {
		return "nil"
	}
	var chain []string
	for e := err; e != nil; e = errors.Unwrap(e) {
		name := fmt.Sprintf("%T", e)
		name = name[strings.LastIndexAny(name, ".*")+1:]
		chain = append(chain, name)
	}
	var asked []string
	if ne, ok := err.(interface {
		Timeout() bool
		Temporary() bool
	}); ok {
		asked = append(asked, fmt.Sprintf("timeout=%v temporary=%v", ne.Timeout(), ne.Temporary()))
	}
	for _, target := range sentinels {
		if errors.Is(err, target.err) {
			asked = append(asked, target.name)
		}
	}
	for errno := syscall.Errno(1); errno < 134; errno++ {
		if errors.Is(err, errno) {
			asked = append(asked, fmt.Sprintf("errno %d", int(errno)))
		}
	}
	text := hosts.ReplaceAllString(addresses.ReplaceAllString(err.Error(), "A"), "H")
	return text + " | " + strings.Join(chain, " ") + " | " + strings.Join(asked, " ")
}
