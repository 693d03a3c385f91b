package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// settleWithin is how long a world without faults may take until everything is decided and settled. Where a chunk is a single record, a state of two thousand
// takes a member that had been away some twenty seconds.
const settleWithin = 60 * time.Second

// unsettled says what keeps the world from being at rest; "" if nothing does.
func (j *judge) unsettled() string {
	applied := map[lane.GroupID]raft.Index{}
	for _, h := range j.w.hosts {
		if h.gone {
			continue
		}
		if h.lane == nil {
			return fmt.Sprintf("node %d is down", h.id)
		}
		if len(h.asked) > 0 {
			return fmt.Sprintf("node %d owes %d answers, the first to %+v", h.id, len(h.asked), h.openQuestions()[0].ask)
		}
		for _, r := range h.replicas() {
			status := r.Engine.Status()
			at, known := applied[r.Group]
			switch {
			case known && at != r.Applied, status.Last != r.Applied:
				return fmt.Sprintf("node %d has applied %d of %d entries of %s, another %d", h.id, r.Applied, status.Last, r.Group, at)
			case status.Leader == 0:
				return fmt.Sprintf("node %d knows no leader of %s", h.id, r.Group)
			case r.Coordinator != nil && r.Coordinator.UnsettledCount() > 0:
				return fmt.Sprintf("%d transfers of %s are not settled, the first is %+v", r.Coordinator.UnsettledCount(), r.Group, *r.Coordinator.Unsettled()[0])
			case r.Ledger != nil && r.Ledger.OpenHolds() > 0:
				return fmt.Sprintf("bank %s holds %d transfers, the first %v", r.Bank, r.Ledger.OpenHolds(), r.Ledger.Holds()[0].ID)
			}
			applied[r.Group] = r.Applied
			if why := j.w.unsteered(&r); r.Leading && why != "" {
				return why
			}
		}
	}
	if s := j.w.stranger; s != nil && s.ledger.OpenHolds() > 0 {
		return fmt.Sprintf("the foreign bank holds %d transfers, the first %v", s.ledger.OpenHolds(), s.ledger.Holds()[0].ID)
	}
	return ""
}

func (j *judge) settled() bool { return j.unsettled() == "" }

// end judges the world at rest.
func (j *judge) end() {
	if why := j.unsettled(); why != "" {
		j.w.fail("everything settles once faults have ended", "after %v of calm: %s", settleWithin, why)
		return
	}
	j.money.look()
	j.reads.end()
	for _, stands := range j.w.operator.heard {
		if broken := stands(j.w.directory()); broken != "" {
			j.w.fail("an accepted change of the cluster stands", "%s", broken)
		}
	}
	for _, h := range j.w.hosts {
		if h.gone {
			continue
		}
		for _, r := range h.replicas() {
			j.goThrough(h, &r)
			j.raft.verify(h, &r)
		}
	}
	if s := j.w.stranger; s != nil {
		if err := s.ledger.Check(); err != nil {
			j.w.fail("a bank's books are consistent", "foreign bank: %v", err)
		}
	}
	for _, id := range j.answers.ids() {
		j.endOf(id)
		j.answers.linearizable(id)
	}
	j.w.traffic.readBack()
	j.w.until(j.w.now+10*time.Second, func() bool { return j.w.traffic.reading == 0 })
}

// endOf: applied everywhere or nowhere, as decided, as told.
func (j *judge) endOf(id transfer.ID) {
	f, a, r := j.answers.fates[id], j.money.appliedAt(id), j.answers.recordOf(id)
	state := transfer.Aborted // what nobody knows has no effect either
	if r != nil {
		state = r.State
		if state == transfer.Committed {
			j.w.counts.Committed++
		} else {
			j.w.counts.Aborted++
		}
	}
	whole := a != nil && len(a.at) == len(a.content.Banks())
	switch {
	case state == transfer.Committed && !whole:
		j.w.fail("what is committed is applied everywhere", "transfer %s, applied: %+v", id, a)
	case state == transfer.Committed && !r.Transfer.IsHold() && a.of.Fingerprint() != r.Fingerprint,
		state == transfer.Committed && !slices.Equal(a.content.Legs, r.Transfer.CapturedLegs(r.CapturedMinor)): // parts of two contents may be equal
		j.w.fail("what is applied is what was committed", "transfer %s is %+v, applied: %+v", id, r.Transfer.Legs, a.content.Legs)
	case state != transfer.Committed && a != nil:
		j.w.fail("what is not committed is applied nowhere", "transfer %s is %s, applied at %v", id, state, a.at)
	case f.state != 0 && (r == nil || f.state != r.State):
		j.w.fail("what a client heard stands for ever", "transfer %s was told to be %s, the end is %+v", id, f.state, r)
	case f.open == 0 && a != nil && j.w.counts.Duplicated == 0: // a copy that the network made may be accepted after the first was refused
		j.w.fail("who is told that nothing happened can rely on it", "transfer %s was always refused, and is applied at %v", id, a.at)
	}
}
