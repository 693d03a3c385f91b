package sim_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/quorate/quorate/sim"
)

// TestEventsComeByTimeAndThenAsTheyWereMade: a stable sort is the obvious version.
func TestEventsComeByTimeAndThenAsTheyWereMade(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOf(rapid.IntRange(0, 20)).Draw(t, "times")
		at, want := make([]time.Duration, len(times)), make([]int, len(times))
		for i, v := range times {
			at[i], want[i] = time.Duration(v), i
		}
		slices.SortStableFunc(want, func(a, b int) int { return times[a] - times[b] })
		if got := sim.Order(at); !slices.Equal(got, want) {
			t.Fatalf("times %v came as %v, want %v", times, got, want)
		}
	})
}
