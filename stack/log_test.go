package stack

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// logged is a Logger that keeps its lines.
type logged struct {
	*slog.Logger
	mu  sync.Mutex
	buf bytes.Buffer
}

func newLogged() *logged {
	l := &logged{}
	l.Logger = slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
	return l
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// take returns the lines since the last call.
func (l *logged) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.buf.Reset()
	if l.buf.Len() == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(l.buf.String(), "\n"), "\n")
}

func TestLogger(t *testing.T) {
	t.Run("lines come in their order, with a level, and none of them is lost by Close", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newLogged()
			h, err := New(Config{Logger: l})
			if err != nil {
				t.Fatal(err)
			}
			h.log.Info("one", "n", 1)
			h.log.Warn("two")
			h.log.Error("three", "err", fmt.Errorf("no"))
			h.Close()
			h.log.Info("late")
			want := "level=INFO msg=one n=1|level=WARN msg=two|level=ERROR msg=three err=no"
			if got := strings.Join(l.take(), "|"); got != want {
				t.Errorf("%s\nwant\n%s", got, want)
			}
		})
	})
	t.Run("what repeats itself is held back and counted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newLogged()
			h, err := New(Config{Logger: l})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			var limit logLimit
			for range 25 { // one each second
				h.log.warnEvery(&limit, h.clock.Now(), 10*time.Second, "again", "who", "me")
				time.Sleep(time.Second)
			}
			want := "level=WARN msg=again who=me|level=WARN msg=again who=me repeated=9|level=WARN msg=again who=me repeated=9"
			if got := strings.Join(l.take(), "|"); got != want {
				t.Errorf("%s\nwant\n%s", got, want)
			}
		})
	})
	t.Run("a Logger that takes its time holds nothing up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			slow := &slowLogger{}
			h, err := New(Config{Logger: slow})
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			for range 10 * logQueue {
				h.log.Info("line")
			}
			if took := time.Since(began); took != 0 {
				t.Errorf("logging took %v", took)
			}
			h.Close()
			if n := slow.lines; n < logQueue || n > logQueue+1 {
				t.Errorf("%d lines came, want those that fit in the queue and the one in progress", n)
			}
		})
	})
	t.Run("nil, and a nil *slog.Logger, want no lines", func(t *testing.T) {
		for _, l := range []Logger{nil, (*slog.Logger)(nil)} {
			h, err := New(Config{Logger: l})
			if err != nil {
				t.Fatal(err)
			}
			h.log.Info("line")
			h.log.warnEvery(&logLimit{}, h.clock.Now(), time.Second, "line")
			h.Close()
		}
	})
}

type slowLogger struct{ lines int }

func (l *slowLogger) line()                { l.lines++; time.Sleep(time.Second) }
func (l *slowLogger) Info(string, ...any)  { l.line() }
func (l *slowLogger) Warn(string, ...any)  { l.line() }
func (l *slowLogger) Error(string, ...any) { l.line() }
