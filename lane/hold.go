package lane

import "github.com/quorate/quorate/transfer"

// CaptureTransfer commits a hold: all of it, or one amount for each leg. It waits for what became of the hold.
type CaptureTransfer struct {
	ID           transfer.ID
	AmountsMinor []int64
}

// VoidTransfer aborts a hold, and waits for what became of it.
type VoidTransfer struct{ ID transfer.ID }

func (CaptureTransfer) isAsk() {}
func (VoidTransfer) isAsk()    {}
