package replica_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
	"github.com/quorate/quorate/replica"
)

// diary is a machine that remembers what happened to it.
type diary struct {
	applied     []string
	dirty       int
	sealed      int // records of the checkpoint under way
	checkpoints int // confirmed
	reloads     int
	fail        error
}

func (d *diary) Apply(e raft.Entry) error {
	d.applied = append(d.applied, fmt.Sprintf("%d@%d %s", e.Index, e.Term, e.Data))
	d.dirty++
	return d.fail
}

// Hash is how much was applied: enough to tell entries apart.
func (d *diary) Hash() uint64 { return uint64(len(d.applied)) }

func (d *diary) Checkpoint() []replica.KV {
	d.sealed, d.dirty = d.dirty, 0
	return nil
}

func (d *diary) Sealed(most int) []replica.KV {
	n := min(d.sealed, most)
	d.sealed -= n
	return make([]replica.KV, n)
}

func (d *diary) Checkpointed() { d.checkpoints++ }

func (d *diary) Reload() error {
	d.reloads++
	return d.fail
}

// single is a group of one member, whose disk the test plays.
type single struct {
	*testing.T
	*replica.Replica
	machine *diary
}

func newSingle(t *testing.T, entriesPerCheckpoint int) *single {
	t.Helper()
	return newSingleIn(t, entriesPerCheckpoint, 0)
}

// newSingleIn gathers its checkpoints in parts of so many records.
func newSingleIn(t *testing.T, entriesPerCheckpoint, step int) *single {
	t.Helper()
	return newSingleWith(t, replica.Config{CheckpointBytes: 1 << 30, CheckpointEntries: entriesPerCheckpoint, CheckpointStep: step})
}

