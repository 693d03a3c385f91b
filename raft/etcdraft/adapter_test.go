package etcdraft_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/etcdraft"
	"github.com/quorate/quorate/raft/membership"
)

// solo is one node on etcd's core whose peers the test plays.
type solo struct {
	*etcdraft.Raft
	t *testing.T
}

func start(t *testing.T, cfg raft.Config) solo {
	t.Helper()
	if cfg.ID == 0 {
		cfg.ID = 1
	}
	if cfg.Voters == nil {
		cfg.Voters = []raft.NodeID{1, 2, 3}
	}
	r, err := etcdraft.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return solo{r, t}
}

func (s solo) must(messages ...raft.Message) {
	s.t.Helper()
	for _, m := range messages {
		m.To = s.Status().ID
		if err := s.Step(m); err != nil {
			s.t.Fatalf("%+v: %v", m, err)
		}
	}
}

func (s solo) refuses(why error, m raft.Message) {
	s.t.Helper()
	before := s.Status()
	if m.To == 0 {
		m.To = before.ID
	}
	if err := s.Step(m); !errors.Is(err, why) {
		s.t.Errorf("%+v: got %v, want %v", m, err, why)
	}
	if after := s.Status(); after.Term != before.Term || after.Last != before.Last || after.Commit != before.Commit {
		s.t.Errorf("%+v changed %+v into %+v", m, before, after)
	}
}

// work does what Ready says, with a disk that is done at once, and returns all messages.
func (s solo) work() []raft.Message {
	var sent []raft.Message
	for s.HasReady() {
		rd := s.Ready()
		sent = append(sent, rd.Messages...)
		if rd.Persist != nil {
			s.Persisted(rd.Persist.Seq)
		}
		sent = append(sent, rd.Durable...)
		if n := len(rd.Committed); n > 0 {
			s.Applied(rd.Committed[n-1].Index)
		}
	}
	return sent
}

func (s solo) tick(n int) {
	for range n {
		s.Tick()
	}
}

// campaign lets the node ask for pre-votes and gives it one.
func (s solo) campaign() {
	s.t.Helper()
	s.tick(20)
	s.work()
	s.must(raft.Message{Kind: raft.PreVoteReply, From: 2, Term: s.Term() + 1})
}

// lead makes the node leader of a group of three whose node 2 has everything.
func (s solo) lead() {
	s.t.Helper()
	s.campaign()
	s.work()
	s.must(raft.Message{Kind: raft.VoteReply, From: 2, Term: s.Term()})
	s.work()
	s.must(raft.Message{Kind: raft.AppendReply, From: 2, Term: s.Term(), Index: s.Status().Last})
	s.work()
	if !s.LeaderReady() {
		s.t.Fatalf("no leader: %+v", s.Status())
	}
}

func kindsOf(messages []raft.Message) (kinds []raft.MessageKind) {
	for _, m := range messages {
		kinds = append(kinds, m.Kind)
	}
	return kinds
}

func entries(term raft.Term, first, last raft.Index) (es []raft.Entry) {
	for i := first; i <= last; i++ {
		es = append(es, raft.Entry{Index: i, Term: term, Data: []byte{byte(i)}})
	}
	return es
}

// etcd's core would send the request at once. Crashed before its vote and the end of its log are durable, the node could campaign again in that
// term with a shorter log, and late answers to the first request would count.
func TestRequestForVotesWaitsForTheDisk(t *testing.T) {
	s := start(t, raft.Config{})
	s.campaign()
	rd := s.Ready()
	if len(rd.Messages) > 0 || rd.Persist == nil || rd.Persist.HardState.Vote != 1 {
		t.Fatalf("leaves before the disk: %v, persist %+v", kindsOf(rd.Messages), rd.Persist)
	}
	if got := kindsOf(rd.Durable); !slices.Equal(got, []raft.MessageKind{raft.Vote, raft.Vote}) {
		t.Fatalf("waits for the disk: %v", got)
	}
	s.must(raft.Message{Kind: raft.VoteReply, From: 2, Term: 1})
	if s.Role() == raft.Leader {
		t.Fatal("leads by one vote and its own, which isn't durable")
	}
	s.Persisted(rd.Persist.Seq)
	if s.Role() != raft.Leader {
		t.Fatalf("is a %v with two votes", s.Role())
	}
}

