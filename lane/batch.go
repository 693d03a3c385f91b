package lane

import (
	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/ledger"
	"github.com/quorate/quorate/transfer"
)

// fitting says how many of the items, at least one, make a batch of at most countMax items and about bytesMax
// encoded bytes: what can't travel in one message must never become one entry.
func fitting[T any](items []T, countMax, bytesMax int, bytesOf func(*T) int) int {
	bytes := 0
	for i := range items {
		bytes += bytesOf(&items[i])
		if i > 0 && (i >= countMax || bytes > bytesMax) {
			return i
		}
	}
	return len(items)
}

// What an id, a fingerprint, tags and lengths take, generously.
const (
	factOverheadBytes = 96
	legOverheadBytes  = 32
	idBytes           = 18
	amountBytes       = 11
)

func legsBytes(legs []transfer.Leg) (bytes int) {
	for i := range legs {
		bytes += legOverheadBytes + len(legs[i].Bank) + len(legs[i].Account)
	}
	return bytes
}

func factBytes(f *coordinator.Fact) int {
	switch {
	case f.Stage != nil:
		return factOverheadBytes + len(f.Stage.Reference) + legsBytes(f.Stage.Legs)
	case f.Decide != nil:
		return factOverheadBytes + len(f.Decide.Reason.Code) + len(f.Decide.Reason.Bank) + len(f.Decide.Reason.Detail) + amountBytes*len(f.Decide.CapturedMinor)
	default:
		return factOverheadBytes + idBytes*len(f.Settle)
	}
}

func requestBytes(r *bank.Request) int {
	return factOverheadBytes + len(r.Reference) + legsBytes(r.Legs) + amountBytes*len(r.CapturedMinor)
}

func commandBytes(c *ledger.Command) int {
	switch {
	case c.Open != nil:
		return factOverheadBytes + len(c.Open.ID)
	case c.Change != nil:
		return factOverheadBytes + len(c.Change.Account)
	}
	return requestBytes(c.Request)
}
