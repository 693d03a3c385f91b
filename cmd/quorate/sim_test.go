package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// simulate runs quorate sim in this process.
func simulate(ctx context.Context, t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	var out, said bytes.Buffer
	root := newRoot()
	root.SetOut(&out)
	root.SetErr(&said)
	root.SetArgs(append([]string{"sim"}, args...))
	err = root.ExecuteContext(ctx)
	return out.String(), err
}

// A campaign that was ended before its time must not look like one that has passed.
func TestACampaignThatIsInterruptedSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := simulate(ctx, t, "--seed", "1", "--seeds", "1000")
	if code := exitCode(ctx, err); code != exitInterrupted || !strings.Contains(err.Error(), "interrupted after 0 seeds") {
		t.Errorf("exit code %d, %v", code, err)
	}
}

// Worlds end in another order each time, and in fewer or more jobs.
func TestTheTraceOfManySeedsIsThatOfAll(t *testing.T) {
	traces := map[string]bool{}
	for _, jobs := range []string{"1", "2", "3"} {
		out, err := simulate(t.Context(), t, "--seed", "1", "--seeds", "6", "--length", "500ms", "--jobs", jobs)
		if err != nil {
			t.Fatal(err)
		}
		_, row, _ := strings.Cut(out, "\n")
		traces[strings.Fields(row)[1]] = true
	}
	if len(traces) != 1 {
		t.Errorf("the same seeds have the traces %v", traces)
	}
}
