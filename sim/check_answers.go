package sim

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/transfer"
)

// answerJudge remembers what clients were told: it stands for ever, and no later answer may know less.
type answerJudge struct {
	w      *world
	fates  map[transfer.ID]*fate
	opened map[place]time.Duration // when an account was first acknowledged
	places []place                 // in that order
	audits map[transfer.BankID][]audited
}

// fate is all that anybody was told about one id.
type fate struct {
	contents []*transfer.Transfer // that were submitted under it
	open     int                  // submissions that may have had an effect
	state    transfer.State       // the outcome that was told; zero: none
	reason   transfer.Code
	cancels  int // that may have had an effect
	voids    int
	captures [][]int64     // what clients wanted of a hold; nil: all of it
	captured []int64       // what was told
	heldAt   time.Duration // when it was first told to be held; 0: never
	toldAt   time.Duration
	seenAt   time.Duration // when an answer first knew of it; 0: never
	content  *transfer.Fingerprint
	history  history
}

type place struct {
	bank    transfer.BankID
	account transfer.AccountID
}

type audited struct {
	at   time.Duration
	last uint64 // entry
}

func newAnswerJudge(w *world) *answerJudge {
	return &answerJudge{w: w, fates: map[transfer.ID]*fate{}, opened: map[place]time.Duration{}, audits: map[transfer.BankID][]audited{}}
}

// asked takes down what a client wants.
func (j *answerJudge) asked(q *question) {
	switch ask := q.ask.(type) {
	case lane.Submit:
		f := j.fateOf(ask.Transfer.ID)
		q.told = f.ask(q)
		f.open++
		fingerprint := ask.Transfer.Fingerprint()
		if !slices.ContainsFunc(f.contents, func(t *transfer.Transfer) bool { return t.Fingerprint() == fingerprint }) {
			f.contents = append(f.contents, cloneTransfer(ask.Transfer))
		}
	case lane.CancelTransfer:
		f := j.fateOf(ask.ID)
		q.told = f.ask(q)
		f.cancels++
	case lane.VoidTransfer:
		f := j.fateOf(ask.ID)
		q.told = f.ask(q)
		f.voids++
	case lane.CaptureTransfer:
		f := j.fateOf(ask.ID)
		q.told = f.ask(q)
		f.captures = append(f.captures, ask.AmountsMinor)
	case lane.GetTransfer:
		q.told = j.fateOf(ask.ID).ask(q)
	}
}

func (j *answerJudge) fateOf(id transfer.ID) *fate {
	f := j.fates[id]
	if f == nil {
		f = &fate{}
		j.fates[id] = f
	}
	return f
}

// heard judges an answer at the moment when the node gives it.
func (j *answerJudge) heard(q *question, a *lane.Answer) {
	if errors.Is(a.Err, transfer.ErrInternal) && !errors.Is(a.Err, errRotten) {
		j.w.fail("no answer is an internal error", "%T: %v", q.ask, a.Err)
	}
	if errors.Is(a.Err, transfer.ErrNotYet) {
		j.w.counts.Early++
	}
	switch ask := q.ask.(type) {
	case lane.Submit:
		j.submitted(q, ask.Transfer, a)
	case lane.CancelTransfer:
		j.ended(q, ask.ID, a)
	case lane.VoidTransfer:
		j.ended(q, ask.ID, a)
	case lane.CaptureTransfer:
		j.ended(q, ask.ID, a)
		j.capturedAs(ask, a)
	case lane.GetTransfer:
		j.read(q, ask.ID, a)
	case lane.OpenAccount:
		j.accountOpened(q, place{ask.Bank, ask.Terms.ID}, a)
	case lane.GetAccount:
		j.accountRead(q, place{ask.Bank, ask.ID}, a)
	case lane.AuditBank:
		j.audited(q, ask.Bank, a)
	case lane.ListEntries:
		for i := range a.Entries {
			if a.Entries[i].Seq != ask.AfterSeq+uint64(i)+1 {
				j.w.fail("a journal has no gaps", "bank %s after %d, line %d: entry %d", ask.Bank, ask.AfterSeq, i+1, a.Entries[i].Seq)
			}
		}
	}
}

