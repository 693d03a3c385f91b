package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

// knownBanks refuses names that are no bank's. Where a name is only compared, a wrong one would be an empty list, or a watch for ever.
func knownBanks(ctx context.Context, c *client.Client, names ...string) error {
	if len(names) == 0 {
		return nil
	}
	banks, err := c.Banks(ctx) // from one server's memory
	if err != nil {
		return err
	}
	for _, name := range names {
		if !slices.ContainsFunc(banks, func(b client.BankStatus) bool { return string(b.ID) == name }) {
			return fmt.Errorf("%w: %q", transfer.ErrUnknownBank, name)
		}
	}
	return nil
}

func newBank() *cobra.Command {
	return newGroup("bank", "See the banks of the cluster", newBankList(), newBankAudit(), newBankEntries())
}

func newBankList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the banks as one server sees them",
		Long: `List the banks of the cluster as the server sees them that answers first: whether a bank has answered lately, whether it is given new
transfers (breaker closed: yes; open: no; half_open: one, to find out), which node leads it, and where its replicas are.`,
		Example: "  quorate bank list\n  quorate bank list -q",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := newPrinter(cmd)
			if err != nil {
				return err
			}
			c, err := dial(cmd, statusTimeout)
			if err != nil {
				return err
			}
			defer c.hangUp()
			banks, err := c.Banks(c.ctx)
			if err != nil {
				return err
			}
			objects := statusToJSON(&client.Status{Banks: banks}).Banks
			return printAll(p, objects, func(b bankStatusJSON) string { return b.ID }, tableOfBanks(banks))
		},
	}
}
