package client

import (
	"context"
	"fmt"
	"iter"

	"google.golang.org/grpc"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// Filter says which transfers a list has. A field that isn't set lets all through.
type Filter struct {
	State     transfer.State
	Bank      transfer.BankID    // has a leg there …
	Account   transfer.AccountID // … and, if both are set, the same leg is of this account
	Reference string             // the whole of it
	Period    Period             // by when the coordinators took note of it
}

// ListTransfers lists transfers from new to old, page after page. What is submitted meanwhile isn't in the list, and what is decided meanwhile
// shifts nothing. Records have no Deadline. A filter other than the period has the cluster go through the transfers one by one. After
// an error there is nothing more.
func (c *Client) ListTransfers(ctx context.Context, f Filter) iter.Seq2[transfer.Record, error] {
	return pages(func(token string) (items []transfer.Record, next string, err error) {
		request := &quoratev1.ListTransfersRequest{
			PageSize: pageSize, PageToken: token,
			State: quoratev1.TransferState(f.State), Bank: string(f.Bank), Account: string(f.Account), Reference: f.Reference,
			Since: timestampOf(f.Period.Since), Until: timestampOf(f.Period.Until),
		}
		err = c.ask(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
			answer, err := n.transfers.ListTransfers(ctx, request, options...)
			if err != nil {
				return err
			}
			items, next = nil, answer.GetNextPageToken()
			for _, t := range answer.GetTransfers() {
				record, err := recordOf(t)
				if err != nil {
					return err
				}
				items = append(items, record)
			}
			return nil
		})
		return items, next, err
	})
}

// Doubt is a transfer whose outcome isn't known yet.
type Doubt struct {
	Record  transfer.Record
	Waiting []transfer.BankID // have not said yet that they hold it; none: all have, and that is being written down
}

// InDoubt lists the oldest transfers whose outcome isn't known yet, up to limit, at most 1000.
func (c *Client) InDoubt(ctx context.Context, limit int) ([]Doubt, error) {
	if limit < 1 || limit > pageSize {
		return nil, fmt.Errorf("%w: a list of %d, it must be 1 to %d", transfer.ErrInvalidRequest, limit, pageSize)
	}
	var doubts []Doubt
	err := c.ask(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
		answer, err := n.transfers.ListInDoubt(ctx, &quoratev1.ListInDoubtRequest{PageSize: int32(limit)}, options...)
		if err != nil {
			return err
		}
		doubts = nil
		for _, d := range answer.GetDoubts() {
			record, err := recordOf(d.GetTransfer())
			if err != nil {
				return err
			}
			doubt := Doubt{Record: record}
			for _, at := range d.GetWaitingFor() {
				doubt.Waiting = append(doubt.Waiting, transfer.BankID(at))
			}
			doubts = append(doubts, doubt)
		}
		return nil
	})
	return doubts, err
}

// Banks lists the banks of the cluster as one node sees them, the one that answers first.
func (c *Client) Banks(ctx context.Context) ([]BankStatus, error) {
	var banks []BankStatus
	err := c.ask(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
		answer, err := n.status.ListBanks(ctx, &quoratev1.ListBanksRequest{}, options...)
		banks = banksOf(answer.GetBanks())
		return err
	})
	return banks, err
}
