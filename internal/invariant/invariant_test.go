package invariant_test

import (
	"errors"
	"testing"

	"github.com/quorate/quorate/internal/invariant"
)

// brokenBy runs f and returns what it panicked with; nil if it returned.
func brokenBy(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

func TestHoldsIsSilentWhileThePromiseIsKept(t *testing.T) {
	if got := brokenBy(func() { invariant.Holds(true, "commit %d past last %d", 1, 2) }); got != nil {
		t.Errorf("panicked with %v", got)
	}
}

func TestBrokenPromiseStopsWithItsNumbers(t *testing.T) {
	tests := []struct {
		name, want string
		do         func()
	}{
		{"a condition that is false", "commit 7 past last 5", func() { invariant.Holds(false, "commit %d past last %d", 7, 5) }},
		{"a place that can't be reached", "event *int is not on the list", func() { invariant.Fail("event %T is not on the list", new(int)) }},
		{"a message without numbers", "sum is zero", func() { invariant.Holds(false, "sum is zero") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			broken, ok := brokenBy(tt.do).(invariant.Broken)
			if !ok {
				t.Fatalf("did not panic with Broken")
			}
			if broken.Message != tt.want {
				t.Errorf("message is %q, want %q", broken.Message, tt.want)
			}
			if got := broken.Error(); got != "invariant broken: "+tt.want {
				t.Errorf("error text is %q", got)
			}
		})
	}
}

// TestHostCanTellABrokenPromiseFromOtherPanics: a host recovers, looks with errors.As and chooses its exit code.
func TestHostCanTellABrokenPromiseFromOtherPanics(t *testing.T) {
	isBroken := func(value any) bool {
		err, ok := value.(error)
		var broken invariant.Broken
		return ok && errors.As(err, &broken)
	}
	if !isBroken(brokenBy(func() { invariant.Fail("x") })) {
		t.Error("a broken promise is not recognised")
	}
	if isBroken(brokenBy(func() { var none []int; _ = none[len(none)] })) {
		t.Error("a runtime panic passes for a broken promise")
	}
}
