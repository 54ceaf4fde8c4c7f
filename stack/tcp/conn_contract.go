package tcp

import "syscall"

type mark struct{}
type challengeLimit struct{}

// Conn is one connection's TCB.
type Conn struct{ opts Options }

func (c *Conn) Connect(env *Env, out Sink, t Tuple, p Path, o *Options, minISS Seq, hasMin bool, now Time) {
}
func (c *Conn) Accept(env *Env, out Sink, h *HalfOpen, t Tuple, p Path, o *Options, now Time) {}
func (c *Conn) SegmentArrives(seg *Segment, now Time)                                         {}
func (c *Conn) Output(now Time)                                                               {}
func (c *Conn) Timeout(now Time)                                                              {}
func (c *Conn) Deadline() Time                                                                { return 0 }
func (c *Conn) TakeEvents() Event                                                             { return 0 }
func (c *Conn) State() State                                                                  { return Closed }
func (c *Conn) Err() syscall.Errno                                                            { return 0 }
func (c *Conn) Send(p []byte, now Time) int                                                   { return 0 }
func (c *Conn) SendSpace() int                                                                { return 0 }
func (c *Conn) Writable() bool                                                                { return false }
func (c *Conn) Receive(p []byte, now Time) int                                                { return 0 }
func (c *Conn) ReceiveSpan(now Time) Span                                                     { return Span{} }
func (c *Conn) Peek(p []byte) int                                                             { return 0 }
func (c *Conn) Readable() int                                                                 { return 0 }
func (c *Conn) EOF() bool                                                                     { return false }
func (c *Conn) CloseWrite(now Time)                                                           {}
func (c *Conn) CloseRead(now Time)                                                            {}
func (c *Conn) Close(now Time)                                                                {}
func (c *Conn) Abort(now Time)                                                                {}
func (c *Conn) Options() Options                                                              { return c.opts }
func (c *Conn) SetOptions(o *Options, now Time)                                               {}
func (c *Conn) ICMPError(e ICMPError, now Time)                                               {}
func (c *Conn) SetPath(p Path, now Time)                                                      {}
func (c *Conn) TimeWait(now Time) TimeWait                                                    { return TimeWait{} }
func (c *Conn) Release()                                                                      {}
func (c *Conn) Info() Info                                                                    { return Info{} }
func (c *Conn) SendQueued() int                                                               { return 0 }

type Verdict uint8

const (
	Drop Verdict = iota
	Reply
	Remove
	Complete
	Reopen
)

type ListenVerdict uint8

const (
	ListenDrop ListenVerdict = iota
	ListenReply
	ListenSYN
	ListenACK
)

type Secret [32]byte

func NewSecret() *Secret                       { return nil }
func AnswerClosed(seg, reply *Segment) bool    { return false }
func ListenArrives(seg *Segment) ListenVerdict { return 0 }

type HalfOpen struct{}

func (h *HalfOpen) Init(env *Env, t Tuple, p Path, o *Options, seg *Segment, minISS Seq, hasMin bool, now Time) {
}
func (h *HalfOpen) InitCookie(env *Env, t Tuple, p Path, o *Options, seg *Segment, now Time) {}
func (h *HalfOpen) FromCookie(env *Env, t Tuple, p Path, o *Options, seg *Segment, now Time) bool {
	return false
}
func (h *HalfOpen) SynAck(env *Env, reply *Segment, now Time)                      {}
func (h *HalfOpen) SegmentArrives(env *Env, seg, reply *Segment, now Time) Verdict { return 0 }
func (h *HalfOpen) Timeout(env *Env, reply *Segment, now Time) Verdict             { return 0 }
func (h *HalfOpen) Deadline() Time                                                 { return 0 }

type TimeWait struct{}

func (w *TimeWait) SegmentArrives(env *Env, seg, reply *Segment, now Time) Verdict { return 0 }
func (w *TimeWait) MinISS() Seq                                                    { return 0 }
func (w *TimeWait) Deadline() Time                                                 { return 0 }
