package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quorate/quorate/transfer"
)

// TestAFullDiskIsNothingToWaitFor: asking again in a moment would be refused again.
func TestAFullDiskIsNothingToWaitFor(t *testing.T) {
	var said strings.Builder
	explain(&said, newRoot(), &ranError{fmt.Errorf("%w: group bank/north", transfer.ErrDiskFull)})
	if text := said.String(); !strings.Contains(text, ". try: free space where quorate status says full (column DISK)") {
		t.Error(text)
	}
}
