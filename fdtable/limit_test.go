package fdtable

import (
	"syscall"
	"testing"

	"github.com/unet-go/unet/stack/sim"
)

func TestLimit(t *testing.T) {
	inWorld(t, "no number reaches the limit", sim.Config{}, func(t *testing.T, w *world) {
		w.b.SetLimit(10)
		fd := w.socket(w.b, 0)
		for _, tt := range []struct {
			least, want int
			err         error
		}{{9, 9, nil}, {9, -1, syscall.EMFILE}, {10, -1, syscall.EINVAL}, {11, -1, syscall.EINVAL}, {-1, -1, syscall.EINVAL}} {
			got, err := w.b.FcntlInt(fd, F_DUPFD, tt.least)
			w.got(got, err, tt.want, tt.err)
		}
		got, err := w.b.Dup2(fd, 10)
		w.got(got, err, -1, syscall.EBADF)
		got, err = w.b.Dup3(fd, 10, 0)
		w.got(got, err, -1, syscall.EBADF)
	})
	inWorld(t, "what waits for a connection has its number already", slow, func(t *testing.T, w *world) {
		w.b.SetLimit(3)
		l := w.listen(80, 1)
		other := w.socket(w.b, 0)
		var accepted int
		err := w.during(func() (err error) { accepted, _, err = w.b.Accept(l); return err }, func() {
			got, err := w.b.Dup3(other, 2, 0)
			w.got(got, err, -1, syscall.EMFILE)
			got, err = w.b.Dup(other)
			w.got(got, err, -1, syscall.EMFILE)
			got, err = w.b.Dup3(l, other, 0) // needs none
			w.got(got, err, other, nil)
			w.dial(80)
		})
		w.got(accepted, err, 2, nil)
	})
	inWorld(t, "a number is as new, whatever it stood for", sim.Config{}, func(t *testing.T, w *world) {
		flag := func(fd, want int) {
			t.Helper()
			got, err := w.b.FcntlInt(fd, F_GETFD, 0)
			w.got(got, err, want, nil)
		}
		fd := w.socket(w.b, SOCK_CLOEXEC)
		flag(fd, FD_CLOEXEC)
		w.is(w.b.Close(fd), nil)
		fd = w.socket(w.b, 0)
		flag(fd, 0)
		other := w.socket(w.b, SOCK_CLOEXEC)
		_, err := w.b.Dup2(fd, other)
		w.is(err, nil)
		flag(other, 0)
		_, err = w.b.Dup3(fd, other, O_CLOEXEC)
		w.is(err, nil)
		flag(other, FD_CLOEXEC)
		flag(fd, 0)
	})
}
