package client_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/quorate/quorate/client"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

func TestTransferComesBackAsItWasSent(t *testing.T) {
	n := startNode(t)
	ctx, c := dial(t, n.address)
	want := rent(client.NewID())
	record, err := c.Transfer(ctx, want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(transfer.Record{
		Transfer: want, State: transfer.Committed, Settled: true, CreatedAt: epoch, DecidedAt: epoch.Add(time.Second),
	}, record); diff != "" {
		t.Error(diff)
	}
	if n.calls()[0][0].GetTimeout() != nil {
		t.Errorf("timeout %v of a transfer without a deadline", n.calls()[0][0].GetTimeout())
	}
	if got := record.Transfer.Fingerprint(); got != want.Fingerprint() {
		t.Errorf("fingerprint %x, want %x", got, want.Fingerprint())
	}
	want.Deadline = time.Now().Add(5 * time.Second)
	if _, err := c.Transfer(ctx, want); err != nil {
		t.Fatal(err)
	}
	if got := n.calls()[1][0].GetTimeout().AsDuration(); got <= 0 || got > 5*time.Second {
		t.Errorf("timeout %v of a deadline in 5 s", got)
	}
}

func TestAnAbortedTransferIsAnAnswer(t *testing.T) {
	n := startNode(t)
	n.does(func(_ int, _ context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
		return all(specs, abort), nil
	})
	ctx, c := dial(t, n.address)
	record, err := c.Transfer(ctx, rent(client.NewID()))
	if err != nil || record.State != transfer.Aborted || record.Reason.Code != "insufficient_funds" || record.Reason.Bank != "HOME" {
		t.Errorf("%+v, %v", record, err)
	}
	want := &transfer.Shortfall{Account: "alice", Currency: "CZK", AvailableMinor: -3, NeededMinor: 7}
	if got := record.Reason.Shortfall; got == nil || *got != *want {
		t.Errorf("shortfall %+v, want %+v", got, want)
	}
}

func TestAnIDIsMadeForWhoHasNone(t *testing.T) {
	n := startNode(t)
	ctx, c := dial(t, n.address)
	record, err := c.Transfer(ctx, rent(transfer.ID{}))
	if err != nil || record.Transfer.ID[6]>>4 != 7 {
		t.Errorf("id %s, %v: want a UUIDv7", record.Transfer.ID, err)
	}
}

// Every way to fail at first must end in one outcome, asked for with one id.
func TestTriesAgainWithTheSameID(t *testing.T) {
	refused := func(e *transfer.Error) func(*fakeNode, []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
		return func(_ *fakeNode, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
			return all(specs, refuse(e)), nil
		}
	}
	failed := func(err error) func(*fakeNode, []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
		return func(*fakeNode, []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) { return nil, err }
	}
	cases := map[string]struct {
		first   func(*fakeNode, []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error)
		another bool // the second attempt goes to the other node
	}{
		"no leader":            {refused(transfer.ErrNoLeader), true},
		"stopping":             {refused(transfer.ErrStopping), true},
		"busy":                 {refused(transfer.ErrBusy), false},
		"a bank is silent":     {refused(transfer.ErrBankUnavailable), false},
		"unknown":              {refused(transfer.ErrOutcomeUnknown), true},
		"no leader, as status": {failed(statusOf(codes.Unavailable, transfer.ErrNoLeader)), true},
		"busy, as status":      {failed(statusOf(codes.ResourceExhausted, transfer.ErrBusy)), false},
		"a proxy in between":   {failed(status.Error(codes.Unavailable, "upstream")), true},
		"a broken connection": {func(n *fakeNode, _ []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
			go n.server.Stop() // waits for this handler; stop waits for it
			return nil, status.Error(codes.Unavailable, "stopping")
		}, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			a, b := startNode(t), startNode(t)
			a.does(func(call int, _ context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
				if call == 1 {
					return tc.first(a, specs)
				}
				return all(specs, commit), nil
			})
			ctx, c := dial(t, a.address, b.address)
			id := client.NewID()
			record, err := c.Transfer(ctx, rent(id))
			if err != nil || record.State != transfer.Committed || record.Transfer.ID != id {
				t.Fatalf("%+v, %v", record, err)
			}
			atA, atB := len(a.calls()), len(b.calls())
			if tc.another && (atA != 1 || atB != 1) || !tc.another && (atA != 2 || atB != 0) {
				t.Errorf("%d calls at the first node, %d at the second", atA, atB)
			}
			for _, call := range append(a.calls(), b.calls()...) {
				if call[0].GetId() != id.String() {
					t.Errorf("asked with id %s, want %s", call[0].GetId(), id)
				}
			}
		})
	}
}

