package tap

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/stack/link"
)

// pair returns a queue with virtio headers whose driver is the other end of a socket pair, which can do what
// the kernel's never would.
func pair(t *testing.T, rings bool) (*native, *os.File) {
	t.Helper()
	return pairOf(t, everything.Kind, rings)
}

// pairOf is pair for a device of either kind.
func pairOf(t *testing.T, kind link.Kind, rings bool) (*native, *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	info := everything
	info.Name, info.Kind = "pair", kind
	q, err := newNative(info, os.NewFile(uintptr(fds[0]), "pair"), vnetLen, rings)
	if err != nil {
		t.Fatal(err)
	}
	driver := os.NewFile(uintptr(fds[1]), "driver")
	t.Cleanup(func() { driver.Close() })
	t.Cleanup(func() { q.Close() })
	if err := driver.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return q, driver
}

// TestNativeReceive lets the driver send frames of all sizes, and some that are cut or lie, and keeps all
// that are delivered until the end.
func TestNativeReceive(t *testing.T) {
	t.Run("io_uring", func(t *testing.T) { testNativeReceive(t, true) })
	t.Run("system calls", func(t *testing.T) { testNativeReceive(t, false) })
}

func testNativeReceive(t *testing.T, rings bool) {
	before := link.Outstanding()
	q, driver := pair(t, rings)
	plain := make([]byte, vnetLen)
	lie := vnetHeader(vnetNeedsChecksum, 0, 0, 0, 0xffff, 0)
	var want [][]byte
	frames := make([]link.Frame, 64)
	var kept []link.Frame
	send := func(header []byte, size int, fill byte) []byte {
		octets := bytes.Repeat([]byte{fill}, size)
		if _, err := driver.Write(append(append([]byte(nil), header...), octets...)); err != nil {
			t.Fatal(err)
		}
		return octets
	}
	for round := range byte(8) {
		send(lie, 100, 0xee)
		send(plain, link.MaxBuffer, 0xee)
		send(plain, 0, 0xee)
		send(plain[:4], 0, 0xee)
		for i, size := range []int{1, 60, 1514, copyBelow - lastPlace, copyBelow - lastPlace + 1, 20000} {
			want = append(want, send(plain, size, round*8+byte(i)))
		}
		n, err := q.Read(frames)
		if n != 6 || err != nil {
			t.Fatalf("Read = %d, %v, want 6 frames", n, err)
		}
		kept = append(kept, frames[:n]...)
		clear(frames)
	}
	octets := uint64(0)
	for i := range kept {
		f := &kept[i]
		if !bytes.Equal(f.Header, want[i]) {
			t.Errorf("frame %d of %d octets is not what was sent, %d octets", i, len(f.Header), len(want[i]))
		}
		if f.Prepend(link.Headroom) == nil {
			t.Errorf("frame %d has no headroom", i)
		}
		if small := len(f.Header) <= copyBelow-lastPlace; small != (f.Buffer().Cap() <= copyBelow) {
			t.Errorf("frame %d of %d octets pins %d", i, len(f.Header), f.Buffer().Cap())
		}
		octets += uint64(len(f.Header))
		f.Release()
	}
	var s Stats
	q.addTo(&s)
	if want := (Stats{FramesIn: 48, OctetsIn: octets, InTruncated: 8, InMalformed: 24}); s != want {
		t.Errorf("Stats = %+v, want %+v", s, want)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	if after := link.Outstanding(); after != before {
		t.Errorf("%d buffers in use, %d before", after, before)
	}
}

// TestNativeWriteWaits fills the driver's queue: Write waits for room and loses nothing, and Close ends the wait.
func TestNativeWriteWaits(t *testing.T) {
	t.Run("io_uring", func(t *testing.T) { testNativeWriteWaits(t, true) })
	t.Run("system calls", func(t *testing.T) { testNativeWriteWaits(t, false) })
}

func testNativeWriteWaits(t *testing.T, rings bool) {
	q, driver := pair(t, rings)
	const count = 200
	done := make(chan error)
	go func() {
		frames := make([]link.Frame, count)
		for i := range frames {
			frames[i].Header = bytes.Repeat([]byte{byte(i)}, 1000)
		}
		n, err := q.Write(frames)
		if n != count {
			t.Errorf("Write = %d, %v, want %d", n, err, count)
		}
		done <- err
		n, err = q.Write(append(frames, frames...))
		if n == 0 || n >= 2*count {
			t.Errorf("Write that Close ended = %d, %v, want some", n, err)
		}
		done <- err
	}()
	b := make([]byte, 2000)
	var seen [count]bool
	for i := range count {
		n, err := driver.Read(b)
		if err != nil || n != vnetLen+1000 || seen[b[n-1]] || !rings && b[n-1] != byte(i) {
			t.Fatalf("frame %d: %d octets of %d, %v", i, n, b[max(n, 1)-1], err)
		}
		seen[b[n-1]] = true
	}
	if err := <-done; err != nil {
		t.Errorf("Write: %v", err)
	}
	if _, err := driver.Read(b); err != nil { // the second Write has begun, and nothing more is read
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != link.ErrClosed {
		t.Errorf("Write that Close ended: %v", err)
	}
}

// A host gives a device up at once after an error that wraps link.ErrGone, and after any other tries again for a second.
func TestFailure(t *testing.T) {
	q, _ := pair(t, false)
	for _, err := range []error{unix.EBADF, unix.EBADFD, unix.EFAULT, unix.ENODEV, unix.ENXIO, os.ErrClosed} {
		if got := q.failure(err); !errors.Is(got, link.ErrGone) || !errors.Is(got, err) {
			t.Errorf("%v becomes %v, which is not %v", err, got, link.ErrGone)
		}
	}
	for _, err := range []error{unix.ENOMEM, unix.ENOBUFS, unix.EIO} {
		if got := q.failure(err); errors.Is(got, link.ErrGone) || !errors.Is(got, err) {
			t.Errorf("%v becomes %v, which is %v", err, got, link.ErrGone)
		}
	}
}
