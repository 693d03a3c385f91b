package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/quorate/quorate/client"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

func TestADeadlineBecomesATimeout(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		deadline time.Time
		want     time.Duration
	}{
		"none":                               {time.Time{}, 0},
		"a begun millisecond is a whole one": {now.Add(time.Second + 1), time.Second + time.Millisecond},
		"one that has passed":                {now.Add(-time.Hour), time.Millisecond},
		"the year 1":                         {time.Time{}.Add(1), time.Millisecond},
		"later than any cluster allows":      {now.Add(25 * time.Hour), 24 * time.Hour},
		"for ever, as databases write it":    {time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), 24 * time.Hour},
	} {
		if got, _ := client.TimesAt(now, transfer.Transfer{Deadline: tc.deadline}, false); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// An attempt was lost, and the next one comes when most of the hold's time is over, or all of it: a node must not find its times impossible.
func TestAHoldsTimesStayPossible(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	const ms = time.Millisecond
	for name, tc := range map[string]struct {
		deadline, until time.Duration // from now; no deadline: zero
		timeout, hold   time.Duration
	}{
		"at first":                          {0, time.Hour, 0, time.Hour},
		"less than a cluster's default":     {0, 9 * time.Second, 4500 * ms, 9 * time.Second},
		"as long as that":                   {0, 10 * time.Second, 5 * time.Second, 10 * time.Second},
		"a moment":                          {0, 1, ms, 2 * ms},
		"over":                              {0, -time.Hour, ms, 2 * ms},
		"with a deadline":                   {5 * time.Second, time.Hour, 5 * time.Second, time.Hour},
		"with one that has passed":          {-time.Second, 8 * time.Second, ms, 8 * time.Second},
		"over, as its deadline":             {-2 * time.Hour, -time.Hour, ms, 2 * ms},
		"a deadline of the millisecond":     {8*ms + 1, 8*ms + 2, 9 * ms, 10 * ms},
		"a deadline behind it never is one": {time.Minute, time.Second, time.Minute, time.Second},
		"that passes":                       {-time.Second, -time.Minute, ms, -time.Minute},
	} {
		x := transfer.Transfer{HoldUntil: now.Add(tc.until)}
		if tc.deadline != 0 {
			x.Deadline = now.Add(tc.deadline)
		}
		if timeout, hold := client.TimesAt(now, x, true); timeout != tc.timeout || hold != tc.hold {
			t.Errorf("%s: %v and %v, want %v and %v", name, timeout, hold, tc.timeout, tc.hold)
		}
		if timeout, hold := client.TimesAt(now, x, false); hold != tc.until || tc.deadline == 0 && timeout != 0 {
			t.Errorf("%s: %v and %v at first, want it as it is", name, timeout, hold)
		}
	}
}

func TestEachAttemptReckonsAHoldsTime(t *testing.T) {
	n := startNode(t)
	n.does(func(call int, _ context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
		if call%2 == 1 {
			return all(specs, refuse(transfer.ErrBusy)), nil
		}
		return all(specs, commit), nil
	})
	ctx, c := dial(t, n.address)
	hold := rent(client.NewID())
	hold.HoldUntil = time.Now().Add(time.Hour)
	if _, err := c.Transfer(ctx, hold); err != nil {
		t.Fatal(err)
	}
	if r := c.Transfers(ctx, []transfer.Transfer{hold}); r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	for calls := n.calls(); len(calls) > 1; calls = calls[1:] {
		if before, after := calls[0][0].GetHoldTimeout().AsDuration(), calls[1][0].GetHoldTimeout().AsDuration(); after >= before {
			t.Errorf("%v and then %v", before, after)
		}
	}
}

// What an earlier attempt may have done isn't hidden by a later one's times.
func TestAHoldsTimesSayNothingOfEarlierAttempts(t *testing.T) {
	n := startNode(t)
	n.does(func(call int, _ context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
		if call == 1 {
			return all(specs, refuse(transfer.ErrOutcomeUnknown)), nil
		}
		return all(specs, refuse(transfer.ErrInvalidHold)), nil
	})
	ctx, c := dial(t, n.address)
	hold := rent(client.NewID())
	hold.HoldUntil = time.Now().Add(time.Hour)
	if _, err := c.Transfer(ctx, hold); unknownID(err) != hold.ID.String() {
		t.Errorf("%v", err)
	}
}
