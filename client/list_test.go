package client_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/quorate/quorate/client"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// ListTransfers has three transfers on three pages, the second of which is empty. Its reference says what was asked for.
func (n *fakeNode) ListTransfers(_ context.Context, r *quoratev1.ListTransfersRequest) (*quoratev1.ListTransfersResponse, error) {
	listed := func(id string) *quoratev1.Transfer {
		return &quoratev1.Transfer{Id: id, State: r.GetState(), Reference: r.GetBank() + "/" + r.GetAccount() + "/" + r.GetReference(), CreatedAt: r.GetSince(), DecidedAt: r.GetUntil()}
	}
	switch r.GetPageToken() {
	case "":
		return &quoratev1.ListTransfersResponse{Transfers: []*quoratev1.Transfer{listed(idThree), listed(idTwo)}, NextPageToken: "a"}, n.fail
	case "a":
		return &quoratev1.ListTransfersResponse{NextPageToken: "b"}, n.fail
	}
	return &quoratev1.ListTransfersResponse{Transfers: []*quoratev1.Transfer{listed(idOne)}}, n.fail
}

const (
	idOne   = "01936b2e-0000-7000-8000-000000000001"
	idTwo   = "01936b2e-0000-7000-8000-000000000002"
	idThree = "01936b2e-0000-7000-8000-000000000003"
)

func (n *fakeNode) ListInDoubt(_ context.Context, r *quoratev1.ListInDoubtRequest) (*quoratev1.ListInDoubtResponse, error) {
	doubt := &quoratev1.Doubt{Transfer: &quoratev1.Transfer{Id: idOne, State: quoratev1.TransferState_TRANSFER_STATE_PENDING}, WaitingFor: []string{"CITY"}}
	return &quoratev1.ListInDoubtResponse{Doubts: []*quoratev1.Doubt{doubt}[:min(1, r.GetPageSize())]}, n.fail
}

func (n *fakeNode) ListBanks(context.Context, *quoratev1.ListBanksRequest) (*quoratev1.ListBanksResponse, error) {
	return &quoratev1.ListBanksResponse{Banks: []*quoratev1.BankStatus{{Id: "HOME", Nodes: []uint64{1, 2}, Leader: 2, Up: true, Breaker: "closed"}}}, n.fail
}

func TestAListGoesThroughAllPages(t *testing.T) {
	n := startNode(t)
	ctx, c := dial(t, n.address)
	filter := client.Filter{State: transfer.Committed, Bank: "HOME", Account: "alice", Reference: "rent", Period: client.Period{Since: epoch, Until: epoch.Add(time.Hour)}}
	var ids []string
	for r, err := range c.ListTransfers(ctx, filter) {
		if err != nil || r.State != transfer.Committed || r.Transfer.Reference != "HOME/alice/rent" || !r.CreatedAt.Equal(epoch) || !r.DecidedAt.Equal(epoch.Add(time.Hour)) {
			t.Fatalf("%+v, %v", r, err)
		}
		ids = append(ids, r.Transfer.ID.String())
	}
	if !slices.Equal(ids, []string{idThree, idTwo, idOne}) {
		t.Errorf("ids %v", ids)
	}
	for range c.ListTransfers(ctx, filter) {
		break // whoever has enough stops
	}
	n.fail = statusOf(codes.InvalidArgument, transfer.ErrInvalidName)
	for _, err := range c.ListTransfers(ctx, filter) {
		if !errors.Is(err, transfer.ErrInvalidName) {
			t.Errorf("a bad filter: %v", err)
		}
	}
}

func TestInDoubtAndBanks(t *testing.T) {
	n := startNode(t)
	ctx, c := dial(t, n.address)
	doubts, err := c.InDoubt(ctx, 10)
	if err != nil || len(doubts) != 1 || doubts[0].Record.Transfer.ID.String() != idOne || !slices.Equal(doubts[0].Waiting, []transfer.BankID{"CITY"}) {
		t.Errorf("in doubt: %+v, %v", doubts, err)
	}
	for _, limit := range []int{0, -1, 1001} {
		if _, err := c.InDoubt(ctx, limit); !errors.Is(err, transfer.ErrInvalidRequest) {
			t.Errorf("%d in doubt: %v", limit, err)
		}
	}
	banks, err := c.Banks(ctx)
	if err != nil || len(banks) != 1 || banks[0].ID != "HOME" || banks[0].Leader != 2 || !banks[0].Up {
		t.Errorf("banks: %+v, %v", banks, err)
	}
}
