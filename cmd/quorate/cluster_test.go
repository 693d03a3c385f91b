package main

import (
	"testing"

	"github.com/quorate/quorate/client"
)

// TestWhatARemovalLeaves: the group with the fewest replicas says how many nodes the cluster can lose, and who is dead is lost already.
func TestWhatARemovalLeaves(t *testing.T) {
	member := func(alive bool, groups ...string) client.Member {
		return client.Member{Role: "member", Alive: alive, Groups: groups}
	}
	leaving := client.Member{Role: "leaving", Alive: true, Groups: []string{"cluster", "bank/a"}}
	learner := client.Member{Role: "learner", Alive: true, Groups: []string{"cluster", "bank/a"}}
	for name, c := range map[string]struct {
		members []client.Member
		want    string
	}{
		"three of four": {[]client.Member{leaving, member(true, "cluster"), member(true, "cluster"), member(true, "cluster")}, "one more may be lost"},
		"two of three":  {[]client.Member{leaving, member(true, "cluster"), member(true, "cluster")}, "no other may be lost: cluster would have no majority"},
		"five of six": {[]client.Member{leaving, member(true, "cluster"), member(true, "cluster"), member(true, "cluster"), member(true, "cluster"), member(true, "cluster")},
			"2 more may be lost"},
		"one is dead":                 {[]client.Member{leaving, member(true, "cluster"), member(true, "cluster"), member(false, "cluster")}, "no other may be lost: cluster would have no majority"},
		"a learner doesn't vote":      {[]client.Member{leaving, learner, member(true, "cluster"), member(true, "cluster")}, "no other may be lost: cluster would have no majority"},
		"a bank on one node of three": {[]client.Member{leaving, member(true, "bank/a", "cluster"), member(true, "cluster"), member(true, "cluster")}, "no other may be lost: bank/a would have no majority"},
	} {
		if got := spareText(c.members); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
