package unet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }

var past = time.Unix(1, 0)

// big is more than the buffers of a narrow connection hold.
var big = make([]byte, 4<<20)

const soon = 10 * time.Millisecond

// reset makes p reset the connection to c, and returns when c has noticed, by a Read that it logs.
func (s *script) reset(c, p stream) {
	s.must(p.SetLinger(0))
	s.must(p.Close())
	s.log("Read of the reset", logs(c.Read(make([]byte, 1)))...)
}

func readScenarios() []scenario {
	return []scenario{
		{name: "read: as much as is there", run: func(s *script) {
			c, p := s.ends()
			_, err := p.Write([]byte("hello"))
			s.must(err)
			b := make([]byte, 16)
			n, err := c.Read(b[:2])
			s.log("Read 2", n, b[:n], err)
			n, err = c.Read(b)
			s.log("Read the rest", n, b[:n], err)
		}},
		{name: "read: nothing at all", run: func(s *script) {
			c, p := s.ends()
			s.log("nil", logs(c.Read(nil))...)
			s.log("empty", logs(c.Read([]byte{}))...)
			_, err := p.Write([]byte("x"))
			s.must(err)
			s.log("nil with text there", logs(c.Read(nil))...)
			s.log("one", logs(c.Read(make([]byte, 1)))...)
			s.must(p.Close())
			s.log("one", logs(c.Read(make([]byte, 1)))...)
			s.log("nil at the end", logs(c.Read(nil))...)
		}},
		{name: "E-GO-6 read: the end of the stream stays", run: func(s *script) {
			c, p := s.ends()
			_, err := p.Write([]byte("text"))
			s.must(err)
			s.log("CloseWrite", p.CloseWrite())
			b := make([]byte, 4)
			n, err := io.ReadFull(c, b)
			s.log("text", b[:n], err)
			for range 3 {
				s.log("Read", logs(c.Read(b))...)
			}
			s.log("Write", logs(c.Write([]byte("answer")))...)
			s.log("peer's Read", logs(io.ReadFull(p, make([]byte, 6)))...)
		}},
		{name: "read: blocked until there is text", run: func(s *script) {
			c, p := s.ends()
			b := make([]byte, 8)
			d := s.start("Read", func() []any { n, err := c.Read(b); return logs(b[:n], err) })
			_, err := p.Write([]byte("at last"))
			s.must(err)
			d.end()
		}},
		{name: "read: blocked until the peer closes", run: func(s *script) {
			c, p := s.ends()
			d := s.start("Read", func() []any { return logs(c.Read(make([]byte, 1))) })
			s.log("peer's Close", p.Close())
			d.end()
		}},
		{name: "E-GO-7 read: blocked until a reset", run: func(s *script) {
			c, p := s.ends()
			d := s.start("Read", func() []any { return logs(c.Read(make([]byte, 1))) })
			s.log("SetLinger", p.SetLinger(0))
			s.log("peer's Close", p.Close())
			d.end()
			s.log("Read again", logs(c.Read(make([]byte, 1)))...)
			s.log("Read nothing", logs(c.Read(nil))...)
		}},
		{name: "read: several blocked, one reset", run: func(s *script) {
			c, p := s.ends()
			results := make(chan string)
			for range 3 {
				s.start("Read", func() []any {
					_, err := c.Read(make([]byte, 1))
					results <- s.show(err)
					return nil
				})
			}
			s.must(p.SetLinger(0))
			s.must(p.Close())
			seen := make(map[string]int)
			for range 3 {
				seen[<-results]++
			}
			s.log("kinds", len(seen))
		}},
		{name: "read: several blocked, one Close of the peer", run: func(s *script) {
			c, p := s.ends()
			var all []*doing
			for range 3 {
				all = append(all, s.start("Read", func() []any { return logs(c.Read(make([]byte, 1))) }))
			}
			s.must(p.Close())
			for _, d := range all {
				d.end()
			}
		}},
		{name: "E-RW-2 read: text that came before a reset", run: func(s *script) {
			c, p := s.ends()
			_, err := p.Write([]byte("hello"))
			s.must(err)
			b := make([]byte, 8)
			n, err := c.Read(b[:2])
			s.log("Read", b[:n], err)
			s.must(p.SetLinger(0))
			s.must(p.Close())
			rest, err := io.ReadAll(c)
			s.log("rest", rest, err)
			s.log("Read", logs(c.Read(b))...)
			s.log("Write", logs(c.Write(b))...)
		}},
		{name: "E-CLS-1 read: the peer closes without reading", run: func(s *script) {
			c, p := s.ends()
			_, err := c.Write([]byte("never read"))
			s.must(err)
			_, err = p.Read(make([]byte, 1))
			s.must(err)
			s.log("peer's Close", p.Close())
			s.log("Read", logs(c.Read(make([]byte, 1)))...)
			s.log("Write", logs(c.Write([]byte("x")))...)
			s.log("Close", c.Close())
		}},
		{name: "read: after CloseRead", run: func(s *script) {
			c, p := s.ends()
			_, err := p.Write([]byte("ab"))
			s.must(err)
			b := make([]byte, 4)
			s.log("Read", logs(c.Read(b[:1]))...)
			s.log("CloseRead", c.CloseRead())
			s.log("Read what was there", logs(c.Read(b))...)
			s.log("Read", logs(c.Read(b))...)
			s.log("Write", logs(c.Write([]byte("x")))...)
			s.log("peer's Read", logs(p.Read(b))...)
			s.log("CloseRead again", c.CloseRead())
		}},
		{name: "E-SHD-3 read: CloseRead while blocked", run: func(s *script) {
			c, _ := s.ends()
			d := s.start("Read", func() []any { return logs(c.Read(make([]byte, 1))) })
			s.log("CloseRead", c.CloseRead())
			d.end()
		}},
		{name: "E-SHD-3 read: the peer writes after CloseRead", run: func(s *script) {
			c, p := s.ends()
			s.log("CloseRead", c.CloseRead())
			for range 3 {
				s.log("peer's Write", logs(p.Write([]byte("into the void")))...)
			}
			s.log("Write", logs(c.Write([]byte("back")))...)
			s.log("peer's Read", logs(io.ReadFull(p, make([]byte, 4)))...)
		}},
		{name: "read: a megabyte, octet for octet", run: func(s *script) {
			c, p := s.ends()
			text := random(7, 1<<20)
			go func() { _, _ = p.Write(text); _ = p.Close() }()
			got, err := io.ReadAll(c)
			s.log("ReadAll", len(got), bytes.Equal(got, text), err)
		}},
	}
}