func TestNothingOfATermLeavesBeforeTheTermIsDurable(t *testing.T) {
	s := start(t, raft.Config{})
	s.must(raft.Message{Kind: raft.Heartbeat, From: 2, Term: 4, Round: 9})
	rd := s.Ready()
	if len(rd.Messages) > 0 || len(rd.Durable) != 1 || rd.Durable[0].Round != 9 {
		t.Fatalf("at once %+v, with the disk %+v", rd.Messages, rd.Durable)
	}
	s.Persisted(rd.Persist.Seq)
	s.must(raft.Message{Kind: raft.Heartbeat, From: 2, Term: 4, Round: 10}, raft.Message{Kind: raft.Heartbeat, From: 2, Term: 4})
	if rd = s.Ready(); len(rd.Messages) != 1 || rd.Messages[0].Round != 10 {
		t.Fatalf("at once %+v: want the answer to round 10, and none to round 0", rd.Messages)
	}
}

func TestSeveralPersistsUnderWayVouchOnlyForWhatIsDurable(t *testing.T) {
	s := start(t, raft.Config{})
	s.must(raft.Message{Kind: raft.Append, From: 2, Term: 1, Entries: entries(1, 1, 2)})
	first := s.Ready()
	s.must(raft.Message{Kind: raft.Append, From: 3, Term: 2, Entries: entries(2, 1, 3), Commit: 3})
	second := s.Ready()
	if first.Persist == nil || second.Persist == nil || len(second.Committed) > 0 {
		t.Fatalf("got %+v and %+v", first, second)
	}
	s.Persisted(first.Persist.Seq)
	if rd := s.Ready(); len(rd.Committed) > 0 {
		t.Fatalf("the first write vouches for what the second brings: %+v", rd.Committed)
	}
	s.Persisted(second.Persist.Seq)
	if rd := s.Ready(); len(rd.Committed) != 3 || rd.Committed[0].Term != 2 {
		t.Fatalf("got %+v", rd.Committed)
	}
	if got := second.Durable; len(got) != 1 || got[0].Kind != raft.AppendReply || got[0].Index != 3 {
		t.Fatalf("acknowledged %+v", got)
	}
}

// etcd's core believes a heartbeat's commit, and panics if its log is shorter.
func TestHeartbeatCommitsOnlyWhatItsLeaderWrote(t *testing.T) {
	s := start(t, raft.Config{})
	s.must(raft.Message{Kind: raft.Append, From: 2, Term: 1, Entries: entries(1, 1, 3)})
	s.must(raft.Message{Kind: raft.Heartbeat, From: 3, Term: 2, Commit: 3, Round: 1})
	if got := s.Commit(); got != 0 {
		t.Fatalf("a leader that has written nothing here commits %d", got)
	}
	s.must(raft.Message{Kind: raft.Append, From: 3, Term: 2, Index: 2, LogTerm: 1})
	s.must(raft.Message{Kind: raft.Heartbeat, From: 3, Term: 2, Commit: 3, Round: 2})
	if got := s.Commit(); got != 2 {
		t.Fatalf("commit %d, the leader's log is known up to 2 here", got)
	}
	s.refuses(raft.ErrLost, raft.Message{Kind: raft.Heartbeat, From: 3, Term: 2, Commit: 1000, Round: 3})
	if got := s.Commit(); got != 2 {
		t.Fatalf("commit %d, the leader's log is known up to 2 here", got)
	}
}

func TestQuietAfterARestartIfThereAreLeases(t *testing.T) {
	state := raft.State{HardState: raft.HardState{Term: 3}}
	for leaseTicks, want := range map[int]int{0: 1, 8: 0} {
		s := start(t, raft.Config{LeaseTicks: leaseTicks, State: state})
		s.must(raft.Message{Kind: raft.Vote, From: 2, Term: 4})
		if got := s.work(); len(got) != want {
			t.Errorf("lease of %d ticks: answered %+v", leaseTicks, got)
		}
		s.must(raft.Message{Kind: raft.Vote, From: 2, Term: 4, Transfer: true})
		if got := s.work(); len(got) != 1 || got[0].Reject {
			t.Errorf("lease of %d ticks: a transfer was answered with %+v", leaseTicks, got)
		}
	}
}

func TestStickyUntilTheLeaderIsSilent(t *testing.T) {
	s := start(t, raft.Config{ElectionTicks: 10})
	s.must(raft.Message{Kind: raft.Append, From: 2, Term: 1, Entries: entries(1, 1, 1)})
	s.work()
	s.tick(9)
	s.must(raft.Message{Kind: raft.PreVote, From: 3, Term: 2, Index: 1, LogTerm: 1}, raft.Message{Kind: raft.Vote, From: 3, Term: 2, Index: 1, LogTerm: 1})
	if got := s.work(); len(got) > 0 || s.Term() != 1 {
		t.Fatalf("answered %+v in term %d", got, s.Term())
	}
	s.Tick()
	s.must(raft.Message{Kind: raft.PreVote, From: 3, Term: 2, Index: 1, LogTerm: 1})
	for _, m := range s.work() { // it may campaign itself by now
		if m.Kind == raft.PreVoteReply && !m.Reject {
			return
		}
	}
	t.Fatal("no vote after an election timeout of silence")
}

