package driver_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/transfer"
)

// TestAShortfallReachesTheDecision, but only one that fits what the bank was asked: a bank is a stranger, and the log is no place for its stories.
func TestAShortfallReachesTheDecision(t *testing.T) {
	asked := theTransfer().Legs[0]
	fitting := transfer.Shortfall{Account: asked.Account, Currency: asked.Currency, AvailableMinor: -3, NeededMinor: 100}
	other := func(change func(*transfer.Shortfall)) *transfer.Shortfall {
		s := fitting
		change(&s)
		return &s
	}
	for _, test := range []struct {
		name   string
		code   transfer.Code
		says   *transfer.Shortfall
		passes bool
	}{
		{"the account that was to be debited", "insufficient_funds", &fitting, true},
		{"a bank that says nothing", "insufficient_funds", nil, false},
		{"an account that nobody asked about", "insufficient_funds", other(func(s *transfer.Shortfall) { s.Account = "mallory" }), false},
		{"another currency", "insufficient_funds", other(func(s *transfer.Shortfall) { s.Currency = "USD" }), false},
		{"another reason", "account_frozen", &fitting, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(time.Second)
			d.lead()
			d.submit(theTransfer())
			d.agree()
			d.driver.Answers(d.now, "A", []bank.Answer{{
				Op: bank.Prepare, ID: idOf(1), Fingerprint: theTransfer().Fingerprint(), Result: bank.No,
				Reason: transfer.Reason{Code: test.code, Shortfall: test.says},
			}})
			d.take()
			if len(d.proposed) != 1 || d.proposed[0].Decide == nil {
				t.Fatalf("proposed %+v, want an abort", d.proposed)
			}
			var want *transfer.Shortfall
			if test.passes {
				want = test.says
			}
			if diff := cmp.Diff(want, d.proposed[0].Decide.Reason.Shortfall); diff != "" {
				t.Errorf("the decision's shortfall (-want +got):\n%s", diff)
			}
		})
	}
}