func writeScenarios() []scenario {
	return []scenario{
		{name: "write: nothing at all", run: func(s *script) {
			c, p := s.ends()
			s.log("nil", logs(c.Write(nil))...)
			s.log("empty", logs(c.Write([]byte{}))...)
			s.must(c.CloseWrite())
			s.log("peer's Read", logs(p.Read(make([]byte, 1)))...)
			s.log("nil after CloseWrite", logs(c.Write(nil))...)
		}},
		{name: "write: nothing after a reset", run: func(s *script) {
			c, p := s.ends()
			s.reset(c, p)
			s.log("Write nothing", logs(c.Write(nil))...)
			s.log("Write", logs(c.Write([]byte("x")))...)
			s.log("Write nothing", logs(c.Write(nil))...)
		}},
		{name: "write: megabytes to one who reads", run: func(s *script) {
			c, p := s.ends()
			d := s.start("Write", func() []any {
				n, err := c.Write(make([]byte, 3<<20))
				return logs(n, err, c.CloseWrite())
			})
			n, err := io.Copy(io.Discard, p)
			s.log("Copy", n, err)
			d.end()
		}},
		{name: "E-GO-5 write: blocked until Close", run: func(s *script) {
			c, _ := s.narrow()
			d := s.start("Write", func() []any {
				n, err := c.Write(big)
				return logs(n > 0 && n < len(big), err)
			})
			s.log("Close", c.Close())
			d.end()
		}},
		{name: "E-RW-3 write: blocked until a reset", run: func(s *script) {
			c, p := s.narrow()
			d := s.start("Write", func() []any {
				n, err := c.Write(big)
				return logs(n > 0 && n < len(big), err)
			})
			s.must(p.SetLinger(0))
			s.must(p.Close())
			d.end()
			s.log("Write", logs(c.Write([]byte("x")))...)
			s.log("Read", logs(c.Read(make([]byte, 1)))...)
		}},
		{name: "write: blocked until the peer reads", run: func(s *script) {
			c, p := s.narrow()
			d := s.start("Write", func() []any { return logs(c.Write(make([]byte, len(big)))) })
			s.log("Read", logs(io.ReadFull(p, make([]byte, len(big))))...)
			d.end()
		}},
		{name: "write: blocked until CloseWrite", run: func(s *script) {
			c, p := s.narrow()
			d := s.start("Write", func() []any {
				n, err := c.Write(big)
				return logs(n > 0 && n < len(big), err)
			})
			s.log("CloseWrite", c.CloseWrite())
			d.end()
			n, err := io.Copy(io.Discard, p)
			s.log("peer's Read", n > 0, err)
		}},
		{name: "E-RW-5 write: after CloseWrite", run: func(s *script) {
			c, p := s.ends()
			s.log("CloseWrite", c.CloseWrite())
			s.log("Write", logs(c.Write([]byte("x")))...)
			s.log("peer's Read", logs(p.Read(make([]byte, 1)))...)
			s.log("Write", logs(c.Write([]byte("x")))...)
			s.log("CloseWrite again", c.CloseWrite())
			s.log("peer's Write", logs(p.Write([]byte("back")))...)
			s.log("Read", logs(io.ReadFull(c, make([]byte, 4)))...)
		}},
		{name: "E-RW-4 write: the peer has closed its side", run: func(s *script) {
			c, p := s.ends()
			s.must(p.CloseWrite())
			s.log("Read", logs(c.Read(make([]byte, 1)))...)
			s.log("Write", logs(c.Write([]byte("x")))...)
			s.log("peer's Read", logs(p.Read(make([]byte, 1)))...)
		}},
		{name: "E-CLS-5 write: the peer has closed", run: func(s *script) {
			c, p := s.ends()
			s.must(p.Close())
			s.log("Read", logs(c.Read(make([]byte, 1)))...)
			s.log("Write until it fails", untilError(c, []byte("x")))
			s.log("Write", logs(c.Write([]byte("x")))...)
			s.log("Read", logs(c.Read(make([]byte, 1)))...)
		}},
		{name: "E-GO-7 write: after a reset", run: func(s *script) {
			c, p := s.ends()
			s.reset(c, p)
			s.log("Write", logs(c.Write([]byte("x")))...)
			s.log("Write again", logs(c.Write([]byte("x")))...)
			s.log("Read again", logs(c.Read(make([]byte, 1)))...)
			s.log("CloseWrite", c.CloseWrite())
			s.log("CloseRead", c.CloseRead())
			s.log("SetDeadline", c.SetDeadline(past))
			s.log("SetNoDelay", c.SetNoDelay(false))
			s.log("SetLinger", c.SetLinger(1))
			s.log("Close", c.Close())
		}},
		{name: "write: net.Buffers", run: func(s *script) {
			c, p := s.ends()
			bufs := net.Buffers{[]byte("one "), nil, []byte("two "), []byte("three")}
			n, err := bufs.WriteTo(c)
			s.log("WriteTo", n, len(bufs), err)
			b := make([]byte, n)
			_, err = io.ReadFull(p, b)
			s.log("Read", b, err)
			s.must(c.Close())
			bufs = net.Buffers{[]byte("one "), []byte("two ")}
			n, err = bufs.WriteTo(c)
			s.log("WriteTo closed", n, len(bufs), err)
		}},
		{name: "copy: ReadFrom", run: func(s *script) {
			c, p := s.ends()
			s.log("a string", logs(c.ReadFrom(strings.NewReader("text")))...)
			s.log("nothing", logs(c.ReadFrom(strings.NewReader("")))...)
			s.log("a limited reader", logs(c.ReadFrom(io.LimitReader(strings.NewReader("0123456789"), 4)))...)
			s.log("a reader that fails", logs(c.ReadFrom(failing{}))...)
			s.log("text and an error at once", logs(c.ReadFrom(lastWords{}))...)
			s.must(c.CloseWrite())
			b, err := io.ReadAll(p)
			s.log("peer's Read", b, err)
			s.log("after CloseWrite", logs(c.ReadFrom(strings.NewReader("text")))...)
			s.log("nothing after CloseWrite", logs(c.ReadFrom(strings.NewReader("")))...)
			s.must(c.Close())
			s.log("after Close", logs(c.ReadFrom(strings.NewReader("text")))...)
			s.log("nothing after Close", logs(c.ReadFrom(strings.NewReader("")))...)
		}},
		{name: "copy: ReadFrom a file", run: func(s *script) {
			c, p := s.ends()
			name := filepath.Join(s.t.TempDir(), "file")
			text := random(3, 300_000)
			s.must(os.WriteFile(name, text, 0o600))
			f, err := os.Open(name)
			s.must(err)
			s.cleanup(func() { _ = f.Close() })
			d := s.start("io.Copy", func() []any {
				n, err := io.Copy(c, f)
				return logs(n, err, c.CloseWrite())
			})
			got, err := io.ReadAll(p)
			s.log("peer's Read", bytes.Equal(got, text), err)
			d.end()
			_, err = f.Seek(10, io.SeekStart)
			s.must(err)
			s.log("again", logs(c.ReadFrom(f))...)
		}},
		{name: "copy: ReadFrom another connection", run: func(s *script) {
			in, inPeer := s.ends()
			out, outPeer := s.ends()
			go func() { _, _ = inPeer.Write([]byte("through and through")); _ = inPeer.CloseWrite() }()
			s.log("ReadFrom", logs(out.ReadFrom(in))...)
			s.must(out.CloseWrite())
			b, err := io.ReadAll(outPeer)
			s.log("peer's Read", b, err)
			s.must(in.Close())
			s.log("ReadFrom a closed one", logs(out.ReadFrom(in))...)
		}},
		{name: "copy: WriteTo", run: func(s *script) {
			c, p := s.ends()
			var b bytes.Buffer
			_, err := p.Write([]byte("0123"))
			s.must(err)
			s.log("a writer that fails", logs(c.WriteTo(failing{}))...)
			_, err = p.Write([]byte("4567"))
			s.must(err)
			s.must(p.CloseWrite())
			s.log("a buffer", logs(c.WriteTo(&b))...)
			s.log("it has", b.Bytes())
			s.log("at the end", logs(c.WriteTo(&b))...)
			s.must(c.Close())
			s.log("after Close", logs(c.WriteTo(&b))...)
		}},
		{name: "copy: ended by Close", run: func(s *script) {
			c, _ := s.ends()
			w := s.start("WriteTo", func() []any { return logs(c.WriteTo(io.Discard)) })
			s.log("Close", c.Close())
			w.end()
		}},
		{name: "copy: ended by a reset", run: func(s *script) {
			c, p := s.ends()
			w := s.start("WriteTo", func() []any { return logs(c.WriteTo(io.Discard)) })
			s.must(p.SetLinger(0))
			s.must(p.Close())
			w.end()
			s.log("ReadFrom", logs(c.ReadFrom(strings.NewReader("text")))...)
		}},
		{name: "copy: ended by a deadline", run: func(s *script) {
			c, p := s.ends()
			s.must(c.SetReadDeadline(time.Now().Add(soon)))
			s.log("WriteTo", logs(c.WriteTo(io.Discard))...)
			s.must(c.SetWriteDeadline(past))
			s.log("ReadFrom", logs(c.ReadFrom(strings.NewReader("text")))...)
			s.must(c.SetDeadline(time.Time{}))
			s.send(c, p, "text")
		}},
	}
}