// Whoever has the wrong port, or a newer client than the server, must not hear of a fault inside Quorate, and not wait for it either.
func TestAServerOfAnotherKindIsNamed(t *testing.T) {
	n := startNode(t)
	ctx, c := dial(t, n.address)
	n.fail = status.Error(codes.Unimplemented, "unknown method GetTransfer")
	if _, err := c.Get(ctx, client.NewID()); !errors.Is(err, transfer.ErrInvalidRequest) || !strings.Contains(err.Error(), "older version") {
		t.Errorf("an older node: %v", err)
	}
	n.fail = status.Error(codes.Unimplemented, "unexpected HTTP status code received from server: 404 (Not Found)")
	if _, err := c.Get(ctx, client.NewID()); !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), "it answers HTTP, not gRPC") {
		t.Errorf("a port for HTTP: %v", err)
	}
	good := startNode(t)
	ctx, c = dial(t, n.address, good.address)
	if _, err := c.Get(ctx, client.NewID()); err != nil {
		t.Errorf("a port for HTTP, or a proxy whose node is away, beside one of a node: %v", err)
	}
}

// One address of several is that of another service, or of a node that isn't upgraded yet: the others are asked.
func TestANodeThatDoesNotKnowTheMethodIsPassedOver(t *testing.T) {
	ours, err := status.New(codes.Unimplemented, "there is no method").WithDetails(&errdetails.ErrorInfo{Reason: "not_found", Domain: "quorate.dev"})
	if err != nil {
		t.Fatal(err)
	}
	for name, says := range map[string]error{"another service": status.Error(codes.Unimplemented, "unknown service"), "an older node": ours.Err()} {
		strange, good := startNode(t), startNode(t)
		strange.set(func(n *fakeNode) { n.door, n.fail = says, says })
		ctx, c := dial(t, strange.address, good.address)
		if _, err := c.Transfer(ctx, rent(client.NewID())); err != nil {
			t.Errorf("%s: Transfer: %v", name, err)
		}
		ctx, c = dial(t, strange.address, good.address)
		if _, err := c.Get(ctx, client.NewID()); err != nil {
			t.Errorf("%s: Get: %v", name, err)
		}
		ctx, c = dial(t, strange.address, strange.address)
		if _, err := c.Transfer(ctx, rent(client.NewID())); err == nil || ctx.Err() != nil || unknownID(err) != "" {
			t.Errorf("%s, and nobody else: Transfer: %v", name, err)
		}
		if _, err := c.Get(ctx, client.NewID()); err == nil || ctx.Err() != nil {
			t.Errorf("%s, and nobody else: Get: %v", name, err)
		}
		for _, err := range c.Watch(ctx, client.Watching{}) {
			if err == nil || ctx.Err() != nil {
				t.Errorf("%s, and nobody else: Watch: %v", name, err)
			}
		}
	}
}

