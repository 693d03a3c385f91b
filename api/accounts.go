package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/quorate/quorate/bank"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// What an operator does to accounts, and what an owner reads of one: over both faces, through the same two functions of the desk.

func (d *desk) changeAccount(ctx context.Context, bankID transfer.BankID, change bank.Change) (bank.Account, error) {
	if err := checkBank(bankID); err != nil {
		return bank.Account{}, err
	}
	if err := change.Validate(); err != nil {
		return bank.Account{}, err
	}
	ctx, cancel := withDefaultTimeout(ctx, readTimeout)
	defer cancel()
	return d.backend.ChangeAccount(ctx, bankID, change)
}

func (d *desk) statement(ctx context.Context, bankID transfer.BankID, q StatementQuery, token string) (entries []bank.Entry, next string, err error) {
	if q.Limit, err = pageSize(q.Limit); err != nil {
		return nil, "", err
	}
	if q.AfterSeq, err = seqOfToken(ofStatement, token); err != nil {
		return nil, "", err
	}
	if err := checkNames(bankID, q.Account); err != nil {
		return nil, "", err
	}
	if err := checkPeriod(q.Since, q.Until); err != nil {
		return nil, "", err
	}
	ctx, cancel := withDefaultTimeout(ctx, readTimeout)
	defer cancel()
	page, err := d.backend.Statement(ctx, bankID, q)
	if err != nil || !page.More {
		return page.Entries, "", err
	}
	return page.Entries, tokenOfSeq(ofStatement, page.LastSeq), nil
}

// gRPC

func (s *accountService) change(ctx context.Context, bankID, account string, change bank.Change) (*quoratev1.Account, error) {
	change.Account = transfer.AccountID(account)
	changed, err := s.desk.changeAccount(ctx, transfer.BankID(bankID), change)
	if err != nil {
		return nil, err
	}
	return protoOfAccount(&changed), nil
}

func (s *accountService) FreezeAccount(ctx context.Context, r *quoratev1.FreezeAccountRequest) (*quoratev1.FreezeAccountResponse, error) {
	account, err := s.change(ctx, r.GetBank(), r.GetAccount(), bank.Change{Kind: bank.Freeze})
	if err != nil {
		return nil, err
	}
	return &quoratev1.FreezeAccountResponse{Account: account}, nil
}

func (s *accountService) UnfreezeAccount(ctx context.Context, r *quoratev1.UnfreezeAccountRequest) (*quoratev1.UnfreezeAccountResponse, error) {
	account, err := s.change(ctx, r.GetBank(), r.GetAccount(), bank.Change{Kind: bank.Unfreeze})
	if err != nil {
		return nil, err
	}
	return &quoratev1.UnfreezeAccountResponse{Account: account}, nil
}

func (s *accountService) CloseAccount(ctx context.Context, r *quoratev1.CloseAccountRequest) (*quoratev1.CloseAccountResponse, error) {
	account, err := s.change(ctx, r.GetBank(), r.GetAccount(), bank.Change{Kind: bank.Close})
	if err != nil {
		return nil, err
	}
	return &quoratev1.CloseAccountResponse{Account: account}, nil
}

func (s *accountService) SetAccountLimit(ctx context.Context, r *quoratev1.SetAccountLimitRequest) (*quoratev1.SetAccountLimitResponse, error) {
	change := bank.Change{Kind: bank.SetLimit, OverdraftMinor: r.GetOverdraftMinor(), Unlimited: r.GetUnlimited()}
	account, err := s.change(ctx, r.GetBank(), r.GetAccount(), change)
	if err != nil {
		return nil, err
	}
	return &quoratev1.SetAccountLimitResponse{Account: account}, nil
}

func (s *accountService) GetStatement(ctx context.Context, r *quoratev1.GetStatementRequest) (*quoratev1.GetStatementResponse, error) {
	q := StatementQuery{Account: transfer.AccountID(r.GetAccount()), Limit: int(r.GetPageSize())}
	var err error
	if q.Since, err = timeOfProto(r.GetSince()); err != nil {
		return nil, err
	}
	if q.Until, err = timeOfProto(r.GetUntil()); err != nil {
		return nil, err
	}
	entries, next, err := s.desk.statement(ctx, transfer.BankID(r.GetBank()), q, r.GetPageToken())
	if err != nil {
		return nil, err
	}
	return &quoratev1.GetStatementResponse{Entries: protoOfEntries(entries), NextPageToken: next}, nil
}

// timeOfProto is the zero time for an unset one.
func timeOfProto(t *timestamppb.Timestamp) (time.Time, error) {
	if t == nil {
		return time.Time{}, nil
	}
	if err := t.CheckValid(); err != nil {
		return time.Time{}, fmt.Errorf("%w: %s", transfer.ErrInvalidRequest, err)
	}
	return checkTime(t.AsTime())
}