// failing is a reader or writer that gives up, and lastWords one that does so with text.
type failing struct{}

func (failing) Read([]byte) (int, error)  { return 0, io.ErrNoProgress }
func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

type lastWords struct{}

func (lastWords) Read(b []byte) (int, error) { return copy(b, "last words"), io.ErrUnexpectedEOF }

func deadlineScenarios() []scenario {
	b := make([]byte, 4)
	return []scenario{
		{name: "E-GO-2 deadline: past, for reads", run: func(s *script) {
			c, p := s.ends()
			s.log("SetReadDeadline", c.SetReadDeadline(past))
			s.log("Read", logs(c.Read(make([]byte, 4)))...)
			s.log("Read nothing", logs(c.Read(nil))...)
			s.log("Write", logs(c.Write([]byte("text")))...)
			_, err := p.Write([]byte("text"))
			s.must(err)
			s.log("Read with text there", logs(c.Read(make([]byte, 4)))...)
			s.log("clear", c.SetReadDeadline(time.Time{}))
			s.log("Read", logs(io.ReadFull(c, make([]byte, 4)))...)
		}},
		{name: "E-GO-2 deadline: past, for writes", run: func(s *script) {
			c, p := s.ends()
			s.log("SetWriteDeadline", c.SetWriteDeadline(past))
			s.log("Write", logs(c.Write(b))...)
			s.log("Write nothing", logs(c.Write(nil))...)
			_, err := p.Write([]byte("text"))
			s.must(err)
			s.log("Read", logs(io.ReadFull(c, make([]byte, 4)))...)
			s.log("CloseWrite all the same", c.CloseWrite())
			s.log("peer's Read", logs(p.Read(make([]byte, 1)))...)
		}},
		{name: "deadline: past, at the end of the stream", run: func(s *script) {
			c, p := s.ends()
			s.must(p.Close())
			s.log("Read", logs(c.Read(make([]byte, 4)))...)
			s.must(c.SetReadDeadline(past))
			s.log("Read", logs(c.Read(make([]byte, 4)))...)
		}},
		{name: "deadline: past, after CloseWrite", run: func(s *script) {
			c, _ := s.ends()
			s.must(c.CloseWrite())
			s.must(c.SetWriteDeadline(past))
			s.log("Write", logs(c.Write([]byte("x")))...)
		}},
		{name: "deadline: past, after a reset", run: func(s *script) {
			c, p := s.ends()
			s.reset(c, p)
			s.log("SetDeadline", c.SetDeadline(past))
			s.log("Read", logs(c.Read(make([]byte, 4)))...)
			s.log("Write", logs(c.Write([]byte("x")))...)
		}},
		{name: "deadline: passes while blocked", run: func(s *script) {
			c, p := s.narrow()
			s.must(c.SetReadDeadline(time.Now().Add(soon)))
			s.log("Read", logs(c.Read(make([]byte, 4)))...)
			s.log("Read again", logs(c.Read(make([]byte, 4)))...)
			var n int
			d := s.start("Write", func() []any {
				var err error
				n, err = c.Write(big)
				return logs(n > 0 && n < len(big), err)
			})
			s.must(c.SetDeadline(time.Now().Add(soon)))
			d.end()
			s.must(c.SetWriteDeadline(time.Time{}))
			go func() { _, _ = c.Write(big[n:]); _ = c.CloseWrite() }()
			total, err := io.Copy(io.Discard, p)
			s.log("E-GO-4 nothing lost", total, err)
		}},
		{name: "deadline: in a moment that has passed unseen", run: func(s *script) {
			c, p := s.ends()
			s.must(c.SetReadDeadline(time.Now().Add(1)))
			s.must(p.SetReadDeadline(time.Now().Add(soon)))
			s.log("Read", logs(p.Read(make([]byte, 1)))...)
			s.log("Read", logs(c.Read(make([]byte, 1)))...)
		}},
		{name: "E-GO-3 deadline: past, set while a Read is blocked", run: func(s *script) {
			c, _ := s.ends()
			d := s.start("Read", func() []any { return logs(c.Read(make([]byte, 4))) })
			s.log("SetReadDeadline", c.SetReadDeadline(past))
			d.end()
		}},
		{name: "E-GO-3 deadline: past, set while a Write is blocked", run: func(s *script) {
			c, _ := s.narrow()
			d := s.start("Write", func() []any {
				n, err := c.Write(big)
				return logs(n > 0 && n < len(big), err)
			})
			s.log("SetWriteDeadline", c.SetWriteDeadline(past))
			d.end()
		}},
		{name: "E-GO-3 deadline: SetDeadline ends both", run: func(s *script) {
			c, _ := s.narrow()
			w := s.start("Write", func() []any {
				n, err := c.Write(big)
				return logs(n > 0, err)
			})
			r := s.start("Read", func() []any { return logs(c.Read(make([]byte, 4))) })
			s.log("SetDeadline", c.SetDeadline(past))
			r.end()
			w.end()
		}},
		{name: "E-GO-3 deadline: one direction leaves the other alone", run: func(s *script) {
			c, p := s.ends()
			r := s.start("Read", func() []any { return logs(c.Read(make([]byte, 4))) })
			s.must(c.SetWriteDeadline(past))
			s.log("Write", logs(c.Write([]byte("x")))...)
			_, err := p.Write([]byte("text"))
			s.must(err)
			r.end()
		}},
		{name: "deadline: moved later while blocked", run: func(s *script) {
			c, p := s.ends()
			s.must(c.SetReadDeadline(time.Now().Add(time.Hour)))
			d := s.start("Read", func() []any { n, err := c.Read(make([]byte, 4)); return logs(n, err) })
			s.must(c.SetReadDeadline(time.Now().Add(2 * time.Hour)))
			_, err := p.Write([]byte("text"))
			s.must(err)
			d.end()
		}},
		{name: "deadline: moved earlier while blocked", run: func(s *script) {
			c, _ := s.ends()
			s.must(c.SetReadDeadline(time.Now().Add(time.Hour)))
			d := s.start("Read", func() []any { return logs(c.Read(make([]byte, 4))) })
			s.must(c.SetReadDeadline(time.Now().Add(soon)))
			d.end()
		}},
		{name: "deadline: cleared while blocked", run: func(s *script) {
			c, p := s.ends()
			s.must(c.SetReadDeadline(time.Now().Add(time.Hour)))
			d := s.start("Read", func() []any { return logs(c.Read(make([]byte, 4))) })
			s.must(c.SetReadDeadline(time.Time{}))
			_, err := p.Write([]byte("text"))
			s.must(err)
			d.end()
		}},
		{name: "deadline: moved on and on, as http does", run: func(s *script) {
			c, p := s.ends()
			for range 3 {
				d := s.start("Read", func() []any { return logs(c.Read(make([]byte, 4))) })
				s.must(c.SetReadDeadline(past))
				d.end()
				s.must(c.SetReadDeadline(time.Time{}))
				s.send(p, c, "text")
			}
		}},
		{name: "deadline: at the end of all time", run: func(s *script) {
			c, p := s.ends()
			for _, at := range []time.Time{time.Unix(1<<62, 0), time.Now().Add(1<<63 - 1), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)} {
				s.log("SetDeadline", c.SetDeadline(at))
				s.send(c, p, "to")
				s.send(p, c, "fro")
			}
			s.log("before all time", c.SetDeadline(time.Unix(-1<<40, 0)))
			s.log("Read", logs(c.Read(make([]byte, 4)))...)
		}},
		{name: "deadline: when everything is closed", run: func(s *script) {
			c, _ := s.ends()
			s.must(c.Close())
			s.log("SetDeadline", c.SetDeadline(time.Now()))
			s.log("SetReadDeadline", c.SetReadDeadline(time.Time{}))
			s.log("SetWriteDeadline", c.SetWriteDeadline(past))
		}},
	}
}

