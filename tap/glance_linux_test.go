package tap

import (
	"bytes"
	"errors"
	"testing"

	"github.com/unet-go/unet/stack/link"
)

func TestGlance(t *testing.T) {
	t.Run("io_uring", func(t *testing.T) { testGlance(t, true) })
	t.Run("system calls", func(t *testing.T) { testGlance(t, false) })
}

func testGlance(t *testing.T, rings bool) {
	q, driver := pair(t, rings)
	send := func(fill byte) {
		t.Helper()
		if _, err := driver.Write(append(make([]byte, vnetLen), bytes.Repeat([]byte{fill}, 100)...)); err != nil {
			t.Fatal(err)
		}
	}
	frames, others := make([]link.Frame, 4), make([]link.Frame, 4)
	gets := func(what string, frames []link.Frame, n int, err error, want ...byte) {
		t.Helper()
		if n != len(want) || err != nil {
			t.Fatalf("%s = %d, %v, want %d frames", what, n, err, len(want))
		}
		for i := range frames[:n] {
			if got := frames[i].Header[0]; got != want[i] {
				t.Errorf("%s: frame %d is %d, want %d", what, i, got, want[i])
			}
			frames[i].Release()
		}
	}
	held := func(want ...byte) {
		t.Helper()
		n, err := q.ReadHeld(frames)
		gets("ReadHeld", frames, n, err, want...)
	}
	tried := func(want ...byte) {
		t.Helper()
		gets("TryRead", others, q.TryRead(others), nil, want...)
	}

	tried() // does not wait
	send(1)
	held(1)
	send(2)
	tried() // somebody has 1
	q.ReadDone()
	tried(2)
	send(3)
	tried() // somebody has 2
	q.ReadDone()
	held(3)
	q.ReadDone()

	// While one reader waits another one takes the frames that come. The first one waits on.
	done := make(chan error)
	wait := func() {
		n, err := q.ReadHeld(frames)
		if n > 0 {
			frames[0].Release()
			q.ReadDone()
		}
		done <- err
	}
	go wait()
	for range 100 {
		send(4)
		if q.TryRead(others) > 0 {
			others[0].Release()
			q.ReadDone()
			continue
		}
		if err := <-done; err != nil { // the one that waits had it
			t.Fatal(err)
		}
		go wait()
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil && !errors.Is(err, link.ErrClosed) {
		t.Errorf("ReadHeld ends with %v", err)
	}
	tried()
	if n, err := q.ReadHeld(frames); n != 0 || !errors.Is(err, link.ErrClosed) {
		t.Errorf("ReadHeld after Close = %d, %v", n, err)
	}
}
