package main

import (
	"io"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestASeedIsASchedule(t *testing.T) {
	storms := func(seed uint64) (all [][]spell) {
		s := newSchedule(seed, kindNames())
		for range 5 {
			all = append(all, s.storm(25*time.Second))
		}
		return all
	}
	if !reflect.DeepEqual(storms(7), storms(7)) {
		t.Error("the same seed drew two schedules")
	}
	if reflect.DeepEqual(storms(7), storms(8)) {
		t.Error("two seeds drew the same schedule")
	}
}

func TestEveryKindComesUpBeforeOneComesUpTwice(t *testing.T) {
	s := newSchedule(1, kindNames())
	for range 4 {
		seen := map[string]bool{}
		for range kindNames() {
			seen[s.deal()] = true
		}
		if len(seen) != len(kinds) {
			t.Errorf("of %d kinds came %v", len(kinds), seen)
		}
	}
}

func TestSpellsAreWithinTheirStorm(t *testing.T) {
	s := newSchedule(1, kindNames())
	for range 50 {
		for _, each := range s.storm(20 * time.Second) {
			if each.at < 0 || each.at >= 20*time.Second || each.length < lengthMin || each.length > longMax {
				t.Errorf("%+v", each)
			}
		}
	}
}

// A run that could never do what it is for has shown nothing.
func TestAKindThatNeverHitsIsNamed(t *testing.T) {
	n := &nemesis{injected: map[string]int{"kill": 1}, missed: map[string]int{"kill": 9, "full-disk": missedMost, "pause": missedMost - 1}}
	if names := n.neverHit(); !slices.Equal(names, []string{"full-disk"}) {
		t.Errorf("named are %q", names)
	}
}

// A spell whose turn comes while all nodes have troubles hits the first whose troubles end before it is over itself.
func TestASpellWaitsForSomebodyToHit(t *testing.T) {
	j, err := newJournal(io.Discard, filepath.Join(t.TempDir(), "log"), func() {})
	if err != nil {
		t.Fatal(err)
	}
	n := &nemesis{c: &cluster{servers: []*server{{id: 1}, {id: 2}, {id: 3}}}, j: j, busy: [nodes]bool{true, true, true}}
	anybody := spell{kind: "pause", pick: 1 << 8} // whoever leads
	cast := func(over chan struct{}) (hit uint64) {
		n.one(anybody, over, func(who *server) error {
			hit = who.id
			close(over)
			return nil
		}, func(*server) error { return nil })
		return hit
	}
	time.AfterFunc(2*askAgain, func() { n.release(1) })
	if hit := cast(make(chan struct{})); hit != 2 {
		t.Errorf("node %d was hit, and node 2 had no troubles any more", hit)
	}
	n.busy[1] = true
	over := make(chan struct{})
	close(over)
	if hit := cast(over); hit != 0 {
		t.Errorf("node %d was hit by a spell that was over", hit)
	}
}
