package sim

import (
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// readJudge compares every answer about a bank's books with its journal: it must show the books as they were after some whole transfer, no
// earlier than what any replica had applied when it was asked for. That is more than linearizable: a client may not even have heard of it.
type readJudge struct {
	w    *world
	open []openLook // match no journal that is known by now: the only replica that had more may be down
}

// openLook is a look at a bank that is judged later.
type openLook struct {
	bank     transfer.BankID
	node     raft.NodeID
	asked    time.Duration
	answered time.Duration
	floor    uint64 // entries that it must show
	accounts []bank.Account
}

// bankOf is the bank that a question is about, if it is about one.
func bankOf(ask lane.Ask) (transfer.BankID, bool) {
	switch a := ask.(type) {
	case lane.GetAccount:
		return a.Bank, true
	case lane.ListAccounts:
		return a.Bank, true
	case lane.ListEntries:
		return a.Bank, true
	case lane.AuditBank:
		return a.Bank, true
	}
	return "", false
}

// asked remembers how far the bank has come.
func (j *readJudge) asked(q *question) {
	if b, ok := bankOf(q.ask); ok {
		q.floor = j.w.judge.money.newest(b)
	}
}

func (j *readJudge) heard(q *question, a *lane.Answer) {
	switch ask := q.ask.(type) {
	case lane.AuditBank:
		j.shows(q, ask.Bank, a.Audit.LastEntry)
	case lane.ListEntries:
		j.sameEntries(ask.Bank, a.Entries)
		if j.isLast(len(a.Entries), ask.Limit) {
			j.shows(q, ask.Bank, ask.AfterSeq+uint64(len(a.Entries)))
		}
	case lane.GetAccount:
		j.looked(q, ask.Bank, a.Accounts)
	case lane.ListAccounts:
		j.looked(q, ask.Bank, a.Accounts)
		j.areThere(q, &ask, a.Accounts)
	}
}

// isLast says whether a page of so many items is surely the last one: with bounds that change nobody knows.
func (j *readJudge) isLast(items, limit int) bool {
	return j.w.faults.NewBounds == 0 && items < min(limit, j.w.limits.PageMax)
}

// shows: that many entries are in the answer.
func (j *readJudge) shows(q *question, at transfer.BankID, entries uint64) {
	if entries < q.floor {
		j.w.fail("no read is older than what was applied", "bank %s had %d entries at %v; asked then, node %d shows %d", at, q.floor, q.asked, q.node, entries)
	}
}

// sameEntries: what was once in a journal stays.
func (j *readJudge) sameEntries(at transfer.BankID, entries []bank.Entry) {
	journal := j.w.judge.money.booksOf(at).journal
	for i := range entries {
		e := entries[i]
		if e.Seq > uint64(len(journal)) {
			return
		}
		known := journal[e.Seq-1]
		sameTime := e.At.Equal(known.At)
		if e.At = known.At; e != known || !sameTime {
			j.w.fail("a journal never changes", "bank %s: entry %d was %+v, and is read as %+v", at, e.Seq, known, entries[i])
		}
	}
}

func (j *readJudge) looked(q *question, at transfer.BankID, accounts []bank.Account) {
	look := openLook{at, q.node, q.asked, j.w.now, q.floor, accounts}
	if !j.explained(&look) && !(j.w.judge.money.followBank(at) && j.explained(&look)) {
		j.open = append(j.open, look)
	}
}

// end: all is known by now.
func (j *readJudge) end() {
	for i := range j.open {
		if l := &j.open[i]; !j.explained(l) {
			j.w.fail("no read is older than what was applied", "asked at %v, node %d answers at %v of bank %s %+v; that is how it was at no time since it had %d entries",
				l.asked, l.node, l.answered, l.bank, l.accounts, l.floor)
		}
	}
}

// explained goes back in the journal until all balances are as they were seen.
func (j *readJudge) explained(l *openLook) bool {
	books := j.w.judge.money.booksOf(l.bank)
	if uint64(len(books.journal)) < l.floor {
		return false
	}
	wrong := 0
	behind := make(map[transfer.AccountID]int64, len(l.accounts)) // by how much each balance differs
	for i := range l.accounts {
		a := &l.accounts[i]
		if by := books.balances[a.ID] - a.PostedMinor; by != 0 {
			behind[a.ID] = by
			wrong++
		} else {
			behind[a.ID] = 0
		}
	}
	for n := uint64(len(books.journal)); ; n-- {
		whole := n == 0 || n == uint64(len(books.journal)) || books.journal[n-1].Transfer != books.journal[n].Transfer
		if wrong == 0 && whole {
			return true
		}
		if n <= l.floor {
			return false
		}
		e := &books.journal[n-1]
		by, seen := behind[e.Account]
		if !seen {
			continue
		}
		behind[e.Account] = by - e.AmountMinor
		switch {
		case by == 0:
			wrong++
		case behind[e.Account] == 0:
			wrong--
		}
	}
}

// areThere: accounts that are known to be open are listed.
func (j *readJudge) areThere(q *question, ask *lane.ListAccounts, accounts []bank.Account) {
	last, all := ask.After, j.isLast(len(accounts), ask.Limit)
	listed := map[transfer.AccountID]bool{}
	for i := range accounts {
		last = accounts[i].ID
		listed[last] = true
	}
	answers := j.w.judge.answers
	for _, p := range answers.places {
		if at := answers.opened[p]; p.bank == ask.Bank && at < q.asked && p.account > ask.After && (all || p.account <= last) && !listed[p.account] {
			j.w.fail("no read is older than an answer", "account %v was opened at %v; asked at %v, it isn't listed", p, at, q.asked)
		}
	}
}
