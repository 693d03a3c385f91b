package replica_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc64"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
	"github.com/quorate/quorate/replica"
)

// book is a machine that keeps every entry under its index, and reads what is stored of it.
type book struct {
	store *state
	dirty []replica.KV
	pages map[string]string
	loads int
}

func (b *book) Apply(e raft.Entry) error {
	key := fmt.Sprintf("%06d", e.Index)
	b.pages[key] = string(e.Data)
	b.dirty = append(b.dirty, replica.KV{Key: []byte(key), Value: e.Data})
	return nil
}

// Hash adds up the pages.
func (b *book) Hash() (sum uint64) {
	for key, page := range b.pages {
		sum += crc64.Checksum([]byte(key+page), crc64.MakeTable(crc64.ECMA))
	}
	return sum
}

func (b *book) Checkpoint() []replica.KV {
	dirty := b.dirty
	b.dirty = nil
	return dirty
}

func (b *book) Sealed(int) []replica.KV { return nil }

func (b *book) Checkpointed() {}

func (b *book) Reload() error {
	b.pages, b.dirty = map[string]string{}, nil
	b.loads++
	for _, kv := range b.store.kvs {
		b.pages[string(kv.Key)] = string(kv.Value)
	}
	return nil
}

// member is one of a trio: a replica with an instant disk.
type member struct {
	*replica.Replica
	book   *book
	staged []replica.KV
	sends  map[raft.NodeID]*replica.Outgoing
	up     bool
}

func (m *member) write(w *replica.Write) {
	if w.StageAnew {
		m.staged = nil
	}
	m.staged = append(m.staged, w.Stage...)
	s := m.book.store
	if w.Install {
		s.kvs, m.staged = m.staged, nil
		s.last, s.members = w.Compact, w.Members
	}
}

func (m *member) keep(c *replica.Checkpoint, entry func(raft.Index) raft.Term) {
	s := m.book.store
	s.put(slices.Concat(c.State...))
	s.members = c.Members
	s.last = raft.EntryID{Index: c.Applied, Term: entry(c.Applied)}
}

func (s *state) put(kvs []replica.KV) {
	s.kvs = append(slices.Clone(s.kvs), kvs...) // an open snapshot keeps the old ones
	s.sort()
}

// trio is a group of three on a network that a test may disturb.
type trio struct {
	*testing.T
	members [4]*member                 // by id
	disturb func(m *raft.Message) bool // loses the message, or changes it; nil: does nothing
	first   int                        // chunks at offset 0
	chunks  int
	slow    bool         // a chunk is read when time passes, and no sooner
	waiting []raft.Offer // of member 1
	stale   func()       // gives the chunk before this one again
	stalled bool         // member 3's disk stands still
	held    []held       // … what it hasn't done
}

// held is a write, and what leaves after it.
type held struct {
	write   replica.Write
	durable []raft.Message
}

func newTrio(t *testing.T, logBytesMax, catchupBytesMax uint64) *trio {
	tr := &trio{T: t}
	for id := raft.NodeID(1); id <= 3; id++ {
		engine, err := raft.New(raft.Config{ID: id, Voters: []raft.NodeID{1, 2, 3}, Seed: uint64(id), ElectionTicks: 10, HeartbeatTicks: 1})
		if err != nil {
			t.Fatal(err)
		}
		b := &book{store: &state{}, pages: map[string]string{}}
		m := &member{book: b, sends: map[raft.NodeID]*replica.Outgoing{}, up: true}
		m.Replica = replica.New(replica.Config{
			Engine: engine, Machine: b, CheckpointBytes: 1 << 30, CheckpointEntries: 4, LogBytesMax: logBytesMax, CatchupBytesMax: catchupBytesMax,
		})
		tr.members[id] = m
	}
	for range 100 {
		tr.tick(1) // the only one whose time passes: it will lead
	}
	if !tr.members[1].CanPropose() {
		t.Fatal("nobody leads")
	}
	return tr
}

func (tr *trio) tick(id raft.NodeID) {
	tr.Helper()
	tr.members[id].Engine().Tick()
	if len(tr.waiting) > 0 {
		tr.read(tr.members[1], tr.waiting[0])
		tr.waiting = tr.waiting[1:]
	}
	tr.run()
}