func closeScenarios() []scenario {
	return []scenario{
		{name: "E-GO-5 close: everything afterwards", run: func(s *script) {
			c, p := s.ends()
			b := make([]byte, 1)
			s.log("Close", c.Close())
			s.log("Read", logs(c.Read(b))...)
			s.log("Read nothing", logs(c.Read(nil))...)
			s.log("Write", logs(c.Write(b))...)
			s.log("Write nothing", logs(c.Write(nil))...)
			s.log("Close again", c.Close())
			s.log("CloseRead", c.CloseRead())
			s.log("CloseWrite", c.CloseWrite())
			s.log("SetLinger", c.SetLinger(0))
			s.log("SetNoDelay", c.SetNoDelay(true))
			s.log("SetKeepAlive", c.SetKeepAlive(true))
			s.log("SetKeepAlivePeriod", c.SetKeepAlivePeriod(time.Second))
			s.log("SetKeepAliveConfig", c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true}))
			s.log("SetReadBuffer", c.SetReadBuffer(1<<16))
			s.log("SetWriteBuffer", c.SetWriteBuffer(1<<16))
			_, err := c.File()
			s.log("File", err)
			s.log("MultipathTCP", logs(c.MultipathTCP())...)
			s.log("peer's Read", logs(p.Read(b))...)
		}},
		{name: "E-GO-5 close: wakes every Read and Write", run: func(s *script) {
			c, _ := s.narrow()
			var all []*doing
			for range 3 {
				all = append(all, s.start("Read", func() []any { return logs(c.Read(make([]byte, 1))) }))
			}
			for range 3 {
				all = append(all, s.start("Write", func() []any { _, err := c.Write(big); return logs(err) }))
			}
			s.log("Close", c.Close())
			for _, d := range all {
				d.end()
			}
		}},
		{name: "E-CLS-1 close: an answer in front of unread text", run: func(s *script) {
			for range 20 {
				c, p := s.ends()
				served := make(chan []any, 1)
				go func() {
					_, err := io.ReadFull(p, make([]byte, 10))
					n, werr := io.WriteString(p, "answer")
					served <- logs(err, n, werr, p.Close())
				}()
				_, err := c.Write(big[:100])
				s.must(err)
				s.log("served", <-served...)
				answer, err := io.ReadAll(c)
				s.log("answer", string(answer), err)
				s.log("Read again", logs(c.Read(make([]byte, 1)))...)
			}
		}},
		{name: "E-CLS-2 close: an answer and linger 0", run: func(s *script) {
			for range 20 {
				c, p := s.ends()
				served := make(chan []any, 1)
				go func() {
					_, err := io.ReadFull(p, make([]byte, 10))
					_, werr := io.WriteString(p, "ans")
					_, werr2 := io.WriteString(p, "wer")
					served <- logs(err, werr, werr2, p.SetLinger(0), p.Close())
				}()
				_, err := c.Write(big[:10])
				s.must(err)
				s.log("served", <-served...)
				answer, err := io.ReadAll(c)
				s.log("answer", string(answer), err)
			}
		}},
		{name: "E-CLS-1 close: an answer in the middle of an upload", run: func(s *script) {
			for range 20 {
				c, p := s.narrow()
				served := make(chan []any, 1)
				go func() {
					_, err := io.ReadFull(p, make([]byte, 10))
					n, werr := io.WriteString(p, "answer")
					served <- logs(err, n, werr, p.Close())
				}()
				_, err := c.Write(big)
				s.log("upload", err)
				s.log("served", <-served...)
				answer, err := io.ReadAll(c)
				s.log("answer", string(answer), err)
				s.log("Write", logs(c.Write(big[:1]))...)
			}
		}},
		{name: "close: in many places at once", run: func(s *script) {
			c, p := s.ends()
			good, closed := s.atOnce(8, c.Close)
			s.log("Close", good, closed)
			s.log("peer's Read", logs(p.Read(make([]byte, 1)))...)
		}},
		{name: "close: the client first", run: func(s *script) {
			c, p := s.ends()
			s.send(c, p, "hello")
			s.log("client's Close", c.Close())
			s.log("server's Read", logs(p.Read(make([]byte, 1)))...)
			s.log("server's Close", p.Close())
		}},
		{name: "close: the server first", run: func(s *script) {
			c, p := s.ends()
			s.send(c, p, "hello")
			s.log("server's Close", p.Close())
			s.log("client's Read", logs(c.Read(make([]byte, 1)))...)
			s.log("client's Close", c.Close())
		}},
		{name: "close: both at once", run: func(s *script) {
			c, p := s.ends()
			var group sync.WaitGroup
			group.Go(func() { s.must(c.Close()) })
			group.Go(func() { s.must(p.Close()) })
			group.Wait()
			s.log("Read", logs(c.Read(make([]byte, 1)))...)
		}},
		{name: "close: what was written arrives", run: func(s *script) {
			c, p := s.ends()
			text := random(5, 1<<20)
			d := s.start("Write", func() []any {
				n, err := c.Write(text)
				return logs(n, err, c.Close())
			})
			got, err := io.ReadAll(p)
			s.log("peer's Read", bytes.Equal(got, text), err)
			d.end()
		}},
		{name: "close: half, and half", run: func(s *script) {
			c, p := s.ends()
			s.log("client's CloseWrite", c.CloseWrite())
			s.log("server's Read", logs(p.Read(make([]byte, 1)))...)
			s.log("server's Write", logs(p.Write([]byte("answer")))...)
			s.log("server's CloseWrite", p.CloseWrite())
			b, err := io.ReadAll(c)
			s.log("client's Read", b, err)
			s.log("client's Write", logs(c.Write([]byte("x")))...)
			s.log("client's Close", c.Close())
			s.log("server's Close", p.Close())
		}},
		{name: "close: CloseRead and CloseWrite, then Close", run: func(s *script) {
			c, p := s.ends()
			s.log("CloseRead", c.CloseRead())
			s.log("CloseWrite", c.CloseWrite())
			s.log("Read", logs(c.Read(make([]byte, 1)))...)
			s.log("Write", logs(c.Write([]byte("x")))...)
			s.log("Close", c.Close())
			s.log("peer's Read", logs(p.Read(make([]byte, 1)))...)
		}},
		{name: "close: shutdown when both sides have ended", run: func(s *script) {
			c, p := s.ends()
			s.must(p.CloseWrite())
			s.log("Read", logs(c.Read(make([]byte, 1)))...)
			s.must(c.CloseWrite())
			s.log("peer's Read", logs(p.Read(make([]byte, 1)))...)
			s.log("Read again", logs(c.Read(make([]byte, 1)))...)
			s.log("CloseWrite again", fmt.Sprint(c.CloseWrite() == nil || true))
			s.log("Close", c.Close())
			s.log("peer's Close", p.Close())
		}},
		{name: "E-CLS-2 close: linger zero", run: func(s *script) {
			c, p := s.ends()
			s.log("SetLinger", c.SetLinger(0))
			s.log("Close", c.Close())
			s.log("peer's Read", logs(p.Read(make([]byte, 1)))...)
			s.log("peer's Read", logs(p.Read(make([]byte, 1)))...)
			s.log("peer's Write", logs(p.Write([]byte("x")))...)
		}},
		{name: "E-CLS-2 close: linger zero with text unsent", run: func(s *script) {
			c, p := s.narrow()
			s.must(c.SetLinger(0))
			var n int
			d := s.start("Write", func() []any {
				var err error
				n, err = c.Write(big)
				return logs(n > 0, err)
			})
			s.log("Close", c.Close())
			d.end()
			got, err := io.Copy(io.Discard, p)
			s.log("peer's Read", got <= int64(n), err)
		}},
		{name: "E-CLS-3 close: linger until it is acknowledged", run: func(s *script) {
			c, p := s.ends()
			s.must(c.SetLinger(60))
			_, err := c.Write([]byte("hello"))
			s.must(err)
			s.log("Close", c.Close())
			b, err := io.ReadAll(p)
			s.log("peer's Read", b, err)
		}},
		{name: "close: linger turned off again", run: func(s *script) {
			c, p := s.ends()
			s.log("on", c.SetLinger(0))
			s.log("off", c.SetLinger(-1))
			_, err := c.Write([]byte("hello"))
			s.must(err)
			s.log("Close", c.Close())
			b, err := io.ReadAll(p)
			s.log("peer's Read", b, err)
		}},
		{name: "close: of one who is reset while the other one waits", run: func(s *script) {
			c, p := s.narrow()
			r := s.start("Read", func() []any { return logs(c.Read(make([]byte, 1))) })
			w := s.start("peer's Write", func() []any { _, err := p.Write(big); return logs(err) })
			s.must(c.SetLinger(0))
			s.log("Close", c.Close())
			<-r.done // text may have come first
			w.end()
		}},
	}
}

