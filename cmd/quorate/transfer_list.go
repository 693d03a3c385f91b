package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

// listPatience is how long a list waits for its next transfer if nobody says otherwise: the cluster may have to go through many that don't match.
const listPatience = time.Minute

// transferFilter is the flags that say which transfers a list has.
type transferFilter struct {
	state, bank, account, reference, since, until string
}

func (f *transferFilter) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.state, "state", "", "pending, held, committed or aborted")
	flags.StringVar(&f.bank, "bank", "", "with a leg at this bank")
	flags.StringVar(&f.account, "account", "", "with a leg of this account, as BANK/ACCOUNT or ACCOUNT")
	flags.StringVar(&f.reference, "reference", "", "with this reference, the whole of it")
	addPeriodFlags(cmd, &f.since, &f.until)
}

func (f *transferFilter) parse(now time.Time) (out client.Filter, err error) {
	states := map[string]transfer.State{"": 0, "pending": transfer.Pending, "held": transfer.Held, "committed": transfer.Committed, "aborted": transfer.Aborted}
	state, known := states[f.state]
	if !known {
		return out, usagef("unknown state %q. try: --state pending, held, committed or aborted", f.state)
	}
	out = client.Filter{State: state, Bank: transfer.BankID(f.bank), Account: transfer.AccountID(f.account), Reference: f.reference}
	if strings.Contains(f.account, "/") {
		if out.Bank, out.Account, err = parsePlace(f.account); err != nil {
			return out, err
		}
		if f.bank != "" && f.bank != string(out.Bank) {
			return out, usagef("--bank %s is not the bank of --account %s", f.bank, f.account)
		}
	}
	for flag, name := range map[string]string{"--bank": string(out.Bank), "--account": string(out.Account)} {
		if err := transfer.ValidateName(name); err != nil && name != "" {
			return out, fmt.Errorf("%s: %w", flag, err)
		}
	}
	out.Period, err = parsePeriod(f.since, f.until, now)
	return out, err
}