// run carries everything out until all are quiet.
func (tr *trio) run() {
	tr.Helper()
	for busy := true; busy; {
		busy = false
		for _, m := range tr.members[1:] {
			if !m.up {
				continue
			}
			out, err := m.Drain()
			if err != nil {
				tr.Fatal(err)
			}
			if out.Write.Seq != 0 && tr.stalled && m == tr.members[3] {
				tr.held = append(tr.held, held{out.Write, slices.Clone(out.Durable)})
				out.Durable = nil
			} else if out.Write.Seq != 0 {
				m.write(&out.Write)
				m.Persisted(out.Write.Seq)
				busy = true
			}
			if at := out.Checkpoint.Applied; at != 0 {
				m.keep(&out.Checkpoint, func(raft.Index) raft.Term { return 1 })
				m.CheckpointWritten(at)
				busy = true
			}
			for _, message := range slices.Concat(out.Messages, out.Durable) {
				tr.deliver(message)
				busy = true
			}
			for _, o := range out.Offers {
				if tr.slow {
					tr.waiting = append(tr.waiting, o)
					continue
				}
				tr.read(m, o)
				busy = true
			}
		}
	}
}

// goOn has member 3's disk do what it hasn't done, one write after the other.
func (tr *trio) goOn() {
	tr.Helper()
	tr.stalled = false
	for _, h := range tr.held {
		tr.members[3].write(&h.write)
		tr.members[3].Persisted(h.write.Seq)
		for _, m := range h.durable {
			tr.deliver(m)
		}
		tr.run()
	}
	tr.held = nil
}

func (tr *trio) deliver(m raft.Message) {
	to := tr.members[m.To]
	if c := m.Snapshot; m.Kind == raft.Snapshot {
		copied := *c
		copied.Data = bytes.Clone(c.Data)
		m.Snapshot = &copied
		tr.chunks++
		if c.Offset == 0 {
			tr.first++
		}
	}
	if !to.up || !tr.members[m.From].up || tr.disturb != nil && tr.disturb(&m) {
		return
	}
	if err := to.Step(m); err != nil && !errors.Is(err, replica.ErrDamagedChunk) {
		tr.Fatal(err)
	}
}

func (tr *trio) read(m *member, o raft.Offer) {
	if o.Last.Index == 0 {
		view := *m.book.store
		if view.members == nil {
			first := membership.Of(1, 2, 3)
			view.members = first.Encode()
		}
		m.sends[o.To] = replica.NewOutgoing(&view)
	}
	c, err := m.sends[o.To].Chunk(o.Offset, 150)
	if err != nil {
		m.SnapshotFailed(o.To)
		return
	}
	if tr.stale != nil {
		tr.stale()
		tr.stale = func() { m.SendChunk(o.To, c) }
	}
	m.SendChunk(o.To, c)
}

// propose adds entries of 100 bytes.
func (tr *trio) propose(count int) {
	tr.Helper()
	for range count {
		if _, err := tr.members[1].Propose(bytes.Repeat([]byte("x"), 100)); err != nil {
			tr.Fatal(err)
		}
		tr.run()
		tr.tick(1)
	}
}

// comeBack has member 3 hear again, and waits until it has all there is.
func (tr *trio) comeBack() {
	tr.Helper()
	tr.members[3].up = true
	for range 200 {
		tr.tick(1)
	}
	if want, got := tr.members[1].book.pages, tr.members[3].book.pages; !maps.Equal(want, got) {
		tr.Errorf("member 3 has %d pages, the leader %d: %q", len(got), len(want), slices.Sorted(maps.Keys(got)))
	}
}

func (tr *trio) firstEntry() raft.Index { return tr.members[1].Engine().Status().First }