func TestADeadNodeIsPassedOver(t *testing.T) {
	n := startNode(t)
	ctx, c := dial(t, nobody(t), n.address)
	for range 3 {
		if _, err := c.Transfer(ctx, rent(client.NewID())); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Get(ctx, client.NewID()); err != nil {
		t.Errorf("a read: %v", err)
	}
}

func TestRefusalsAreFinal(t *testing.T) {
	cases := map[string]struct {
		is   *transfer.Error
		both bool // as a result, and as the status of the whole call with this code
		code codes.Code
	}{
		"id conflict":     {transfer.ErrIDConflict, true, codes.AlreadyExists},
		"unknown bank":    {transfer.ErrUnknownBank, true, codes.InvalidArgument},
		"unauthenticated": {transfer.ErrUnauthenticated, true, codes.Unauthenticated},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			n := startNode(t)
			n.does(func(call int, _ context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
				if call == 1 {
					return all(specs, refuse(tc.is)), nil
				}
				return nil, statusOf(tc.code, tc.is)
			})
			ctx, c := dial(t, n.address)
			for call := range 2 {
				var err error
				if call == 0 {
					_, err = c.Transfer(ctx, rent(client.NewID()))
				} else {
					err = c.Transfers(ctx, []transfer.Transfer{rent(client.NewID())})[0].Err
				}
				if !errors.Is(err, tc.is) || !strings.Contains(err.Error(), "with numbers") || unknownID(err) != "" {
					t.Errorf("%v, want %s", err, tc.is.Code)
				}
				if got := len(n.calls()); got != call+1 {
					t.Errorf("%d calls, want %d", got, call+1)
				}
			}
		})
	}
}

// unknownID is the id of an OutcomeUnknownError, empty for any other error.
func unknownID(err error) string {
	var unknown *client.OutcomeUnknownError
	if errors.As(err, &unknown) {
		return unknown.ID.String()
	}
	return ""
}

func TestAFaultAtTheNodeLeavesTheOutcomeUnknown(t *testing.T) {
	n := startNode(t)
	n.does(func(_ int, _ context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
		return all(specs, refuse(transfer.ErrInternal)), nil
	})
	ctx, c := dial(t, n.address)
	id := client.NewID()
	_, err := c.Transfer(ctx, rent(id))
	if unknownID(err) != id.String() || !errors.Is(err, transfer.ErrOutcomeUnknown) || !errors.Is(err, transfer.ErrInternal) {
		t.Errorf("got %v", err)
	}
	var first *transfer.Error
	if !errors.As(err, &first) || first != transfer.ErrOutcomeUnknown {
		t.Errorf("its code is %v, want outcome_unknown", first)
	}
}

func TestARefusalAfterALostAnswerDoesNotHideIt(t *testing.T) {
	for _, refusal := range []*transfer.Error{transfer.ErrUnauthenticated, transfer.ErrInvalidDeadline} {
		n := startNode(t)
		n.does(func(call int, _ context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
			if call == 1 {
				return nil, status.Error(codes.Unavailable, "the answer is lost")
			}
			return all(specs, refuse(refusal)), nil
		})
		ctx, c := dial(t, n.address)
		id := client.NewID()
		if _, err := c.Transfer(ctx, rent(id)); unknownID(err) != id.String() || !errors.Is(err, refusal) {
			t.Errorf("%s: got %v", refusal.Code, err)
		}
	}
}

// What gRPC itself says, or a proxy, is about one attempt: it doesn't hide that the one before may have been carried out.
func TestAWordOfGRPCAfterALostAnswerDoesNotHideIt(t *testing.T) {
	lost := status.Error(codes.Unavailable, "the answer is lost")
	tooLong := status.Error(codes.ResourceExhausted, "received message larger than max")
	for name, errs := range map[string][]error{
		"an older node":              {lost, status.Error(codes.Unimplemented, "unknown method")},
		"too long":                   {lost, tooLong},
		"too long from the first on": {tooLong},
	} {
		ctx, _, c := failing(t, errs...)
		id := client.NewID()
		if r := c.Transfers(ctx, []transfer.Transfer{rent(id)})[0]; unknownID(r.Err) != id.String() || !errors.Is(r.Err, transfer.ErrInvalidRequest) {
			t.Errorf("%s: a batch: %v", name, r.Err)
		}
		ctx, _, c = failing(t, errs...)
		if _, err := c.Transfer(ctx, rent(id)); unknownID(err) != id.String() || !errors.Is(err, transfer.ErrInvalidRequest) {
			t.Errorf("%s: a stream: %v", name, err)
		}
	}
	ctx, _, c := failing(t, status.Error(codes.Unimplemented, "unknown method"))
	if _, err := c.Transfer(ctx, rent(client.NewID())); unknownID(err) != "" || !errors.Is(err, transfer.ErrInvalidRequest) {
		t.Errorf("an older node, and nothing lost: %v", err)
	}
}

