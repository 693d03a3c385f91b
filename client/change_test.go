package client_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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

// changes is everything that changes something and is no transfer, as error alone.
func changes(c *client.Client) map[string]func(context.Context) error {
	account := func(change func(context.Context, transfer.BankID, transfer.AccountID) (client.Account, error)) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := change(ctx, "HOME", "alice")
			return err
		}
	}
	return map[string]func(context.Context) error{
		"freeze": account(c.Freeze), "unfreeze": account(c.Unfreeze), "close": account(c.CloseAccount),
		"limit": account(func(ctx context.Context, bank transfer.BankID, id transfer.AccountID) (client.Account, error) {
			return c.SetLimit(ctx, bank, id, client.Limit{OverdraftMinor: 7})
		}),
		"open": account(func(ctx context.Context, bank transfer.BankID, id transfer.AccountID) (client.Account, error) {
			return c.OpenAccount(ctx, bank, client.Terms{ID: id, Currency: "CZK"})
		}),
		"add member":      func(ctx context.Context) error { return c.AddMember(ctx, 4, "h:1", "h:2", "h:3") },
		"promote member":  func(ctx context.Context) error { return c.PromoteMember(ctx, 4) },
		"remove member":   func(ctx context.Context) error { return c.RemoveMember(ctx, 4) },
		"place bank":      func(ctx context.Context) error { return c.PlaceBank(ctx, "HOME", 1, 2, 3) },
		"transfer leader": func(ctx context.Context) error { return c.TransferLeader(ctx, "bank/HOME", 2) },
		"revoke token":    func(ctx context.Context) error { return c.RevokeToken(ctx, "shop") },
		"create token": func(ctx context.Context) error {
			_, _, err := c.CreateToken(ctx, client.Token{Name: "shop", Roles: []string{"read"}})
			return err
		},
	}
}

// failing starts a node that answers every call with the error of its number, and from then on with the last one. The time of asks is up with the third call.
func failing(t *testing.T, errs ...error) (ctx context.Context, asks timeIsUp, c *client.Client) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int64
	asks.up = make(chan struct{})
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
		call := int(calls.Add(1))
		if call == 3 {
			close(asks.up)
		}
		return errs[min(call, len(errs))-1]
	}))
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(l) }) // ends with Stop
	t.Cleanup(func() {
		server.Stop()
		served.Wait()
	})
	ctx, c = dial(t, l.Addr().String())
	asks.Context = ctx
	return ctx, asks, c
}

// An attempt whose answer was lost may have made the change: that the last one found nobody, or a proxy, or an expired token, says nothing of it. What a node says of the
// state does.
func TestAChangeWhoseAnswerIsLostIsUnknown(t *testing.T) {
	lost := status.Error(codes.Unavailable, "the connection broke")
	cases := map[string]struct {
		errs    []error
		want    *transfer.Error
		unknown bool
	}{
		"lost, and then nobody":          {[]error{lost, statusOf(codes.Unavailable, transfer.ErrNoLeader)}, transfer.ErrOutcomeUnknown, true},
		"lost, and then a crowd":         {[]error{lost, statusOf(codes.ResourceExhausted, transfer.ErrBusy)}, transfer.ErrOutcomeUnknown, true},
		"lost, and then not let in":      {[]error{lost, statusOf(codes.Unauthenticated, transfer.ErrUnauthenticated)}, transfer.ErrUnauthenticated, true},
		"lost, and then not allowed":     {[]error{lost, statusOf(codes.PermissionDenied, transfer.ErrForbidden)}, transfer.ErrForbidden, true},
		"lost, and then an older one":    {[]error{lost, status.Error(codes.Unimplemented, "unknown method")}, transfer.ErrInvalidRequest, true},
		"too long an answer":             {[]error{status.Error(codes.ResourceExhausted, "message larger than max")}, transfer.ErrInvalidRequest, true},
		"the node can't say":             {[]error{statusOf(codes.DeadlineExceeded, transfer.ErrOutcomeUnknown)}, transfer.ErrOutcomeUnknown, true},
		"lost, and then refused":         {[]error{lost, statusOf(codes.FailedPrecondition, transfer.ErrAccountClosed)}, transfer.ErrAccountClosed, false},
		"not let in, and nothing lost":   {[]error{statusOf(codes.Unauthenticated, transfer.ErrUnauthenticated)}, transfer.ErrUnauthenticated, false},
		"an older one, and nothing lost": {[]error{status.Error(codes.Unimplemented, "unknown method")}, transfer.ErrInvalidRequest, false},
	}
	for name, tc := range cases {
		for what := range changes(&client.Client{}) {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				_, ctx, c := failing(t, tc.errs...)
				err := changes(c)[what](ctx)
				if errors.Is(err, transfer.ErrOutcomeUnknown) && strings.Contains(err.Error(), "nothing was changed") {
					t.Errorf("it is unknown, and says that nothing was changed: %v", err)
				}
				if errors.Is(err, transfer.ErrOutcomeUnknown) != tc.unknown || !errors.Is(err, tc.want) {
					t.Errorf("%v", err)
				}
			})
		}
	}
}

// A token that an attempt has revoked whose answer was lost is revoked.
func TestARevocationWhoseAnswerIsLostIsFoundDone(t *testing.T) {
	gone := statusOf(codes.NotFound, transfer.ErrUnknownToken)
	ctx, _, c := failing(t, status.Error(codes.Unavailable, "the connection broke"), gone)
	if err := c.RevokeToken(ctx, "shop"); err != nil {
		t.Errorf("revoked, and then unknown: %v", err)
	}
	if err := c.RevokeToken(ctx, "shop"); !errors.Is(err, transfer.ErrUnknownToken) {
		t.Errorf("unknown from the beginning: %v", err)
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
