package tap

import "time"

// The numbers in this file were chosen by measurement on a virtual machine with two processors, and have no field in
// Config. Each says what was measured there and what it depends on, so that it can be chosen again on another machine.
// None decides what is right or wrong: a poor choice costs speed alone.

// Batches.
const (
	// ringEntries is the number of frames that one io_uring_enter moves. A frame costs 1.6 to 2.8 us by a system call of
	// its own and 0.3 us in a batch: 145,000 requests/s in place of 122,000 at 64 connections. Each entry of the
	// receiving ring keeps a buffer of 72 KB. It is also the receive loop's batch (64 frames): more would not be asked for.
	ringEntries = 64
	// ringPatience is how many times in a row io_uring_enter may say that the kernel is short of something (EAGAIN,
	// EBUSY) before the queue does without io_uring. It is not measured: any number that is not 1 would do.
	ringPatience = 16
	// burstOctets ends a batch of large frames, however many the caller asks for: the stack and the application should
	// find them in the processor's cache. One stream from the kernel went from 3.8 to 4.4 GB/s with GOMAXPROCS=1. It
	// depends on the size of the caches.
	burstOctets = 1 << 20
	// newQueueLen is Config.QueueLen of a new interface. The kernel's own 500 overflow when some thousand connections
	// have something to say at once, and each drop costs its connection a retransmission timeout.
	newQueueLen = 4096
)

// Buffers.
const (
	// copyBelow is the size in octets of a buffer up to which a received frame is copied out of the read buffer
	// in place of being handed over in it: a copy costs some tens of nanoseconds, the next read finds its buffer
	// in the cache, and a frame that the stack keeps holds a small buffer and not one of 72 KB.
	copyBelow = 2048
	// Frames begin at one of colours places in their buffers, colourStep octets apart. Buffers are aligned to their size,
	// so otherwise the headers of a batch would compete for the same few sets of the cache. A step is two cache lines.
	colours    = 8
	colourStep = 128
)

// Looking again before waiting (spin). Waiting in the poller costs two wakeups, of this thread by its peer and then of the
// peer by this one. On a machine whose processors sleep when they are idle each wakeup takes longer than to answer a
// request: looking again made 1.7 to 2.2 times the requests at one connection. Where processors wake sooner a shorter
// spinFor is enough, and the gain is smaller.
const (
	// spinFor is how long a reader looks again: about two wakeups.
	spinFor = 100 * time.Microsecond
	// spinSoon is the longest wait in the poller after which looking again would have been worth it: spinFor and this
	// thread's own wakeup.
	spinSoon = 2 * spinFor
	// spinCredit is the most that a reader may have gained, and spinLoss what a vain spin costs it: more than one
	// vain spin in five is too many.
	spinCredit = 16
	spinLoss   = 4
	// spinBelow is the number of octets, found at once or written since frames were last found, from which looking
	// again gains nothing: a program that sends or receives so much does not wait for an answer to each frame, and needs
	// the processor. One stream from the client went from 4.0 to 4.25 GB/s.
	spinBelow = 16384
)

// Handing frames to another processor (steering), in the file steer_linux.go.
const (
	// steerLookEvery is the number of calls to Write between two looks at where they run: the look is a system call.
	steerLookEvery = 8
	// steerWindow is the number of looks in a window. A window ends with a decision: frames are handed elsewhere if more
	// than three quarters of its looks found the writer on the processor that frames are handed to.
	steerWindow = 16
	// steerMinFrames is the mean number of frames of a call to Write below which frames stay with the writer: it then
	// waits for the answer to each, and another processor would have to be woken for each. At one connection frames that
	// stay make 41,000 requests/s, frames that are handed over 27,000. What waking a processor costs decides it.
	steerMinFrames = 2
	// steerMaxOctets is the mean size in octets of the frames of a window from which they stay with the writer. To hand
	// over a frame of 64 KB interrupts the other processor for each one, which was a quarter of the server's time.
	steerMaxOctets = 8192
	// steerMaxCost is what a frame that is handed over may cost the writer at most, in percent of what a frame costs it
	// that stays. Requests save more than that, connections of one request each do not: with GOMAXPROCS=1 48,000
	// connections/s where they are handed over, 57,400 where they stay.
	steerMaxCost = 70
	// After firstTrialInterval windows one window tries the other way, to measure it again. As long as the decision
	// stands the interval is doubled each time, up to lastTrialInterval: a trial costs what the worse way costs.
	firstTrialInterval, lastTrialInterval = 4, 8
	// steerSettle is how long a decision stands after a datagram. The frames that were handed to a processor may wait
	// there, and frames that are written after the decision has changed would overtake them. TCP puts its segments in
	// order again; nothing does that for datagrams. They wait for milliseconds; a host that sends a query now and then must
	// not keep a decision that is wrong for its streams: with one second a stream to the client lost 30 %.
	steerSettle = 100 * time.Millisecond
)
