package quoratetest_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/quoratetest"
	"github.com/quorate/quorate/transfer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

// Every server may die: what was told stays true, and what is paid meanwhile is paid once.
func TestPaymentsSurviveTheDeathOfAnyServer(t *testing.T) {
	cluster := quoratetest.Start(t)
	cluster.OpenAccount("HOME", client.Terms{ID: "alice", Currency: "EUR", OverdraftMinor: 1_000})
	cluster.OpenAccount("CITY", client.Terms{ID: "bob", Currency: "EUR"})
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	c := cluster.Client()
	pay := func() {
		t.Helper()
		r, err := c.Transfer(ctx, transfer.Transfer{Legs: []transfer.Leg{
			{Bank: "HOME", Account: "alice", Direction: transfer.Debit, AmountMinor: 100, Currency: "EUR"},
			{Bank: "CITY", Account: "bob", Direction: transfer.Credit, AmountMinor: 100, Currency: "EUR"},
		}})
		if err != nil || r.State != transfer.Committed {
			t.Fatalf("%v, %+v, %v", r.State, r.Reason, err)
		}
	}
	paid := int64(0)
	for i := range 3 {
		cluster.Kill(i)
		pay()
		cluster.Restart(i)
		pay()
		paid += 200
	}
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		bob, err := c.Account(ctx, "CITY", "bob")
		if err == nil && bob.PostedMinor == paid {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatalf("bob has %d, want %d: %v", bob.PostedMinor, paid, err)
		}
	}
}

func TestOneServerIsEnoughForAQuickTest(t *testing.T) {
	cluster := quoratetest.Start(t, quoratetest.Servers(1), quoratetest.Banks("NORTH"))
	cluster.OpenAccount("NORTH", client.Terms{ID: "alice", Currency: "EUR"})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if a, err := cluster.Client().Account(ctx, "NORTH", "alice"); err != nil || a.ID != "alice" {
		t.Errorf("%+v, %v", a, err)
	}
}
