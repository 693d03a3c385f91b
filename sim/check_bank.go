package sim

import (
	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/transfer"
)

// bankJudge holds banks to their law (package bank) by the answers that leave them: what is final is never taken back. Answers
// within a node don't pass here.
type bankJudge struct {
	w     *world
	words map[word]bank.Op // the request whose answer closed an id at a bank
}

// word is what a bank can be held to. A rollback closes the id for every content, a no or a Resolve for one.
type word struct {
	bank    transfer.BankID
	id      transfer.ID
	content transfer.Fingerprint // zero: any
}

func newBankJudge(w *world) *bankJudge { return &bankJudge{w: w, words: map[word]bank.Op{}} }

func (j *bankJudge) onSend(m *lane.BankAnswers) {
	for i := range m.Answers {
		j.answered(m.Bank, &m.Answers[i])
	}
}

func (j *bankJudge) answered(from transfer.BankID, a *bank.Answer) {
	any, one := word{from, a.ID, transfer.Fingerprint{}}, word{from, a.ID, a.Fingerprint}
	switch {
	case a.Op == bank.Prepare && a.Result == bank.No && a.Reason.Code != transfer.ErrPrepareConflict.Code,
		a.Op == bank.Resolve && a.Result == bank.RolledBack:
		j.words[one] = a.Op
	case a.Op == bank.Rollback && a.Result == bank.Done:
		if j.words[any] == bank.Commit {
			j.broken(from, a, bank.Commit)
		}
		j.words[any] = a.Op
	case a.Op == bank.Commit && a.Result == bank.Done:
		if j.words[any] == bank.Rollback {
			j.broken(from, a, bank.Rollback)
		}
		j.words[any] = a.Op
	case a.Result == bank.Yes || a.Result == bank.Prepared:
		if op, closed := j.words[one]; closed {
			j.broken(from, a, op)
		}
		if j.words[any] == bank.Rollback {
			j.broken(from, a, bank.Rollback)
		}
	}
}

func (j *bankJudge) broken(from transfer.BankID, a *bank.Answer, before bank.Op) {
	j.w.fail("a bank never takes back what is final", "bank %s answers %s of %s with %s, after its answer to %s had closed it", from, a.Op, a.ID, a.Result, before)
}
