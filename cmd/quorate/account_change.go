package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

func newAccountFreeze() *cobra.Command {
	return &cobra.Command{
		Use:   "freeze BANK/ACCOUNT",
		Short: "Have an account take no new transfers",
		Long: `Have an account take no new transfers: those that touch it are aborted with account_frozen. What is prepared already is finished
all the same. Freezing again is harmless.`,
		Example: "  quorate account freeze north/alice",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeAccount(cmd, args[0], (*client.Client).Freeze)
		},
	}
}

func newAccountUnfreeze() *cobra.Command {
	return &cobra.Command{
		Use:     "unfreeze BANK/ACCOUNT",
		Short:   "Have a frozen account take transfers again",
		Example: "  quorate account unfreeze north/alice",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeAccount(cmd, args[0], (*client.Client).Unfreeze)
		},
	}
}

func newAccountClose() *cobra.Command {
	return &cobra.Command{
		Use:   "close BANK/ACCOUNT",
		Short: "Close an empty account for ever",
		Long: `Close an account for ever. Its balance must be zero, and no transfer that touches it may be prepared; otherwise exit code 4 and
nothing has changed. Its entries stay. Closing again is harmless.`,
		Example: "  quorate account close north/alice",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeAccount(cmd, args[0], (*client.Client).CloseAccount)
		},
	}
}

func newAccountLimit() *cobra.Command {
	var overdraft, currency string
	var unlimited bool
	cmd := &cobra.Command{
		Use:   "limit BANK/ACCOUNT",
		Short: "Set how far below zero an account may go",
		Long: `Set how far below zero an account may go. A limit below what the account uses already is refused with exit code 4, and nothing has
changed.`,
		Example: `  quorate account limit north/alice --overdraft 100.00 --currency EUR
  quorate account limit north/@cash --unlimited`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			limit, err := parseLimit(overdraft, currency, unlimited)
			if err != nil {
				return err
			}
			return changeAccount(cmd, args[0], func(c *client.Client, ctx context.Context, at transfer.BankID, id transfer.AccountID) (client.Account, error) {
				a, err := c.Account(ctx, at, id) // its currency never changes
				if err == nil && currency != "" && currency != string(a.Currency) {
					err = fmt.Errorf("%w: %s/%s has %s, not %s", transfer.ErrCurrencyMismatch, at, id, a.Currency, currency)
				}
				if err != nil {
					return a, err
				}
				return c.SetLimit(ctx, at, id, limit)
			})
		},
	}
	cmd.Flags().StringVar(&overdraft, "overdraft", "", "the limit, as a decimal")
	cmd.Flags().StringVar(&currency, "currency", "", "the account's currency, as its ISO 4217 code: EUR")
	cmd.Flags().BoolVar(&unlimited, "unlimited", false, "no overdraft limit at all")
	return cmd
}

func parseLimit(overdraft, currency string, unlimited bool) (client.Limit, error) {
	switch {
	case unlimited && overdraft != "":
		return client.Limit{}, usagef("--overdraft and --unlimited can't both be")
	case unlimited:
		return client.Limit{Unlimited: true}, nil
	case overdraft == "":
		return client.Limit{}, usagef("a limit needs --overdraft or --unlimited. try: --overdraft 100.00 --currency EUR")
	case currency == "":
		return client.Limit{}, usagef("--overdraft needs a --currency to be read by. try: --currency EUR")
	}
	c, err := transfer.ParseCurrency(currency)
	if err != nil {
		return client.Limit{}, fmt.Errorf("--currency: %w", err)
	}
	minor, err := parseOverdraft(overdraft, c)
	return client.Limit{OverdraftMinor: minor}, err
}

// changeAccount makes one change and prints the account as it is then.
func changeAccount(cmd *cobra.Command, place string, change func(*client.Client, context.Context, transfer.BankID, transfer.AccountID) (client.Account, error)) error {
	at, id, err := parsePlace(place)
	if err != nil {
		return err
	}
	return withAccount(cmd, at, func(c *caller) (client.Account, error) { return change(c.Client, c.ctx, at, id) })
}
