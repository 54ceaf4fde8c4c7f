package stack

import (
	"sync"
	"time"

	"github.com/unet-go/unet/internal/clock"
	"github.com/unet-go/unet/internal/mono"
)

// waitDeadline is when the calls that wait for a listener or a UDP socket give up. A connection has plain moments for
// it: its node in the shard's wheel takes the place of the timer.
type waitDeadline struct {
	at    mono.Time // 0 for never
	timer *time.Timer
}

// passed says whether the deadline has passed.
func (d *waitDeadline) passed(c *clock.Clock) bool { return d.at != 0 && d.at <= c.Now() }

// set makes t the deadline, the zero time means never. When t comes, all goroutines that wait at waiting look again.
func (d *waitDeadline) set(c *clock.Clock, t time.Time, waiting *sync.Cond) {
	d.stop()
	if d.at = c.Moment(t); d.at == 0 {
		return
	}
	if left := d.at.Sub(c.Now()); left > 0 {
		d.timer = time.AfterFunc(left, func() {
			waiting.L.Lock() // a goroutine between its check and its Wait holds it, and would miss the Broadcast
			defer waiting.L.Unlock()
			waiting.Broadcast()
		})
	}
}

// stop stops the timer. The deadline stays.
func (d *waitDeadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

// passed says whether the deadline at has passed.
func passed(at, now mono.Time) bool { return at != 0 && at <= now }