func TestTheLogIsKeptForAMemberWithinItsBudget(t *testing.T) {
	tr := newTrio(t, 1000, 10_000)
	tr.propose(4)
	tr.members[3].up = false
	last := tr.members[3].Engine().Status().Last
	tr.propose(5)
	if first := tr.firstEntry(); first > last+1 {
		t.Fatalf("the log begins at %d and member 3, with little missing, needs it from %d", first, last+1)
	}
	tr.comeBack()
	if tr.chunks > 0 {
		t.Fatal("a snapshot was sent to a member that the log still reaches")
	}
	tr.members[3].up = false
	tr.propose(40)
	s := tr.members[1].Engine().Status()
	if kept := 100 * (s.Last - s.First + 1); kept > 1000+2*4*100 {
		t.Errorf("%d bytes of log are kept for a member that is away, the budget is 1000", kept)
	}
	if kept := 100 * (s.Last - s.First + 1); kept < 600 {
		t.Errorf("only %d bytes of log are kept, the budget is 1000", kept)
	}
}

func TestAMemberBehindTheLogIsBroughtUpToDate(t *testing.T) {
	for _, test := range []struct {
		name    string
		disturb func(chunk int, m *raft.Message) bool
		first   int // snapshots begun
	}{
		{"all chunks arrive", func(int, *raft.Message) bool { return false }, 1},
		{"the fifth is lost: the snapshot goes on from it", func(chunk int, _ *raft.Message) bool { return chunk == 5 }, 1},
		{"a bit of the fifth is wrong: the snapshot begins again", func(chunk int, m *raft.Message) bool {
			if chunk == 5 {
				m.Snapshot.Data[7] ^= 1
			}
			return false
		}, 2},
		{"every third is lost", func(chunk int, _ *raft.Message) bool { return chunk%3 == 0 }, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr := newTrio(t, 1000, 10_000)
			tr.members[3].up = false
			tr.propose(40)
			tr.disturb = func(m *raft.Message) bool { return m.Kind == raft.Snapshot && test.disturb(tr.chunks, m) }
			tr.comeBack()
			if tr.first != test.first {
				t.Errorf("the snapshot was begun %d times, want %d", tr.first, test.first)
			}
			if tr.members[3].book.loads != 1 {
				t.Errorf("the machine was loaded %d times", tr.members[3].book.loads)
			}
			tr.propose(5)
			if want, got := tr.members[1].book.pages, tr.members[3].book.pages; !maps.Equal(want, got) {
				t.Errorf("after it, member 3 has %d pages, the leader %d", len(got), len(want))
			}
		})
	}
}

// While a member follows a snapshot, the log after it stays, within a budget of its own: else a busy group would never be caught.
func TestTheLogStaysForAMemberThatGetsASnapshot(t *testing.T) {
	for _, test := range []struct {
		name   string
		whole  bool // the log after the snapshot is kept
		budget uint64
	}{
		{"within the budget", true, 10_000},
		{"beyond it the member is given up", false, 2000},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr := newTrio(t, 1000, test.budget)
			tr.members[3].up = false
			tr.propose(40)
			var last raft.Index
			tr.disturb = func(m *raft.Message) bool {
				if m.Kind == raft.Snapshot {
					last = m.Snapshot.Last.Index
				}
				return m.Kind == raft.Snapshot && m.Snapshot.Offset > 0 // it stays at its first chunk, alive
			}
			tr.members[3].up = true
			tr.tick(1)
			tr.tick(1)
			if last == 0 {
				t.Fatal("no snapshot is sent")
			}
			begun := last
			tr.propose(50)
			if first := tr.firstEntry(); (first <= begun+1) != test.whole {
				t.Errorf("the log begins at %d, the snapshot ends with %d", first, begun)
			}
			tr.disturb = nil
			tr.comeBack()
		})
	}
}

// A member that is sent more than is logged meanwhile is caught, however large the state is.
func TestAMemberThatGainsOnTheLogIsNotGivenUp(t *testing.T) {
	tr := newTrio(t, 1000, 2000)
	tr.members[3].up = false
	tr.propose(60)
	tr.members[3].up, tr.slow = true, true
	tr.propose(60) // a chunk of 150 bytes for every 100 that are logged
	if tr.first != 1 || tr.members[3].book.loads != 1 {
		t.Errorf("the snapshot was begun %d times and installed %d times", tr.first, tr.members[3].book.loads)
	}
	tr.comeBack()
}

