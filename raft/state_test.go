package raft_test

import (
	"errors"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
)

// entries returns a log with these terms, from index 1.
func entries(terms ...raft.Term) []raft.Entry {
	var es []raft.Entry
	for i, t := range terms {
		es = append(es, raft.Entry{Index: raft.Index(i + 1), Term: t})
	}
	return es
}

func TestNewRefusesSenselessConfigs(t *testing.T) {
	good := raft.Config{ID: 1, Voters: []raft.NodeID{1, 2, 3}}
	if _, err := raft.New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*raft.Config){
		"nobody":                              func(c *raft.Config) { c.ID = 0 },
		"no voters":                           func(c *raft.Config) { c.Voters = nil },
		"a voter twice":                       func(c *raft.Config) { c.Voters = []raft.NodeID{1, 1} },
		"heartbeats as rare as elections":     func(c *raft.Config) { c.ElectionTicks, c.HeartbeatTicks = 5, 5 },
		"negative ticks":                      func(c *raft.Config) { c.HeartbeatTicks = -1 },
		"a negative window":                   func(c *raft.Config) { c.MaxInflightMessages = -1 },
		"a lease as long as elections":        func(c *raft.Config) { c.LeaseTicks = 10 },
		"a lease that leaves no drift at all": func(c *raft.Config) { c.LeaseTicks = 9 },
	} {
		c := good
		change(&c)
		if _, err := raft.New(c); !errors.Is(err, raft.ErrBadConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewRefusesDamagedState(t *testing.T) {
	good := raft.State{HardState: raft.HardState{Term: 3, Vote: 2, Commit: 5, Accepted: 3}, Compacted: raft.EntryID{Index: 4, Term: 1}, Applied: 4}
	for i := range raft.Index(4) {
		good.Entries = append(good.Entries, raft.Entry{Index: 5 + i, Term: 2 + raft.Term(i/2)})
	}
	start := func(s raft.State) error {
		_, err := raft.New(raft.Config{ID: 1, Voters: []raft.NodeID{1, 2, 3}, State: s})
		return err
	}
	if err := start(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*raft.State){
		"a hole":                           func(s *raft.State) { s.Entries[2].Index = 9 },
		"a hole after the compacted log":   func(s *raft.State) { s.Compacted.Index = 3; s.Applied = 3 },
		"falling terms":                    func(s *raft.State) { s.Entries[3].Term = 1 },
		"an entry without a term":          func(s *raft.State) { s.Entries[0].Term = 0; s.Compacted = raft.EntryID{} },
		"an unknown kind":                  func(s *raft.State) { s.Entries[1].Kind = 9 },
		"a membership that isn't one":      func(s *raft.State) { s.Entries[1].Kind, s.Entries[1].Data = raft.Membership, []byte{9} },
		"entries of a later term":          func(s *raft.State) { s.HardState.Term = 2 },
		"a commit behind the log's end":    func(s *raft.State) { s.HardState.Commit = 9 },
		"applied behind the log's end":     func(s *raft.State) { s.Applied = 9 },
		"applied before the compacted log": func(s *raft.State) { s.Applied = 3 },
		"compacted without a term":         func(s *raft.State) { s.Compacted.Term = 0 },
		"accepted a log of the future":     func(s *raft.State) { s.HardState.Accepted = 4 },
		"a vote in no term":                func(s *raft.State) { *s = raft.State{HardState: raft.HardState{Vote: 1}} },
		"damaged membership":               func(s *raft.State) { s.Membership = []byte{1, 2, 3} },
	} {
		s := good
		s.Entries = append([]raft.Entry(nil), good.Entries...)
		change(&s)
		if err := start(s); !errors.Is(err, raft.ErrBadState) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewTakesTheStoredMembership(t *testing.T) {
	c := membership.Config{Voters: []raft.NodeID{1}, Learners: []raft.NodeID{2}}
	r, err := raft.New(raft.Config{ID: 2, Voters: []raft.NodeID{7, 8, 9}, State: raft.State{Membership: c.Encode()}})
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Members(); r.Role() != raft.Learner || !m.IsVoter(1) || m.IsVoter(7) {
		t.Errorf("%s of %+v", r.Role(), m)
	}
}
