package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/quorate/quorate/client"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

func (n *fakeNode) FreezeAccount(_ context.Context, r *quoratev1.FreezeAccountRequest) (*quoratev1.FreezeAccountResponse, error) {
	return &quoratev1.FreezeAccountResponse{Account: &quoratev1.Account{Id: r.GetAccount(), Status: quoratev1.AccountStatus_ACCOUNT_STATUS_FROZEN}}, n.fail
}

func (n *fakeNode) UnfreezeAccount(_ context.Context, r *quoratev1.UnfreezeAccountRequest) (*quoratev1.UnfreezeAccountResponse, error) {
	return &quoratev1.UnfreezeAccountResponse{Account: &quoratev1.Account{Id: r.GetAccount(), Status: quoratev1.AccountStatus_ACCOUNT_STATUS_OPEN}}, n.fail
}

func (n *fakeNode) CloseAccount(_ context.Context, r *quoratev1.CloseAccountRequest) (*quoratev1.CloseAccountResponse, error) {
	return &quoratev1.CloseAccountResponse{Account: &quoratev1.Account{Id: r.GetAccount(), Status: quoratev1.AccountStatus_ACCOUNT_STATUS_CLOSED}}, n.fail
}

func (n *fakeNode) SetAccountLimit(_ context.Context, r *quoratev1.SetAccountLimitRequest) (*quoratev1.SetAccountLimitResponse, error) {
	return &quoratev1.SetAccountLimitResponse{Account: &quoratev1.Account{
		Id: r.GetAccount(), OverdraftMinor: r.GetOverdraftMinor(), Unlimited: r.GetUnlimited(), Status: quoratev1.AccountStatus_ACCOUNT_STATUS_OPEN,
	}}, n.fail
}

// GetStatement has three entries on pages of one, a second apart; a page within has none.
func (n *fakeNode) GetStatement(_ context.Context, r *quoratev1.GetStatementRequest) (*quoratev1.GetStatementResponse, error) {
	at := map[string]int{"": 0, "1": 1, "none": 1, "2": 2}[r.GetPageToken()]
	if r.GetPageToken() == "1" {
		return &quoratev1.GetStatementResponse{NextPageToken: "none"}, n.fail
	}
	posted := epoch.Add(time.Duration(at) * time.Second)
	out := &quoratev1.GetStatementResponse{NextPageToken: []string{"1", "2", ""}[at]}
	if (r.Since == nil || !posted.Before(r.Since.AsTime())) && (r.Until == nil || posted.Before(r.Until.AsTime())) {
		out.Entries = append(out.Entries, &quoratev1.Entry{
			Seq: uint64(at + 1), TransferId: client.NewID().String(), Account: r.GetAccount(), AmountMinor: 5, BalanceMinor: int64(5 * (at + 1)), PostedAt: timestamppb.New(posted),
		})
	}
	return out, n.fail
}

func TestChangesOfAnAccount(t *testing.T) {
	n := startNode(t)
	ctx, c := dial(t, n.address)
	for want, change := range map[client.AccountStatus]func(context.Context, transfer.BankID, transfer.AccountID) (client.Account, error){
		client.Frozen: c.Freeze, client.Open: c.Unfreeze, client.Closed: c.CloseAccount,
	} {
		if a, err := change(ctx, "HOME", "alice"); err != nil || a.ID != "alice" || a.Status != want {
			t.Errorf("%v: %+v, %v", want, a, err)
		}
	}
	if a, err := c.SetLimit(ctx, "HOME", "alice", client.Limit{OverdraftMinor: 7}); err != nil || a.OverdraftMinor != 7 {
		t.Errorf("limit: %+v, %v", a, err)
	}
	if a, err := c.SetLimit(ctx, "HOME", "alice", client.Limit{Unlimited: true}); err != nil || !a.Unlimited {
		t.Errorf("no limit: %+v, %v", a, err)
	}
	n.fail = statusOf(codes.FailedPrecondition, transfer.ErrAccountNotEmpty)
	if _, err := c.CloseAccount(ctx, "HOME", "alice"); !errors.Is(err, transfer.ErrAccountNotEmpty) {
		t.Errorf("close an account with money: %v", err)
	}
}

// An attempt whose answer was lost may have made the change: that the last one found nobody says nothing of it.
func TestAChangeWhoseAnswerIsLostIsUnknown(t *testing.T) {
	n := startNode(t)
	n.fail = statusOf(codes.DeadlineExceeded, transfer.ErrOutcomeUnknown)
	_, c := dial(t, n.address)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.Freeze(ctx, "HOME", "alice"); !errors.Is(err, transfer.ErrOutcomeUnknown) {
		t.Errorf("freeze: %v", err)
	}
}

func TestStatementOfAPeriod(t *testing.T) {
	n := startNode(t)
	ctx, c := dial(t, n.address)
	for want, period := range map[string]client.Period{
		"123": {}, "23": {Since: epoch.Add(time.Second)}, "12": {Until: epoch.Add(2 * time.Second)}, "2": {Since: epoch.Add(time.Second), Until: epoch.Add(2 * time.Second)},
	} {
		got := ""
		for e, err := range c.Statement(ctx, "HOME", "alice", period) {
			if err != nil || e.BalanceMinor != int64(5*e.Seq) {
				t.Fatalf("%+v, %v", e, err)
			}
			got += string(rune('0' + e.Seq))
		}
		if got != want {
			t.Errorf("%+v: entries %s, want %s", period, got, want)
		}
	}
}