func newSingleWith(t *testing.T, cfg replica.Config) *single {
	t.Helper()
	engine, err := raft.New(raft.Config{ID: 1, Voters: []raft.NodeID{1}, ElectionTicks: 10, HeartbeatTicks: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := &single{T: t, machine: &diary{}}
	cfg.Engine, cfg.Machine = engine, s.machine
	s.Replica = replica.New(cfg)
	for range 40 { // until it has elected itself and its no-op is applied
		engine.Tick()
		s.persistAll()
	}
	if !s.CanPropose() {
		t.Fatal("a single voter with a willing disk doesn't lead")
	}
	return s
}

func (s *single) drain() replica.Output {
	s.Helper()
	out, err := s.Drain()
	if err != nil {
		s.Fatal(err)
	}
	return *out
}

// persistAll lets the disk finish everything there is.
func (s *single) persistAll() (done []replica.Output) {
	s.Helper()
	for {
		out := s.drain()
		if out.Write.Seq == 0 && out.Checkpoint.Applied == 0 {
			return done
		}
		done = append(done, out)
		if out.Write.Seq != 0 {
			s.Persisted(out.Write.Seq)
		}
		if at := out.Checkpoint.Applied; at != 0 {
			s.CheckpointWritten(at)
		}
	}
}

func (s *single) propose(data string) {
	s.Helper()
	if _, err := s.Propose([]byte(data)); err != nil {
		s.Fatal(err)
	}
}

func TestNothingIsAppliedBeforeItIsDurable(t *testing.T) {
	s := newSingle(t, 1000)
	s.propose("a")
	out := s.drain()
	if len(out.Write.Entries) != 1 || len(s.machine.applied) != 0 {
		t.Fatalf("write %+v, applied %v", out.Write, s.machine.applied)
	}
	s.drain()
	if len(s.machine.applied) != 0 {
		t.Fatalf("applied %v before the disk said so", s.machine.applied)
	}
	s.Persisted(out.Write.Seq)
	s.drain()
	if !slices.Equal(s.machine.applied, []string{"2@1 a"}) {
		t.Fatalf("applied %v", s.machine.applied)
	}
}

func TestWhatArrivesWhileTheDiskWritesWaitsForTheNextBatch(t *testing.T) {
	s := newSingle(t, 1000)
	s.propose("a")
	if s.CanPropose() {
		t.Error("a second proposal would not wait for the first one's write")
	}
	out := s.drain()
	if s.CanPropose() {
		t.Error("the disk is still writing")
	}
	s.Persisted(out.Write.Seq)
	if !s.CanPropose() {
		t.Error("the disk is free again")
	}
}

func TestACheckpointIsWrittenWithItsIndexAndTheLogIsDroppedAfterIt(t *testing.T) {
	s := newSingle(t, 4)
	var done []replica.Output
	for i := range 12 {
		s.propose(fmt.Sprint(i))
		s.Engine().Tick()
		done = append(done, s.persistAll()...)
	}
	var checkpoint raft.Index // durable
	compactions := 0
	for i := range done {
		w, c := &done[i].Write, &done[i].Checkpoint
		if (c.Applied != 0) != (len(c.State) > 0) {
			t.Errorf("with write %d: state of %d keys with applied index %d", w.Seq, len(c.State), c.Applied)
		}
		if w.Compact.Index > checkpoint {
			t.Errorf("write %d drops the log up to %d, the durable checkpoint contains %d", w.Seq, w.Compact.Index, checkpoint)
		}
		if w.Compact.Index > 0 {
			compactions++
		}
		checkpoint = max(checkpoint, c.Applied)
	}
	if s.machine.checkpoints < 2 || compactions == 0 {
		t.Errorf("%d checkpoints confirmed, %d compactions", s.machine.checkpoints, compactions)
	}
	if first := s.Engine().Status().First; first <= 1 {
		t.Errorf("the engine still keeps the log from %d", first)
	}
}

// TestTheFirstCheckpointMayComeSooner, so that members that apply the same entries don't all make theirs at once; the next ones then come as far apart as ever.
func TestTheFirstCheckpointMayComeSooner(t *testing.T) {
	for ahead, want := range map[int][]raft.Index{0: {11, 21}, 60: {5, 15, 25}} { // entry 1 is the leader's own, and empty
		s := newSingleWith(t, replica.Config{CheckpointBytes: 100, CheckpointEntries: 1 << 30, CheckpointAhead: ahead})
		var at []raft.Index
		for range 24 {
			s.propose("ten bytes.")
			for _, out := range s.persistAll() {
				if c := out.Checkpoint.Applied; c != 0 {
					at = append(at, c)
				}
			}
		}
		if !slices.Equal(at, want) {
			t.Errorf("%d of 100 bytes ahead: checkpoints of %v, want %v", ahead, at, want)
		}
	}
}

// TestNothingWaitsForACheckpoint: while one is on its way to the disk the log goes on, no second one is begun, and nothing is dropped for it.
func TestNothingWaitsForACheckpoint(t *testing.T) {
	s := newSingle(t, 4)
	var begun []raft.Index
	for i := range 12 {
		s.propose(fmt.Sprint(i))
		for out := s.drain(); out.Write.Seq != 0 || out.Checkpoint.Applied != 0; out = s.drain() {
			if at := out.Checkpoint.Applied; at != 0 {
				begun = append(begun, at)
			}
			if out.Write.Compact.Index != 0 {
				t.Errorf("the log is dropped up to %d", out.Write.Compact.Index)
			}
			s.Persisted(out.Write.Seq)
		}
	}
	if len(begun) != 1 || s.Checkpointed() != 0 || s.Idle() || s.machine.checkpoints != 0 || s.Applied() < 12 {
		t.Fatalf("checkpoints of %v are begun, %d is durable, applied %d, idle %v", begun, s.Checkpointed(), s.Applied(), s.Idle())
	}
	s.CheckpointWritten(begun[0] - 1) // of another life of the group's state
	if s.Checkpointed() != 0 {
		t.Error("a checkpoint that was never begun is durable")
	}
	s.CheckpointWritten(begun[0])
	if s.Checkpointed() != begun[0] || s.machine.checkpoints != 1 {
		t.Errorf("the last durable one is of %d", s.Checkpointed())
	}
	if out := s.drain(); out.Checkpoint.Applied <= begun[0] {
		t.Errorf("the next one is of %d", out.Checkpoint.Applied)
	}
}

// TestALargeCheckpointIsGatheredInParts, one with each Drain, while entries are applied that are no part of it.
func TestALargeCheckpointIsGatheredInParts(t *testing.T) {
	s := newSingleIn(t, 7, 3)
	for range 5 {
		s.propose("a")
		s.persistAll()
	}
	if s.Gathering() || s.machine.checkpoints != 0 {
		t.Fatal("a checkpoint is made too early")
	}
	s.propose("b")
	s.Persisted(s.drain().Write.Seq)
	var parts int
	var whole replica.Checkpoint
	for whole.Applied == 0 {
		out := s.drain()
		whole = out.Checkpoint
		if s.Gathering() != (whole.Applied == 0) || s.Idle() {
			t.Fatalf("part %d: gathering %v, idle %v", parts, s.Gathering(), s.Idle())
		}
		if out.Write.Seq != 0 {
			s.Persisted(out.Write.Seq)
		}
		if parts++; parts == 1 {
			s.propose("c")
		}
	}
	if parts != 3 || whole.Records() != 6 || whole.Applied != 7 || s.Applied() != 8 {
		t.Errorf("%d records as of %d in %d parts, applied %d", whole.Records(), whole.Applied, parts, s.Applied())
	}
	s.CheckpointWritten(whole.Applied)
	if s.Checkpointed() != 7 || s.machine.checkpoints != 1 {
		t.Errorf("durable is %d", s.Checkpointed())
	}
}

// TestAGatheredCheckpointSaysWhoCountedAtItsIndex, and not who does when the last part is there.
func TestAGatheredCheckpointSaysWhoCountedAtItsIndex(t *testing.T) {
	s := newSingleIn(t, 7, 1)
	for range 6 {
		s.propose("a")
		s.Persisted(s.drain().Write.Seq)
	}
	for !s.Gathering() {
		if out := s.drain(); out.Write.Seq != 0 {
			s.Persisted(out.Write.Seq)
		}
	}
	if _, err := s.Engine().ProposeMembership(membership.Change{Kind: membership.AddLearner, Node: 2}); err != nil {
		t.Fatal(err)
	}
	var whole replica.Checkpoint
	for whole.Applied == 0 {
		out := s.drain()
		whole = out.Checkpoint
		if out.Write.Seq != 0 {
			s.Persisted(out.Write.Seq)
		}
	}
	then, err := membership.Decode(whole.Members)
	if now := s.Engine().Members(); err != nil || then.IsLearner(2) || !now.IsLearner(2) {
		t.Errorf("as of %d: %v, now %v; %v", whole.Applied, then, now, err)
	}
}

// TestACheckpointSaysWhoCountsAtItsIndex: once the log is dropped, nothing else would.
func TestACheckpointSaysWhoCountsAtItsIndex(t *testing.T) {
	s := newSingle(t, 4)
	if _, err := s.Engine().ProposeMembership(membership.Change{Kind: membership.AddLearner, Node: 2}); err != nil {
		t.Fatal(err)
	}
	last := s.Engine().Status().Last
	var after []byte
	for i := range 12 {
		s.propose(fmt.Sprint(i))
		for _, out := range s.persistAll() {
			c := &out.Checkpoint
			if (c.Applied != 0) != (c.Members != nil) {
				t.Errorf("checkpoint of %d, members %x", c.Applied, c.Members)
			}
			if c.Applied >= last {
				after = c.Members
			}
		}
	}
	members, err := membership.Decode(after)
	if err != nil || !members.IsLearner(2) || !members.IsVoter(1) {
		t.Errorf("got %+v, %v, want node 1 to vote and node 2 to learn", members, err)
	}
	again, err := raft.New(raft.Config{ID: 1, Voters: []raft.NodeID{1}, ElectionTicks: 10, HeartbeatTicks: 1,
		State: raft.State{HardState: raft.HardState{Term: 1}, Compacted: raft.EntryID{Index: last, Term: 1}, Applied: last, Membership: after}})
	if err != nil {
		t.Fatal(err)
	}
	if members := again.Members(); !members.IsLearner(2) {
		t.Errorf("after a restart from the checkpoint the members are %+v", members)
	}
}

func TestAReadWaitsUntilItsIndexIsApplied(t *testing.T) {
	s := newSingle(t, 1000)
	s.propose("a")
	out := s.drain()
	if err := s.Engine().ReadIndex(7); err != nil {
		t.Fatal(err)
	}
	reads := s.drain().Reads
	s.Persisted(out.Write.Seq)
	reads = append(reads, s.drain().Reads...)
	if !slices.Equal(reads, []uint64{7}) {
		t.Errorf("reads %v, want 7, once", reads)
	}
}

func TestAMachineThatFailsStopsTheReplica(t *testing.T) {
	s := newSingle(t, 1000)
	s.machine.fail = errors.New("damaged")
	s.propose("a")
	out := s.drain()
	s.Persisted(out.Write.Seq)
	if _, err := s.Drain(); !errors.Is(err, s.machine.fail) {
		t.Errorf("got %v", err)
	}
}

// script is an engine that hands out what a test wrote.
type script struct {
	replica.Engine
	readies []raft.Ready
}

func (s *script) HasReady() bool { return len(s.readies) > 0 }
func (s *script) Ready() raft.Ready {
	r := s.readies[0]
	s.readies = s.readies[1:]
	return r
}
func (s *script) Applied(raft.Index) {}
func (s *script) Persisted(uint64)   {}
func (s *script) Membership() []byte { return nil }

func entries(first, count int, term raft.Term) []raft.Entry {
	list := make([]raft.Entry, count)
	for i := range list {
		list[i] = raft.Entry{Index: raft.Index(first + i), Term: term}
	}
	return list
}

func TestSeveralPersistsBecomeOneWrite(t *testing.T) {
	for _, test := range []struct {
		name string
		then []raft.Entry
		want string
	}{
		{"more entries follow", entries(4, 2, 1), "1@1 2@1 3@1 4@1 5@1"},
		{"the last are replaced", entries(3, 2, 2), "1@1 2@1 3@2 4@2"},
		{"all are replaced", entries(1, 1, 2), "1@2"},
		{"only the hard state changed", nil, "1@1 2@1 3@1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			engine := &script{readies: []raft.Ready{
				{Persist: &raft.Persist{Seq: 1, HardState: raft.HardState{Term: 1}, Entries: entries(1, 3, 1)}},
				{Persist: &raft.Persist{Seq: 2, HardState: raft.HardState{Term: 2}, Entries: test.then}},
			}}
			r := replica.New(replica.Config{Engine: engine, Machine: &diary{}, CheckpointBytes: 1, CheckpointEntries: 1})
			out, err := r.Drain()
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, e := range out.Write.Entries {
				got += fmt.Sprintf(" %d@%d", e.Index, e.Term)
			}
			if got != " "+test.want || out.Write.HardState.Term != 2 || out.Write.Seq != 1 {
				t.Errorf("got%s with %+v as write %d, want %s", got, out.Write.HardState, out.Write.Seq, test.want)
			}
		})
	}
}

func TestEntriesAreAppliedOnceAndInOrder(t *testing.T) {
	for name, second := range map[string][]raft.Entry{"twice": entries(1, 1, 1), "with a gap": entries(3, 1, 1)} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if _, ok := recover().(invariant.Broken); !ok {
					t.Error("nobody noticed")
				}
			}()
			engine := &script{readies: []raft.Ready{{Committed: entries(1, 1, 1)}, {Committed: second}}}
			r := replica.New(replica.Config{Engine: engine, Machine: &diary{}, CheckpointBytes: 1 << 20, CheckpointEntries: 1 << 20})
			r.Drain()
		})
	}
}

func TestAMemberThatMissesTheLogIsOfferedASnapshot(t *testing.T) {
	engine := &script{readies: []raft.Ready{{Offer: []raft.Offer{{To: 3}}}}}
	r := replica.New(replica.Config{Engine: engine, Machine: &diary{}, CheckpointBytes: 1 << 20, CheckpointEntries: 1 << 20})
	out, err := r.Drain()
	if err != nil || !slices.Equal(out.Offers, []raft.Offer{{To: 3}}) {
		t.Errorf("got %v, %v", out.Offers, err)
	}
}
