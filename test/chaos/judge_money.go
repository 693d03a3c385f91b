package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

const (
	promiseBalances     = "balances are the replay of the acknowledged outcomes"
	promiseConservation = "per currency, all accounts of all banks add up to zero"
	promiseLimits       = "no account is below its limit"
	promiseHolds        = "once all is healed, every transfer is settled and no hold is left, within a bounded time"
)

// judgeBalances compares accounts with the replay; empty: they agree.
func judgeBalances(replay map[account]int64, read map[account]client.Account) (wrong []string) {
	for _, a := range sortedAccounts(read) {
		if want, got := replay[a], read[a].PostedMinor; got != want {
			wrong = append(wrong, fmt.Sprintf("account %s of bank %s has %d, the acknowledged transfers make it %d", a.id, a.bank, got, want))
		}
	}
	for _, a := range sortedAccounts(replay) {
		if _, has := read[a]; !has {
			wrong = append(wrong, fmt.Sprintf("account %s of bank %s isn't there, the acknowledged transfers make it %d", a.id, a.bank, replay[a]))
		}
	}
	return wrong
}

// judgeLimits looks for accounts that went further below zero than they may.
func judgeLimits(read map[account]client.Account) (wrong []string) {
	for _, a := range sortedAccounts(read) {
		if r := read[a]; !r.Unlimited && r.PostedMinor-r.HeldMinor < -r.OverdraftMinor {
			wrong = append(wrong, fmt.Sprintf("account %s of bank %s has %d, %d of it held, and may not go below −%d", a.id, a.bank, r.PostedMinor, r.HeldMinor, r.OverdraftMinor))
		}
	}
	return wrong
}

// judgeConservation adds the banks up.
func judgeConservation(audits []client.Audit) (wrong []string) {
	sums := map[transfer.Currency]int64{}
	for _, a := range audits {
		for _, t := range a.Totals {
			sums[t.Currency] += t.PostedMinor
		}
	}
	for _, currency := range slices.Sorted(maps.Keys(sums)) {
		if sums[currency] != 0 {
			wrong = append(wrong, fmt.Sprintf("the banks hold %d %s in sum", sums[currency], currency))
		}
	}
	return wrong
}

// judgeHolds looks for money that is still held for somebody.
func judgeHolds(audits []client.Audit) (wrong []string) {
	for _, a := range audits {
		if a.OpenHolds > 0 {
			wrong = append(wrong, fmt.Sprintf("bank %s has %d open holds", a.Bank, a.OpenHolds))
		}
		for _, t := range a.Totals {
			if t.HeldMinor != 0 || t.IncomingMinor != 0 {
				wrong = append(wrong, fmt.Sprintf("bank %s has %d held and %d incoming in %s", a.Bank, t.HeldMinor, t.IncomingMinor, t.Currency))
			}
		}
	}
	return wrong
}

func sortedAccounts[V any](m map[account]V) []account {
	return slices.SortedFunc(maps.Keys(m), func(a, b account) int {
		return cmp.Or(strings.Compare(string(a.bank), string(b.bank)), strings.Compare(string(a.id), string(b.id)))
	})
}
