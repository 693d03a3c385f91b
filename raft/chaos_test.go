package raft_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/quorate/quorate/raft"
)

var (
	firstSeed = flag.Int64("raft.seed", 1, "first seed of the random worlds")
	seeds     = flag.Int64("raft.seeds", 300, "how many seeds")
)

// eachSeed runs a world per seed.
func eachSeed(t *testing.T, run func(t *testing.T, seed int64)) {
	n := *seeds
	if testing.Short() {
		n = min(n, 10)
	}
	for seed := *firstSeed; seed < *firstSeed+n; seed++ {
		run(t, seed)
		if t.Failed() {
			return
		}
	}
}

func TestGroupSurvivesChaos(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5} {
		t.Run(fmt.Sprintf("%d nodes", n), func(t *testing.T) {
			answered := 0
			eachSeed(t, func(t *testing.T, seed int64) {
				w := newWorld(t, seed, n, nil)
				w.run(4000)
				answered += w.answered
			})
			if answered == 0 {
				t.Error("no read was ever answered")
			}
		})
	}
}

// Reference: the same chaos, with the window and batch limits at their defaults.
func TestGroupSurvivesChaosWithWideWindows(t *testing.T) {
	eachSeed(t, func(t *testing.T, seed int64) {
		newWorld(t, seed, 3, func(c *raft.Config) {
			c.MaxAppendBytes, c.MaxInflightBytes, c.MaxInflightMessages, c.MaxUncommittedBytes = 0, 0, 0, 0
		}).run(4000)
	})
}

func TestGroupSurvivesChaosOfMembers(t *testing.T) {
	changed := 0
	eachSeed(t, func(t *testing.T, seed int64) {
		w := newWorld(t, seed, 3, nil)
		w.members = true
		for id := range 5 {
			w.addNode(raft.NodeID(4 + id))
		}
		w.run(6000)
		if fmt.Sprint(w.activeMembers()) != "[1 2 3]" {
			changed++
		}
	})
	if changed == 0 {
		t.Error("the members never changed")
	}
}

// With leases, time is what the nodes tick: this world ticks them all together, so that no clock drifts.
func TestGroupSurvivesChaosWithLeases(t *testing.T) {
	eachSeed(t, func(t *testing.T, seed int64) {
		w := newWorld(t, seed, 3, func(c *raft.Config) { c.LeaseTicks = 8 })
		w.together = true
		w.run(4000)
	})
}
