package ledger

import (
	"fmt"
	"math"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/internal/wire"
	"github.com/quorate/quorate/transfer"
)

// The checks on the way of every leg are ifs around Fail, not Holds: Holds would allocate its arguments each time.

// checkReserved is what must hold once a leg is reserved.
func (a *account) checkReserved(amountMinor int64) {
	a.checkSigns()
	if available, limited := a.AvailableMinor(); amountMinor < 0 && limited && available < 0 {
		invariant.Fail("account %s: posted %d − held %d + overdraft %d is below zero after a debit of %d",
			a.ID, a.PostedMinor, a.HeldMinor, a.OverdraftMinor, -amountMinor)
	}
}

// checkFreed is what must hold once a leg is posted or given back.
func (a *account) checkFreed() {
	a.checkSigns()
	if a.holds == 0 && (a.HeldMinor != 0 || a.IncomingMinor != 0) {
		invariant.Fail("account %s: held %d, incoming %d without an open hold", a.ID, a.HeldMinor, a.IncomingMinor)
	}
}

func (a *account) checkSigns() {
	if a.holds < 0 || a.HeldMinor < 0 || a.IncomingMinor < 0 || a.total.HeldMinor < 0 || a.total.IncomingMinor < 0 {
		invariant.Fail("account %s: %d holds, held %d, incoming %d; in all held %d, incoming %d %s",
			a.ID, a.holds, a.HeldMinor, a.IncomingMinor, a.total.HeldMinor, a.total.IncomingMinor, a.Currency)
	}
}

// checkStep runs after every log entry.
func (l *Ledger) checkStep() {
	for _, t := range l.totals {
		if t.PostedMinor != t.entriesMinor {
			invariant.Fail("%s: accounts have posted %d, the journal %d", t.Currency, t.PostedMinor, t.entriesMinor)
		}
		if len(l.holds.byID) == 0 && (t.HeldMinor != 0 || t.IncomingMinor != 0) {
			invariant.Fail("%s: held %d, incoming %d without an open hold", t.Currency, t.HeldMinor, t.IncomingMinor)
		}
	}
}

// checkHeld compares what accounts in memory say is held and incoming with their open holds.
func (l *Ledger) checkHeld() error {
	type sums struct {
		held, incoming int64
		legs           int
	}
	sum := make(map[*account]sums, len(l.cache.ring))
	for h := l.holds.oldest; h != nil; h = h.newer {
		for _, leg := range h.legs {
			s := sum[leg.account]
			s.legs++
			if leg.amountMinor < 0 {
				s.held -= leg.amountMinor
			} else {
				s.incoming += leg.amountMinor
			}
			sum[leg.account] = s
		}
	}
	for _, a := range l.cache.ring {
		if s := sum[a]; s.held != a.HeldMinor || s.incoming != a.IncomingMinor || s.legs != a.holds {
			return fmt.Errorf("account %s: held %d, incoming %d, %d legs; its open holds have %d, %d, %d",
				a.ID, a.HeldMinor, a.IncomingMinor, a.holds, s.held, s.incoming, s.legs)
		}
	}
	return nil
}

// Check goes through every record, in memory and behind the reader, and says what doesn't fit. It is for
// tests, the simulator and an operator in doubt: it takes time and memory for the whole bank.
func (l *Ledger) Check() error {
	if err := l.checkHeld(); err != nil {
		return err
	}
	c := check{ledger: l, balances: map[transfer.AccountID]int64{}}
	for _, step := range []func() error{c.finished, c.entries, c.accounts} {
		if err := step(); err != nil {
			return err
		}
	}
	for h := l.holds.oldest; h != nil; h = h.newer {
		_, known, err := l.finished.find(l.reader, h.id)
		if err != nil {
			return err
		}
		if known {
			return fmt.Errorf("transfer %s is held and finished", h.id)
		}
		c.hash += digestOfHold(h)
	}
	if c.hash != l.hash {
		return fmt.Errorf("state hash is %016x, the records give %016x", l.hash, c.hash)
	}
	return nil
}

