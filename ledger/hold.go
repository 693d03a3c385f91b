package ledger

import (
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/mutant"
	"github.com/quorate/quorate/transfer"
)

// hold is one transfer between its Yes and its outcome. It never changes while it lives.
type hold struct {
	id            transfer.ID
	fingerprint   transfer.Fingerprint
	preparedNanos int64
	untilNanos    int64  // of a client's hold: when its coordinator voids it; 0: it is none
	index         uint64 // the log entry that prepared it, and
	ordinal       uint32 // the place of its command there
	stored        bool   // a checkpoint contains it
	reference     string
	legs          []holdLeg
	inline        [2]holdLeg // where legs are, as long as they fit
	digest        uint64

	older, newer *hold
}

type holdLeg struct {
	account     *account
	amountMinor int64 // signed: a debit is negative
}

// holds is the open holds, chained in the order in which they were prepared.
type holds struct {
	byID           map[transfer.ID]*hold
	oldest, newest *hold
	next           *hold         // after the one that ended last: holds end much in the order in which they were prepared
	forClients     int           // of them, those that a client has to capture
	gone           []transfer.ID // stored ones that ended since the last Checkpoint
	spare          []*hold       // empty ones to use again: most holds live for milliseconds
}

const spareHoldsMax = 1 << 14

func (s *holds) make() *hold {
	last := len(s.spare) - 1
	if last < 0 {
		return &hold{}
	}
	h := s.spare[last]
	s.spare = s.spare[:last]
	return h
}

// recycle takes a hold that nothing points to any more.
func (s *holds) recycle(h *hold) {
	if len(s.spare) < spareHoldsMax {
		*h = hold{}
		s.spare = append(s.spare, h)
	}
}

func (s *holds) add(h *hold) {
	s.byID[h.id] = h
	if h.untilNanos != 0 {
		s.forClients++
	}
	h.older = s.newest
	if s.newest == nil {
		s.oldest = h
	} else {
		s.newest.newer = h
	}
	s.newest = h
}

// find is for whoever expects that there is one.
func (s *holds) find(id transfer.ID) *hold {
	if s.next != nil && s.next.id == id {
		return s.next
	}
	return s.byID[id]
}

func (s *holds) remove(h *hold) {
	delete(s.byID, h.id)
	s.next = h.newer
	if h.untilNanos != 0 {
		s.forClients--
	}
	if h.older == nil {
		s.oldest = h.newer
	} else {
		h.older.newer = h.newer
	}
	if h.newer == nil {
		s.newest = h.older
	} else {
		h.newer.older = h.older
	}
	if h.stored {
		s.gone = append(s.gone, h.id)
	}
}

// reserve takes leg after leg from what is available, so that debits of one account add up, and gives everything
// back at the first refusal.
func (l *Ledger) reserve(h *hold, legs []transfer.Leg) (transfer.Reason, error) {
	h.legs = h.inline[:0]
	for i := range legs {
		a, err := l.account(legs[i].Account)
		var reason transfer.Reason
		switch {
		case err != nil:
		case a == nil:
			reason = noAccountReason(legs[i].Account)
		default:
			reason = a.refuse(&legs[i])
		}
		if err != nil || reason.Code != "" {
			h.reserveAll(-1)
			return reason, err
		}
		amount := legs[i].SignedMinor()
		a.reserve(amount, +1)
		h.legs = append(h.legs, holdLeg{account: a, amountMinor: amount})
	}
	return transfer.Reason{}, nil
}

// captures says whether so much of each leg is reserved. No amounts mean everything.
func (h *hold) captures(amountsMinor []int64) bool {
	if len(amountsMinor) == 0 {
		return true
	}
	if len(amountsMinor) != len(h.legs) {
		return false
	}
	for i, amount := range amountsMinor {
		if reserved := h.legs[i].amountMinor; amount < 1 || amount > max(reserved, -reserved) {
			return false
		}
	}
	return true
}

// postedMinor is what a commit posts of a leg, signed.
func (h *hold) postedMinor(leg int, captured []int64) int64 {
	switch reserved := h.legs[leg].amountMinor; {
	case len(captured) == 0:
		return reserved
	case reserved < 0:
		return -captured[leg]
	default:
		return captured[leg]
	}
}