// A host that is slow is asked twice for a chunk. The one that it gives too late doesn't end the snapshot.
func TestAChunkThatIsGivenTwiceChangesNothing(t *testing.T) {
	tr := newTrio(t, 1000, 10_000)
	tr.members[3].up = false
	tr.propose(40)
	tr.stale = func() {}
	tr.comeBack()
	if tr.first != 1 || tr.members[3].book.loads != 1 {
		t.Errorf("the snapshot was begun %d times and installed %d times", tr.first, tr.members[3].book.loads)
	}
}

// A leader that hears nothing repeats the last chunk. A member whose disk stands still takes no more than that one, and goes on from there when the disk does.
func TestAMemberWhoseDiskStandsStillHoldsOneChunk(t *testing.T) {
	tr := newTrio(t, 1000, 10_000)
	tr.members[3].up = false
	tr.propose(40)
	tr.members[3].up = true
	tr.disturb = func(m *raft.Message) bool {
		tr.stalled = tr.stalled || m.Kind == raft.Snapshot && m.Snapshot.Offset > 0
		return false
	}
	repeated := -tr.chunks
	for range 200 { // 20 election timeouts
		tr.tick(1)
	}
	repeated += tr.chunks
	staged := 0
	for _, h := range tr.held {
		if len(h.write.Stage) > 0 {
			staged++
		}
	}
	if staged != 1 || repeated < 10 || tr.members[3].Engine().Leader() != 1 {
		t.Errorf("of %d chunks that came, %d wait for the disk, want 1; member 3's leader is %d", repeated, staged, tr.members[3].Engine().Leader())
	}
	tr.disturb = nil
	tr.goOn()
	tr.comeBack()
	if tr.first != 1 || tr.members[3].book.loads != 1 {
		t.Errorf("the snapshot was begun %d times and installed %d times", tr.first, tr.members[3].book.loads)
	}
}

// A member that was brought up to date is one like the others: when it is away again, the log isn't kept for it beyond what it is for anyone.
func TestAMemberThatWasBroughtUpToDateHoldsBackNoMore(t *testing.T) {
	tr := newTrio(t, 1000, 10_000)
	tr.members[3].up = false
	tr.propose(40)
	tr.comeBack()
	if tr.chunks == 0 {
		t.Fatal("no snapshot was sent")
	}
	tr.propose(8) // two checkpoints, and less log than the budget
	tr.members[3].up = false
	tr.propose(60)
	s := tr.members[1].Engine().Status()
	if kept := 100 * (s.Last - s.First + 1); kept > 1000+2*4*100 {
		t.Errorf("%d bytes of log are kept for it, the budget is 1000", kept)
	}
}

// The machine stays what it was until the snapshot is durable, and nothing is applied or checkpointed in between.
func TestAnInstalledSnapshotIsLoadedOnceItIsDurable(t *testing.T) {
	chunks := chunksOf(t, stateOf("a=1", "b=2"), 1)
	engine := &script{readies: []raft.Ready{
		{Chunks: chunks[:1], Messages: []raft.Message{{Kind: raft.SnapshotReply}, {Kind: raft.HeartbeatReply}}},
	}}
	machine := &diary{}
	r := replica.New(replica.Config{Engine: engine, Machine: machine}) // a checkpoint is always due
	out, err := r.Drain()
	if err != nil || !out.Write.StageAnew || len(out.Write.Stage) != 1 || len(out.Messages) != 1 || len(out.Durable) != 1 || out.Durable[0].Kind != raft.SnapshotReply {
		t.Fatalf("the answer to a chunk doesn't wait for it: %+v, %v", out, err)
	}
	r.Persisted(out.Write.Seq)
	engine.readies = []raft.Ready{{Chunks: chunks[1:], Persist: &raft.Persist{Seq: 1, Install: &raft.Install{Last: chunks[0].Last, Membership: chunks[0].Membership}}}}
	out, err = r.Drain()
	w := out.Write // a copy: the next Drain overwrites it
	if err != nil || !w.Install || w.StageAnew || len(w.Stage) != 1 || w.Compact != chunks[0].Last || !bytes.Equal(w.Members, []byte{1, 2, 3}) {
		t.Fatalf("got %+v, %v", out, err)
	}
	if !r.Installing() || machine.reloads != 0 {
		t.Errorf("installing %v, loaded %d times before it was durable", r.Installing(), machine.reloads)
	}
	if again, err := r.Drain(); err != nil || again.Write.Seq != 0 {
		t.Errorf("while it is installed, %+v, %v", again, err)
	}
	r.Persisted(w.Seq)
	if r.Installing() || machine.reloads != 1 || r.Applied() != 300 {
		t.Errorf("installing %v, loaded %d times, applied %d", r.Installing(), machine.reloads, r.Applied())
	}
	machine.fail = errors.New("damaged")
	engine.readies = []raft.Ready{{Chunks: chunks, Persist: &raft.Persist{Seq: 2, Install: &raft.Install{Last: chunks[0].Last}}}}
	if out, err = r.Drain(); err != nil {
		t.Fatal(err)
	}
	r.Persisted(out.Write.Seq)
	if _, err = r.Drain(); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("got %v", err)
	}
}

