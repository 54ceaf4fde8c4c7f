package cc

import (
	"time"

	"github.com/unet-go/unet/internal/mono"
)

// Sampler measures the delivery rate of a connection (draft-cheng-iccrg-delivery-rate-estimation). A Controller that
// needs delivery rates holds one and returns it; the connection then keeps a Stamp with each record in flight. The zero
// value is ready.
//
// A sample spans the time from the delivery of one record, A, to that of a record that was sent then, B. What was
// delivered meanwhile, over the longer of the times that it took to be sent and to be acknowledged, is the rate: neither
// acknowledgments that arrive in a bunch nor a burst of the sender can make it look higher than it was.
type Sampler struct {
	delivered, lost uint64    // octets, since the connection began
	deliveredAt     mono.Time // when delivered last grew
	firstSent       mono.Time // when the record delivered last was sent: the send time of A
	limitedUntil    uint64    // the application has limited what is in flight until so much is delivered; zero if not

	sample    Sample // of the acknowledgment in progress
	newestEnd uint32 // the end of the record that it is about
	taken     Sample // what Take returned last
}

// Stamp is what the connection keeps of the time at which a record was sent.
type Stamp struct {
	// Delivered and Lost are how many octets had been delivered and found lost since the connection began.
	Delivered, Lost uint64
	// deliveredAt is when the last of them was delivered, zero if the record was sent before there was a Sampler.
	deliveredAt mono.Time
	firstSent   mono.Time
	// InFlight is how much was in the network, the record included.
	InFlight uint32
	// AppLimited says that the application had not written enough to fill cwnd.
	AppLimited bool
}

// Sample is the delivery rate that one acknowledgment shows.
type Sample struct {
	// Delivered octets were delivered in Interval, which is zero if the acknowledgment says nothing of the rate.
	Delivered uint64
	Interval  time.Duration
	// RTT is the round-trip time of the record sent last of those that were delivered, zero if none was.
	RTT time.Duration
	// Sent is that record's stamp: the round trip that began with it is over.
	Sent Stamp
	// Acked octets were newly delivered and Lost octets newly found to be lost since the sample before.
	Acked, Lost uint32
	// PriorInFlight is how much was in the network before the acknowledgment.
	PriorInFlight uint32
	// TotalDelivered and TotalLost count octets since the connection began.
	TotalDelivered, TotalLost uint64
}

// Rate returns the delivery rate in octets a second, zero if the sample has none.
func (s *Sample) Rate() uint64 {
	if s.Interval == 0 {
		return 0
	}
	return uint64(float64(s.Delivered) / s.Interval.Seconds())
}

// Sent returns the stamp of a record that leaves now, with inFlight octets in the network, of which n are its own.
func (s *Sampler) Sent(n, inFlight uint32, now mono.Time) Stamp {
	if inFlight <= n { // the network was empty: the time idle is no time of delivery
		s.firstSent, s.deliveredAt = now, now
	}
	return Stamp{Delivered: s.delivered, Lost: s.lost, deliveredAt: s.deliveredAt, firstSent: s.firstSent,
		InFlight: inFlight, AppLimited: s.limitedUntil != 0}
}

// AppLimited says that the application has nothing more to send while cwnd would let more than inFlight octets leave.
func (s *Sampler) AppLimited(inFlight uint32) { s.limitedUntil = max(s.delivered+uint64(inFlight), 1) }

// Lost notes that a record of n octets is lost.
func (s *Sampler) Lost(n uint32) {
	s.lost += uint64(n)
	s.sample.Lost += n
}

// Totals returns how many octets were delivered and found lost since the connection began.
func (s *Sampler) Totals() (delivered, lost uint64) { return s.delivered, s.lost }

// Record notes that n octets up to number end, which were last sent at sentAt and stamped then, are newly delivered.
func (s *Sampler) Record(st *Stamp, n, end uint32, sentAt, now mono.Time) {
	s.delivered += uint64(n)
	s.deliveredAt = now
	s.sample.Acked += n
	if st.deliveredAt == 0 {
		return
	}
	newer := sentAt > s.firstSent || sentAt == s.firstSent && end != s.newestEnd && reached(end, s.newestEnd)
	if s.sample.Sent.deliveredAt != 0 && !newer {
		return
	}
	s.sample.Sent = *st
	s.sample.Interval = sentAt.Sub(st.firstSent)
	s.sample.RTT = now.Sub(sentAt)
	s.firstSent, s.newestEnd = sentAt, end
}

// Take returns the sample of the acknowledgment whose records were noted since the last call. minRTT is the smallest
// round-trip time of the connection: what seems to have been sent and acknowledged in less has left as one burst.
func (s *Sampler) Take(priorInFlight uint32, minRTT time.Duration) *Sample {
	if s.limitedUntil != 0 && s.delivered > s.limitedUntil {
		s.limitedUntil = 0
	}
	sample := s.sample
	s.sample = Sample{}
	sample.PriorInFlight = priorInFlight
	sample.TotalDelivered, sample.TotalLost = s.delivered, s.lost
	if sample.Sent.deliveredAt != 0 {
		sample.Interval = max(sample.Interval, s.deliveredAt.Sub(sample.Sent.deliveredAt))
		sample.Delivered = s.delivered - sample.Sent.Delivered
		if sample.Interval < minRTT {
			sample.Interval = 0
		}
	}
	s.taken = sample
	return &s.taken
}

// reached says whether number a of the ring is b or stands behind it.
func reached(a, b uint32) bool { return int32(a-b) >= 0 }
