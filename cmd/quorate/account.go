package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

func newAccount() *cobra.Command {
	return newGroup("account", "Open, read and change the accounts of banks", newAccountOpen(), newAccountGet(), newAccountList(),
		newAccountStatement(), newAccountFreeze(), newAccountUnfreeze(), newAccountLimit(), newAccountClose())
}

func newAccountOpen() *cobra.Command {
	var currency, overdraft string
	var unlimited bool
	cmd := &cobra.Command{
		Use:   "open BANK/ACCOUNT",
		Short: "Open an account",
		Long: `Open an account. Asking again with the same terms finds the account that is there; with other terms it fails with exit
code 5, and with 4 if that account is closed. Money comes from accounts that may go below zero: a house account such as @cash is opened with --unlimited.`,
		Example: `  quorate account open north/alice --currency EUR --overdraft 100.00
  quorate account open north/@cash --currency EUR --unlimited`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, terms, err := parseTerms(args[0], currency, overdraft, unlimited)
			if err != nil {
				return err
			}
			return withAccount(cmd, at, func(c *caller) (client.Account, error) {
				a, err := c.OpenAccount(c.ctx, at, terms)
				if err == nil && a.Status == client.Closed { // it was opened before, and who opens it now can't use it
					err = fmt.Errorf("%w for ever: %s/%s", transfer.ErrAccountClosed, at, a.ID)
				}
				return a, err
			})
		},
	}
	cmd.Flags().StringVar(&currency, "currency", "", "ISO 4217 code, in capitals: EUR")
	cmd.Flags().StringVar(&overdraft, "overdraft", "", "how far below zero the account may go, as a decimal (default 0)")
	cmd.Flags().BoolVar(&unlimited, "unlimited", false, "no overdraft limit at all")
	return cmd
}

func parseTerms(place, currency, overdraft string, unlimited bool) (at transfer.BankID, terms client.Terms, err error) {
	if currency == "" {
		return "", terms, usagef("an account needs a --currency. try: --currency EUR")
	}
	if unlimited && overdraft != "" {
		return "", terms, usagef("--overdraft and --unlimited can't both be")
	}
	terms.Unlimited = unlimited
	if at, terms.ID, err = parsePlace(place); err != nil {
		return "", terms, err
	}
	if terms.Currency, err = transfer.ParseCurrency(currency); err != nil {
		return "", terms, fmt.Errorf("--currency: %w", err)
	}
	if overdraft != "" {
		terms.OverdraftMinor, err = parseOverdraft(overdraft, terms.Currency)
	}
	return at, terms, err
}

func parseOverdraft(text string, currency transfer.Currency) (minor int64, err error) {
	if minor, err = transfer.ParseDecimal(text, currency); err != nil {
		return 0, fmt.Errorf("--overdraft: %w", err)
	}
	if minor < 0 {
		return 0, fmt.Errorf("%w: got %s", transfer.ErrInvalidOverdraft, text)
	}
	return minor, nil
}

func newAccountGet() *cobra.Command {
	return &cobra.Command{
		Use:     "get BANK/ACCOUNT",
		Short:   "Read one account",
		Example: "  quorate account get north/alice\n  quorate account get north/alice -o json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, id, err := parsePlace(args[0])
			if err != nil {
				return err
			}
			return withAccount(cmd, at, func(c *caller) (client.Account, error) { return c.Account(c.ctx, at, id) })
		},
	}
}

// withAccount asks for one account and prints it.
func withAccount(cmd *cobra.Command, at transfer.BankID, ask func(*caller) (client.Account, error)) error {
	return withCluster(cmd, func(p *printer, c *caller) error {
		a, err := ask(c)
		if err != nil {
			return err
		}
		return p.one(accountToJSON(at, &a), string(a.ID), accountTable(at, []client.Account{a}))
	})
}

func newAccountList() *cobra.Command {
	return &cobra.Command{
		Use:     "list BANK",
		Short:   "List all accounts of a bank",
		Example: "  quorate account list north\n  quorate account list north -o jsonl",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := transfer.ValidateName(args[0]); err != nil {
				return err
			}
			at := transfer.BankID(args[0])
			return withCluster(cmd, func(p *printer, c *caller) error {
				var accounts []client.Account
				var objects []accountJSON
				for a, err := range c.Accounts(c.ctx, at) {
					if err != nil {
						return err
					}
					accounts, objects = append(accounts, a), append(objects, accountToJSON(at, &a))
				}
				return printList(p, objects, func(a accountJSON) string { return a.ID }, accountTable(at, accounts))
			})
		},
	}
}

func accountTable(at transfer.BankID, accounts []client.Account) table {
	t := table{header: []string{"BANK", "ACCOUNT", "CURRENCY", "POSTED", "HELD", "INCOMING", "AVAILABLE", "OVERDRAFT", "STATUS"}}
	for i := range accounts {
		a := &accounts[i]
		money := func(minor int64) string { return transfer.FormatMinor(minor, a.Currency) }
		available, overdraft := "unlimited", "unlimited"
		if !a.Unlimited {
			available, overdraft = money(a.AvailableMinor), money(a.OverdraftMinor)
		}
		t.rows = append(t.rows, []string{
			string(at), string(a.ID), string(a.Currency), money(a.PostedMinor), money(a.HeldMinor), money(a.IncomingMinor),
			available, overdraft, a.Status.String(),
		})
	}
	return t
}
