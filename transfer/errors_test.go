package transfer_test

import (
	"errors"
	"fmt"
	"regexp"
	"testing"

	"github.com/quorate/quorate/transfer"
)

func TestCodeIsFoundAgain(t *testing.T) {
	tests := []struct {
		name string
		err  *transfer.Error
		kind transfer.Kind
	}{
		{"a refusal at the door", transfer.ErrUnbalanced, transfer.KindInvalid},
		{"a bank's no", transfer.ErrInsufficientFunds, transfer.KindRejected},
		{"an id that is taken", transfer.ErrIDConflict, transfer.KindConflict},
		{"nobody there to answer", transfer.ErrNoLeader, transfer.KindUnavailable},
		{"a bound that is reached", transfer.ErrBusy, transfer.KindExhausted},
		{"an outcome nobody knows yet", transfer.ErrOutcomeUnknown, transfer.KindUnknown},
		{"nothing of this name", transfer.ErrTransferNotFound, transfer.KindNotFound},
		{"a stranger", transfer.ErrUnauthenticated, transfer.KindUnauthenticated},
		{"a fault of ours", transfer.ErrInternal, transfer.KindInternal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := transfer.ErrorOf(tt.err.Code); !ok || got != tt.err {
				t.Errorf("%s is found as %v, %t", tt.err.Code, got, ok)
			}
			var coded *transfer.Error
			if wrapped := fmt.Errorf("%w: with numbers", tt.err); !errors.As(wrapped, &coded) || coded.Kind != tt.kind {
				t.Errorf("%s wrapped has kind %d, want %d", tt.err.Code, coded.Kind, tt.kind)
			}
			if !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(string(tt.err.Code)) {
				t.Errorf("code %q is no snake_case", tt.err.Code)
			}
		})
	}
	if got, ok := transfer.ErrorOf("of_a_newer_version"); ok {
		t.Errorf("an unknown code is found as %v", got)
	}
}
