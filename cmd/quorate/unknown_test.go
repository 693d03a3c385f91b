package main

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

// TestAKilledLeaderLeavesUnknownThenTheTruth kills the coordinators' leader while two transfers wait for a bank that is down, one of the SDK and one of the command line.
// Two of three servers are gone then, so that nobody can know: both hear "unknown" with the id. When the servers are back, asking and submitting again say the same.
func TestAKilledLeaderLeavesUnknownThenTheTruth(t *testing.T) {
	c := startProcesses(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	for _, terms := range []client.Terms{{ID: "@cash", Currency: "EUR", Unlimited: true}, {ID: "bob", Currency: "EUR"}} {
		at := map[bool]transfer.BankID{true: "east", false: "lone"}[terms.Unlimited]
		if _, err := c.client.OpenAccount(ctx, at, terms); err != nil {
			t.Fatal(err)
		}
	}
	c.kill(2) // with bank lone
	paid := func(id transfer.ID) transfer.Transfer {
		return transfer.Transfer{ID: id, Deadline: time.Now().Add(time.Minute), Legs: []transfer.Leg{
			{Bank: "east", Account: "@cash", Direction: transfer.Debit, AmountMinor: 100, Currency: "EUR"},
			{Bank: "lone", Account: "bob", Direction: transfer.Credit, AmountMinor: 100, Currency: "EUR"},
		}}
	}
	ofSDK, ofCLI := client.NewID(), client.NewID()
	args := []string{"transfer", "create", "--id", ofCLI.String(), "--from=east/@cash", "--to=lone/bob", "--amount=1.00", "--currency=EUR", "--transfer-timeout=1m0s"}
	server := "--server=" + c.places[0].GRPC + "," + c.places[1].GRPC
	var said bytes.Buffer
	create := exec.CommandContext(ctx, "quorate", append(args, server, "--timeout=20s")...)
	create.Stderr = &said
	if err := create.Start(); err != nil {
		t.Fatal(err)
	}
	waiting, stopWaiting := context.WithCancel(ctx)
	defer stopWaiting()
	heard := make(chan error, 1)
	go func() { // ends with waiting
		_, err := c.client.Transfer(waiting, paid(ofSDK))
		heard <- err
	}()
	waitUntil(t, 30*time.Second, "both are pending", func() bool {
		for _, id := range []transfer.ID{ofSDK, ofCLI} {
			asking, cancel := context.WithTimeout(ctx, 5*time.Second)
			r, err := c.client.Get(asking, id)
			cancel()
			if err != nil || r.State != transfer.Pending {
				return false
			}
		}
		return true
	})
	c.kill(c.leader(ctx))
	stopWaiting()
	var unknown *client.OutcomeUnknownError
	if err := <-heard; !errors.As(err, &unknown) || unknown.ID != ofSDK {
		t.Errorf("the SDK says %v, want that the outcome of %s is unknown", err, ofSDK)
	}
	var exit *exec.ExitError
	if err := create.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 8 || !strings.Contains(said.String(), "try: quorate transfer create --id "+ofCLI.String()) {
		t.Errorf("the command line ends with %v, want exit code 8 and how to run it again:\n%s", err, &said)
	}
	for i := range c.servers {
		c.kill(i)
		c.start(i)
	}
	for _, id := range []transfer.ID{ofSDK, ofCLI} {
		c.mustAgree(ctx, id, paid(id))
	}
	again := exec.CommandContext(ctx, "quorate", append(args, server, "--timeout=1m")...)
	r, err := c.client.Get(ctx, ofCLI)
	if ended := again.Run(); err != nil || (ended == nil) != (r.State == transfer.Committed) {
		t.Errorf("run again, the command ends with %v; the transfer is %s, %v", ended, r.State, err)
	}
}

// leader is the server that leads the coordinators, as those that are up see it.
func (c *processCluster) leader(ctx context.Context) (server int) {
	c.t.Helper()
	waitUntil(c.t, 30*time.Second, "there is a leader", func() bool {
		asking, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		s, err := c.client.Status(asking)
		if err != nil {
			return false
		}
		for _, g := range s.Groups {
			if g.Group == "coordinator/0" && g.Leader != 0 {
				server = int(g.Leader) - 1
				return true
			}
		}
		return false
	})
	return server
}

// mustAgree has Get and a second submission tell one outcome of a transfer.
func (c *processCluster) mustAgree(ctx context.Context, id transfer.ID, t transfer.Transfer) {
	c.t.Helper()
	submitted, err := c.client.Transfer(ctx, t)
	if err != nil || (submitted.State != transfer.Committed && submitted.State != transfer.Aborted) {
		c.t.Fatalf("submitted again, %s is %s, %v", id, submitted.State, err)
	}
	got, err := c.client.Get(ctx, id)
	if err != nil || got.State != submitted.State || got.Reason.Code != submitted.Reason.Code {
		c.t.Errorf("submitted again, %s is %s %s; asked for, it is %s %s, %v", id, submitted.State, submitted.Reason.Code, got.State, got.Reason.Code, err)
	}
}