func optionScenarios() []scenario {
	return []scenario{
		{name: "E-GO-11 E-GO-13 options: the defaults", run: func(s *script) {
			c, p := s.ends()
			s.log("dialled", optionsOf(s, c))
			s.log("accepted", optionsOf(s, p))
			s.log("backlog", backlogOf(s, s.listen()))
			s.log("MultipathTCP", logs(c.MultipathTCP())...)
		}},
		{name: "E-GO-13 options: of a Dialer", run: func(s *script) {
			l := s.listen()
			for _, d := range []net.Dialer{
				{KeepAlive: -1}, {KeepAlive: 1500 * time.Millisecond}, {KeepAlive: 1 << 62},
				{KeepAliveConfig: net.KeepAliveConfig{Enable: true}},
				{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 6 * time.Second, Count: 7}},
				{KeepAlive: -1, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Count: 3}},
				{KeepAlive: time.Minute, KeepAliveConfig: net.KeepAliveConfig{Idle: time.Second}},
				{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}},
				{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 40000 * time.Second, Count: 3}},
			} {
				c, err := s.client.Dial(background, d, "tcp", l.Addr().String())
				s.must(err)
				s.log(fmt.Sprint(d.KeepAlive, d.KeepAliveConfig), optionsOf(s, c))
				s.must(c.Close())
			}
		}},
		{name: "E-GO-13 options: of a ListenConfig", run: func(s *script) {
			for _, lc := range []net.ListenConfig{
				{KeepAlive: -1}, {KeepAlive: time.Minute},
				{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 6 * time.Second, Count: 7}},
			} {
				l, err := s.server.Listen(background, lc, "tcp", net.JoinHostPort(s.serverIP, "0"))
				s.must(err)
				c := s.dialTo(l)
				a, err := l.Accept()
				s.must(err)
				s.log(fmt.Sprint(lc.KeepAlive, lc.KeepAliveConfig), optionsOf(s, a))
				s.must(a.Close())
				s.must(c.Close())
				s.must(l.Close())
			}
		}},
		{name: "options: keepalive", run: func(s *script) {
			c, _ := s.ends()
			for _, cfg := range []net.KeepAliveConfig{
				{Enable: true, Idle: time.Minute, Interval: 2 * time.Second, Count: 4},
				{Enable: true, Idle: 1500 * time.Millisecond},
				{Idle: time.Second},
				{Enable: true, Idle: -1, Interval: -1, Count: -1},
				{Enable: true, Idle: 32767 * time.Second},
				{Enable: true, Idle: 32768 * time.Second},
				{Enable: true, Interval: 32768 * time.Second},
				{Enable: true, Count: 127},
				{Enable: true, Count: 128},
				{Enable: true, Idle: 1},
			} {
				s.log(fmt.Sprint(cfg), c.SetKeepAliveConfig(cfg))
				s.log("now", optionsOf(s, c))
			}
			for _, d := range []time.Duration{0, -1, 1, time.Second, time.Hour, 40000 * time.Second} {
				s.log(fmt.Sprint("period ", d), c.SetKeepAlivePeriod(d))
				s.log("now", optionsOf(s, c))
			}
			s.log("off", c.SetKeepAlive(false))
			s.log("now", optionsOf(s, c))
		}},
		{name: "options: linger, delay and buffers", run: func(s *script) {
			c, p := s.ends()
			for _, sec := range []int{0, 1, 30, -1, -100} {
				s.log(fmt.Sprint("linger ", sec), c.SetLinger(sec))
				s.log("now", optionsOf(s, c))
			}
			s.log("NoDelay", c.SetNoDelay(false))
			s.log("now", optionsOf(s, c))
			for _, n := range []int{1, 0, -1, 4096, 1 << 20, 1 << 30} {
				s.log(fmt.Sprint("read buffer ", n), c.SetReadBuffer(n))
				s.log(fmt.Sprint("write buffer ", n), c.SetWriteBuffer(n))
			}
			s.send(c, p, "still")
			s.send(p, c, "there")
		}},
		{name: "options: File and SyscallConn", run: func(s *script) {
			c, _ := s.ends()
			f, err := c.File()
			s.log("File", f != nil, err)
			if f != nil {
				s.must(f.Close())
			}
			s.log("SyscallConn", logs(isSyscallConn(c))...)
		}},
		{name: "zero values: TCPConn", run: func(s *script) {
			c, _, _ := s.client.Zero()
			b := make([]byte, 1)
			s.log("Read", logs(c.Read(b))...)
			s.log("Write", logs(c.Write(b))...)
			s.log("Close", c.Close())
			s.log("CloseRead", c.CloseRead())
			s.log("CloseWrite", c.CloseWrite())
			s.log("LocalAddr", c.LocalAddr())
			s.log("RemoteAddr", c.RemoteAddr())
			s.log("SetDeadline", c.SetDeadline(past))
			s.log("SetReadDeadline", c.SetReadDeadline(past))
			s.log("SetWriteDeadline", c.SetWriteDeadline(past))
			s.log("SetLinger", c.SetLinger(0))
			s.log("SetNoDelay", c.SetNoDelay(true))
			s.log("SetKeepAlive", c.SetKeepAlive(true))
			s.log("SetKeepAlivePeriod", c.SetKeepAlivePeriod(1))
			s.log("SetKeepAliveConfig", c.SetKeepAliveConfig(net.KeepAliveConfig{}))
			s.log("SetReadBuffer", c.SetReadBuffer(1))
			s.log("SetWriteBuffer", c.SetWriteBuffer(1))
			s.log("ReadFrom", logs(c.ReadFrom(strings.NewReader("x")))...)
			s.log("WriteTo", logs(c.WriteTo(io.Discard))...)
			s.log("MultipathTCP", logs(c.MultipathTCP())...)
		}},
		{name: "zero values: TCPListener", run: func(s *script) {
			_, l, _ := s.client.Zero()
			s.log("Accept", logs(l.Accept())...)
			s.log("Close", l.Close())
			s.log("SetDeadline", l.SetDeadline(past))
			f, err := l.File()
			s.log("File", f != nil, err)
		}},
		{name: "zero values: UDPConn", run: func(s *script) {
			_, _, c := s.client.Zero()
			b := make([]byte, 1)
			s.log("Read", logs(c.Read(b))...)
			s.log("Write", logs(c.Write(b))...)
			n, from, err := c.ReadFrom(b)
			s.log("ReadFrom", n, from, err)
			s.log("WriteTo", logs(c.WriteTo(b, &net.UDPAddr{}))...)
			n, oobn, flags, addr, err := c.ReadMsgUDP(b, nil)
			s.log("ReadMsgUDP", n, oobn, flags, addr == nil, err)
			n, oobn, err = c.WriteMsgUDP(b, nil, nil)
			s.log("WriteMsgUDP", n, oobn, err)
			s.log("Close", c.Close())
			s.log("LocalAddr", c.LocalAddr())
			s.log("RemoteAddr", c.RemoteAddr())
			s.log("SetDeadline", c.SetDeadline(past))
			s.log("SetReadBuffer", c.SetReadBuffer(1))
		}},
	}
}

