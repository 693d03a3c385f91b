package client_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/client"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// WatchTransfers has five decisions, and a sign of life before each. A node with breaks ends each of its streams after so many of them.
func (n *fakeNode) WatchTransfers(r *quoratev1.WatchTransfersRequest, stream grpc.ServerStreamingServer[quoratev1.WatchTransfersResponse]) error {
	if n.fail != nil {
		return n.fail
	}
	at, _ := strconv.Atoi(r.GetPosition())
	if r.GetPosition() == "" && !r.GetFromBeginning() {
		at = 3
	}
	for sent := 0; at < 5; sent++ {
		if err := stream.Send(&quoratev1.WatchTransfersResponse{Position: strconv.Itoa(at)}); err != nil {
			return err
		}
		if n.breaks != nil && sent == n.breaks.after {
			return n.breaks.with
		}
		at++
		id := fmt.Sprintf("01936b2e-0000-7000-8000-%012d", at)
		done := &quoratev1.Transfer{Id: id, State: quoratev1.TransferState_TRANSFER_STATE_COMMITTED, Reference: r.GetBank() + "/" + r.GetAccount()}
		if err := stream.Send(&quoratev1.WatchTransfersResponse{Transfer: done, Position: strconv.Itoa(at)}); err != nil {
			return err
		}
	}
	<-stream.Context().Done()
	return stream.Context().Err()
}

// breaks is how a fake node ends its streams.
type breaks struct {
	after int
	with  error
}

func TestAWatchMissesNothingAndRepeatsNothing(t *testing.T) {
	for name, b := range map[string]*breaks{
		"one stream":               nil,
		"a node that stops":        {2, statusOf(codes.Unavailable, transfer.ErrStopping)},
		"a connection breaks":      {1, status.Error(codes.Unavailable, "gone")},
		"a stream that ends":       {1, nil},
		"a token that is replaced": {1, statusOf(codes.Unauthenticated, transfer.ErrUnauthenticated)},
		"a proxy that says no":     {1, status.Error(codes.Internal, "RST_STREAM")},
	} {
		t.Run(name, func(t *testing.T) {
			one, two := startNode(t), startNode(t)
			one.breaks, two.breaks = b, b
			ctx, c := dial(t, one.address, two.address)
			seen := ""
			for e, err := range c.Watch(ctx, client.Watching{FromBeginning: true, Bank: "HOME", Account: "alice"}) {
				if err != nil || e.Record.State != transfer.Committed || e.Record.Transfer.Reference != "HOME/alice" || e.Position != fmt.Sprintf("%x", e.Record.Transfer.ID[15]) {
					t.Fatalf("%+v, %v", e, err)
				}
				if seen += e.Position; len(seen) == 5 {
					break
				}
			}
			if seen != "12345" {
				t.Errorf("seen %s", seen)
			}
		})
	}
}

func TestAWatchBeginsWhereItIsTold(t *testing.T) {
	n := startNode(t)
	ctx, c := dial(t, n.address)
	for position, want := range map[string]string{"": "4", "1": "2"} {
		for e, err := range c.Watch(ctx, client.Watching{Position: position}) {
			if err != nil || e.Position != want {
				t.Errorf("behind %q: %+v, %v", position, e, err)
			}
			break
		}
	}
}

func TestAWatchEnds(t *testing.T) {
	n := startNode(t)
	ctx, c := dial(t, n.address)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	last, position := error(nil), ""
	for e, err := range c.Watch(ctx, client.Watching{Position: "4", Moved: func(to string) { position = to }}) {
		if last = err; err == nil {
			if position == e.Position {
				t.Errorf("it has moved to %s before that event was handled", position)
			}
			cancel() // after the fifth nothing comes
		}
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("ended with %v", last)
	}
	if position != "5" {
		t.Errorf("it ended at position %q, want that of the last event", position)
	}
	n.fail = statusOf(codes.InvalidArgument, transfer.ErrInvalidRequest)
	for _, err := range c.Watch(context.Background(), client.Watching{Position: "?"}) {
		if !errors.Is(err, transfer.ErrInvalidRequest) {
			t.Errorf("refused with %v", err)
		}
	}
}

func TestAWatchEndsWithItsClient(t *testing.T) {
	n := startNode(t)
	ctx, c := dial(t, n.address)
	last := error(nil)
	for _, err := range c.Watch(ctx, client.Watching{Position: "4"}) {
		if last = err; err == nil {
			_ = c.Close()
		}
	}
	if !errors.Is(last, client.ErrUnreachable) || ctx.Err() != nil {
		t.Errorf("it ended with %v", last)
	}
}
