package sim

import (
	"slices"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// moneyJudge follows the journal of every bank: no transfer is applied twice, or in part with other content, or after it was
// aborted; and per currency, what all accounts have plus what is still to be applied is zero.
type moneyJudge struct {
	w        *world
	books    []*books
	partly   map[transfer.ID]*applied // at some of its banks, not yet at all
	finished map[transfer.ID]*applied
}

// books is the newest state of a bank that anybody has seen.
type books struct {
	bank     transfer.BankID
	applied  raft.Index
	totals   []bank.Total
	journal  []bank.Entry
	balances map[transfer.AccountID]int64 // after it
}

// applied is where a transfer has become entries.
type applied struct {
	of      *transfer.Transfer // what was submitted
	content *transfer.Transfer // the same, but of a hold what was captured of it
	at      []transfer.BankID
}

func newMoneyJudge(w *world) *moneyJudge {
	j := &moneyJudge{w: w, partly: map[transfer.ID]*applied{}, finished: map[transfer.ID]*applied{}}
	for _, b := range w.shape.banks {
		j.books = append(j.books, &books{bank: b, balances: map[transfer.AccountID]int64{}})
	}
	return j
}

func (j *moneyJudge) look() {
	for _, b := range j.books {
		j.catchUp(b)
	}
	if j.w.failure == nil {
		j.conserved()
		j.noneAborted()
	}
}

// booksOf are those of one bank, as they were last looked at.
func (j *moneyJudge) booksOf(id transfer.BankID) *books {
	return j.books[slices.IndexFunc(j.books, func(b *books) bool { return b.bank == id })]
}

// newest is how many entries any replica of a bank has, or has had.
func (j *moneyJudge) newest(id transfer.BankID) uint64 {
	known := uint64(len(j.booksOf(id).journal))
	if r, ok := j.w.judge.best(lane.BankGroup(id)); ok {
		return max(known, r.Ledger.LastEntry())
	}
	return known
}

// followBank looks at one bank now, and says whether there was something new.
func (j *moneyJudge) followBank(id transfer.BankID) bool {
	defer j.w.judge.seeThrough()()
	return j.catchUp(j.booksOf(id))
}

func (j *moneyJudge) catchUp(b *books) bool {
	r, ok := j.w.judge.best(lane.BankGroup(b.bank))
	if !ok || r.Applied <= b.applied || betweenBooks(&r) {
		return false
	}
	j.follow(b, &r)
	return true
}

// follow reads on in a bank's journal.
func (j *moneyJudge) follow(b *books, r *lane.Replica) {
	b.applied, b.totals = r.Applied, r.Ledger.Totals()
	fresh, err := r.Ledger.Entries(uint64(len(b.journal)), 1<<30)
	if err != nil {
		j.w.fail("a journal can be read", "bank %s after entry %d: %v", b.bank, len(b.journal), err)
		return
	}
	b.journal = append(b.journal, fresh...)
	for i := range fresh {
		b.balances[fresh[i].Account] = fresh[i].BalanceMinor
	}
	for len(fresh) > 0 {
		n := 1
		for n < len(fresh) && fresh[n].Transfer == fresh[0].Transfer {
			n++
		}
		j.posted(b.bank, fresh[:n])
		fresh = fresh[n:]
	}
}

// posted takes in what one bank has applied of one transfer.
func (j *moneyJudge) posted(at transfer.BankID, entries []bank.Entry) {
	id := entries[0].Transfer
	if a := j.finished[id]; a != nil {
		j.w.fail("a transfer has one effect", "bank %s applies %s again, after %v", at, id, a.at)
		return
	}
	a := j.partly[id]
	if a == nil {
		a = &applied{}
		a.of, a.content = j.w.judge.answers.contentWith(id, at, entries)
		j.partly[id] = a
	}
	switch {
	case a.content == nil:
		j.w.fail("only what a client asked for is applied", "bank %s applies %s: %+v", at, id, entries)
	case slices.Contains(a.at, at):
		j.w.fail("a transfer has one effect", "bank %s applies %s twice", at, id)
	case !legsEqual(a.content.LegsAt(at), entries):
		j.w.fail("all banks apply the same content", "transfer %s is %+v, bank %s applies %+v", id, a.content.Legs, at, entries)
	default:
		a.at = append(a.at, at)
		if len(a.at) == len(a.content.Banks()) {
			delete(j.partly, id)
			j.finished[id] = a
		}
	}
}

// conserved: totals come from the accounts, what is missing from the transfers.
func (j *moneyJudge) conserved() {
	sums := map[transfer.Currency]int64{}
	for _, b := range j.books {
		for _, t := range b.totals {
			sums[t.Currency] += t.PostedMinor
		}
	}
	for _, a := range j.partly {
		for _, l := range a.content.Legs {
			if !slices.Contains(a.at, l.Bank) {
				sums[l.Currency] += l.SignedMinor()
			}
		}
	}
	for currency, sum := range sums {
		if sum != 0 {
			j.w.fail("money is neither made nor lost", "%d %s too much in all banks, with what is still to be applied", sum, currency)
		}
	}
}

// noneAborted: once a leg is applied anywhere, no coordinator may call the transfer aborted.
func (j *moneyJudge) noneAborted() {
	for id := range j.partly {
		if r := j.w.judge.answers.recordOf(id); r != nil && r.State == transfer.Aborted {
			j.w.fail("a transfer is applied at every bank or at none", "%s is applied at %v and aborted: %s", id, j.partly[id].at, r.Reason.Code)
		}
	}
}

// appliedAt says where a transfer is applied, in full or in part.
func (j *moneyJudge) appliedAt(id transfer.ID) *applied {
	if a := j.finished[id]; a != nil {
		return a
	}
	return j.partly[id]
}
