package client_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quorate/quorate/client"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// While some transfers can't be carried out, and be it a whole request of them, the rest of the list is tried.
func TestALongListDoesNotWaitBehindWhatCannotBeDone(t *testing.T) {
	const full = 8190
	for name, down := range map[string]int{"one": 1, "all of the first request": full} {
		n := startNode(t)
		batch := make([]transfer.Transfer, 2*full)
		silent := map[string]bool{}
		for i := range batch {
			batch[i] = rent(client.NewID())
			silent[batch[i].ID.String()] = i < down
		}
		ctx, c := dial(t, n.address)
		upTo := timeIsUp{ctx, make(chan struct{})}
		var tried sync.Map
		n.does(func(_ int, _ context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
			return all(specs, func(s *quoratev1.TransferSpec) *quoratev1.TransferResult {
				if tries, _ := tried.LoadOrStore(s.GetId(), new(atomic.Int64)); silent[s.GetId()] {
					if tries.(*atomic.Int64).Add(1) == 3 && s.GetId() == batch[0].ID.String() {
						close(upTo.up)
					}
					return refuse(transfer.ErrBankUnavailable)(s)
				}
				return commit(s)
			}), nil
		})
		for i, r := range c.Transfers(upTo, batch) {
			switch {
			case i < down && r.Err == nil:
				t.Fatalf("%s: %d, which waits for its bank: %+v", name, i, r.Record)
			case i >= down && (r.Err != nil || r.Record.State != transfer.Committed):
				t.Fatalf("%s: %d of the rest: %v", name, i, r.Err)
			}
		}
	}
}
