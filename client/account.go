package client

import (
	"context"
	"iter"
	"time"

	"google.golang.org/grpc"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// pageSize is how much a list fetches at a time.
const pageSize = 1000

// AccountStatus says whether an account takes part in new transfers.
type AccountStatus uint8

// The statuses. There may be new ones.
const (
	Open   AccountStatus = 1
	Frozen AccountStatus = 2
	Closed AccountStatus = 3
)

func (s AccountStatus) String() string {
	switch s {
	case Open:
		return "open"
	case Frozen:
		return "frozen"
	case Closed:
		return "closed"
	}
	return "unknown"
}

// Terms are what an account is opened with.
type Terms struct {
	ID             transfer.AccountID
	Currency       transfer.Currency
	OverdraftMinor int64 // how far below zero the account may go, ≥ 0
	Unlimited      bool  // no overdraft limit at all, as house accounts (@cash) need
}

// Account is a bank's view of one account, in minor units of its currency.
type Account struct {
	Terms
	PostedMinor    int64 // sum of the account's entries
	HeldMinor      int64 // debits prepared and not yet posted: undecided, or decided some milliseconds ago
	IncomingMinor  int64 // credits prepared and not yet posted: undecided, or decided some milliseconds ago
	AvailableMinor int64 // what the next debit may use; without meaning if Unlimited
	Status         AccountStatus
}

// Entry is one leg as it was posted.
type Entry struct {
	Seq          uint64 // from 1, without gaps, per bank
	Transfer     transfer.ID
	Account      transfer.AccountID
	Currency     transfer.Currency
	AmountMinor  int64 // signed: a debit is negative
	BalanceMinor int64 // the account's posted balance after this entry
	At           time.Time
	Reference    string
}

// OpenAccount opens an account, or returns the one that exists with the same terms; transfer.ErrAccountExists if its terms are others;
// transfer.ErrOutcomeUnknown if an answer was lost.
func (c *Client) OpenAccount(ctx context.Context, bank transfer.BankID, terms Terms) (Account, error) {
	request := &quoratev1.OpenAccountRequest{
		Bank: string(bank), Account: string(terms.ID), Currency: string(terms.Currency),
		OverdraftMinor: terms.OverdraftMinor, Unlimited: terms.Unlimited,
	}
	var account Account
	err := c.change(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
		answer, err := n.accounts.OpenAccount(ctx, request, options...)
		account = accountOf(answer.GetAccount())
		return err
	})
	return account, err
}

// Account reads one account; transfer.ErrAccountNotFound.
func (c *Client) Account(ctx context.Context, bank transfer.BankID, id transfer.AccountID) (Account, error) {
	request := &quoratev1.GetAccountRequest{Bank: string(bank), Account: string(id)}
	var account Account
	err := c.ask(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
		answer, err := n.accounts.GetAccount(ctx, request, options...)
		account = accountOf(answer.GetAccount())
		return err
	})
	return account, err
}

// Accounts lists the accounts of a bank by id, page after page. After an error there is nothing more.
func (c *Client) Accounts(ctx context.Context, bank transfer.BankID) iter.Seq2[Account, error] {
	return pages(func(token string) (items []Account, next string, err error) {
		request := &quoratev1.ListAccountsRequest{Bank: string(bank), PageSize: pageSize, PageToken: token}
		err = c.ask(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
			answer, err := n.accounts.ListAccounts(ctx, request, options...)
			items, next = nil, answer.GetNextPageToken()
			for _, a := range answer.GetAccounts() {
				items = append(items, accountOf(a))
			}
			return err
		})
		return items, next, err
	})
}

// Entries lists a bank's journal in its order, page after page. After an error there is nothing more.
func (c *Client) Entries(ctx context.Context, bank transfer.BankID) iter.Seq2[Entry, error] {
	return c.entries(ctx, func(ctx context.Context, n *node, token string, options ...grpc.CallOption) (pageOfEntries, error) {
		return n.accounts.ListEntries(ctx, &quoratev1.ListEntriesRequest{Bank: string(bank), PageSize: pageSize, PageToken: token}, options...)
	})
}

// pageOfEntries is what a node answers with where it lists entries.
type pageOfEntries interface {
	GetEntries() []*quoratev1.Entry
	GetNextPageToken() string
}

// entries is everything that a node lists, page after page.
func (c *Client) entries(ctx context.Context, list func(ctx context.Context, n *node, token string, options ...grpc.CallOption) (pageOfEntries, error)) iter.Seq2[Entry, error] {
	return pages(func(token string) (items []Entry, next string, err error) {
		err = c.ask(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
			answer, err := list(ctx, n, token, options...)
			if err != nil {
				return err
			}
			next = answer.GetNextPageToken()
			items, err = entriesOf(answer.GetEntries())
			return err
		})
		return items, next, err
	})
}

// pages is everything that fetch gives, from the empty token to the next empty one.
func pages[T any](fetch func(token string) (items []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for token := ""; ; {
			items, next, err := fetch(token)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if token = next; token == "" {
				return
			}
		}
	}
}