// etcd's core would answer a node that decides alone at once, by a commit from before the restart.
func TestReadOfASingleVoterWaitsForItsFirstCommit(t *testing.T) {
	s := start(t, raft.Config{Voters: []raft.NodeID{1}, State: raft.State{HardState: raft.HardState{Term: 1, Vote: 1, Commit: 1}, Entries: entries(1, 1, 5)}})
	var pending *raft.Persist
	for s.Role() != raft.Leader {
		s.Tick()
		if rd := s.Ready(); rd.Persist != nil && s.Role() != raft.Leader {
			s.Persisted(rd.Persist.Seq)
		}
	}
	if err := s.ReadIndex(7); err != nil {
		t.Fatal(err)
	}
	rd := s.Ready()
	if pending = rd.Persist; len(rd.Reads) > 0 || pending == nil {
		t.Fatalf("answered %+v before the first commit of the term", rd.Reads)
	}
	s.Persisted(pending.Seq)
	if rd = s.Ready(); len(rd.Reads) != 1 || rd.Reads[0] != (raft.ReadReady{ID: 7, Index: 6}) {
		t.Fatalf("answered %+v", rd.Reads)
	}
}

func TestReadNeedsARoundBegunAfterIt(t *testing.T) {
	s := start(t, raft.Config{})
	s.lead()
	s.Tick()
	early := s.work()[0]
	if early.Kind != raft.Heartbeat || early.Round == 0 {
		t.Fatalf("got %+v", early)
	}
	_ = s.ReadIndex(1)
	asked := s.work()
	s.must(raft.Message{Kind: raft.HeartbeatReply, From: 2, Term: 1, Round: early.Round})
	if rd := s.Ready(); len(rd.Reads) > 0 {
		t.Fatal("answered by a round begun before the read")
	}
	s.must(raft.Message{Kind: raft.HeartbeatReply, From: 2, Term: 1, Round: asked[0].Round})
	if rd := s.Ready(); len(rd.Reads) != 1 {
		t.Fatalf("got %+v", rd)
	}
	_ = s.ReadIndex(2)
	s.must(raft.Message{Kind: raft.AppendReply, From: 3, Term: 9, Reject: true})
	if rd := s.Ready(); !slices.Equal(rd.ReadsLost, []uint64{2}) {
		t.Fatalf("lost %v", rd.ReadsLost)
	}
}

// etcd's core would wait for the word of those who are gone.
func TestReadUnderWayIsAnsweredOnceTheLeaderDecidesAlone(t *testing.T) {
	s := start(t, raft.Config{Voters: []raft.NodeID{1, 2}})
	s.lead()
	if err := s.ReadIndex(7); err != nil {
		t.Fatal(err)
	}
	change, err := s.ProposeMembership(membership.Change{Kind: membership.Remove, Node: 2})
	if err != nil {
		t.Fatal(err)
	}
	if rd := s.Ready(); len(rd.Reads) > 0 {
		t.Fatalf("answered %+v by a leader that nobody has confirmed", rd.Reads)
	} else {
		s.Persisted(rd.Persist.Seq)
	}
	s.must(raft.Message{Kind: raft.AppendReply, From: 2, Term: 1, Index: change.Index})
	s.Ready() // commits it
	s.Applied(change.Index)
	if rd := s.Ready(); len(rd.Reads) != 1 || rd.Reads[0] != (raft.ReadReady{ID: 7, Index: change.Index}) {
		t.Fatalf("answered %+v", rd.Reads)
	}
}

// A newcomer gets a snapshot from before it was added. etcd's core would ignore it for ever.
func TestSnapshotThatDoesNotNameTheReceiverIsInstalled(t *testing.T) {
	s := start(t, raft.Config{ID: 4})
	members := membership.Of(1, 2, 3)
	c := raft.SnapshotChunk{Last: raft.EntryID{Index: 7, Term: 2}, Membership: members.Encode(), Data: []byte("state"), Done: true}
	s.must(raft.Message{Kind: raft.Snapshot, From: 2, Term: 3, Snapshot: &c})
	rd := s.Ready()
	if rd.Persist == nil || rd.Persist.Install == nil || rd.Persist.Install.Last != c.Last || len(rd.Chunks) != 1 || len(rd.Messages) > 0 {
		t.Fatalf("got %+v", rd)
	}
	s.Persisted(rd.Persist.Seq)
	add := raft.Entry{Index: 8, Term: 3, Kind: raft.Membership, Data: membership.EncodeChanges([]membership.Change{{Kind: membership.AddVoter, Node: 4}})}
	s.must(raft.Message{Kind: raft.Append, From: 2, Term: 3, Index: 7, LogTerm: 2, Entries: []raft.Entry{add}, Commit: 8})
	s.work()
	if m := s.Members(); !m.IsVoter(4) || s.Leader() != 2 {
		t.Fatalf("members %+v under %d", m, s.Leader())
	}
	if err := s.Verify(); err != nil {
		t.Fatal(err)
	}
}

