package main

import (
	"context"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/sim/workload"
	"github.com/quorate/quorate/transfer"
)

// openAccount opens one account through the SDK, as every client of the demo does.
func (d *demoRun) openAccount(ctx context.Context, p workload.Place) error {
	_, err := d.client.OpenAccount(ctx, p.Bank, client.Terms(p.Terms))
	return err
}

// submitBatch hands transfers to whichever node answers; the SDK asks another one, with the same ids, when one dies.
func (d *demoRun) submitBatch(ctx context.Context, batch []transfer.Transfer) ([]transfer.Record, []error) {
	results := d.client.Transfers(ctx, batch)
	records, errs := make([]transfer.Record, len(batch)), make([]error, len(batch))
	for i := range results {
		records[i], errs[i] = results[i].Record, results[i].Err
	}
	return records, errs
}
