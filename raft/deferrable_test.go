package raft_test

import (
	"slices"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
)

// following is a leader with peers that grant and acknowledge whatever they are sent.
type following struct {
	t      *testing.T
	leader *raft.Raft
	silent []raft.NodeID
}

// leading makes node 1 the leader of a group whose members have all it has.
func leading(t *testing.T, cfg raft.Config) *following {
	t.Helper()
	cfg.ID = 1
	r, err := raft.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f := &following{t: t, leader: r}
	for r.Role() != raft.Leader {
		r.Tick()
		f.answer(work(r))
	}
	return f
}

// answer answers messages, and those that the answers bring, in their order.
func (f *following) answer(messages []raft.Message) {
	f.t.Helper()
	for len(messages) > 0 {
		m := messages[0]
		messages = messages[1:]
		if slices.Contains(f.silent, m.To) || m.Kind == raft.Heartbeat && m.Round == 0 {
			continue
		}
		reply := raft.Message{Kind: m.Kind + 1, From: m.To, To: 1, Term: m.Term, Round: m.Round}
		if m.Kind == raft.Append {
			reply.Index = m.Index + raft.Index(len(m.Entries))
		}
		if err := f.leader.Step(reply); err != nil {
			f.t.Fatal(err)
		}
		messages = append(messages, work(f.leader)...)
	}
}

// propose returns the appends of one proposal.
func (f *following) propose() (appends []raft.Message) {
	f.t.Helper()
	if _, err := f.leader.Propose(0, []byte("x")); err != nil {
		f.t.Fatal(err)
	}
	for _, m := range work(f.leader) {
		if m.Kind == raft.Append {
			appends = append(appends, m)
		}
	}
	return appends
}

// deferrable is to whom the messages go that may be held back.
func deferrable(messages []raft.Message) (to []raft.NodeID) {
	for _, m := range messages {
		if m.Deferrable {
			to = append(to, m.To)
		}
	}
	return to
}

func TestWhoIsNotNeededForAMajorityMayHearLater(t *testing.T) {
	for name, row := range map[string]struct {
		voters, learners, want []raft.NodeID
	}{
		"one voter and a learner": {[]raft.NodeID{1}, []raft.NodeID{2}, []raft.NodeID{2}},
		"two voters":              {[]raft.NodeID{1, 2}, nil, nil},
		"two and a learner":       {[]raft.NodeID{1, 3}, []raft.NodeID{2}, []raft.NodeID{2}},
		"three":                   {[]raft.NodeID{1, 2, 3}, nil, []raft.NodeID{3}},
		"four":                    {[]raft.NodeID{1, 2, 3, 4}, nil, []raft.NodeID{4}},
		"five":                    {[]raft.NodeID{1, 2, 3, 4, 5}, nil, []raft.NodeID{4, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			c := membership.Config{Voters: row.voters, Learners: row.learners}
			f := leading(t, raft.Config{State: raft.State{Membership: c.Encode()}})
			for range 3 {
				appends := f.propose()
				if members := len(row.voters) + len(row.learners); len(appends) != members-1 {
					t.Fatalf("%d appends for %d members", len(appends), members)
				}
				if got := deferrable(appends); !slices.Equal(got, row.want) {
					t.Fatalf("nodes %v may hear later, want %v", got, row.want)
				}
				f.answer(appends)
			}
		})
	}
}

// TestWhoeverDecidesHearsAtOnce: a member that was held back and decided all the same is the next one to hear first.
func TestWhoeverDecidesHearsAtOnce(t *testing.T) {
	f := leading(t, raft.Config{Voters: []raft.NodeID{1, 2, 3}})
	propose := func(when string, later raft.NodeID) []raft.Message {
		t.Helper()
		appends := f.propose()
		if got := deferrable(appends); !slices.Equal(got, []raft.NodeID{later}) {
			t.Fatalf("%s: nodes %v may hear later, want %d", when, got, later)
		}
		return appends
	}
	for _, m := range slices.Backward(propose("at first", 3)) {
		f.answer([]raft.Message{m})
	}
	for _, m := range slices.Backward(propose("after node 3 was faster", 2)) {
		f.answer([]raft.Message{m})
	}
	f.silent = []raft.NodeID{3}
	f.answer(propose("when node 3 has just ended", 2))
	f.answer(propose("when only node 2 answers", 3))
}

