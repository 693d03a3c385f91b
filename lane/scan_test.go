package lane_test

import (
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
)

// TestAScanFindsWhoIsInAnotherShard: where nodes don't agree how many shards there are, two of them could decide about one transfer.
func TestAScanFindsWhoIsInAnotherShard(t *testing.T) {
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	w.openAccounts("A", "B", "C")
	for i := range byte(16) {
		w.mustAnswer(w.ask(1, lane.Submit{Transfer: w.payment(i)}))
	}
	w.run(time.Second)
	strangers, records := 0, uint64(0)
	for shard := range 4 {
		group := lane.CoordinatorGroup(shard)
		w.mustAnswer(w.ask(1, lane.SaveReplica{Group: group}))
		s, err := lane.Scan(group, 4, w.disks[1][group])
		if err != nil || !s.Sound() {
			t.Errorf("%s: %+v, %v", group, s, err)
		}
		records += s.Records
		if s, err = lane.Scan(group, 2, w.disks[1][group]); err != nil || !s.Sound() && !strings.Contains(s.Fault, " is one of coordinator/") {
			t.Errorf("%s, by another number of shards: %+v, %v", group, s, err)
		}
		if !s.Sound() {
			strangers++
		}
	}
	if records == 0 || strangers < 2 {
		t.Errorf("%d records, and %d groups with strangers, want at least two", records, strangers)
	}
}