func newTransferList() *cobra.Command {
	var f transferFilter
	limit := 0
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List transfers from new to old",
		Long: `List transfers from new to old, by when the coordinators took note of them. Times are days (2026-11-01, in UTC), RFC 3339
(2026-11-01T12:00:00Z) or how long ago (24h); they are looked up. With another filter the cluster goes through all transfers of the
period, so a filter that lets few through is faster with a --since. --timeout is how long to wait for the next transfer.`,
		Example: `  quorate transfer list
  quorate transfer list --state aborted --since 24h
  quorate transfer list --account north/alice --reference rent --limit 0 -o jsonl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.parse(time.Now())
			if err != nil {
				return err
			}
			if limit < 0 {
				return usagef("--limit %d is below zero", limit)
			}
			return printTransfers(cmd, filter, limit)
		},
	}
	f.addTo(cmd)
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most; 0: all")
	return cmd
}

func printTransfers(cmd *cobra.Command, filter client.Filter, limit int) error {
	p, err := newPrinter(cmd)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(p.out)
	p.out = out
	list := newLister(p, []string{"ID", "STATE", "CREATED", "FROM", "TO", "AMOUNT", "CURRENCY", "REFERENCE"})
	err = eachTransfer(cmd, filter, func(r *transfer.Record) (bool, error) {
		if limit > 0 && list.count == limit {
			list.more = true
			return false, nil
		}
		return true, list.add(transferToJSON(r), r.Transfer.ID.String(), transferRow(r))
	})
	if err != nil {
		_ = out.Flush() // what has come is true
		return fmt.Errorf("list transfers: %w", err)
	}
	if err := list.end(); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if list.more {
		fmt.Fprintf(cmd.ErrOrStderr(), "there are more than %d. try: --limit 0, or --since and --until\n", limit)
	}
	return nil
}

// transferRow has one leg of each kind, and how many more there are.
func transferRow(r *transfer.Record) []string {
	from, to := "", ""
	more := map[transfer.Direction]int{}
	amount, currency := "-", "-"
	for _, l := range r.Transfer.Legs {
		place := &from
		if l.Direction == transfer.Credit {
			place = &to
		}
		if *place != "" {
			more[l.Direction]++
			continue
		}
		*place = string(l.Bank) + "/" + string(l.Account)
		if l.Direction == transfer.Debit {
			amount, currency = transfer.FormatMinor(l.AmountMinor, l.Currency), string(l.Currency)
		}
	}
	if n := more[transfer.Debit]; n > 0 {
		from += fmt.Sprintf(" +%d", n)
	}
	if n := more[transfer.Credit]; n > 0 {
		to += fmt.Sprintf(" +%d", n)
	}
	return []string{
		r.Transfer.ID.String(), r.State.String(), timeText(r.CreatedAt), orDash(from), orDash(to), amount, currency, orDash(r.Transfer.Reference),
	}
}

// eachTransfer calls take with one transfer after the other until it has enough. A list may take as long as it likes, but no longer than --timeout
// from one transfer to the next.
func eachTransfer(cmd *cobra.Command, filter client.Filter, take func(*transfer.Record) (more bool, err error)) error {
	timeout, err := timeoutOf(cmd)
	if err != nil {
		return err
	}
	if !cmd.Flags().Changed("timeout") {
		timeout = listPatience
	}
	c, err := newClient(cmd)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // of connections that nobody uses any more
	ctx, cancel := context.WithCancelCause(cmd.Context())
	defer cancel(nil)
	late := time.AfterFunc(timeout, func() { cancel(fmt.Errorf("nothing came for %v: %w", timeout, context.DeadlineExceeded)) })
	defer late.Stop()
	if err := knownBanks(ctx, c, banksIn(filter)...); err != nil {
		return err
	}
	for record, err := range c.ListTransfers(ctx, filter) {
		if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
			return fmt.Errorf("%w: %w", err, cause) // it may have met the client before its first attempt
		}
		if err != nil {
			return err
		}
		late.Reset(timeout)
		if more, err := take(&record); err != nil || !more {
			return err
		}
	}
	return nil
}

// banksIn are the banks that a filter names: one or none.
func banksIn(filter client.Filter) []string {
	if filter.Bank == "" {
		return nil
	}
	return []string{string(filter.Bank)}
}

// newClient is a connection to the servers that the command line names, for as long as the command likes.
func newClient(cmd *cobra.Command) (*client.Client, error) {
	servers, err := serversOf(cmd)
	if err != nil {
		return nil, err
	}
	secure, err := credentialsOf(cmd, servers)
	if err != nil {
		return nil, err
	}
	c, err := client.Dial(servers, secure.ofClient()...)
	if err != nil {
		return nil, misconfigured(err)
	}
	return c, nil
}

func newTransferInDoubt() *cobra.Command {
	limit := 0
	cmd := &cobra.Command{
		Use:   "in-doubt",
		Short: "List transfers whose outcome isn't known yet, the oldest first",
		Long: `List transfers that are staged and whose outcome isn't known yet, the oldest first, with the banks that have not said yet that they hold
them. On a healthy cluster a transfer stays here for milliseconds; one that stays waits for a bank that doesn't answer, or for its deadline.`,
		Example: "  quorate transfer in-doubt\n  quorate transfer in-doubt -o jsonl",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := newPrinter(cmd)
			if err != nil {
				return err
			}
			c, err := dial(cmd, timeoutDefault)
			if err != nil {
				return err
			}
			defer c.hangUp()
			doubts, err := c.InDoubt(c.ctx, limit)
			if err != nil {
				return err
			}
			return printDoubts(p, doubts)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most, 1 to 1000")
	return cmd
}

type doubtJSON struct {
	Transfer   transferJSON `json:"transfer"`
	WaitingFor []string     `json:"waiting_for"`
}

// printDoubts prints what the HTTP API has under /v1/in-doubt: a list without pages.
func printDoubts(p *printer, doubts []client.Doubt) error {
	t := table{header: []string{"ID", "CREATED", "WAITING FOR", "REFERENCE"}}
	objects := []doubtJSON{}
	for i := range doubts {
		d := &doubts[i]
		object := doubtJSON{Transfer: transferToJSON(&d.Record), WaitingFor: []string{}}
		for _, at := range d.Waiting {
			object.WaitingFor = append(object.WaitingFor, string(at))
		}
		objects = append(objects, object)
		t.rows = append(t.rows, []string{
			object.Transfer.ID, timeText(d.Record.CreatedAt), orDash(strings.Join(object.WaitingFor, ", ")), orDash(d.Record.Transfer.Reference),
		})
	}
	return printAll(p, objects, func(d doubtJSON) string { return d.Transfer.ID }, t)
}

// whole is a list that comes in one piece, as the HTTP API prints it.
type whole[T any] struct {
	Data []T `json:"data"`
}

// printAll is printList for what has no pages.
func printAll[T any](p *printer, objects []T, id func(T) string, t table) error {
	if p.format == "json" && !p.quiet {
		return p.json(whole[T]{Data: append([]T{}, objects...)}, "  ")
	}
	return printList(p, objects, id, t)
}
