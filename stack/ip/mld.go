package ip

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/unet-go/unet/internal/mono"
	"github.com/unet-go/unet/internal/wire"
)

// The variables of MLDv2 (RFC 3810 9), by default and as long as no query gives others.
const (
	mldRobustness  = 2           // how often a change is reported
	mldUnsolicited = time.Second // the longest time between two such reports
	// mldOldQuerier is how long a router that speaks version 1 is believed to be there (9.12).
	mldOldQuerier = 2*125*time.Second + 10*time.Second
	// mldAnswers is the least time between two answers of an interface, whatever the queries ask for: a flood of them
	// makes no flood of answers.
	mldAnswers = 100 * time.Millisecond
)

// membership has the groups that the host is in on one interface, and reports them to routers and switches (MLDv2, RFC
// 3810): the solicited-node groups of its addresses. Sources do not matter to such groups. Its lock comes before a transmit
// queue's.
type membership struct {
	base   *base
	nd     *ndSender
	source func() netip.Addr // of reports

	mu     sync.Mutex
	groups []member
	// changesAt is when changes are reported again, generalAt when a general query is answered; 0 for never.
	changesAt, generalAt mono.Time
	answered             mono.Time // when a query was last answered
	oldUntil             mono.Time // until then a router of version 1 is believed to be there
}

// member is the host's membership in a group.
type member struct {
	group    netip.Addr // without a zone
	changes  int        // reports of its beginning or end that are still to be sent
	leaving  bool       // the host has left the group
	answerAt mono.Time  // when a query for the group is answered; 0 for never
}

func newMembership(b *base, nd *ndSender, source func() netip.Addr) *membership {
	return &membership{base: b, nd: nd, source: source}
}

// set makes the groups those that the host is in, each of which may be named more than once, and reports the changes.
func (s *membership) set(groups []netip.Addr) {
	now := s.base.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := false
	for i := range s.groups {
		if m := &s.groups[i]; m.leaving == slices.Contains(groups, m.group) {
			m.leaving, m.changes, m.answerAt = !m.leaving, mldRobustness, 0
			changed = true
		}
	}
	for _, g := range groups {
		if !slices.ContainsFunc(s.groups, func(m member) bool { return m.group == g }) {
			s.groups = append(s.groups, member{group: g, changes: mldRobustness})
			changed = true
		}
	}
	if changed {
		s.reportChangesLocked(now)
	}
}

// reportAll reports all groups as if the host had just joined them: who was told of them before may be gone, or was not
// told.
func (s *membership) reportAll() {
	now := s.base.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.groups {
		if !s.groups[i].leaving {
			s.groups[i].changes = mldRobustness
		}
	}
	s.reportChangesLocked(now)
}

// reportChangesLocked sends one report of each change that has some left, and notes when the next ones are due.
func (s *membership) reportChangesLocked(now mono.Time) {
	var changed []wire.MLDRecord
	again := false
	kept := s.groups[:0]
	for _, m := range s.groups {
		if m.changes > 0 {
			m.changes--
			again = again || m.changes > 0
			r := wire.MLDRecord{Type: wire.MLDToExclude, Group: m.group.As16()}
			if m.leaving {
				r.Type = wire.MLDToInclude
			}
			changed = append(changed, r)
		}
		if !m.leaving || m.changes > 0 {
			kept = append(kept, m)
		}
	}
	s.groups = kept
	s.sendLocked(changed, now)
	s.changesAt = 0
	if again {
		s.changesAt = now.Add(1 + rand.N(mldUnsolicited))
		s.base.arm(s.changesAt)
	}
}

// query notes that the query is to be answered, within the time that it gives (RFC 3810 6.2). An answer that is due
// sooner answers it as well.
func (s *membership) query(q *wire.MLDQuery) {
	now := s.base.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.Version == 1 {
		if !s.oldLocked(now) {
			s.forgetAnswersLocked()
		}
		s.oldUntil = now.Add(mldOldQuerier)
	}
	longest := max(time.Duration(q.MaxResponse)*time.Millisecond, 1)
	at := max(now.Add(rand.N(longest)), s.answered.Add(mldAnswers))
	if s.generalAt != 0 && s.generalAt <= at {
		return
	}
	group := netip.AddrFrom16(q.Group)
	if group.IsUnspecified() {
		s.generalAt = at
		s.base.arm(at)
		return
	}
	for i := range s.groups {
		if m := &s.groups[i]; m.group == group && !m.leaving && (m.answerAt == 0 || at < m.answerAt) {
			m.answerAt = at
			s.base.arm(at)
		}
	}
}

// forgetAnswersLocked forgets what was to be answered: the version has changed (RFC 3810 8.2.1).
func (s *membership) forgetAnswersLocked() {
	s.generalAt = 0
	for i := range s.groups {
		s.groups[i].answerAt = 0
	}
}

// oldLocked says whether there is a router on the link that speaks version 1 only.
func (s *membership) oldLocked(now mono.Time) bool { return now < s.oldUntil }

func (s *membership) nextDeadline() (at mono.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sooner := func(t mono.Time) {
		if t != 0 && (!ok || t < at) {
			at, ok = t, true
		}
	}
	sooner(s.changesAt)
	sooner(s.generalAt)
	for i := range s.groups {
		sooner(s.groups[i].answerAt)
	}
	return at, ok
}

func (s *membership) advance(now mono.Time) []Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := func(at mono.Time) bool { return at != 0 && at <= now }
	if due(s.changesAt) {
		s.reportChangesLocked(now)
	}
	general := due(s.generalAt)
	if general {
		s.generalAt = 0
	}
	var answers []wire.MLDRecord
	for i := range s.groups {
		m := &s.groups[i]
		if general || due(m.answerAt) {
			m.answerAt = 0
			if !m.leaving {
				answers = append(answers, wire.MLDRecord{Type: wire.MLDIsExclude, Group: m.group.As16()})
			}
		}
	}
	if len(answers) > 0 {
		s.answered = now
		s.sendLocked(answers, now)
	}
	return nil
}