func (j *answerJudge) submitted(q *question, asked *transfer.Transfer, a *lane.Answer) {
	f, fingerprint := j.fates[asked.ID], asked.Fingerprint()
	var code *transfer.Error
	switch {
	case a.Err == nil:
		if s := a.Transfer.State; !s.Decided() && (s != transfer.Held || !asked.IsHold()) {
			j.w.fail("a submission is answered with an outcome", "transfer %s is %s", asked.ID, s)
		}
		if known := &a.Transfer.Transfer; len(known.Legs) > 0 && known.Fingerprint() != fingerprint {
			j.w.fail("an id stands for one content", "transfer %s was asked with %+v and answered with %+v", asked.ID, asked.Legs, known.Legs)
		}
		j.learn(q, f, asked.ID, &a.Transfer)
	case errors.Is(a.Err, transfer.ErrIDConflict):
		f.open--
		if len(f.contents) < 2 || (f.content != nil && *f.content == fingerprint) {
			j.w.fail("only another content conflicts", "transfer %s, submitted with %d contents: %v", asked.ID, len(f.contents), a.Err)
		}
	case errors.As(a.Err, &code) && (nothingHappened(code) || code.Kind == transfer.KindInvalid):
		f.open-- // nothing happened, it says
		q.told.end(j.w.now, refusal, 0)
	default:
		j.w.counts.Unknown++
	}
}

// nothingHappened says whether an error promises that.
func nothingHappened(code *transfer.Error) bool {
	return code.Kind == transfer.KindUnavailable || code.Kind == transfer.KindExhausted || code == transfer.ErrNotYet
}

// ended: a cancel, a void and a capture are answered with an outcome, which stands as any other: what was heard to be cancelled never commits.
func (j *answerJudge) ended(q *question, id transfer.ID, a *lane.Answer) {
	var code *transfer.Error
	if errors.As(a.Err, &code) && nothingHappened(code) {
		q.told.end(j.w.now, refusal, 0)
	}
	if a.Err != nil {
		return
	}
	if !a.Transfer.State.Decided() {
		j.w.fail("who ends a transfer is answered with an outcome", "transfer %s is %s", id, a.Transfer.State)
	}
	j.learn(q, j.fates[id], id, &a.Transfer)
}

// capturedAs: who captures hears that this much was captured, or that nothing was.
func (j *answerJudge) capturedAs(ask lane.CaptureTransfer, a *lane.Answer) {
	if a.Err != nil || a.Transfer.State != transfer.Committed {
		return
	}
	j.w.counts.Captured++
	want, err := a.Transfer.Transfer.Capture(ask.AmountsMinor)
	if err != nil || !slices.Equal(want, a.Transfer.CapturedMinor) {
		j.w.fail("what is captured is what was asked for", "transfer %s: asked for %d, answered with %d", ask.ID, ask.AmountsMinor, a.Transfer.CapturedMinor)
	}
}

// learn compares what a node says of a transfer with everything that was said before.
func (j *answerJudge) learn(q *question, f *fate, id transfer.ID, r *transfer.Record) {
	if r.Transfer.ID != id {
		j.w.fail("an answer is about what was asked", "asked about %s, answered with %s", id, r.Transfer.ID)
	}
	if len(r.Transfer.Legs) > 0 {
		fingerprint := r.Transfer.Fingerprint()
		if f.content != nil && *f.content != fingerprint {
			j.w.fail("an id stands for one content", "transfer %s is now %+v", id, r.Transfer.Legs)
		}
		f.content = &fingerprint
	}
	q.told.end(j.w.now, outcome, r.State)
	if f.seenAt == 0 {
		f.seenAt = j.w.now
	}
	switch {
	case !r.State.Decided():
		if f.state != 0 && f.toldAt < q.asked || r.State == transfer.Pending && f.heldAt != 0 && f.heldAt < q.asked {
			j.w.fail("no read is older than an answer", "transfer %s was %s at %v, or held at %v; asked at %v, it is %s", id, f.state, f.toldAt, f.heldAt, q.asked, r.State)
		}
		if r.State == transfer.Held && f.heldAt == 0 {
			f.heldAt = j.w.now
		}
	case r.Transfer.IsHold() && r.State == transfer.Committed && len(f.captures) == 0, r.Reason.Code == transfer.ErrVoided.Code && f.voids == 0:
		j.w.fail("only its client captures or voids a hold", "transfer %s is %s", id, r.State)
	case r.Reason.Code == transfer.ErrCancelled.Code && f.cancels == 0:
		j.w.fail("only what a client cancels is cancelled", "transfer %s", id)
	case f.state == 0:
		f.state, f.reason, f.captured, f.toldAt = r.State, r.Reason.Code, r.CapturedMinor, j.w.now
	case f.state != r.State || f.reason != r.Reason.Code || !slices.Equal(f.captured, r.CapturedMinor):
		j.w.fail("what a client heard stands for ever", "transfer %s was told to be %s %s at %v, and now %s %s", id, f.state, f.reason, f.toldAt, r.State, r.Reason.Code)
	}
}