// endless is a machine whose checkpoint is never whole.
type endless struct{ diary }

func (e *endless) Sealed(most int) []replica.KV { return make([]replica.KV, most) }

// TestASnapshotEndsTheCheckpointThatIsGathered: it would be overtaken, and a host that goes on with it would find no end while the snapshot is made durable.
func TestASnapshotEndsTheCheckpointThatIsGathered(t *testing.T) {
	chunks := chunksOf(t, stateOf("a=1"), 100)
	engine := &script{readies: []raft.Ready{{Committed: []raft.Entry{{Index: 1, Term: 1, Data: []byte("x")}}}}}
	r := replica.New(replica.Config{Engine: engine, Machine: &endless{}, CheckpointStep: 1})
	if _, err := r.Drain(); err != nil || !r.Gathering() {
		t.Fatalf("gathering %v, %v", r.Gathering(), err)
	}
	engine.readies = []raft.Ready{{Chunks: chunks, Persist: &raft.Persist{Seq: 1, Install: &raft.Install{Last: chunks[0].Last}}}}
	out, err := r.Drain()
	if err != nil || !r.Installing() || r.Gathering() {
		t.Errorf("installing %v, gathering %v, %v", r.Installing(), r.Gathering(), err)
	}
	r.Persisted(out.Write.Seq)
	if r.Installing() || r.Gathering() || r.Applied() != 300 {
		t.Errorf("installing %v, gathering %v, applied %d", r.Installing(), r.Gathering(), r.Applied())
	}
}

// TestOnlyAGroupsFirstCheckpointComesSooner, and the first after a snapshot, whose state others have as of the same entry. After a restart the last one was ahead already: counted
// again, members would meet.
func TestOnlyAGroupsFirstCheckpointComesSooner(t *testing.T) {
	half := make([]byte, 50)
	for applied, want := range map[raft.Index]bool{0: true, 7: false} {
		engine := &script{readies: []raft.Ready{{Committed: []raft.Entry{{Index: applied + 1, Term: 1, Data: half}}}}}
		r := replica.New(replica.Config{Engine: engine, Machine: &diary{}, Applied: applied, CheckpointBytes: 100, CheckpointEntries: 1 << 20, CheckpointAhead: 60})
		if out, err := r.Drain(); err != nil || (out.Checkpoint.Applied != 0) != want {
			t.Errorf("a start at entry %d: checkpoint of %d, %v", applied, out.Checkpoint.Applied, err)
		}
		chunks := chunksOf(t, stateOf("a=1"), 100)
		engine.readies = []raft.Ready{{Chunks: chunks, Persist: &raft.Persist{Seq: 1, Install: &raft.Install{Last: chunks[0].Last}}}}
		out, err := r.Drain()
		if err != nil || !r.Installing() {
			t.Fatalf("installing %v, %v", r.Installing(), err)
		}
		r.Persisted(out.Write.Seq)
		engine.readies = []raft.Ready{{Committed: []raft.Entry{{Index: r.Applied() + 1, Term: 1, Data: half}}}}
		if out, err := r.Drain(); err != nil || out.Checkpoint.Applied != r.Applied() {
			t.Errorf("after a snapshot: checkpoint of %d, %v", out.Checkpoint.Applied, err)
		}
	}
}
