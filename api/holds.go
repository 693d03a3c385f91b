package api

import (
	"context"
	"fmt"
	"time"

	"github.com/danielgtaylor/huma/v2"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// Holds: a transfer that its client captures or voids later, over both faces.

// How long a client has to capture a hold, if it names no time, and at most.
const (
	HoldTimeoutDefault = 7 * 24 * time.Hour
	HoldTimeoutMost    = 30 * 24 * time.Hour
)

// acceptHold says until when the transfer is held, if it is a hold.
func (o *order) acceptHold(t *transfer.Transfer, now time.Time) error {
	if !o.hold {
		if o.holdTimeout != nil {
			return fmt.Errorf("%w: it has a time to hold and is no hold", transfer.ErrInvalidHold)
		}
		return nil
	}
	timeout := HoldTimeoutDefault
	if o.holdTimeout != nil {
		timeout = *o.holdTimeout
	}
	if toPrepare := t.Deadline.Sub(now); timeout <= toPrepare || timeout > HoldTimeoutMost {
		return fmt.Errorf("%w: got %v, and it must be longer than the %v that the banks have to prepare, and at most %v", transfer.ErrInvalidHold, timeout, toPrepare, HoldTimeoutMost)
	}
	t.HoldUntil = now.Add(timeout)
	return nil
}

func (d *desk) captureTransfer(ctx context.Context, id string, amountsMinor []int64) (transfer.Record, error) {
	if len(amountsMinor) > transfer.LegsMax {
		return transfer.Record{}, fmt.Errorf("%w: got %d", transfer.ErrInvalidCapture, len(amountsMinor))
	}
	for i, amount := range amountsMinor {
		if amount < 1 {
			return transfer.Record{}, fmt.Errorf("%w: amount %d is %d", transfer.ErrInvalidCapture, i+1, amount)
		}
	}
	return d.end(ctx, id, func(ctx context.Context, id transfer.ID) (transfer.Record, error) {
		return d.backend.Capture(ctx, id, amountsMinor)
	})
}

func (d *desk) voidTransfer(ctx context.Context, id string) (transfer.Record, error) {
	return d.end(ctx, id, d.backend.Void)
}

// gRPC

func (s *transferService) CaptureTransfer(ctx context.Context, r *quoratev1.CaptureTransferRequest) (*quoratev1.CaptureTransferResponse, error) {
	record, err := s.desk.captureTransfer(ctx, r.GetId(), r.GetAmountsMinor())
	if err != nil {
		return nil, err
	}
	return &quoratev1.CaptureTransferResponse{Transfer: protoOfRecord(&record)}, nil
}

func (s *transferService) VoidTransfer(ctx context.Context, r *quoratev1.VoidTransferRequest) (*quoratev1.VoidTransferResponse, error) {
	record, err := s.desk.voidTransfer(ctx, r.GetId())
	if err != nil {
		return nil, err
	}
	return &quoratev1.VoidTransferResponse{Transfer: protoOfRecord(&record)}, nil
}

// HTTP

// registerHolds names the operations on one hold.
func (w *web) registerHolds(api huma.API) {
	const one = "/v1/transfers/{id}"
	addVerb(w, api, one, "capture", "captureTransfer", "Commit a hold, all of it or a part, and wait for what became of it", w.captureTransfer)
	addVerb(w, api, one, "void", "voidTransfer", "Abort a hold unless it was captured, and wait for what became of it", w.voidTransfer)
}

type captureJSON struct {
	_ struct{} `additionalProperties:"false"`

	AmountsMinor []string `json:"amounts_minor,omitempty" maxItems:"256" nullable:"false" doc:"One for each leg, in minor units, from 1 to what the leg holds; per currency, debits equal credits. One is enough for two legs in one currency. None: everything."`
}

type captureInput struct {
	ID   string `path:"id"`
	Body *captureJSON
}

func (w *web) captureTransfer(ctx context.Context, in *captureInput) (*body[transferJSON], error) {
	var amounts []int64
	if in.Body != nil {
		for i, text := range in.Body.AmountsMinor {
			amount, err := minorOfJSON(text)
			if err != nil {
				return nil, fmt.Errorf("%w: amount %d is %q", transfer.ErrInvalidCapture, i+1, clip(text))
			}
			amounts = append(amounts, amount)
		}
	}
	record, err := w.desk.captureTransfer(ctx, in.ID, amounts)
	if err != nil {
		return nil, err
	}
	return &body[transferJSON]{transferToJSON(&record)}, nil
}

func (w *web) voidTransfer(ctx context.Context, in *transferInput) (*body[transferJSON], error) {
	record, err := w.desk.voidTransfer(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &body[transferJSON]{transferToJSON(&record)}, nil
}
