package main

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

// What a shell offers when somebody presses tab comes from the cluster itself: banks, accounts, and the newest transfers. A cluster that
// doesn't answer at once offers nothing.

const (
	completeTimeout  = time.Second
	completeAccounts = 2000 // looked at for one offer
	completeItems    = 50
)

type completion = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective)

// offered makes an offer of what ask finds.
func offered(more cobra.ShellCompDirective, ask func(c *caller, typed string) ([]string, error)) completion {
	return func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		if cmd.Flags().Set("timeout", completeTimeout.String()) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := dial(cmd, completeTimeout)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.hangUp()
		items, _ := ask(c, typed) // what has come before an error is true
		return items, cobra.ShellCompDirectiveNoFileComp | more
	}
}

// firstOnly is for commands that take one argument.
func firstOnly(complete completion) completion {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(cmd, args, typed)
	}
}

var (
	completeBank     = firstOnly(offered(0, banksLike))
	completeAccount  = firstOnly(offered(cobra.ShellCompDirectiveNoSpace, placesLike))
	completeTransfer = firstOnly(offered(0, transfersLike))
)

func banksLike(c *caller, typed string) (names []string, err error) {
	banks, err := c.Banks(c.ctx)
	for _, b := range banks {
		if strings.HasPrefix(string(b.ID), typed) {
			names = append(names, string(b.ID))
		}
	}
	return names, err
}

// placesLike offers banks as BANK/ until a bank is typed, and then its accounts.
func placesLike(c *caller, typed string) (places []string, err error) {
	bank, account, chosen := strings.Cut(typed, "/")
	if !chosen {
		if places, err = banksLike(c, typed); err != nil {
			return nil, err
		}
		for i := range places {
			places[i] += "/"
		}
		return places, nil
	}
	looked := 0
	for a, err := range c.Accounts(c.ctx, transfer.BankID(bank)) {
		if looked++; err != nil || looked > completeAccounts || len(places) == completeItems {
			return places, err
		}
		if strings.HasPrefix(string(a.ID), account) {
			places = append(places, bank+"/"+string(a.ID))
		}
	}
	return places, nil
}

// transfersLike offers the newest, each with what it is.
func transfersLike(c *caller, typed string) (ids []string, err error) {
	looked := 0
	for r, err := range c.ListTransfers(c.ctx, client.Filter{}) {
		if looked++; err != nil || looked > completeAccounts || len(ids) == completeItems {
			return ids, err
		}
		if id := r.Transfer.ID.String(); strings.HasPrefix(id, typed) {
			ids = append(ids, id+"\t"+r.State.String()+" "+printable(summaryOf(&r)))
		}
	}
	return ids, nil
}

func completeContext(_ *cobra.Command, args []string, typed string) (names []string, _ cobra.ShellCompDirective) {
	all, err := loadContexts()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, name := range slices.Sorted(maps.Keys(all.Contexts)) {
		if strings.HasPrefix(name, typed) {
			names = append(names, name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// argumentsOf says what is offered for a command's argument, by its path without "quorate".
var argumentsOf = map[string]completion{
	"transfer get": completeTransfer, "transfer watch": completeTransfer, "transfer cancel": completeTransfer,
	"account get": completeAccount, "account freeze": completeAccount, "account unfreeze": completeAccount, "account limit": completeAccount,
	"account close": completeAccount, "account statement": completeAccount, "account list": completeBank, "account open": completeAccount,
}

// flagsOf says what is offered for a flag, wherever it is.
var flagsOf = map[string]completion{
	"bank": offered(0, banksLike), "account": offered(cobra.ShellCompDirectiveNoSpace, placesLike),
	"from": offered(cobra.ShellCompDirectiveNoSpace, placesLike), "to": offered(cobra.ShellCompDirectiveNoSpace, placesLike),
	"context": func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return completeContext(cmd, nil, typed)
	},
	"output": words("table", "json", "jsonl"), "state": words("pending", "committed", "aborted"), "format": words("csv", "jsonl"),
}

func words(all ...string) completion {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}

// addCompletion has a command and all below it offer what they can.
func addCompletion(cmd *cobra.Command) {
	_, path, _ := strings.Cut(cmd.CommandPath(), " ")
	if complete, known := argumentsOf[path]; known {
		cmd.ValidArgsFunction = complete
	}
	for name, complete := range flagsOf {
		if flag := cmd.LocalNonPersistentFlags().Lookup(name); flag != nil || cmd.PersistentFlags().Lookup(name) != nil {
			_ = cmd.RegisterFlagCompletionFunc(name, complete) // fails only for a flag that isn't there, or twice
		}
	}
	for _, sub := range cmd.Commands() {
		addCompletion(sub)
	}
}