// check is one pass of Check: what it has added up so far.
type check struct {
	ledger   *Ledger
	hash     uint64
	balances map[transfer.AccountID]int64 // by the journal
}

func (c *check) finished() error {
	b := &c.ledger.finished
	for i := range b.fresh.records.length {
		c.hash += digestOfFinished(b.fresh.records.at(i))
	}
	for i := range b.sealed.records.length {
		if f := b.sealed.records.at(i); !has(&b.fresh, f.id) {
			c.hash += digestOfFinished(f)
		}
	}
	if c.ledger.reader == nil {
		return nil
	}
	var damage error
	err := c.ledger.reader.Scan([]byte{keyFinished}, []byte{keyFinished + 1}, func(key, value []byte) bool {
		if len(key) != 1+len(transfer.ID{}) {
			damage = fmt.Errorf("read finished transfers: %w: key of %d bytes", wire.ErrDamaged, len(key))
			return false
		}
		var f finished
		f, damage = decodeFinished(transfer.ID(key[1:]), value)
		if damage == nil && !has(&b.fresh, f.id) && !has(&b.sealed, f.id) {
			c.hash += digestOfFinished(&f)
		}
		return damage == nil
	})
	if err != nil {
		return fmt.Errorf("read finished transfers: %w", err)
	}
	return damage
}

func has(g *generation, id transfer.ID) bool {
	_, ok := g.place(id)
	return ok
}

func (c *check) entries() error {
	entries, err := c.ledger.Entries(0, math.MaxInt)
	if err != nil {
		return err
	}
	for i := range entries {
		e := &entries[i]
		balance, ok := transfer.AddMinor(c.balances[e.Account], e.AmountMinor)
		if e.Seq != uint64(i)+1 || !ok || balance != e.BalanceMinor {
			return fmt.Errorf("journal entry %d is number %d: account %s had %d, %d leave %d",
				i+1, e.Seq, e.Account, c.balances[e.Account], e.AmountMinor, e.BalanceMinor)
		}
		f, known, err := c.ledger.finished.find(c.ledger.reader, e.Transfer)
		if err != nil {
			return err
		}
		if !known || f.state != committed {
			return fmt.Errorf("journal entry %d belongs to transfer %s, which is not committed", e.Seq, e.Transfer)
		}
		c.balances[e.Account] = balance
		c.hash += digestOfListed(e)
	}
	if err := c.lines(entries); err != nil {
		return err
	}
	if uint64(len(entries)) != c.ledger.LastEntry() {
		return fmt.Errorf("the journal has %d entries, the last should be %d", len(entries), c.ledger.LastEntry())
	}
	return nil
}

func (c *check) accounts() error {
	accounts, err := c.ledger.Accounts("", math.MaxInt)
	if err != nil {
		return err
	}
	var sums totals
	for i := range accounts {
		a := &accounts[i]
		if a.PostedMinor != c.balances[a.ID] {
			return fmt.Errorf("account %s has posted %d, its entries add up to %d", a.ID, a.PostedMinor, c.balances[a.ID])
		}
		if available, limited := a.AvailableMinor(); limited && available < 0 {
			return fmt.Errorf("account %s has %d available", a.ID, available)
		}
		c.hash += digestOfAccount(nameDigest(a.ID, a.Currency), a)
		t := sums.of(a.Currency)
		if t == nil {
			t = sums.add(bank.Total{Currency: a.Currency})
		}
		t.PostedMinor += a.PostedMinor
		t.HeldMinor += a.HeldMinor
		t.IncomingMinor += a.IncomingMinor
		t.Accounts++
	}
	for i, t := range c.ledger.Totals() {
		if len(sums) != len(c.ledger.totals) || sums[i].Total != t {
			return fmt.Errorf("total is %+v, its accounts give another one of %d", t, len(sums))
		}
	}
	return nil
}