func TestWhenTheContextEnds(t *testing.T) {
	hang := func(_ int, ctx context.Context, _ []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	cases := map[string]struct {
		script  func(int, context.Context, []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error)
		nobody  bool
		unknown bool
	}{
		"the node hangs": {script: hang, unknown: true},
		"the node doesn't know": {script: func(_ int, _ context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
			return all(specs, refuse(transfer.ErrOutcomeUnknown)), nil
		}, unknown: true},
		"there is no leader": {script: func(_ int, _ context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
			return all(specs, refuse(transfer.ErrNoLeader)), nil
		}},
		"there is no node": {nobody: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			n := startNode(t)
			n.does(tc.script)
			address := n.address
			if tc.nobody {
				address = nobody(t)
			}
			_, c := dial(t, address)
			ctx, cancel := context.WithTimeout(context.Background(), 150*time.Millisecond)
			defer cancel()
			id := client.NewID()
			_, err := c.Transfer(ctx, rent(id))
			var coded *transfer.Error
			switch {
			case !errors.As(err, &coded):
				t.Errorf("no code in %v", err)
			case tc.unknown && (unknownID(err) != id.String() || coded.Kind != transfer.KindUnknown):
				t.Errorf("got %v, want an unknown outcome of %s", err, id)
			case !tc.unknown && (unknownID(err) != "" || coded.Kind != transfer.KindUnavailable):
				t.Errorf("got %v, want that nothing was changed", err)
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v doesn't say that the time was up", err)
			}
		})
	}
}

func TestInvalidTransfersAreNotSent(t *testing.T) {
	n := startNode(t)
	ctx, c := dial(t, n.address)
	bad := rent(client.NewID())
	bad.Legs[0].AmountMinor = 0
	if _, err := c.Transfer(ctx, bad); !errors.Is(err, transfer.ErrInvalidAmount) {
		t.Errorf("got %v", err)
	}
	if len(n.calls()) != 0 {
		t.Error("it was sent")
	}
}

func TestAClosedClientGivesUp(t *testing.T) {
	n := startNode(t)
	_, c := dial(t, n.address)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Transfer(context.Background(), rent(client.NewID())); err == nil || unknownID(err) != "" {
		t.Errorf("got %v", err)
	}
}

func TestTooFewResultsAreNone(t *testing.T) {
	a, b := startNode(t), startNode(t)
	a.does(func(int, context.Context, []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
		return nil, nil
	})
	ctx, c := dial(t, a.address, b.address)
	r := c.Transfers(ctx, []transfer.Transfer{rent(client.NewID())})[0]
	if r.Err != nil || r.Record.State != transfer.Committed || len(a.calls()) != 1 || len(b.calls()) != 1 {
		t.Errorf("%+v after %d calls at the first node and %d at the second", r, len(a.calls()), len(b.calls()))
	}
}

