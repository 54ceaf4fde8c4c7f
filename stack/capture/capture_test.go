package capture_test

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/unet-go/unet/stack/capture"
	"github.com/unet-go/unet/stack/link"
	"github.com/unet-go/unet/stack/sim"
)

// record is one packet of a file.
type record struct {
	At   time.Duration
	Dir  pcapgo.NgEpbFlag
	Data []byte
}

const (
	in  = pcapgo.NgEpbFlagDirectionInbound
	out = pcapgo.NgEpbFlagDirectionOutbound
)

func readFile(t *testing.T, file []byte, start time.Time) (pcapgo.NgInterface, []record) {
	t.Helper()
	r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	intf, err := r.Interface(0)
	if err != nil {
		t.Fatal(err)
	}
	var all []record
	for {
		data, ci, opts, err := r.ReadPacketDataWithOptions()
		if errors.Is(err, io.EOF) {
			return intf, all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, record{ci.Timestamp.Sub(start), opts.Flags.Direction, data})
	}
}

// mustWrite writes one frame, with its last tail octets gathered, and releases it.
func mustWrite(t *testing.T, d link.Device, data []byte, tail int) {
	t.Helper()
	f := []link.Frame{frame(data, tail)}
	if n, err := d.Write(f); n != 1 || err != nil {
		t.Fatalf("Write = %d, %v", n, err)
	}
	f[0].Release()
}

func mustRead(t *testing.T, d link.Device) []byte {
	t.Helper()
	f := make([]link.Frame, 1)
	if n, err := d.Read(f); n != 1 || err != nil {
		t.Fatalf("Read = %d, %v", n, err)
	}
	defer f[0].Release()
	return bytes.Clone(f[0].Header)
}

func udp(t *testing.T, n int) []byte {
	return packet(t, ether(layers.EthernetTypeIPv4), ipv4(ipA, ipB, layers.IPProtocolUDP),
		&layers.UDP{SrcPort: 1000, DstPort: 53}, payload(n))
}

func TestCaptureWritesBothDirections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sim.NewSegment(sim.Config{Delay: 5 * time.Millisecond})
		defer s.Close()
		start := time.Now()
		var file bytes.Buffer
		d, err := capture.New(s.Port(), &file)
		if err != nil {
			t.Fatal(err)
		}
		peer := s.Port()
		question := udp(t, 40)
		mustWrite(t, d, question, 40)
		if got := mustRead(t, peer); !bytes.Equal(got, question) {
			t.Errorf("the peer got %x", got)
		}
		answer := udp(t, 30)
		copy(answer, macA)
		mustWrite(t, peer, answer, 0)
		if got := mustRead(t, d); !bytes.Equal(got, answer) {
			t.Errorf("the host got %x", got)
		}
		if err := d.Flush(); err != nil {
			t.Fatal(err)
		}
		intf, got := readFile(t, file.Bytes(), start)
		want := []record{{0, out, question}, {10 * time.Millisecond, in, answer}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("file (-want +got):\n%s", diff)
		}
		if intf.Name != "port1" || intf.LinkType != layers.LinkTypeEthernet {
			t.Errorf("interface %+v", intf)
		}
		if d.Info() != d.Queues()[0].Info() || len(d.Queues()) != 1 {
			t.Error("a device without queues is not its own queue")
		}
	})
}

