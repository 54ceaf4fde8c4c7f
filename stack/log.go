package stack

import (
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// Logger takes the few lines that a host has for those who run it: a device that fails, an address that another host
// has too. A *slog.Logger is one. It is an interface so that a program without log/slog, which would be 0.3 MB, does
// not get it with the stack.
type Logger interface {
	Info(msg string, args ...any)
	Warn(msg string, args ...any)
	Error(msg string, args ...any)
}

// logQueue is how many lines may wait for the Logger. More are dropped: none of them is worth waiting for.
const logQueue = 64

// hostLog hands lines to the Logger on a goroutine of its own. The stack so never waits for a Logger, even one that
// writes to a connection of the same host, and may log while it holds a lock.
type hostLog struct {
	to    Logger // nil: no lines
	lines chan logLine
	done  chan struct{}
	ended chan struct{}
	once  sync.Once
}

type logLine struct {
	log  func(msg string, args ...any)
	msg  string
	args []any
	told chan struct{} // to be closed when the Logger has it, unless it is nil
}

func (l *logLine) hand() {
	l.log(l.msg, l.args...)
	if l.told != nil {
		close(l.told)
	}
}

// logPatience is how long ErrorFirst waits for the Logger.
const logPatience = time.Second

// start sets the Logger and starts the goroutine. An interface that holds a nil pointer counts as nil.
func (l *hostLog) start(to Logger) {
	if to == nil {
		return
	}
	if v := reflect.ValueOf(to); v.Kind() == reflect.Pointer && v.IsNil() {
		return
	}
	l.to = to
	l.lines = make(chan logLine, logQueue)
	l.done, l.ended = make(chan struct{}), make(chan struct{})
	go l.run()
}

// run hands lines over until stop, and then those that wait.
func (l *hostLog) run() {
	defer close(l.ended)
	for {
		select {
		case line := <-l.lines:
			line.hand()
		case <-l.done:
			for {
				select {
				case line := <-l.lines:
					line.hand()
				default:
					return
				}
			}
		}
	}
}

// stop waits until the Logger has all lines. What is logged later is lost.
func (l *hostLog) stop() {
	if l.to != nil {
		l.once.Do(func() { close(l.done) })
		<-l.ended
	}
}

func (l *hostLog) put(line logLine) (taken bool) {
	select {
	case l.lines <- line:
		return true
	default:
		return false
	}
}

// Info, Warn and Error log a line, args being keys and values by turns. The values are looked at later, on
// another goroutine. They may be called under any lock.
func (l *hostLog) Info(msg string, args ...any) {
	if l.to != nil {
		l.put(logLine{log: l.to.Info, msg: msg, args: args})
	}
}

func (l *hostLog) Warn(msg string, args ...any) {
	if l.to != nil {
		l.put(logLine{log: l.to.Warn, msg: msg, args: args})
	}
}

func (l *hostLog) Error(msg string, args ...any) {
	if l.to != nil {
		l.put(logLine{log: l.to.Error, msg: msg, args: args})
	}
}

// ErrorFirst is Error that lets the Logger have the line before it returns, if that takes no longer than
// logPatience: so a program that ends because of what follows has logged the reason. No lock may be held.
func (l *hostLog) ErrorFirst(msg string, args ...any) {
	if l.to == nil {
		return
	}
	line := logLine{log: l.to.Error, msg: msg, args: args, told: make(chan struct{})}
	if !l.put(line) {
		return
	}
	timer := time.NewTimer(logPatience)
	defer timer.Stop()
	select {
	case <-line.told:
	case <-timer.C:
	case <-l.ended:
	}
}

// logLimit keeps one kind of line to one in each interval. The zero value is ready.
type logLimit struct {
	next atomic.Int64 // when the next line may come, a mono.Time
	held atomic.Uint64
}

// allow says whether a line may be logged now, and how many were held back since the last one.
func (l *logLimit) allow(now mono.Time, every time.Duration) (held uint64, ok bool) {
	next := l.next.Load()
	if int64(now) < next || !l.next.CompareAndSwap(next, int64(now.Add(every))) {
		l.held.Add(1)
		return 0, false
	}
	return l.held.Swap(0), true
}

// warnEvery is Warn for what a stranger can bring about: at most one line of the kind that l stands for in each
// interval, with the number of those that were held back, as "repeated".
func (l *hostLog) warnEvery(limit *logLimit, now mono.Time, every time.Duration, msg string, args ...any) {
	if l.to == nil {
		return
	}
	held, ok := limit.allow(now, every)
	if !ok {
		return
	}
	if held > 0 {
		args = append(args, "repeated", held)
	}
	l.Warn(msg, args...)
}