func concurrentScenarios() []scenario {
	return []scenario{
		{name: "E-RW-10 concurrent: the octets of one Write stay together", run: func(s *script) {
			c, p := s.ends()
			const writers, each, size = 8, 20, 1000
			var group sync.WaitGroup
			for w := range writers {
				group.Go(func() {
					b := bytes.Repeat([]byte{byte('a' + w)}, size)
					for range each {
						if _, err := c.Write(b); err != nil {
							s.t.Error(err)
						}
					}
				})
			}
			go func() { group.Wait(); _ = c.CloseWrite() }()
			all, err := io.ReadAll(p)
			s.log("ReadAll", len(all), err)
			var torn int
			for i := 0; i+size <= len(all); i += size {
				if bytes.Count(all[i:i+size], all[i:i+1]) != size {
					torn++
				}
			}
			s.log("torn", torn)
		}},
		{name: "concurrent: large Writes stay together too", run: func(s *script) {
			c, p := s.narrow()
			const writers, size = 4, 1 << 20
			var group sync.WaitGroup
			for w := range writers {
				group.Go(func() { _, _ = c.Write(bytes.Repeat([]byte{byte('a' + w)}, size)) })
			}
			go func() { group.Wait(); _ = c.CloseWrite() }()
			all, err := io.ReadAll(p)
			s.log("ReadAll", len(all), err)
			var torn int
			for i := 0; i+size <= len(all); i += size {
				if bytes.Count(all[i:i+size], all[i:i+1]) != size {
					torn++
				}
			}
			s.log("torn", torn)
		}},
		{name: "concurrent: both directions", run: func(s *script) {
			c, p := s.ends()
			text := random(4, 1<<20)
			var group sync.WaitGroup
			for _, end := range []stream{c, p} {
				group.Go(func() { _, _ = end.Write(text); _ = end.CloseWrite() })
			}
			got := make([]bool, 2)
			for i, end := range []stream{c, p} {
				group.Go(func() {
					b, err := io.ReadAll(end)
					got[i] = err == nil && bytes.Equal(b, text)
				})
			}
			group.Wait()
			s.log("whole", got)
		}},
		{name: "concurrent: many readers share a stream", run: func(s *script) {
			c, p := s.ends()
			var group sync.WaitGroup
			var mu sync.Mutex
			total := 0
			for range 8 {
				group.Go(func() {
					n, err := io.Copy(io.Discard, struct{ io.Reader }{c})
					mu.Lock()
					defer mu.Unlock()
					total += int(n)
					if err != nil {
						s.t.Error(err)
					}
				})
			}
			_, err := p.Write(make([]byte, 1<<20))
			s.must(err)
			s.must(p.CloseWrite())
			group.Wait()
			s.log("total", total)
		}},
		{name: "concurrent: every method, and Close among them", run: func(s *script) {
			c, p := s.ends()
			var group sync.WaitGroup
			for range 4 {
				group.Go(func() { _, _ = io.Copy(io.Discard, struct{ io.Reader }{c}) })
				group.Go(func() { _ = untilError(c, make([]byte, 1000)) })
				group.Go(func() {
					for range 50 {
						_ = c.SetDeadline(time.Now().Add(time.Minute))
						_ = c.SetNoDelay(false)
						_, _ = c.LocalAddr(), c.RemoteAddr()
					}
				})
			}
			go func() { _, _ = io.CopyN(io.Discard, p, 1<<16); _ = c.Close() }()
			group.Wait()
			_, err := c.Read(make([]byte, 1))
			s.log("Read", err)
		}},
	}
}
