package client

import (
	"context"

	"google.golang.org/grpc"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// A transfer with HoldUntil is a hold: Transfer returns when all banks have reserved their parts (transfer.Held), or none has (transfer.Aborted). Then
// Capture moves the money, or Void gives it back; at HoldUntil the cluster voids it. The time is counted from when a node accepts
// it, so that the client's clock need not be right, only to run as fast. Submitted again, at any time, a hold is answered with what has become of it.

// Capture commits a hold, all of it, or one amount in minor units for each leg; one is enough for two legs in one currency. It says what became of
// the hold, which may have been voided before: look at the record. The same capture again gets the same answer; other amounts get
// transfer.ErrHoldConcluded, amounts that can't be captured transfer.ErrInvalidCapture, and what is no hold transfer.ErrNotAHold. It tries again until ctx
// ends; without an outcome the error is, or wraps, an *OutcomeUnknownError or a *transfer.Error that says that nothing was changed.
func (c *Client) Capture(ctx context.Context, id transfer.ID, amountsMinor ...int64) (transfer.Record, error) {
	return c.end(ctx, id, func(ctx context.Context, n *node, options ...grpc.CallOption) (*quoratev1.Transfer, error) {
		answer, err := n.transfers.CaptureTransfer(ctx, &quoratev1.CaptureTransferRequest{Id: id.String(), AmountsMinor: amountsMinor}, options...)
		return answer.GetTransfer(), err
	})
}

// Void aborts a hold, and says what became of it: it may have been captured before. Errors are as those of Capture.
func (c *Client) Void(ctx context.Context, id transfer.ID) (transfer.Record, error) {
	return c.end(ctx, id, func(ctx context.Context, n *node, options ...grpc.CallOption) (*quoratev1.Transfer, error) {
		answer, err := n.transfers.VoidTransfer(ctx, &quoratev1.VoidTransferRequest{Id: id.String()}, options...)
		return answer.GetTransfer(), err
	})
}
