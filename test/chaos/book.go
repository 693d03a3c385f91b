package main

import (
	"maps"
	"math/rand/v2"
	"sync"

	"github.com/quorate/quorate/transfer"
)

// book is everything that was ever acknowledged.
type book struct {
	j *journal

	mu       sync.Mutex // guards the rest
	open     []*payment // begun since the last audit
	audited  map[transfer.ID]summary
	balances map[account]int64 // the replay of all acknowledged commits
	lastGood int64             // when a payment was last acknowledged, while some were asked for; zero: they weren't
	gap      int64             // the longest time between two of them
	gapAt    int64             // when it began
	reasons  map[transfer.Code]int
	tally    tally
}

// tally counts what the clients did and heard.
type tally struct {
	Payments    int `json:"payments"`
	Committed   int `json:"committed"`
	Aborted     int `json:"aborted"`
	Unknown     int `json:"answers_unknown"` // answers, not payments: in the end every payment has an outcome
	Refused     int `json:"answers_refused"` // with nothing changed
	Retries     int `json:"retries"`
	Cancels     int `json:"cancels"`
	Conflicts   int `json:"conflicts"`
	Reads       int `json:"status_reads"`
	StaleReads  int `json:"stale_status_reads"`
	Looks       int `json:"account_reads"`
	Resolved    int `json:"resolved_at_audits"` // payments without an outcome until somebody cancelled them there
	Histories   int `json:"histories_checked"`
	Undecidable int `json:"histories_undecided"` // porcupine ran out of time
}

func newBook(j *journal) *book {
	return &book{j: j, audited: map[transfer.ID]summary{}, balances: map[account]int64{}, reasons: map[transfer.Code]int{}}
}

// begin takes a payment down before it is asked for.
func (b *book) begin(t transfer.Transfer, witness bool) *payment {
	p := &payment{transfer: t, begun: b.j.now(), witness: witness}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = append(b.open, p)
	b.tally.Payments++
	return p
}

// hear takes an answer about a payment down and judges it.
func (b *book) hear(p *payment, r transfer.Record, from string) {
	now := b.j.now()
	first, verdict := p.hear(r.State, r.Settled, now, from)
	if verdict != "" {
		b.j.fail(promiseOutcome, "%s", verdict)
	}
	if !first {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.State == transfer.Aborted {
		b.tally.Aborted++
		b.reasons[r.Reason.Code]++
		return
	}
	b.tally.Committed++
	for _, l := range p.transfer.Legs {
		b.balances[account{l.Bank, l.Account}] += l.SignedMinor()
	}
	b.good(now)
}

// good ends the time without an acknowledged commit, if it counts.
func (b *book) good(now int64) {
	if b.lastGood == 0 {
		return
	}
	if gap := now - b.lastGood; gap > b.gap {
		b.gap, b.gapAt = gap, b.lastGood
	}
	b.lastGood = now
}

// flowing says whether payments are being asked for, so that the time without any counts.
func (b *book) flowing(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.j.now()
	if b.good(now); on {
		b.lastGood = now
	} else {
		b.lastGood = 0
	}
}

// count changes the tally.
func (b *book) count(change func(*tally)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.tally)
}

// recent draws one of the latest payments; nil: there is none.
func (b *book) recent(rng *rand.Rand) *payment {
	const latest = 48
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.open) == 0 {
		return nil
	}
	return b.open[len(b.open)-1-rng.IntN(min(latest, len(b.open)))]
}

// unaudited are the payments since the last audit.
func (b *book) unaudited() []*payment {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}

// close ends an audit: what was audited is kept in short.
func (b *book) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.open {
		b.audited[p.transfer.ID] = p.summary()
	}
	b.open = nil
}

// replay is what every account should hold.
func (b *book) replay() map[account]int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.balances)
}
