//go:build unetdebug

package link

import "sync/atomic"

var outstanding atomic.Int64

// Outstanding returns the number of buffers that are in use.
func Outstanding() int64 { return outstanding.Load() }

func debugGet(*Buffer) { outstanding.Add(1) }

// debugPut overwrites the storage with a pattern, so that a goroutine that reads it without a reference finds wrong octets.
func debugPut(b *Buffer) {
	outstanding.Add(-1)
	b.data[0] = 0xdb
	for n := 1; n < len(b.data); n *= 2 {
		copy(b.data[n:], b.data[:n]) // octet by octet it would be slow with the race detector
	}
}