func TestInABatchOnlyWhatHasNoOutcomeIsSentAgain(t *testing.T) {
	n := startNode(t)
	n.does(func(call int, _ context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
		if call > 1 {
			return all(specs, commit), nil
		}
		return []*quoratev1.TransferResult{commit(specs[0]), refuse(transfer.ErrBusy)(specs[1]), abort(specs[2]), refuse(transfer.ErrIDConflict)(specs[3])}, nil
	})
	ctx, c := dial(t, n.address)
	bad := rent(client.NewID())
	bad.Legs = nil
	batch := []transfer.Transfer{rent(client.NewID()), rent(client.NewID()), bad, rent(client.NewID()), rent(client.NewID())}
	results := c.Transfers(ctx, batch)
	wantStates := []transfer.State{transfer.Committed, transfer.Committed, 0, transfer.Aborted, 0}
	wantErrs := []error{nil, nil, transfer.ErrTooFewLegs, nil, transfer.ErrIDConflict}
	for i, r := range results {
		if r.ID != batch[i].ID || r.Record.State != wantStates[i] || !errors.Is(r.Err, wantErrs[i]) {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if calls := n.calls(); len(calls) != 2 || len(calls[0]) != 4 || len(calls[1]) != 1 || calls[1][0].GetId() != batch[1].ID.String() {
		t.Errorf("%d calls", len(calls))
	}
}

func TestLongListsTravelInSeveralRequests(t *testing.T) {
	n := startNode(t)
	ctx, c := dial(t, n.address)
	const transfers = 8190 + 10
	batch := make([]transfer.Transfer, transfers)
	for i := range batch {
		batch[i] = rent(client.NewID())
	}
	for i, r := range c.Transfers(ctx, batch) {
		if r.Err != nil || r.Record.Transfer.ID != batch[i].ID {
			t.Fatalf("%d: %v", i, r.Err)
		}
	}
	if calls := n.calls(); len(calls) != 2 || len(calls[0]) != 8190 || len(calls[1]) != 10 {
		t.Errorf("%d calls", len(calls))
	}
	wide := rent(transfer.ID{})
	for i := range wide.Legs {
		wide.Legs[i].Bank, wide.Legs[i].Account = transfer.BankID(strings.Repeat("B", 64)), transfer.AccountID(strings.Repeat("a", 64))
	}
	for len(wide.Legs) < transfer.LegsMax {
		wide.Legs = append(wide.Legs, wide.Legs[:2]...)
	}
	many := make([]transfer.Transfer, 300) // about 36 KiB each: more than 9 MiB
	for i := range many {
		many[i] = wide
	}
	for i, r := range c.Transfers(ctx, many) {
		if r.Err != nil {
			t.Fatalf("%d: %v", i, r.Err)
		}
	}
	if calls := len(n.calls()); calls != 2+4 {
		t.Errorf("%d calls, want 4 more", calls-2)
	}
	if len(c.Transfers(ctx, nil)) != 0 {
		t.Error("results of nothing")
	}
}

func TestCancel(t *testing.T) {
	n := startNode(t)
	ctx, c := dial(t, n.address)
	id := client.NewID()
	if r, err := c.Cancel(ctx, id); err != nil || r.Transfer.ID != id || r.State != transfer.Aborted || r.Reason.Code != transfer.ErrCancelled.Code {
		t.Errorf("cancel: %+v, %v", r, err)
	}
	n.fail = statusOf(codes.DeadlineExceeded, transfer.ErrOutcomeUnknown)
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	var unknown *client.OutcomeUnknownError
	if _, err := c.Cancel(short, id); !errors.As(err, &unknown) || unknown.ID != id {
		t.Errorf("a cancel that may have happened: %v", err)
	}
	n.fail = statusOf(codes.InvalidArgument, transfer.ErrInvalidRequest)
	if _, err := c.Cancel(ctx, id); !errors.Is(err, transfer.ErrInvalidRequest) || errors.As(err, &unknown) {
		t.Errorf("a cancel that can't be right: %v", err)
	}
}

func TestHold(t *testing.T) {
	n := startNode(t)
	ctx, c := dial(t, n.address)
	hold := rent(client.NewID())
	hold.HoldUntil = time.Now().Add(time.Hour)
	n.does(func(_ int, _ context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
		held := commit(specs[0])
		held.GetTransfer().State, held.GetTransfer().DecidedAt = quoratev1.TransferState_TRANSFER_STATE_HELD, nil
		held.GetTransfer().HoldUntil = timestamppb.New(epoch)
		return []*quoratev1.TransferResult{held}, nil
	})
	r, err := c.Transfer(ctx, hold)
	if err != nil || r.State != transfer.Held || !r.Transfer.HoldUntil.Equal(epoch) {
		t.Fatalf("%+v, %v", r, err)
	}
	if spec := n.calls()[0][0]; !spec.GetHold() || spec.GetHoldTimeout().AsDuration() > time.Hour || spec.GetHoldTimeout().AsDuration() < time.Hour-patience {
		t.Errorf("asked for %v", spec)
	}
	if r, err := c.Capture(ctx, hold.ID, 60, 60); err != nil || r.State != transfer.Committed || !slices.Equal(r.CapturedMinor, []int64{60, 60}) {
		t.Errorf("capture: %+v, %v", r, err)
	}
	if r, err := c.Void(ctx, hold.ID); err != nil || r.State != transfer.Aborted {
		t.Errorf("void: %+v, %v", r, err)
	}
	n.fail = statusOf(codes.AlreadyExists, transfer.ErrHoldConcluded)
	if _, err := c.Capture(ctx, hold.ID); !errors.Is(err, transfer.ErrHoldConcluded) {
		t.Errorf("capture: %v", err)
	}
	n.fail = statusOf(codes.DeadlineExceeded, transfer.ErrOutcomeUnknown)
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	var unknown *client.OutcomeUnknownError
	if _, err := c.Void(short, hold.ID); !errors.As(err, &unknown) || unknown.ID != hold.ID {
		t.Errorf("a void that may have happened: %v", err)
	}
}

func TestReads(t *testing.T) {
	n := startNode(t)
	ctx, c := dial(t, n.address)
	id := client.NewID()
	if r, err := c.Get(ctx, id); err != nil || r.Transfer.ID != id || r.State != transfer.Aborted {
		t.Errorf("get: %+v, %v", r, err)
	}
	if r, err := c.Get(ctx, id, client.Stale()); err != nil || r.Transfer.ID != id || r.State != transfer.Pending {
		t.Errorf("stale get: %+v, %v", r, err)
	}
	terms := client.Terms{ID: "alice", Currency: "CZK", OverdraftMinor: 5}
	if a, err := c.OpenAccount(ctx, "HOME", terms); err != nil || a.Terms != terms || a.Status != client.Open {
		t.Errorf("open: %+v, %v", a, err)
	}
	if a, err := c.Account(ctx, "HOME", "bob"); err != nil || a.ID != "bob" || a.AvailableMinor != 7 || a.Status != client.Frozen {
		t.Errorf("account: %+v, %v", a, err)
	}
	var names []string
	for a, err := range c.Accounts(ctx, "HOME") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, string(a.ID))
	}
	if strings.Join(names, "") != "abc" {
		t.Errorf("accounts: %v", names)
	}
	for a, err := range c.Accounts(ctx, "HOME") {
		if err != nil || a.ID != "a" {
			t.Errorf("the first: %+v, %v", a, err)
		}
		break
	}
	next := uint64(1)
	for e, err := range c.Entries(ctx, "HOME") {
		if err != nil || e.Seq != next {
			t.Fatalf("entry %+v, %v, want %d", e, err, next)
		}
		next++
	}
	if next != 3 {
		t.Errorf("%d entries", next-1)
	}
	if s, err := c.Status(ctx); err != nil || s.Cluster != "test" || s.Groups[0].Leader != 1 || !s.Banks[0].Up || s.Banks[0].Breaker != "open" {
		t.Errorf("status: %+v, %v", s, err)
	}
	if a, err := c.Audit(ctx, "HOME"); err != nil || a.Bank != "HOME" || a.Totals[0].PostedMinor != -4 || a.LastEntry != 9 {
		t.Errorf("audit: %+v, %v", a, err)
	}
}

func TestReadsFailWithTheNodesCode(t *testing.T) {
	n := startNode(t)
	n.fail = statusOf(codes.NotFound, transfer.ErrAccountNotFound)
	ctx, c := dial(t, n.address)
	if _, err := c.Account(ctx, "HOME", "carol"); !errors.Is(err, transfer.ErrAccountNotFound) {
		t.Errorf("account: %v", err)
	}
	for _, err := range c.Accounts(ctx, "HOME") {
		if !errors.Is(err, transfer.ErrAccountNotFound) {
			t.Errorf("accounts: %v", err)
		}
	}
	n.fail = statusOf(codes.AlreadyExists, &transfer.Error{Code: "of_tomorrow", Meaning: "m"})
	_, err := c.OpenAccount(ctx, "HOME", client.Terms{})
	var coded *transfer.Error
	if !errors.As(err, &coded) || coded.Code != "of_tomorrow" || coded.Kind != transfer.KindConflict {
		t.Errorf("a code of tomorrow: %v", err)
	}
}

func TestDialNeedsAnAddress(t *testing.T) {
	if _, err := client.Dial(nil); err == nil {
		t.Error("dialled nobody")
	}
}
