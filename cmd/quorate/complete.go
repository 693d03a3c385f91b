package main

import (
	"maps"
	"slices"
	"strconv"
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

// inTurn is for commands with several arguments: each has what is offered for it. Behind the last one nothing is.
func inTurn(each ...completion) completion {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(each) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return each[len(args)](cmd, args, typed)
	}
}

var (
	completeBank     = offered(0, banksLike)
	completeAccount  = offered(cobra.ShellCompDirectiveNoSpace, placesLike)
	completeTransfer = offered(0, transfersLike)
	completeMember   = offered(0, membersLike)
	completeGroup    = offered(0, groupsLike)
	completeToken    = offered(0, tokensLike)
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

// membersLike offers the nodes that are there, each with what it is.
func membersLike(c *caller, typed string) (ids []string, err error) {
	members, err := c.Members(c.ctx)
	for _, m := range members {
		if id := strconv.FormatUint(m.Node, 10); m.Role != "removed" && strings.HasPrefix(id, typed) {
			ids = append(ids, id+"\t"+m.Role+" "+m.Peer)
		}
	}
	return ids, err
}

// groupsLike offers the groups that members have replicas of.
func groupsLike(c *caller, typed string) (groups []string, err error) {
	members, err := c.Members(c.ctx)
	for _, m := range members {
		for _, g := range m.Groups {
			if strings.HasPrefix(g, typed) && !slices.Contains(groups, g) {
				groups = append(groups, g)
			}
		}
	}
	slices.Sort(groups)
	return groups, err
}

func tokensLike(c *caller, typed string) (names []string, err error) {
	tokens, err := c.Tokens(c.ctx)
	for _, t := range tokens {
		if strings.HasPrefix(t.Name, typed) {
			names = append(names, t.Name)
		}
	}
	return names, err
}

func completeContext(_ *cobra.Command, _ []string, typed string) (names []string, _ cobra.ShellCompDirective) {
	all, err := loadContexts()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, name := range slices.Sorted(maps.Keys(all.Contexts)) {
		if strings.HasPrefix(name, typed) {
			names = append(names, name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// argumentsOf says what is offered for a command's arguments, by its path without "quorate". What isn't here are names of files, or nothing.
var argumentsOf = map[string]completion{
	"transfer get": inTurn(completeTransfer), "transfer watch": inTurn(completeTransfer), "transfer cancel": inTurn(completeTransfer),
	"transfer capture": inTurn(completeTransfer), "transfer void": inTurn(completeTransfer),
	"account get": inTurn(completeAccount), "account freeze": inTurn(completeAccount), "account unfreeze": inTurn(completeAccount),
	"account limit": inTurn(completeAccount), "account close": inTurn(completeAccount), "account statement": inTurn(completeAccount),
	"account list": inTurn(completeBank), "bank audit": inTurn(completeBank), "bank entries": inTurn(completeBank), "account open": inTurn(completeAccount),
	"cluster member promote": inTurn(completeMember), "cluster member remove": inTurn(completeMember),
	"cluster transfer-leader": inTurn(completeGroup, completeMember),
	"cluster place-bank": func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return completeBank(cmd, args, typed)
		}
		return completeMember(cmd, args, typed)
	},
	"token revoke": inTurn(completeToken), "context use": inTurn(completeContext), "context remove": inTurn(completeContext),
}

// flagsOf says what is offered for a flag, wherever it is.
var flagsOf = map[string]completion{
	"bank": completeBank, "account": completeAccount, "from": completeAccount, "to": completeAccount, "context": completeContext,
	"output": words(outputFormats...), "state": words("pending", "held", "committed", "aborted"), "format": words("csv", "jsonl"),
	"role": words("submit", "read", "operate", "admin"),
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
