package sim

import (
	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// bankJudge holds banks to their law (package bank) by the answers that leave them: what is final is never taken back. Answers
// within a node don't pass here. A leader that was paused and doesn't know yet that another leads may say late what its log had before: the
// order is that of the log.
type bankJudge struct {
	w     *world
	words map[word]closing // what closed an id at a bank
}

// closing is the request whose answer closed an id, and how far the bank's log was applied where it was given.
type closing struct {
	op bank.Op
	at raft.Index
}

// word is what a bank can be held to. A rollback closes the id for every content, a no or a Resolve for one.
type word struct {
	bank    transfer.BankID
	id      transfer.ID
	content transfer.Fingerprint // zero: any
}

func newBankJudge(w *world) *bankJudge { return &bankJudge{w: w, words: map[word]closing{}} }

// onSend sees what leaves a node.
func (j *bankJudge) onSend(from raft.NodeID, m *lane.BankAnswers) {
	at := raft.Index(0)
	for _, r := range j.w.host(from).replicas() {
		if lane.BankOf(r.Group) == m.Bank {
			at = r.Applied
		}
	}
	j.hear(m, at)
}

// hear takes what a bank says that has applied its log so far; zero for one that has none, and is heard in the order in which it decides.
func (j *bankJudge) hear(m *lane.BankAnswers, at raft.Index) {
	for i := range m.Answers {
		j.answered(m.Bank, &m.Answers[i], at)
	}
}

func (j *bankJudge) answered(from transfer.BankID, a *bank.Answer, at raft.Index) {
	any, one := word{from, a.ID, transfer.Fingerprint{}}, word{from, a.ID, a.Fingerprint}
	switch {
	case a.Op == bank.Prepare && a.Result == bank.No && a.Reason.Code != transfer.ErrPrepareConflict.Code,
		a.Op == bank.Resolve && a.Result == bank.RolledBack:
		j.close(one, a.Op, at)
	case a.Op == bank.Rollback && a.Result == bank.Done:
		if j.words[any].op == bank.Commit {
			j.broken(from, a, bank.Commit)
		}
		j.close(any, a.Op, at)
	case a.Op == bank.Commit && a.Result == bank.Done:
		if j.words[any].op == bank.Rollback {
			j.broken(from, a, bank.Rollback)
		}
		j.close(any, a.Op, at)
	case a.Result == bank.Yes || a.Result == bank.Prepared:
		if by, closed := j.words[one]; closed && at >= by.at {
			j.broken(from, a, by.op)
		}
		if by := j.words[any]; by.op == bank.Rollback && at >= by.at {
			j.broken(from, a, by.op)
		}
	}
}

// close takes note of the first answer that closes an id: from that entry of the log on it is closed.
func (j *bankJudge) close(w word, op bank.Op, at raft.Index) {
	if by, closed := j.words[w]; !closed || at < by.at || by.op != op {
		j.words[w] = closing{op, at}
	}
}

func (j *bankJudge) broken(from transfer.BankID, a *bank.Answer, before bank.Op) {
	j.w.fail("a bank never takes back what is final", "bank %s answers %s of %s with %s, after its answer to %s had closed it", from, a.Op, a.ID, a.Result, before)
}
