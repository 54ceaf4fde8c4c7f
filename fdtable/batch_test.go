package fdtable

import (
	"syscall"
	"testing"

	"github.com/unet-go/unet/stack/sim"
)

func TestBatches(t *testing.T) {
	inWorld(t, "several messages by a call", sim.Config{}, func(t *testing.T, w *world) {
		a, err := w.a.Socket(w.domain, SOCK_DGRAM, 0)
		w.is(err, nil)
		b, err := w.b.Socket(w.domain, SOCK_DGRAM, 0)
		w.is(err, nil)
		w.is(w.b.Bind(b, w.at(53)), nil)
		out := make([]Mmsghdr, 3)
		for i := range out {
			out[i].Hdr = Msghdr{Name: w.at(53), Iov: [][]byte{make([]byte, i+1)}}
		}
		n, err := w.a.Sendmmsg(a, out, 0)
		w.got(n, err, 3, nil)
		w.settle()
		in := make([]Mmsghdr, 5)
		for i := range in {
			in[i].Hdr.Iov = [][]byte{make([]byte, 2)}
		}
		n, err = w.b.Recvmmsg(b, in, MSG_WAITFORONE)
		w.got(n, err, 3, nil)
		if in[1].Len != 2 || in[2].Len != 2 || in[2].Hdr.Flags != MSG_TRUNC {
			t.Errorf("received %+v", in[:n])
		}
		n, err = w.b.Recvmmsg(b, in, MSG_DONTWAIT)
		w.got(n, err, 0, again)
		out[1].Hdr.Iov = [][]byte{make([]byte, 1<<16)}
		n, err = w.a.Sendmmsg(a, out, 0)
		w.got(n, err, 1, nil)
		n, err = w.a.Sendmmsg(a, out[1:], 0)
		w.got(n, err, 0, syscall.EMSGSIZE)
		n, err = w.a.Sendmmsg(99, nil, 0)
		w.got(n, err, 0, syscall.EBADF)
		n, err = w.b.Recvmmsg(b, nil, 0)
		w.got(n, err, 0, nil)
	})
}
