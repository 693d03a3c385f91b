package etcdraft_test

import (
	"flag"
	"testing"
)

var (
	firstSeed = flag.Int64("seed", 1, "first seed of the random worlds")
	seeds     = flag.Int64("seeds", 0, "how many seeds; 0: as many as usual")
)

// chaosSteps is how many things happen before a world heals.
const chaosSteps = 6000

// tally is what happened in all worlds together: a test in which nothing happens proves nothing.
type tally struct {
	answered, chunks, decided, terms int
	changed                          int // worlds whose members changed
}

// eachSeed runs a world per seed.
func eachSeed(t *testing.T, m mix, usually int64) tally {
	n := *seeds
	if n == 0 {
		n = usually
		if raceDetector || testing.Short() {
			n = max(20, n/20)
		}
	}
	var sum tally
	for seed := *firstSeed; seed < *firstSeed+n; seed++ {
		w := newWorld(t, seed, m)
		w.run(chaosSteps)
		sum.answered += w.answered
		sum.chunks += w.chunks
		sum.decided += len(w.decided)
		sum.terms += len(w.leaders)
		if len(w.activeMembers()) != len(w.voters) {
			sum.changed++
		}
	}
	t.Logf("%d worlds: %d entries decided in %d terms, %d reads, %d chunks of snapshots, members changed in %d",
		n, sum.decided, sum.terms, sum.answered, sum.chunks, sum.changed)
	return sum
}

func (s tally) mustHaveHappened(t *testing.T) {
	t.Helper()
	if *seeds != 0 {
		return // a single seed needn't have it all
	}
	if s.answered == 0 || s.chunks == 0 || s.changed == 0 || s.decided == 0 {
		t.Errorf("something never happened: %+v", s)
	}
}

func TestGroupsOfBothEnginesAgree(t *testing.T) { eachSeed(t, mixed, 2000).mustHaveHappened(t) }
func TestGroupsOfEtcdsEngineAgree(t *testing.T) { eachSeed(t, allEtcd, 200).mustHaveHappened(t) }
func TestGroupsOfOurEngineAgree(t *testing.T)   { eachSeed(t, allOurs, 200).mustHaveHappened(t) }