func (h *hold) reserveAll(by int) {
	for i := range h.legs {
		h.legs[i].account.reserve(h.legs[i].amountMinor, by)
	}
}

// hold takes a hold whose legs are reserved into the state.
func (l *Ledger) hold(h *hold) {
	h.digest = digestOfHold(h)
	l.hash += h.digest
	l.holds.add(h)
	for i := range h.legs {
		h.legs[i].account.checkReserved(h.legs[i].amountMinor)
		l.touch(h.legs[i].account)
	}
}

// end closes a hold whose legs have been posted or freed.
func (l *Ledger) end(h *hold, state finishedState) {
	l.hash -= h.digest
	l.holds.remove(h)
	l.finish(finished{id: h.id, prepared: true, fingerprint: h.fingerprint, state: state})
	l.holds.recycle(h)
}

// HoldPlace is a hold's place in the order in which they were prepared. Zero is before all.
type HoldPlace struct {
	index   uint64
	ordinal uint32
}

func (p HoldPlace) before(other HoldPlace) bool {
	return p.index < other.index || p.index == other.index && p.ordinal < other.ordinal
}

// OldHolds names up to limit transfers that were prepared before the given time and are still undecided: first those behind a place, in the order in
// which they were prepared, then those up to it. last is the place of the last one: who goes on there has named all in turn, however many there are. It looks
// at every younger hold too, for clocks of two leaders may differ and a younger hold may carry an older time.
func (l *Ledger) OldHolds(before time.Time, behind HoldPlace, limit int) (ids []transfer.ID, last HoldPlace) {
	last = behind
	for _, again := range []bool{false, true} {
		for h := l.holds.oldest; h != nil && len(ids) < limit; h = h.newer {
			if mutant.On(mutant.WaitOutHolds) && !timeOf(h.untilNanos).Before(before) {
				continue
			}
			place := HoldPlace{h.index, h.ordinal}
			if behind.before(place) != again && timeOf(h.preparedNanos).Before(before) {
				ids, last = append(ids, h.id), place
			}
		}
	}
	return ids, last
}

// OpenHold is a transfer that is prepared and undecided, as the bank knows it.
type OpenHold struct {
	ID          transfer.ID
	Fingerprint transfer.Fingerprint
	PreparedAt  time.Time
}

// Holds lists the transfers that are prepared and undecided, in the order in which they were prepared.
func (l *Ledger) Holds() []OpenHold {
	open := make([]OpenHold, 0, len(l.holds.byID))
	for h := l.holds.oldest; h != nil; h = h.newer {
		open = append(open, OpenHold{ID: h.id, Fingerprint: h.fingerprint, PreparedAt: timeOf(h.preparedNanos)})
	}
	return open
}

// Find says what the bank knows of a transfer with this content: Prepared, Committed, RolledBack, No if it was refused, or zero for
// nothing. Unlike a Resolve it closes nothing.
func (l *Ledger) Find(id transfer.ID, fingerprint transfer.Fingerprint) (bank.Result, error) {
	if h := l.holds.byID[id]; h != nil {
		if h.fingerprint != fingerprint {
			return bank.RolledBack, nil
		}
		return bank.Prepared, nil
	}
	f, known, err := l.finished.find(l.reader, id)
	switch {
	case err != nil || !known:
		return 0, err
	case f.state == committed && f.fingerprint == fingerprint:
		return bank.Committed, nil
	case f.state == refused && f.fingerprint == fingerprint:
		return bank.No, nil
	}
	return bank.RolledBack, nil
}

// HoldsForClient says whether a transfer is prepared that its client has to capture.
func (l *Ledger) HoldsForClient(id transfer.ID) bool {
	h := l.holds.byID[id]
	return h != nil && h.untilNanos != 0
}

// OpenHolds counts the transfers that are prepared and undecided.
func (l *Ledger) OpenHolds() int { return len(l.holds.byID) }

// ClientHolds counts those among them that their clients have to capture, which may take days.
func (l *Ledger) ClientHolds() int { return l.holds.forClients }
