package raft

import (
	"strings"
	"testing"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft/membership"
)

func TestABrokenPromiseStopsWithItsNumbers(t *testing.T) {
	for want, break_ := range map[string]func(*Raft){
		"compacted 3 past applied 2":          func(r *Raft) { r.log.compacted.Index = 3 },
		"applied 3 past delivered 2":          func(r *Raft) { r.log.applied = 3 },
		"delivered 4 past commit 3":           func(r *Raft) { r.log.delivered = 4 },
		"commit 6 past last 5":                func(r *Raft) { r.log.commit = 6 },
		"stable 6 past handed 5":              func(r *Raft) { r.log.stable = 6 },
		"handed 6 past last 5":                func(r *Raft) { r.log.handed = 6 },
		"entry of term 1 in term 0":           func(r *Raft) { r.term, r.durableTerm = 0, 0 },
		"accepted a log of term 9 in term 1":  func(r *Raft) { r.accepted = 9 },
		"durable term 9 past term 1":          func(r *Raft) { r.durableTerm = 9 },
		"leader 1 follows 2":                  func(r *Raft) { r.role, r.leader = Leader, 2 },
		"node 1 as follower, who voted for 0": func(r *Raft) { r.becomeLeader() },
		"message of kind 99":                  func(r *Raft) { _ = r.step(&Message{Kind: 99, Term: 1}) },
	} {
		func() {
			defer func() {
				if b, ok := recover().(invariant.Broken); !ok || !strings.Contains(b.Message, want) {
					t.Errorf("want %q, got %q", want, b.Message)
				}
			}()
			r := fiveEntries(t)
			break_(r)
			r.check()
		}()
	}
}

func TestVerifyFindsWhatIsTooDearToCheckAlways(t *testing.T) {
	for want, break_ := range map[string]func(*Raft){
		"entry 9 after entry 1":               func(r *Raft) { r.log.entries[1].Index = 9 },
		"nobody votes":                        func(r *Raft) { r.members.Voters = nil },
		"has no vote and is a candidate":      func(r *Raft) { r.role, r.voters.Incoming = Candidate, nil },
		"2 membership changes":                func(r *Raft) { r.log.entries[3].Kind, r.log.entries[4].Kind = Membership, Membership },
		"node 2: match 9 is not below next 9": func(r *Raft) { r.lead(); r.peers[1].Match, r.peers[1].Next = 9, 9 },
		"node 2 has 9, the log ends at 5":     func(r *Raft) { r.lead(); r.peers[1].Match, r.peers[1].Next = 9, 10 },
	} {
		r := fiveEntries(t)
		break_(r)
		if err := r.Verify(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func (r *Raft) lead() {
	r.role, r.leader = Leader, r.id
	r.syncPeers()
}

// fiveEntries returns a follower: 5 entries, 3 of them committed, 2 applied.
func fiveEntries(t *testing.T) *Raft {
	t.Helper()
	var es []Entry
	for i := range Index(5) {
		es = append(es, Entry{Index: i + 1, Term: 1})
	}
	r, err := New(Config{ID: 1, Voters: []NodeID{1, 2, 3}, State: State{HardState: HardState{Term: 1, Commit: 3}, Entries: es, Applied: 2}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A leader that leaves is told apart from one that stays in every place that asks.
func TestALeaderThatLeavesRefusesProposals(t *testing.T) {
	r := fiveEntries(t)
	r.log.delivered, r.log.applied = 3, 3
	r.lead()
	r.leaving = 3
	if _, err := r.Propose(0, nil); err != ErrTransferring {
		t.Errorf("propose: %v", err)
	}
	if _, err := r.ProposeMembership(membership.Change{Kind: membership.AddLearner, Node: 4}); err != ErrTransferring {
		t.Errorf("change: %v", err)
	}
}