// TestABeatLetsAllTryAgain: who decided late for once isn't held back for ever.
func TestABeatLetsAllTryAgain(t *testing.T) {
	f := leading(t, raft.Config{Voters: []raft.NodeID{1, 2, 3}})
	for range 3 {
		f.answer(f.propose())
	}
	f.leader.Tick()
	f.answer(work(f.leader))
	appends := f.propose()
	if got := deferrable(appends); got != nil {
		t.Errorf("after a beat nodes %v may hear later", got)
	}
	f.answer(appends)
	if got := deferrable(f.propose()); !slices.Equal(got, []raft.NodeID{3}) {
		t.Errorf("then nodes %v may hear later, want 3", got)
	}
}

// TestNothingIsHeldBackFromASuccessor: no proposals are taken until the successor has the last entry.
func TestNothingIsHeldBackFromASuccessor(t *testing.T) {
	f := leading(t, raft.Config{Voters: []raft.NodeID{1, 2, 3}})
	for range 3 {
		f.answer(f.propose())
	}
	f.propose() // on its way, held back for node 3
	if err := f.leader.TransferLeadership(3); err != nil {
		t.Fatal(err)
	}
	if messages := work(f.leader); len(messages) != 1 || messages[0].To != 3 || messages[0].Deferrable {
		t.Errorf("%+v, want one message to node 3 that takes along what is held back", messages)
	}

	f = leading(t, raft.Config{Voters: []raft.NodeID{1, 2, 3}})
	for range 3 {
		f.answer(f.propose())
	}
	if _, err := f.leader.Propose(0, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := f.leader.TransferLeadership(3); err != nil {
		t.Fatal(err)
	}
	if got := deferrable(work(f.leader)); got != nil {
		t.Errorf("nodes %v may hear later of what their leader-to-be needs", got)
	}
}

// TestWhatIsBehindIsNotHeldBack: who lacks more than one message holds hears at once, and so does everybody who is needed while another one is away.
func TestWhatIsBehindIsNotHeldBack(t *testing.T) {
	f := leading(t, raft.Config{Voters: []raft.NodeID{1, 2, 3}, MaxAppendBytes: 64})
	for range 3 {
		if _, err := f.leader.Propose(0, make([]byte, 30)); err != nil {
			t.Fatal(err)
		}
	}
	var toThree []bool
	appends := work(f.leader)
	for _, m := range appends {
		if m.To == 3 {
			toThree = append(toThree, m.Deferrable)
		}
	}
	if !slices.Equal(toThree, []bool{false, false, true}) {
		t.Errorf("three entries, one to a message: %v, want that only the last may be held back", toThree)
	}
	f.answer(appends)
	f.leader.ReportUnreachable(2)
	if appends := f.propose(); len(appends) != 1 || appends[0].To != 3 || appends[0].Deferrable {
		t.Errorf("%+v, want one to node 3 that can't be held back while node 2 is away", appends)
	}
}

// TestNewsOfACommitMayBeHeldBack where no entry takes it along; heartbeats that are to be answered may not.
func TestNewsOfACommitMayBeHeldBack(t *testing.T) {
	f := leading(t, raft.Config{Voters: []raft.NodeID{1, 2, 3}})
	for _, m := range f.propose() {
		if err := f.leader.Step(raft.Message{Kind: raft.AppendReply, From: m.To, To: 1, Term: m.Term, Index: m.Index + 1}); err != nil {
			t.Fatal(err)
		}
	}
	if got := deferrable(work(f.leader)); !slices.Equal(got, []raft.NodeID{2, 3}) {
		t.Errorf("news that nobody answers may be held back on the way to %v, want both", got)
	}
	for range 100 {
		f.leader.Tick()
		messages := work(f.leader)
		if got := deferrable(messages); len(got) != 0 {
			t.Fatalf("%+v may be held back", messages)
		}
		f.answer(messages)
	}
}
