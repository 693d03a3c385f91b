package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/transfer"
)

// checkTimes refuses before anything is sent what the cluster would refuse anyway, and fills in how long a hold lasts. Zero is refused if it
// is given: whoever says it doesn't mean the default, a week.
func (o *createOptions) checkTimes(given func(flag string) bool) error {
	if given("transfer-timeout") && (o.timeout <= 0 || o.timeout > api.TimeoutMost) {
		return fmt.Errorf("%w: got %v, and it must be above zero and at most %v", transfer.ErrInvalidDeadline, o.timeout, api.TimeoutMost)
	}
	switch {
	case !o.hold && given("hold-for"):
		return usagef("--hold-for needs --hold")
	case !o.hold:
		return nil
	case !given("hold-for"):
		o.holdFor = api.HoldTimeoutDefault
	}
	if o.holdFor <= o.timeout || o.holdFor > api.HoldTimeoutMost { // without --transfer-timeout only the cluster knows the lower bound
		return fmt.Errorf("%w: got %v, and it must be longer than the transfer's timeout (--transfer-timeout) and at most %v", transfer.ErrInvalidHold, o.holdFor, api.HoldTimeoutMost)
	}
	return nil
}

func newTransferCapture() *cobra.Command {
	var amounts []string
	cmd := &cobra.Command{
		Use:   "capture ID",
		Short: "Move the money of a hold, all of it or a part",
		Long: `Move the money of a hold, all of it or a part; what remains is free again. Capturing the same again is harmless. Exit codes: 0 it is
captured; 2 the transfer isn't a hold, or doesn't hold as much; 3 nobody knows it; 4 it was voided before, or its time had ended, and no
money has moved; 5 other amounts were captured before; 8 the outcome is not known yet.`,
		Example: `  quorate transfer capture 01936f8e-7f3a-7000-8000-5b1d3f6a9c21
  quorate transfer capture 01936f8e-7f3a-7000-8000-5b1d3f6a9c21 --amount 60
  quorate transfer capture 01936f8e-7f3a-7000-8000-5b1d3f6a9c21 --amount 60 --amount 55 --amount 5`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return conclude(cmd, args[0], "captured", func(c *caller, id transfer.ID) (transfer.Record, error) {
				minor, err := amountsOf(c, id, amounts)
				if err != nil {
					return transfer.Record{}, err
				}
				return c.Capture(c.ctx, id, minor...)
			})
		},
	}
	cmd.Flags().StringArrayVar(&amounts, "amount", nil, "what to capture, as a decimal, said once for each leg in their order; once is enough for two legs in one currency (default everything)")
	return cmd
}

// amountsOf reads decimals, which takes knowing the legs' currencies.
func amountsOf(c *caller, id transfer.ID, amounts []string) ([]int64, error) {
	if len(amounts) == 0 {
		return nil, nil
	}
	record, err := c.Get(c.ctx, id)
	if err != nil {
		return nil, err
	}
	legs := record.Transfer.Legs
	if len(amounts) > 1 && len(amounts) != len(legs) || len(legs) == 0 {
		return nil, fmt.Errorf("%w: %d amounts for %d legs", transfer.ErrInvalidCapture, len(amounts), len(legs))
	}
	minor := make([]int64, len(amounts))
	for i, text := range amounts {
		if minor[i], err = transfer.ParseDecimal(text, legs[i].Currency); err != nil {
			return nil, fmt.Errorf("--amount: %w", err)
		}
	}
	return minor, nil
}

func newTransferVoid() *cobra.Command {
	return &cobra.Command{
		Use:   "void ID",
		Short: "Give the money of a hold back",
		Long: `Give the money of a hold back. Voiding again is harmless. Exit codes: 0 it is voided, and no money has moved; 2 the transfer isn't a hold;
3 nobody knows it; 5 it came too late, the hold was captured; 8 the outcome is not known yet.`,
		Example: "  quorate transfer void 01936f8e-7f3a-7000-8000-5b1d3f6a9c21",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return conclude(cmd, args[0], "voided", func(c *caller, id transfer.ID) (transfer.Record, error) { return c.Void(c.ctx, id) })
		},
	}
}

// conclude ends a transfer that is there already, and says what became of it: that, or what came first.
func conclude(cmd *cobra.Command, arg, verb string, end func(*caller, transfer.ID) (transfer.Record, error)) error {
	id, err := transfer.ParseID(arg)
	if err != nil {
		return err
	}
	return withCluster(cmd, func(p *printer, c *caller) error {
		record, err := end(c, id)
		if _, verdict := api.Judge(err); err != nil && verdict.Outcome == api.Unknown {
			return &adviceError{err, strings.Join(append([]string{cmd.CommandPath(), id.String()}, changedFlags(cmd)...), " ")}
		}
		if err != nil {
			return err
		}
		if err := printTransfer(p, &record); err != nil {
			return err
		}
		switch capture := verb == "captured"; {
		case capture && record.State == transfer.Aborted:
			return &abortedError{id, api.RecordError(record)}
		case !capture && record.State == transfer.Committed:
			return &tooLateError{id, verb}
		}
		return nil
	})
}

// tooLateError says that a transfer couldn't be cancelled or voided: its money has moved.
type tooLateError struct {
	id   transfer.ID
	verb string
}

func (e *tooLateError) Error() string {
	return fmt.Sprintf("transfer %s was committed before it could be %s", e.id, e.verb)
}
