package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

// watchOptions are the flags of `quorate transfer watch`.
type watchOptions struct {
	filter   transferFilter
	position string
	begin    bool
	count    int
}

func newTransferWatch() *cobra.Command {
	var o watchOptions
	cmd := &cobra.Command{
		Use:   "watch [ID]",
		Short: "Follow transfers as they are decided, or one until it is settled",
		Long: `Follow transfers as they are decided: one line for each, in the order in which their coordinator group decided them, until you interrupt it. It goes
on by itself when a server stops. In the end standard error says how to go on later: nothing is missed and nothing comes twice.

With an ID: print that transfer whenever its state changes, until it is settled: all its banks have carried out the outcome. Exit codes then: 0
committed, 4 aborted, 3 nobody knows it.`,
		Example: `  quorate transfer watch
  quorate transfer watch --account north/alice --from-beginning -o jsonl
  quorate transfer watch 01936f8e-7f3a-7000-8000-5b1d3f6a9c21`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return watchOne(cmd, args[0])
			}
			return o.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.filter.state, "state", "", "committed or aborted")
	flags.StringVar(&o.filter.bank, "bank", "", "with a leg at this bank")
	flags.StringVar(&o.filter.account, "account", "", "with a leg of this account, as BANK/ACCOUNT or ACCOUNT")
	flags.StringVar(&o.filter.reference, "reference", "", "with this reference, the whole of it")
	flags.StringVar(&o.position, "position", "", "go on behind this position (default: from now on)")
	flags.BoolVar(&o.begin, "from-beginning", false, "without a position: from the first decision on")
	flags.IntVar(&o.count, "count", 0, "end after so many transfers; 0: never")
	return cmd
}

func (o *watchOptions) run(cmd *cobra.Command) error {
	p, err := newPrinter(cmd)
	if err != nil {
		return err
	}
	filter, err := o.filter.parse(time.Now())
	if err != nil {
		return err
	}
	if filter.State != 0 && !filter.State.Decided() {
		return usagef("what is %s isn't decided. try: quorate transfer list --state %s", filter.State, filter.State)
	}
	if p.format == "json" {
		return usagef("a watch has no end. try: -o jsonl")
	}
	c, ctx, end, err := dialForWatch(cmd)
	if err != nil {
		return err
	}
	defer end()
	if err := knownBanks(ctx, c, banksIn(filter)...); err != nil {
		return err
	}
	watching := client.Watching{
		State: filter.State, Bank: filter.Bank, Account: filter.Account, Reference: filter.Reference, Position: o.position, FromBeginning: o.begin,
	}
	position := o.position
	watching.Moved = func(to string) { position = to }
	err = o.follow(p, c.Watch(ctx, watching), watching.Moved)
	refused := position == o.position && errors.Is(err, transfer.ErrInvalidRequest)
	if position != "" && !refused {
		fmt.Fprintf(cmd.ErrOrStderr(), "to go on: --position %s\n", position)
	}
	switch {
	case cmd.Context().Err() != nil:
		return errInterrupted
	case errors.Is(err, context.DeadlineExceeded):
		return nil // --timeout said how long
	}
	return err
}

// follow prints what comes, and says of each event that it is printed.
func (o *watchOptions) follow(p *printer, events func(func(client.Event, error) bool), printed func(position string)) (err error) {
	const layout = "%-36s  %-9s  %-24s  %s\n"
	if p.format == "table" && !p.quiet && !p.noHeaders {
		fmt.Fprintf(p.out, layout, "ID", "STATE", "DECIDED", "WHAT")
	}
	seen := 0
	for e, failed := range events {
		if failed != nil {
			return failed
		}
		r := &e.Record
		switch {
		case p.quiet:
			err = p.line(r.Transfer.ID.String())
		case p.format == "jsonl":
			err = p.json(transferToJSON(r), "")
		default:
			_, err = fmt.Fprintf(p.out, layout, r.Transfer.ID, r.State, timeText(r.DecidedAt), printable(summaryOf(r)))
		}
		if err != nil {
			return err
		}
		printed(e.Position)
		if seen++; seen == o.count {
			return nil
		}
	}
	return nil
}

// summaryOf says in a few words what was to move, and why it didn't.
func summaryOf(r *transfer.Record) string {
	row := transferRow(r)
	text := fmt.Sprintf("%s → %s %s %s", row[3], row[4], row[5], row[6])
	if r.Transfer.Reference != "" {
		text += " " + r.Transfer.Reference
	}
	if r.State == transfer.Aborted {
		text += ": " + string(r.Reason.Code)
	}
	return text
}

// dialForWatch connects for as long as --timeout says, or for ever.
func dialForWatch(cmd *cobra.Command) (c *client.Client, ctx context.Context, end func(), err error) {
	timeout, err := timeoutOf(cmd)
	if err != nil {
		return nil, nil, nil, err
	}
	if c, err = newClient(cmd); err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := cmd.Context(), func() {}
	if cmd.Flags().Changed("timeout") {
		ctx, cancel = context.WithTimeout(ctx, timeout)
	}
	return c, ctx, func() { cancel(); _ = c.Close() }, nil // of connections that nobody uses any more
}

// watchOneEvery is how often a single transfer is asked for.
const watchOneEvery = 200 * time.Millisecond

func watchOne(cmd *cobra.Command, text string) error {
	p, err := newPrinter(cmd)
	if err != nil {
		return err
	}
	id, err := transfer.ParseID(text)
	if err != nil {
		return err
	}
	c, ctx, end, err := dialForWatch(cmd)
	if err != nil {
		return err
	}
	defer end()
	tick := time.NewTicker(watchOneEvery)
	defer tick.Stop()
	var last transfer.Record
	for {
		record, err := c.Get(ctx, id)
		if err != nil {
			return err
		}
		if record.State != last.State || record.Settled != last.Settled {
			if err := printStep(p, &record, last.State == 0); err != nil {
				return err
			}
		}
		if last = record; record.Settled {
			if err := api.RecordError(record); err != nil {
				return &abortedError{id, err}
			}
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: transfer %s is %s and not settled: %w", transfer.ErrOutcomeUnknown, id, record.State, ctx.Err())
		}
	}
}

// printStep prints a transfer as it is now.
func printStep(p *printer, r *transfer.Record, first bool) error {
	switch {
	case p.quiet && !first:
		return nil
	case p.quiet:
		return p.line(r.Transfer.ID.String())
	case p.format == "jsonl":
		return p.json(transferToJSON(r), "")
	}
	if p.format == "table" {
		head := transferTables(r)[0]
		return (&printer{out: p.out, format: "table", noHeaders: p.noHeaders || !first}).table(head)
	}
	return printTransfer(p, r)
}
