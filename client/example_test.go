package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/quoratetest"
	"github.com/quorate/quorate/transfer"
)

// example lets a cluster run in an example, which has no *testing.T.
type example struct{ cleanups []func() }

func (e *example) Helper()                           {}
func (e *example) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }
func (e *example) Errorf(format string, args ...any) { log.Printf(format, args...) }
func (e *example) Cleanup(f func())                  { e.cleanups = append(e.cleanups, f) }

func (e *example) TempDir() string {
	dir, err := os.MkdirTemp("", "quorate-example-")
	if err != nil {
		log.Fatal(err)
	}
	e.Cleanup(func() { _ = os.RemoveAll(dir) }) // what is left is the system's to remove
	return dir
}

func (e *example) end() {
	for i := len(e.cleanups) - 1; i >= 0; i-- {
		e.cleanups[i]()
	}
}

// addresses are those of a cluster with two accounts: alice at HOME may overdraw by 100.00 CZK, bob at CITY has nothing yet.
func addresses(e *example) []string {
	cluster := quoratetest.Start(e)
	cluster.OpenAccount("HOME", client.Terms{ID: "alice", Currency: "CZK", OverdraftMinor: 100_00})
	cluster.OpenAccount("CITY", client.Terms{ID: "bob", Currency: "CZK"})
	return cluster.Addresses()
}

// A transfer of 10.50 CZK from one bank to another.
func ExampleClient_Transfer() {
	e := &example{}
	defer e.end()
	c, err := client.Dial(addresses(e)) // "node1:7001", "node2:7001", "node3:7001"
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
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
	// Output: committed
}

// A hundred goroutines with one client. What they submit at the same time travels together; nobody has to make batches.
func ExampleClient_Transfer_concurrent() {
	e := &example{}
	defer e.end()
	c, err := client.Dial(addresses(e))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	var mu sync.Mutex
	states := map[transfer.State]int{}
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			record, err := c.Transfer(ctx, transfer.Transfer{ID: client.NewID(), Legs: []transfer.Leg{
				{Bank: "HOME", Account: "alice", Direction: transfer.Debit, AmountMinor: 1_25, Currency: "CZK"},
				{Bank: "CITY", Account: "bob", Direction: transfer.Credit, AmountMinor: 1_25, Currency: "CZK"},
			}})
			if err != nil {
				log.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			states[record.State]++
		})
	}
	group.Wait()
	fmt.Println(states[transfer.Committed], "committed,", states[transfer.Aborted], "aborted: alice had no more")
	// Output: 80 committed, 20 aborted: alice had no more
}

// The accounts of a bank, however many there are.
func ExampleClient_Accounts() {
	e := &example{}
	defer e.end()
	c, err := client.Dial(addresses(e))
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
	// Output: alice 0.00 CZK
}
