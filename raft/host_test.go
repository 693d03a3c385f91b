package raft_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
)

// single returns the leader of a group of one that has applied its own first entry.
func single(t *testing.T) *raft.Raft {
	t.Helper()
	r, err := raft.New(raft.Config{ID: 1, Voters: []raft.NodeID{1}})
	if err != nil {
		t.Fatal(err)
	}
	r.Tick()
	work(r)
	if !r.LeaderReady() {
		t.Fatalf("a single voter leads at its first tick: %+v", r.Status())
	}
	return r
}

// work does what a host with an immediate disk does.
func work(r *raft.Raft) (messages []raft.Message) {
	for rounds := 0; r.HasReady(); rounds++ {
		if rounds > 1000 {
			panic("the core never has enough")
		}
		rd := r.Ready()
		messages = append(messages, rd.Messages...)
		if rd.Persist != nil {
			r.Persisted(rd.Persist.Seq)
		}
		messages = append(messages, rd.Durable...)
		if n := len(rd.Committed); n > 0 {
			r.Applied(rd.Committed[n-1].Index)
		}
	}
	return messages
}

func TestAHostThatReportsWhatItWasNotGivenIsStopped(t *testing.T) {
	for want, call := range map[string]func(*raft.Raft){
		"persisted 99": func(r *raft.Raft) { r.Persisted(99) },
		"applied 99":   func(r *raft.Raft) { r.Applied(99) },
	} {
		func() {
			defer func() {
				if b, ok := recover().(invariant.Broken); !ok || !strings.Contains(b.Message, want) {
					t.Errorf("want an invariant that says %q, got %v", want, b)
				}
			}()
			call(single(t))
		}()
	}
}

func TestReportsMayBeRepeated(t *testing.T) {
	r := single(t)
	r.Persisted(1)
	r.Applied(0)
	if s := r.Status(); s.Applied != 1 || s.Durable != 1 {
		t.Errorf("%+v", s)
	}
}

func TestCompactNeverDropsWhatIsNeeded(t *testing.T) {
	r := single(t)
	for range 5000 {
		if _, err := r.Propose(0, []byte("x")); err != nil {
			t.Fatal(err)
		}
		work(r)
	}
	if err := r.Compact(6000); !errors.Is(err, raft.ErrCompact) {
		t.Errorf("beyond what is applied: %v", err)
	}
	for _, to := range []raft.Index{10, 10, 5, 4990} {
		if err := r.Compact(to); err != nil {
			t.Errorf("compact %d: %v", to, err)
		}
	}
	s := r.Status()
	if s.First != 4991 || s.Last != 5001 {
		t.Errorf("log %d..%d", s.First, s.Last)
	}
	if _, known := r.EntryTerm(4989); known {
		t.Error("4989 is gone")
	}
	if term, known := r.EntryTerm(4990); !known || term != 1 {
		t.Error("the term of the last dropped entry is needed for the next append")
	}
	if err := r.Verify(); err != nil {
		t.Error(err)
	}
}

func TestOnlyALeaderTakesRequests(t *testing.T) {
	r, err := raft.New(raft.Config{ID: 1, Voters: []raft.NodeID{1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	_, propose := r.Propose(0, nil)
	_, change := r.ProposeMembership()
	for name, err := range map[string]error{
		"propose": propose, "change": change, "read": r.ReadIndex(1), "transfer": r.TransferLeadership(2),
	} {
		if !errors.Is(err, raft.ErrNotLeader) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := r.SendChunk(2, raft.SnapshotChunk{}); !errors.Is(err, raft.ErrNoSnapshot) {
		t.Errorf("chunk: %v", err)
	}
	r.SnapshotFailed(2)
	r.ReportUnreachable(2)
	if r.HasReady() {
		t.Errorf("nothing has happened: %+v", r.Ready())
	}
}

func TestStatusIsACopy(t *testing.T) {
	r := single(t)
	s := r.Status()
	s.Match[1] = 99
	if got := r.Status(); got.Match[1] != 1 || got.Role != raft.Leader || got.Leader != 1 || r.Leader() != 1 || r.Commit() != 1 || r.Term() != 1 {
		t.Errorf("%+v", got)
	}
	if hs := r.HardState(); hs != (raft.HardState{Term: 1, Vote: 1, Commit: 1, Accepted: 1}) {
		t.Errorf("%+v", hs)
	}
}

func TestRoleNames(t *testing.T) {
	for want, role := range map[string]raft.Role{
		"none": 0, "follower": raft.Follower, "pre-candidate": raft.PreCandidate, "candidate": raft.Candidate, "leader": raft.Leader, "learner": raft.Learner, "role 77": 77,
	} {
		if role.String() != want {
			t.Errorf("got %s, want %s", role, want)
		}
	}
}

func TestWhatAHostAppendsDoesNotReachTheNextReady(t *testing.T) {
	r, err := raft.New(raft.Config{ID: 1, Voters: []raft.NodeID{1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	for r.Role() == raft.Follower {
		r.Tick()
	}
	first := r.Ready()
	_ = append(first.Messages, raft.Message{Kind: raft.Heartbeat})
	for range 30 {
		r.Tick()
	}
	for _, m := range r.Ready().Messages {
		if m.Kind != raft.PreVote {
			t.Fatalf("%+v", m)
		}
	}
}

// The figures behind "no garbage on the hot path": blocks of messages and Persists, and nothing else.
func TestAProposalHardlyAllocates(t *testing.T) {
	g := newOurTrio([3]history{})
	g.elect()
	payload := make([]byte, payloadBytes)
	per := testing.AllocsPerRun(2000, func() {
		g.propose(payload)
		g.settle()
	})
	if per > 1 {
		t.Errorf("%.2f allocations per proposal on all three nodes together", per)
	}
}

func TestConflictsAreFoundInFewRoundTrips(t *testing.T) {
	for _, entriesPerTerm := range []int{10_000, 100, 1} {
		leader, follower := conflicting(10_000, entriesPerTerm)
		g := newOurTrio([3]history{leader, leader, follower})
		g.elect()
		if g.committed() != 10_002 {
			t.Fatalf("committed %d", g.committed())
		}
		if g.messages() > 60 {
			t.Errorf("%d entries per term: %d messages", entriesPerTerm, g.messages())
		}
	}
}

// A leader of term 1 hears each kind of its own term, empty: what can't be right is refused, the rest changes nothing.
func TestEveryMessageKindIsUsedOrRefused(t *testing.T) {
	for kind := range raft.MessageKind(14) {
		r := single(t)
		err := r.Step(raft.Message{Kind: kind, From: 2, To: 1, Term: 1})
		wantError := kind == 0 || kind > raft.TimeoutNow || kind == raft.Snapshot || kind == raft.SnapshotReply || kind == raft.Append || kind == raft.Heartbeat
		if (err != nil) != wantError {
			t.Errorf("kind %d: %v", kind, err)
		}
		if err := r.Verify(); err != nil || r.Role() != raft.Leader {
			t.Errorf("kind %d: %s, %v", kind, r.Role(), err)
		}
	}
}