func TestLeaderWithAHangingDiskHandsOver(t *testing.T) {
	s := start(t, raft.Config{DiskStallTicks: 5})
	s.lead()
	if _, err := s.Propose(0, []byte("x")); err != nil {
		t.Fatal(err)
	}
	s.Ready() // never reported
	s.must(raft.Message{Kind: raft.AppendReply, From: 2, Term: 1, Index: 2})
	s.tick(5)
	if rd := s.Ready(); !slices.Contains(kindsOf(rd.Messages), raft.TimeoutNow) {
		t.Fatalf("sends %v", kindsOf(rd.Messages))
	}
	if _, err := s.Propose(0, nil); !errors.Is(err, raft.ErrTransferring) {
		t.Fatalf("got %v", err)
	}
}

func TestProposalsAreRefusedAsByTheOtherEngine(t *testing.T) {
	s := start(t, raft.Config{MaxUncommittedBytes: 100})
	if _, err := s.Propose(0, nil); !errors.Is(err, raft.ErrNotLeader) {
		t.Errorf("as a follower: %v", err)
	}
	s.lead()
	if _, err := s.Propose(9, nil); !errors.Is(err, raft.ErrWrongTerm) {
		t.Errorf("for another term: %v", err)
	}
	if id, err := s.Propose(1, make([]byte, 200)); err != nil || id != (raft.EntryID{Index: 2, Term: 1}) {
		t.Errorf("one that is larger than the limit, alone: %v %v", id, err)
	}
	if _, err := s.Propose(1, []byte("y")); !errors.Is(err, raft.ErrBusy) {
		t.Errorf("above the limit: %v", err)
	}
	for to, want := range map[raft.NodeID]error{1: raft.ErrSelf, 7: raft.ErrNotVoter, 3: nil} {
		if err := s.TransferLeadership(to); !errors.Is(err, want) {
			t.Errorf("transfer to %d: %v", to, err)
		}
	}
	if err := s.TransferLeadership(2); !errors.Is(err, raft.ErrTransferring) {
		t.Errorf("a second transfer: %v", err)
	}
}

// Two voters became one, the one that stays crashed and lost the news, and the other, whose log is longer, has left: its refusal must do.
func TestRefusedCandidateLearnsThatItDecidesAlone(t *testing.T) {
	gone := raft.Entry{Index: 2, Term: 1, Kind: raft.Membership, Data: membership.EncodeChanges([]membership.Change{{Kind: membership.Remove, Node: 2}})}
	s := start(t, raft.Config{Voters: []raft.NodeID{1, 2}, State: raft.State{
		HardState: raft.HardState{Term: 1, Commit: 1}, Entries: []raft.Entry{{Index: 1, Term: 1, Kind: raft.Noop}, gone},
	}})
	s.tick(20)
	s.work()
	s.must(raft.Message{Kind: raft.PreVoteReply, From: 2, Term: 1, Reject: true, Index: 2, LogTerm: 1})
	s.work()
	s.tick(20)
	s.work()
	if s.Role() != raft.Leader || s.Commit() != 3 {
		t.Fatalf("%+v", s.Status())
	}
	if err := s.Verify(); err != nil {
		t.Fatal(err)
	}
}

func TestRefusalNamesWhatIsCommitted(t *testing.T) {
	s := start(t, raft.Config{})
	s.must(raft.Message{Kind: raft.Append, From: 2, Term: 3, Entries: entries(3, 1, 5), Commit: 4})
	s.work()
	s.tick(10)
	s.work()
	s.must(raft.Message{Kind: raft.Vote, From: 3, Term: 4, Index: 3, LogTerm: 3}, raft.Message{Kind: raft.PreVote, From: 3, Term: 2})
	refused := 0
	for _, m := range s.work() {
		if m.Reject {
			refused++
			if m.Index != 4 || m.LogTerm != 3 {
				t.Errorf("%+v doesn't name entry 4 of term 3", m)
			}
		}
	}
	if refused != 2 {
		t.Errorf("%d refusals", refused)
	}
}
