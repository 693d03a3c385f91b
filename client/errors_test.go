package client_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

// TestAnUnknownOutcomeClaimsNothing: what the last attempt says of itself is no word about those before.
func TestAnUnknownOutcomeClaimsNothing(t *testing.T) {
	err := &client.OutcomeUnknownError{ID: client.NewID(), Err: fmt.Errorf("%w: no route", client.ErrUnreachable)}
	if text := err.Error(); strings.Contains(text, "nothing was changed") || !strings.HasSuffix(text, "could be reached: no route") {
		t.Errorf("it says %q", text)
	}
	if !errors.Is(err, transfer.ErrOutcomeUnknown) || !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("%v isn't both that the outcome is unknown, and why", err)
	}
}