func TestCloseFlushesAndEndsTheDevice(t *testing.T) {
	s := sim.NewSegment(sim.Config{})
	defer s.Close()
	var file bytes.Buffer
	d, err := capture.New(s.Port(), &file)
	if err != nil {
		t.Fatal(err)
	}
	head := file.Len()
	mustWrite(t, d, udp(t, 1), 0)
	if file.Len() != head {
		t.Error("a frame was not buffered")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, got := readFile(t, file.Bytes(), time.Now()); len(got) != 1 {
		t.Errorf("%d frames in the file", len(got))
	}
	f := []link.Frame{frame(udp(t, 1), 0)}
	defer f[0].Release()
	if _, err := d.Write(f); !errors.Is(err, link.ErrClosed) {
		t.Errorf("Write: %v", err)
	}
	if _, err := d.Read(make([]link.Frame, 1)); !errors.Is(err, link.ErrClosed) {
		t.Errorf("Read: %v", err)
	}
}

func TestSuperSegmentIsWrittenWhole(t *testing.T) {
	s := sim.NewSegment(sim.Config{Offload: true})
	defer s.Close()
	var file bytes.Buffer
	d, err := capture.New(s.Port(), &file)
	if err != nil {
		t.Fatal(err)
	}
	peer := s.Port()
	data := packet(t, ether(layers.EthernetTypeIPv4), ipv4(ipA, ipB, layers.IPProtocolTCP),
		&layers.TCP{SrcPort: 1, DstPort: 2, ACK: true}, payload(60000))
	f := []link.Frame{frame(data, 60000)}
	f[0].Meta = link.Meta{NeedsChecksum: true, ChecksumStart: 34, ChecksumOffset: 16, GSO: link.TCP4, GSOSize: 1448, HeaderLen: 54}
	if _, err := d.Write(f); err != nil {
		t.Fatal(err)
	}
	if got := make([]link.Frame, 1); true {
		if n, err := peer.Read(got); n != 1 || err != nil || got[0].Meta != f[0].Meta {
			t.Errorf("the peer got %+v, %v", got[0].Meta, err)
		}
		got[0].Release()
	}
	f[0].Release()
	d.Close()
	if _, got := readFile(t, file.Bytes(), time.Now()); len(got) != 1 || !bytes.Equal(got[0].Data, data) {
		t.Errorf("%d frames in the file", len(got))
	}
}

type limitedWriter struct{ left int }

var errFull = errors.New("disk full")

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriterErrorDisturbsNoTraffic(t *testing.T) {
	s := sim.NewSegment(sim.Config{})
	defer s.Close()
	if _, err := capture.New(s.Port(), &limitedWriter{}); !errors.Is(err, errFull) {
		t.Errorf("New: %v", err)
	}
	d, err := capture.New(s.Port(), &limitedWriter{left: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // more than pcapgo's buffer holds
		mustWrite(t, d, udp(t, 1000), 0)
	}
	if err := d.Flush(); !errors.Is(err, errFull) || !errors.Is(d.Err(), errFull) {
		t.Errorf("Flush: %v, Err: %v", err, d.Err())
	}
	if d.Lost() == 0 || d.Lost() > 20 {
		t.Errorf("Lost = %d", d.Lost())
	}
	if got := s.Stats().Sent; got != 20 {
		t.Errorf("%d frames passed", got)
	}
	if err := d.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// many is a device with a queue for each port.
type many struct {
	link.Device
	queues []link.Device
}

func (m *many) Queues() []link.Device { return m.queues }

func (m *many) Close() error {
	for _, q := range m.queues {
		if err := q.Close(); err != nil {
			return err
		}
	}
	return nil
}

func TestQueuesAreWrapped(t *testing.T) {
	s := sim.NewSegment(sim.Config{})
	defer s.Close()
	a, b := s.Port(), s.Port()
	var file bytes.Buffer
	d, err := capture.New(&many{Device: a, queues: []link.Device{a, b}}, &file)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Queues()) != 2 {
		t.Fatalf("%d queues", len(d.Queues()))
	}
	var wg sync.WaitGroup
	for _, q := range d.Queues() {
		wg.Go(func() {
			for range 100 {
				mustWrite(t, q, udp(t, 100), 50)
			}
		})
	}
	wg.Wait()
	mustWrite(t, d, udp(t, 1), 0) // the parent's own
	if err := d.Queues()[1].Close(); err != nil {
		t.Fatal(err)
	}
	if _, got := readFile(t, file.Bytes(), time.Now()); len(got) != 201 {
		t.Errorf("%d frames in the file", len(got))
	}
	mustWrite(t, d.Queues()[0], udp(t, 1), 0)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats().Sent; got != 202 {
		t.Errorf("%d frames passed", got)
	}
	if len(s.Ports()) != 0 {
		t.Error("a queue is still open")
	}
}

// tun is a device without link header.
type tun struct{ link.Device }

func (tun) Info() link.Info { return link.Info{Name: "tun0", Kind: link.IP, MTU: 1500} }

func TestTUN(t *testing.T) {
	s := sim.NewSegment(sim.Config{})
	defer s.Close()
	var file bytes.Buffer
	d, err := capture.New(tun{s.Port()}, &file)
	if err != nil {
		t.Fatal(err)
	}
	data := udp(t, 5)[14:]
	mustWrite(t, d, data, 0)
	d.Close()
	intf, got := readFile(t, file.Bytes(), time.Now())
	if intf.LinkType != layers.LinkTypeRaw || intf.Name != "tun0" || len(got) != 1 || !bytes.Equal(got[0].Data, data) {
		t.Errorf("%+v, %v", intf, got)
	}
}
