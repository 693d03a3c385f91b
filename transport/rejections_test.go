package transport

import (
	"fmt"
	"testing"
	"time"
)

// TestRejectionsAreToldAnewEachMinute, and many different ones no more than a bounded number of times.
func TestRejectionsAreToldAnewEachMinute(t *testing.T) {
	var r rejections
	now := time.Unix(1_700_000_000, 0)
	told := 0
	for i := range 10 * rejectionsMax {
		if r.anew(fmt.Sprint("reason ", i), now) {
			told++
		}
	}
	if told != rejectionsMax {
		t.Errorf("told %d of many, want %d", told, rejectionsMax)
	}
	if r.anew("reason 0", now.Add(rejectionsEvery-1)) {
		t.Error("told twice in a minute")
	}
	if !r.anew("reason 0", now.Add(rejectionsEvery)) {
		t.Error("not told in the next minute")
	}
}