// checkTime refuses what doesn't fit into nanoseconds of 64 bits.
func checkTime(t time.Time) (time.Time, error) {
	if year := t.UTC().Year(); year < 1970 || year > 2261 {
		return t, fmt.Errorf("%w: the year %d; times are from 1970 to 2261", transfer.ErrInvalidRequest, year)
	}
	return t, nil
}

// HTTP

// registerAccounts names the operations on one account.
func (w *web) registerAccounts(api huma.API) {
	const account = "/v1/banks/{bank}/accounts/{id}"
	addVerb(w, api, account, "freeze", "freezeAccount", "Have an account take no new transfers", w.changeTo(bank.Freeze))
	addVerb(w, api, account, "unfreeze", "unfreezeAccount", "Have a frozen account take transfers again", w.changeTo(bank.Unfreeze))
	addVerb(w, api, account, "close", "closeAccount", "Close an empty account for ever", w.changeTo(bank.Close))
	addVerb(w, api, account, "setLimit", "setAccountLimit", "Set how far below zero an account may go", w.setLimit)
	add(w, api, http.MethodGet, account+"/entries", "getStatement", "The entries of one account in their order, each with the balance after it", http.StatusOK, w.getStatement)
}

// addVerb registers an operation that clients call path:verb.
func addVerb[I, O any](w *web, api huma.API, path, verb, id, summary string, handle func(context.Context, *I) (*O, error)) {
	add(w, api, http.MethodPost, verbPath(path, verb), id, summary, http.StatusOK, handle)
	nameVerb(api, path, verb)
}

func (w *web) changeTo(kind bank.ChangeKind) func(context.Context, *accountInput) (*body[accountJSON], error) {
	return func(ctx context.Context, in *accountInput) (*body[accountJSON], error) {
		return w.change(ctx, in.Bank, bank.Change{Account: transfer.AccountID(in.ID), Kind: kind})
	}
}

func (w *web) change(ctx context.Context, at string, change bank.Change) (*body[accountJSON], error) {
	id := transfer.BankID(at)
	account, err := w.desk.changeAccount(ctx, id, change)
	if err != nil {
		return nil, err
	}
	return &body[accountJSON]{accountToJSON(id, &account)}, nil
}

type limitJSON struct {
	_ struct{} `additionalProperties:"false"`

	OverdraftMinor string `json:"overdraft_minor,omitempty" pattern:"^[0-9]{1,19}$" doc:"How far below zero the account may go. Either this or unlimited."`
	Unlimited      bool   `json:"unlimited,omitempty" doc:"No overdraft limit at all."`
}

type limitInput struct {
	Bank string `path:"bank"`
	ID   string `path:"id"`
	Body limitJSON
}

// setLimit takes one of the two: a limit that somebody forgot to write must not become zero.
func (w *web) setLimit(ctx context.Context, in *limitInput) (*body[accountJSON], error) {
	change := bank.Change{Account: transfer.AccountID(in.ID), Kind: bank.SetLimit, Unlimited: in.Body.Unlimited}
	if (in.Body.OverdraftMinor == "") != in.Body.Unlimited {
		return nil, fmt.Errorf("%w: need one of overdraft_minor and unlimited", transfer.ErrInvalidRequest)
	}
	if !change.Unlimited {
		minor, err := minorOfJSON(in.Body.OverdraftMinor)
		if err != nil {
			return nil, fmt.Errorf("%w: got %q", transfer.ErrInvalidOverdraft, clip(in.Body.OverdraftMinor))
		}
		change.OverdraftMinor = minor
	}
	return w.change(ctx, in.Bank, change)
}

type statementInput struct {
	Bank   string    `path:"bank"`
	ID     string    `path:"id"`
	Since  time.Time `query:"posted[gte]" doc:"RFC 3339. Entries from when the bank's time had reached this."`
	Until  time.Time `query:"posted[lt]" doc:"RFC 3339. Entries before the bank's time had reached this. Periods that follow one another have every entry once."`
	Limit  int       `query:"limit" minimum:"1" default:"100" doc:"1 to 1000; 100 if unset; above 1000 is 1000. A page may have fewer and not be the last: has_more says."`
	Cursor string    `query:"cursor" doc:"next_cursor of the page before."`
}

func (w *web) getStatement(ctx context.Context, in *statementInput) (*body[pageJSON[entryJSON]], error) {
	q := StatementQuery{Account: transfer.AccountID(in.ID), Since: in.Since, Until: in.Until, Limit: in.Limit}
	entries, next, err := w.desk.statement(ctx, transfer.BankID(in.Bank), q, in.Cursor)
	if err != nil {
		return nil, err
	}
	return pageOfEntries(entries, next), nil
}
