package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/transfer"
)

// moneyCheck compares the books of all banks before and after the load.
type moneyCheck struct {
	banks   []transfer.BankID
	legs    int64
	entries uint64 // in all journals before the load
}

// moneyJSON is what the check found.
type moneyJSON struct {
	Delta     map[transfer.Currency]string `json:"delta_minor"` // the sum over all accounts of all banks: zero
	OpenHolds uint64                       `json:"open_holds"`  // zero
	Entries   uint64                       `json:"entries"`     // posted by the load
	Least     uint64                       `json:"entries_least"`
	Most      uint64                       `json:"entries_most"`
	SettledMS int64                        `json:"settled_ms"` // after the last answer
}

// acknowledged is what the clients were told in the whole run, warm-up included.
type acknowledged struct {
	Committed int64 `json:"committed"`
	Unknown   int64 `json:"unknown"`
}

func newMoneyCheck(ctx context.Context, c *client.Client, banks []transfer.BankID, legs int) (*moneyCheck, error) {
	m := &moneyCheck{banks: banks, legs: int64(legs)}
	_, _, entries, err := m.look(ctx, c)
	m.entries = entries
	return m, err
}

// look adds up all banks.
func (m *moneyCheck) look(ctx context.Context, c *client.Client) (sum map[transfer.Currency]int64, holds, entries uint64, err error) {
	sum = map[transfer.Currency]int64{}
	for _, id := range m.banks {
		limited, cancel := context.WithTimeout(ctx, 10*time.Second)
		a, err := c.Audit(limited, id)
		cancel()
		if err != nil {
			return nil, 0, 0, fmt.Errorf("audit bank %s: %w", id, err)
		}
		for _, t := range a.Totals {
			sum[t.Currency] += t.PostedMinor
		}
		holds += a.OpenHolds
		entries += a.LastEntry
	}
	return sum, holds, entries, nil
}

// moneySettles is how long the banks may take to carry out what was decided.
const moneySettles = 30 * time.Second

// settle waits until nothing is held any more and counts.
func (m *moneyCheck) settle(ctx context.Context, c *client.Client, told acknowledged) (moneyJSON, error) {
	begun := time.Now()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		sum, holds, entries, err := m.look(ctx, c)
		if err != nil {
			return moneyJSON{}, err
		}
		found := moneyJSON{
			Delta: map[transfer.Currency]string{}, OpenHolds: holds, Entries: entries - m.entries,
			Least: uint64(told.Committed * m.legs), Most: uint64((told.Committed + told.Unknown) * m.legs),
			SettledMS: time.Since(begun).Milliseconds(),
		}
		for currency, minor := range sum {
			found.Delta[currency] = digits(minor)
		}
		if found.verdict() == nil || time.Since(begun) > moneySettles {
			return found, nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return found, ctx.Err()
		}
	}
}

// verdict is nil if all the money is where it must be.
func (m *moneyJSON) verdict() error {
	for _, currency := range slices.Sorted(maps.Keys(m.Delta)) {
		if m.Delta[currency] != "0" {
			return broken("the sum over all banks is %s minor units of %s, and must be zero", m.Delta[currency], currency)
		}
	}
	if m.OpenHolds > 0 {
		return broken("%d holds are left %v after the last answer", m.OpenHolds, time.Duration(m.SettledMS)*time.Millisecond)
	}
	if m.Entries < m.Least || m.Entries > m.Most {
		return broken("%d legs were posted; the answers to the clients allow %d to %d", m.Entries, m.Least, m.Most)
	}
	return nil
}

// broken is a promise of Quorate that the bench saw broken.
func broken(format string, args ...any) error {
	return invariant.Broken{Message: fmt.Sprintf(format, args...)}
}
