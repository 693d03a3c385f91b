package client_test

import (
	"testing"
	"time"

	"github.com/quorate/quorate/client"
)

func TestADeadlineBecomesATimeout(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		deadline time.Time
		want     time.Duration
	}{
		"a begun millisecond is a whole one": {now.Add(time.Second + 1), time.Second + time.Millisecond},
		"one that has passed":                {now.Add(-time.Hour), time.Millisecond},
		"the year 1":                         {time.Time{}.Add(1), time.Millisecond},
		"later than any cluster allows":      {now.Add(25 * time.Hour), 24 * time.Hour},
		"for ever, as databases write it":    {time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), 24 * time.Hour},
	} {
		if got := client.TimeoutAt(now, tc.deadline); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
