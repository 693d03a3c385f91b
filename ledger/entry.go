package ledger

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/wire"
	"github.com/quorate/quorate/transfer"
)

// journal is the entries since the last durable checkpoint; all older ones are behind the reader.
type journal struct {
	last uint64 // Seq of the newest entry
	// What statements need (statement.go): the latest time of any entry, and the first Seq that has a line.
	reachedNanos int64
	linesFrom    uint64
	sealed       tape[posting] // in the last Checkpoint, which isn't durable yet
	handed       int           // of these, as entries, to whoever makes it …
	lined        int           // … and as lines
	tails        []tail        // of the sealed ones, the newest of each account
	walked       int           // of these: all their lines are handed out
	fresh        tape[posting] // since then
	run          int           // so many entries, or lines of one account, share a record at most
}

// tail is the newest posting of an account whose line isn't handed out yet.
type tail struct {
	account *account
	seq     uint64
}

// posting is a bank.Entry in memory: what can be known from elsewhere is left out. Its Seq is its place.
type posting struct {
	transfer     transfer.ID
	account      *account
	amountMinor  int64
	balanceMinor int64
	nanos        int64
	reachedNanos int64  // the latest of any entry so far
	before       uint64 // Seq of the account's entry before, if memory has it; else it may be zero
	reference    string
}

// add gives the posting its number, counts it for its currency and returns its part of the state hash.
func (j *journal) add(p posting) (digest uint64) {
	p.account.total.entriesMinor += p.amountMinor
	j.last++
	j.reachedNanos = max(j.reachedNanos, p.nanos)
	p.reachedNanos = j.reachedNanos
	p.before, p.account.newest = p.account.newest, j.last
	j.fresh.add(p)
	return digestOfEntry(j.last, p.account.name, &p)
}

// firstInMemory is the Seq from which on memory has every entry.
func (j *journal) firstInMemory() uint64 {
	return j.last - uint64(j.sealed.length+j.fresh.length) + 1
}

// startLines begins with lines for statements at a Seq.
func (j *journal) startLines(from uint64) { j.linesFrom, j.reachedNanos = from, math.MinInt64 }

// posting is the one with this Seq, which must be in memory.
func (j *journal) posting(seq uint64) *posting {
	at := int(seq - j.firstInMemory())
	if at < j.sealed.length {
		return j.sealed.at(at)
	}
	return j.fresh.at(at - j.sealed.length)
}

// entry is the one with this Seq, which must be in memory.
func (j *journal) entry(seq uint64) bank.Entry {
	p := j.posting(seq)
	return bank.Entry{
		Seq:          seq,
		Transfer:     p.transfer,
		Account:      p.account.ID,
		Currency:     p.account.Currency,
		AmountMinor:  p.amountMinor,
		BalanceMinor: p.balanceMinor,
		At:           timeOf(p.nanos),
		Reference:    p.reference,
	}
}

// seal begins a checkpoint, in which these accounts are.
func (j *journal) seal(changed []*account) {
	j.sealed, j.fresh = j.fresh, j.sealed
	first := j.firstInMemory()
	for _, a := range changed {
		if a.newest >= first {
			j.tails = append(j.tails, tail{a, a.newest})
		}
	}
}

func (j *journal) drop() {
	j.sealed.empty()
	j.handed, j.lined, j.walked = 0, 0, 0
	clear(j.tails)
	j.tails = j.tails[:0]
}

// unsealed is how many records, at most, the checkpoint under way still takes; zero: none.
func (j *journal) unsealed() int {
	entries, lines, accounts := j.sealed.length-j.handed, j.sealed.length-j.lined, len(j.tails)-j.walked
	return (entries+j.run-1)/j.run + lines/j.run + accounts
}

// LastEntry is the Seq of the newest entry of the journal; 0 if there is none.
func (l *Ledger) LastEntry() uint64 { return l.journal.last }

// Entries lists up to limit entries of the journal whose Seq is above afterSeq, in their order. An error
// means that the reader failed or its records are damaged.
func (l *Ledger) Entries(afterSeq uint64, limit int) ([]bank.Entry, error) {
	j := &l.journal
	if limit <= 0 || afterSeq >= j.last {
		return nil, nil
	}
	limit = int(min(uint64(limit), j.last-afterSeq))
	entries, err := l.storedEntries(afterSeq, limit)
	if err != nil {
		return nil, err
	}
	entries = slices.Grow(entries, limit-len(entries))
	for seq := afterSeq + uint64(len(entries)) + 1; len(entries) < limit; seq++ {
		entries = append(entries, j.entry(seq))
	}
	return entries, nil
}

// storedEntries reads what is no longer in memory.
func (l *Ledger) storedEntries(afterSeq uint64, limit int) ([]bank.Entry, error) {
	end := l.journal.firstInMemory()
	if l.reader == nil || afterSeq+1 >= end {
		return nil, nil
	}
	var damage error
	want := min(limit, int(min(end-afterSeq-1, 1<<31)))
	entries := make([]bank.Entry, 0, min(limit, 1024)) // with room for those in memory
	err := l.reader.Scan(entryKey(afterSeq+1), entryKey(end), func(key, value []byte) bool {
		read := len(entries)
		seq := afterSeq + uint64(read) + 1
		if entries, damage = decodeEntries(entries, key, value, seq, want-read); damage == nil && entries[read].Seq != seq {
			damage = fmt.Errorf("read journal: %w: found entry %d instead of %d", wire.ErrDamaged, entries[read].Seq, seq)
		}
		return damage == nil && len(entries) < want
	})
	if err != nil {
		return nil, fmt.Errorf("read journal after entry %d: %w", afterSeq, err)
	}
	if damage == nil && len(entries) < want {
		damage = fmt.Errorf("read journal: %w: entry %d is missing", wire.ErrDamaged, afterSeq+uint64(len(entries))+1)
	}
	return entries, damage
}

// timeOf is how every time in the state is made, so that equal moments are equal values.
func timeOf(nanos int64) time.Time { return time.Unix(0, nanos).UTC() }
