package bank

import "github.com/quorate/quorate/transfer"

// Total is the sum over all accounts of a bank in one currency, in minor units.
type Total struct {
	Currency      transfer.Currency
	PostedMinor   int64
	HeldMinor     int64
	IncomingMinor int64
	Accounts      uint64
}

// Audit is one atomic look at a bank's books: what an auditor needs to hold the banks against each other.
type Audit struct {
	Totals    []Total // sorted by currency
	OpenHolds uint64
	LastEntry uint64 // Seq of the newest journal entry that Totals contain
}
