package tcp

import (
	"math"
	"time"

	"github.com/unet-go/unet/internal/mono"
)

const (
	initialRTO          = time.Second     // RFC 6298 2.1
	retransmittedSYNRTO = 3 * time.Second // RFC 6298 5.7
	tsTick              = time.Millisecond
	pawsIdle            = 24 * 24 * time.Hour // RFC 7323 5.5
)

// tsNow returns TSval: milliseconds with an offset of the connection's own (RFC 7323 5.4).
func (c *Conn) tsNow(now mono.Time) uint32 { return tsClock(now) + c.tsOffset }

func tsClock(now mono.Time) uint32 { return uint32(int64(now) / int64(tsTick)) }

// echoRTT returns the round-trip time that an echoed timestamp stands for, zero for one from the future.
func (c *Conn) echoRTT(ecr uint32, now mono.Time) time.Duration {
	d := int32(c.tsNow(now) - ecr)
	if d < 0 {
		return 0
	}
	return max(time.Duration(d)*tsTick, time.Microsecond)
}

// sampleRTT takes one measurement into SRTT, RTTVAR and RTO (RFC 6298 2.2, 2.3).
func (c *Conn) sampleRTT(d time.Duration) {
	if d <= 0 {
		d = time.Microsecond
	}
	r := int32(min(d/time.Microsecond, time.Duration(1<<30)))
	r = max(r, 1)
	if c.srtt == 0 {
		c.srtt, c.rttvar = r, r/2
		c.minRTT = r
	} else {
		diff := c.srtt - r
		if diff < 0 {
			diff = -diff
		}
		c.rttvar += (diff - c.rttvar) / 4
		c.srtt += (r - c.srtt) / 8
		c.minRTT = min(c.minRTT, r)
	}
	c.setRTO()
}

// setRTO computes RTO with the variance term floored as Linux does (ledger Z-4) instead of a floor of a
// second under the whole.
func (c *Conn) setRTO() {
	variance := max(4*int64(c.rttvar), int64(c.env.Config.MinRTO/time.Microsecond))
	c.rto = int32(min(int64(c.srtt)+variance, int64(c.env.Config.MaxRTO/time.Microsecond), math.MaxInt32))
}

func micros(n int32) time.Duration { return time.Duration(n) * time.Microsecond }

// backedOffRTO returns RTO doubled for each timeout in a row, capped (RFC 6298 5.5).
func (c *Conn) backedOffRTO() time.Duration {
	rto := micros(c.rto)
	for range min(c.backoff, 20) {
		rto *= 2
		if rto >= c.env.Config.MaxRTO {
			return c.env.Config.MaxRTO
		}
	}
	return rto
}