func (j *answerJudge) read(q *question, id transfer.ID, a *lane.Answer) {
	f := j.fates[id]
	if a.Err == nil {
		j.learn(q, f, id, &a.Transfer)
		return
	}
	if !errors.Is(a.Err, transfer.ErrTransferNotFound) {
		return
	}
	q.told.end(j.w.now, outcome, 0)
	if f.seenAt != 0 && f.seenAt < q.asked {
		j.w.fail("no read is older than an answer", "transfer %s was known at %v; asked at %v, it isn't", id, f.seenAt, q.asked)
	}
}

func (j *answerJudge) accountOpened(_ *question, p place, a *lane.Answer) {
	if errors.Is(a.Err, transfer.ErrAccountExists) {
		j.w.fail("opening an account again is harmless", "%v: %v", p, a.Err)
	}
	if _, known := j.opened[p]; a.Err == nil && !known {
		j.opened[p] = j.w.now
		j.places = append(j.places, p)
	}
}

func (j *answerJudge) accountRead(q *question, p place, a *lane.Answer) {
	at, known := j.opened[p]
	if errors.Is(a.Err, transfer.ErrAccountNotFound) && known && at < q.asked {
		j.w.fail("no read is older than an answer", "account %v was opened at %v; asked at %v, it isn't there", p, at, q.asked)
	}
	if a.Err == nil {
		if available, limited := a.Accounts[0].AvailableMinor(); limited && available < 0 {
			j.w.fail("no account is below its limit", "%+v", a.Accounts[0])
		}
	}
}

// audited: a look at a bank sees at least what every look that had ended before it began has seen.
func (j *answerJudge) audited(q *question, b transfer.BankID, a *lane.Answer) {
	if a.Err != nil {
		return
	}
	before := uint64(0)
	for _, seen := range j.audits[b] {
		if seen.at < q.asked {
			before = max(before, seen.last)
		}
	}
	if a.Audit.LastEntry < before {
		j.w.fail("no read is older than an answer", "bank %s had %d entries before %v, and then %d", b, before, q.asked, a.Audit.LastEntry)
	}
	j.audits[b] = append(j.audits[b], audited{j.w.now, a.Audit.LastEntry})
}

// contentWith finds the content of an id whose legs at a bank are these entries, with what a client wanted to capture of it in place of what
// it holds; nil if nobody asked for that.
func (j *answerJudge) contentWith(id transfer.ID, at transfer.BankID, entries []bank.Entry) (of, with *transfer.Transfer) {
	f := j.fates[id]
	if f == nil {
		return nil, nil
	}
	for _, t := range f.contents {
		if !t.IsHold() {
			if legsEqual(t.LegsAt(at), entries) {
				return t, t
			}
			continue
		}
		for _, wish := range f.captures {
			amounts, err := t.Capture(wish)
			captured := *t
			captured.Legs = t.CapturedLegs(amounts)
			if err == nil && legsEqual(captured.LegsAt(at), entries) {
				return t, &captured
			}
		}
	}
	return nil, nil
}

// recordOf is what the coordinators know of a transfer, as far as a live node has heard.
func (j *answerJudge) recordOf(id transfer.ID) *coordinator.Record {
	for _, h := range j.w.hosts {
		if h.lane == nil {
			continue
		}
		r, ok := j.w.judge.best(h.lane.CoordinatorOf(id))
		if !ok {
			return nil
		}
		record, err := r.Coordinator.Lookup(id)
		if err != nil {
			j.w.fail("a record can be read", "%s: %v", id, err)
		}
		return record
	}
	return nil
}

// ids lists everything that was ever submitted, in order.
func (j *answerJudge) ids() []transfer.ID {
	ids := make([]transfer.ID, 0, len(j.fates))
	for id := range j.fates {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b transfer.ID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}
