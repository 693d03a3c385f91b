package main

import (
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
