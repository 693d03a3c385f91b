package main

import (
	"bufio"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

type entryJSON struct {
	Seq          uint64     `json:"seq"`
	TransferID   string     `json:"transfer_id"`
	Account      string     `json:"account"`
	Currency     string     `json:"currency"`
	AmountMinor  string     `json:"amount_minor"`
	BalanceMinor string     `json:"balance_minor"`
	PostedAt     *time.Time `json:"posted_at,omitempty"`
	Reference    string     `json:"reference"`
}

func entryToJSON(e *client.Entry) entryJSON {
	return entryJSON{
		Seq: e.Seq, TransferID: e.Transfer.String(), Account: string(e.Account), Currency: string(e.Currency),
		AmountMinor: digits(e.AmountMinor), BalanceMinor: digits(e.BalanceMinor), PostedAt: timeToJSON(e.At), Reference: e.Reference,
	}
}

func newAccountStatement() *cobra.Command {
	var since, until string
	cmd := &cobra.Command{
		Use:   "statement BANK/ACCOUNT",
		Short: "List the entries of an account with the balance after each",
		Long: `List the entries of an account, oldest first, each with the balance after it. With --since, from that moment on; with --until, up to
but without it: statements of periods that follow one another have every entry once. Times are days (2026-11-01, in UTC),
RFC 3339 (2026-11-01T12:00:00Z) or how long ago (24h).`,
		Example: `  quorate account statement north/alice
  quorate account statement north/alice --since 2026-11-01 --until 2026-12-01 -o jsonl
  quorate account statement north/alice --since 24h`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			period, err := parsePeriod(since, until, time.Now())
			if err != nil {
				return err
			}
			at, id, err := parsePlace(args[0])
			if err != nil {
				return err
			}
			return withCluster(cmd, func(p *printer, c *caller) error { return printStatement(p, c, at, id, period) })
		},
	}
	addPeriodFlags(cmd, &since, &until)
	return cmd
}

func addPeriodFlags(cmd *cobra.Command, since, until *string) {
	cmd.Flags().StringVar(since, "since", "", "from this moment on: a day, a time, or how long ago (24h)")
	cmd.Flags().StringVar(until, "until", "", "up to, but without, this moment")
}

func parsePeriod(since, until string, now time.Time) (p client.Period, err error) {
	if p.Since, err = parseMoment("--since", since, now); err != nil {
		return p, err
	}
	if p.Until, err = parseMoment("--until", until, now); err != nil {
		return p, err
	}
	if !p.Since.IsZero() && !p.Until.IsZero() && p.Until.Before(p.Since) {
		return p, usagef("--until %s lies before --since %s", until, since)
	}
	return p, nil
}

// parseMoment reads a day in UTC, a time, or how long ago; the zero time from an empty text.
func parseMoment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("%s %q is no moment. try: 2026-11-01, 2026-11-01T12:00:00Z or 24h", flag, text)
}

func printStatement(p *printer, c *caller, at transfer.BankID, id transfer.AccountID, period client.Period) error {
	header := []string{"SEQ", "POSTED", "TRANSFER", "AMOUNT", "BALANCE", "CURRENCY", "REFERENCE"}
	return printEntries(p, fmt.Sprintf("statement of %s/%s", at, id), header, c.Statement(c.ctx, at, id, period), func(e *client.Entry) []string {
		return []string{
			strconv.FormatUint(e.Seq, 10), timeText(e.At), e.Transfer.String(), transfer.FormatMinor(e.AmountMinor, e.Currency),
			transfer.FormatMinor(e.BalanceMinor, e.Currency), string(e.Currency), orDash(e.Reference),
		}
	})
}

// printEntries lists one page after the other: there may be many, so the lines go out as they come.
func printEntries(p *printer, what string, header []string, entries iter.Seq2[client.Entry, error], row func(*client.Entry) []string) error {
	out := bufio.NewWriter(p.out)
	p.out = out
	list := newLister(p, header)
	for e, err := range entries {
		if err == nil {
			err = list.add(entryToJSON(&e), strconv.FormatUint(e.Seq, 10), row(&e))
		}
		if err != nil {
			_ = out.Flush() // what has come is true
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	if err := list.end(); err != nil {
		return err
	}
	return out.Flush()
}
