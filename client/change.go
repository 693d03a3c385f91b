package client

import (
	"context"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// What an operator may do to an account. Each returns it as it is then, and asking again for what is so already is no error.
// Refusals wrap transfer.ErrAccountNotFound, ErrAccountClosed, or what is named below; transfer.ErrOutcomeUnknown if an answer was lost.

// Freeze has an account take no new transfers. What is prepared is finished all the same.
func (c *Client) Freeze(ctx context.Context, bank transfer.BankID, id transfer.AccountID) (Account, error) {
	request := &quoratev1.FreezeAccountRequest{Bank: string(bank), Account: string(id)}
	return c.changed(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) (*quoratev1.Account, error) {
		answer, err := n.accounts.FreezeAccount(ctx, request, options...)
		return answer.GetAccount(), err
	})
}

// Unfreeze has a frozen account take transfers again.
func (c *Client) Unfreeze(ctx context.Context, bank transfer.BankID, id transfer.AccountID) (Account, error) {
	request := &quoratev1.UnfreezeAccountRequest{Bank: string(bank), Account: string(id)}
	return c.changed(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) (*quoratev1.Account, error) {
		answer, err := n.accounts.UnfreezeAccount(ctx, request, options...)
		return answer.GetAccount(), err
	})
}

// CloseAccount closes an account for ever; transfer.ErrAccountNotEmpty unless its balance is zero and nothing is prepared.
func (c *Client) CloseAccount(ctx context.Context, bank transfer.BankID, id transfer.AccountID) (Account, error) {
	request := &quoratev1.CloseAccountRequest{Bank: string(bank), Account: string(id)}
	return c.changed(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) (*quoratev1.Account, error) {
		answer, err := n.accounts.CloseAccount(ctx, request, options...)
		return answer.GetAccount(), err
	})
}

// Limit is how far below zero an account may go: OverdraftMinor ≥ 0, or without any bound if Unlimited.
type Limit struct {
	OverdraftMinor int64
	Unlimited      bool
}

// SetLimit sets how far below zero an account may go; transfer.ErrLimitInUse if it is further down already.
func (c *Client) SetLimit(ctx context.Context, bank transfer.BankID, id transfer.AccountID, limit Limit) (Account, error) {
	request := &quoratev1.SetAccountLimitRequest{
		Bank: string(bank), Account: string(id), OverdraftMinor: limit.OverdraftMinor, Unlimited: limit.Unlimited,
	}
	return c.changed(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) (*quoratev1.Account, error) {
		answer, err := n.accounts.SetAccountLimit(ctx, request, options...)
		return answer.GetAccount(), err
	})
}

func (c *Client) changed(ctx context.Context, call func(context.Context, *node, ...grpc.CallOption) (*quoratev1.Account, error)) (Account, error) {
	var account Account
	err := c.change(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
		answer, err := call(ctx, n, options...)
		account = accountOf(answer)
		return err
	})
	return account, err
}

// Period is from Since up to, but without, Until. The zero time is no bound.
type Period struct{ Since, Until time.Time }

// Statement lists the entries of one account in their order, each with the balance after it, page after page. Leaders' clocks
// differ a little: an entry counts to the time that the bank had reached with it, so periods that follow one another have every entry
// once. After an error there is nothing more.
func (c *Client) Statement(ctx context.Context, bank transfer.BankID, id transfer.AccountID, period Period) iter.Seq2[Entry, error] {
	return c.entries(ctx, func(ctx context.Context, n *node, token string, options ...grpc.CallOption) (pageOfEntries, error) {
		return n.accounts.GetStatement(ctx, &quoratev1.GetStatementRequest{
			Bank: string(bank), Account: string(id), PageSize: pageSize, PageToken: token,
			Since: timestampOf(period.Since), Until: timestampOf(period.Until),
		}, options...)
	})
}

// timestampOf is unset for the zero time.
func timestampOf(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
