package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

// The books of a whole bank: their sums, and every entry.

type auditJSON struct {
	Bank      string      `json:"bank"`
	Totals    []totalJSON `json:"totals"`
	OpenHolds uint64      `json:"open_holds"`
	LastEntry uint64      `json:"last_entry"`
}

type totalJSON struct {
	Currency      string `json:"currency"`
	PostedMinor   string `json:"posted_minor"`
	HeldMinor     string `json:"held_minor"`
	IncomingMinor string `json:"incoming_minor"`
	Accounts      uint64 `json:"accounts"`
}

func auditToJSON(a *client.Audit) auditJSON {
	out := auditJSON{Bank: string(a.Bank), Totals: []totalJSON{}, OpenHolds: a.OpenHolds, LastEntry: a.LastEntry}
	for _, t := range a.Totals {
		out.Totals = append(out.Totals, totalJSON{string(t.Currency), digits(t.PostedMinor), digits(t.HeldMinor), digits(t.IncomingMinor), t.Accounts})
	}
	return out
}

func newBankAudit() *cobra.Command {
	return &cobra.Command{
		Use:   "audit BANK",
		Short: "Add up a bank's books, all at one moment",
		Long: `Add up all accounts of a bank in each currency, all at one moment. What is posted is what other banks owe it: over all banks it
adds up to zero whenever no transfer is under way (quorate cluster verify looks at all of them).`,
		Example: "  quorate bank audit north",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := transfer.ValidateName(args[0]); err != nil {
				return err
			}
			return withCluster(cmd, func(p *printer, c *caller) error {
				a, err := c.Audit(c.ctx, transfer.BankID(args[0]))
				if err != nil {
					return err
				}
				totals := table{header: []string{"CURRENCY", "POSTED", "HELD", "INCOMING", "ACCOUNTS"}}
				for _, t := range a.Totals {
					money := func(minor int64) string { return transfer.FormatMinor(minor, t.Currency) }
					totals.rows = append(totals.rows, []string{string(t.Currency), money(t.PostedMinor), money(t.HeldMinor), money(t.IncomingMinor), fmt.Sprint(t.Accounts)})
				}
				head := table{header: []string{"BANK", "OPEN HOLDS", "LAST ENTRY"}, rows: [][]string{{string(a.Bank), fmt.Sprint(a.OpenHolds), fmt.Sprint(a.LastEntry)}}}
				return p.one(auditToJSON(&a), string(a.Bank), head, totals)
			})
		},
	}
}

func newBankEntries() *cobra.Command {
	return &cobra.Command{
		Use:     "entries BANK",
		Short:   "List all entries of a bank, oldest first",
		Long:    "List all entries of a bank's journal, oldest first: every posting of every account. The entries of one account are its statement.",
		Example: "  quorate bank entries north -o jsonl",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := transfer.ValidateName(args[0]); err != nil {
				return err
			}
			return withCluster(cmd, func(p *printer, c *caller) error {
				header := []string{"SEQ", "POSTED", "TRANSFER", "ACCOUNT", "AMOUNT", "BALANCE", "CURRENCY", "REFERENCE"}
				return printEntries(p, "entries of "+args[0], header, c.Entries(c.ctx, transfer.BankID(args[0])), func(e *client.Entry) []string {
					return []string{
						strconv.FormatUint(e.Seq, 10), timeText(e.At), e.Transfer.String(), string(e.Account), transfer.FormatMinor(e.AmountMinor, e.Currency),
						transfer.FormatMinor(e.BalanceMinor, e.Currency), string(e.Currency), orDash(e.Reference),
					}
				})
			})
		},
	}
}
