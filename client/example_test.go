package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

// A transfer of 10.50 CZK from one bank to another.
func ExampleClient_Transfer() {
	c, err := client.Dial([]string{"node1:7401", "node2:7401", "node3:7401"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()

	t := transfer.Transfer{
		ID:        client.NewID(), // keep it: with it the transfer can be submitted again, after a crash, too
		Reference: "rent",
		Legs: []transfer.Leg{
			{Bank: "HOME", Account: "alice", Direction: transfer.Debit, AmountMinor: 1050, Currency: "CZK"},
			{Bank: "CITY", Account: "bob", Direction: transfer.Credit, AmountMinor: 1050, Currency: "CZK"},
		},
	}
	record, err := c.Transfer(ctx, t)
	var unknown *client.OutcomeUnknownError
	switch {
	case errors.As(err, &unknown):
		fmt.Println("not known yet: submit again with id", unknown.ID)
	case err != nil:
		fmt.Println("nothing was moved:", err)
	case record.State == transfer.Aborted:
		fmt.Println("aborted:", record.Reason.Code, record.Reason.Detail)
	default:
		fmt.Println(record.State)
	}
}

// The accounts of a bank, however many there are.
func ExampleClient_Accounts() {
	c, err := client.Dial([]string{"node1:7401"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	for account, err := range c.Accounts(ctx, "HOME") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(account.ID, transfer.FormatMinor(account.PostedMinor, account.Currency), account.Currency)
	}
}
