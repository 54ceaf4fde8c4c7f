package stack

// The numbers in this file were chosen by measurement on a virtual machine with two processors (docs/speed.md), and have
// no field in Config. Each says what was measured and what it depends on, so that it can be chosen again on another
// machine. None decides what is right or wrong: a poor choice costs speed or memory alone.

// Lending (lend.go): a large Write is transmitted from the caller's memory before it is copied.
const (
	// lendLeast is the number of octets from which a Write is lent. Below it the work for the loan costs more than the
	// copy out of a cold cache that it saves.
	lendLeast = 32 << 10
	// lendMost is how many octets are lent at once. They should still be in the cache when what is not acknowledged is
	// copied, so the number follows the size of the L2 cache. A Write of so much that looks for acknowledgments before
	// it copies is 14 to 24 % faster; looking after each 64 KiB loses half of that.
	lendMost = 256 << 10
	// lendWaitFrom is how many large Writes must be in progress for each to wait for its acknowledgment in place of
	// copying. With three the device always has something of the others to send: eight streams are 16 to 20 % faster
	// on two processors, 25 to 40 % on one. With one or two the device runs dry, and the rate halves. More processors
	// empty the device sooner, and would need more.
	lendWaitFrom = 3
)

// Answers that wait for the end of a receive burst (held.go).
const (
	// maxHeld is how many written octets of a connection may wait for the end of a burst. It bounds what a wait can
	// cost, and is not measured: some of a super-segment of 64 KB, for which the device need not wait for more.
	maxHeld = 16384
	// maxYields bounds how often the receive loop yields its processor to the goroutines that it has woken: twice for
	// each, and so often at most. A yield that finds nobody to run costs little beside a goroutine that answers; by how
	// much was not measured. With more processors other ones take goroutines over, and yielding finds fewer.
	maxYields = 16
)

// maxSpareWaiters is how many records of waiting goroutines a shard keeps for the next connection that is waited for.
// A connection has a record only while a goroutine waits for it, so that few records are free at a time. Not measured.
const maxSpareWaiters = 64

// The receive loop (receive.go).
//
// A burst of large frames ends while the text is still in the processor's cache when it is read. Where several
// connections share it, it goes on for longer: else it would end after some frames of each of them, and the
// acknowledgments of each burst interrupt the peer's processor, at some 28 us. With eight streams that is +17 % on one
// processor and +6 % on two.
const (
	// largeFrame is the mean size in octets of a burst's frames from which its length is bounded by octets.
	largeFrame = 16384
	// connOctets is the length in octets of such a burst for each reader that it wakes. It follows the size of the L2
	// cache.
	connOctets = 512 << 10
	// turnFrom is how many goroutines a burst must have woken for the loop to give its turn to the other one of its two.
	// Where fewer answer, an idle processor would take that one over before they have. At 64 and 256 connections on two
	// processors runtime.Gosched in its place costs a tenth of the requests, and doubles the p99.
	turnFrom = 4
)
