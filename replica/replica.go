package replica

import (
	"errors"
	"slices"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/internal/room"
	"github.com/quorate/quorate/raft"
)

// Config is what a Replica is built from.
type Config struct {
	Engine  Engine
	Machine Machine
	Applied raft.Index // what the machine contains at the start

	AppliedTerm raft.Term // of the entry at Applied; zero: the log begins after it
	LogBytes    uint64    // data of the entries that the log has up to Applied

	CheckpointBytes   int // a checkpoint is due after so many bytes of applied entries …
	CheckpointEntries int // … or so many entries
	CheckpointAhead   int // so many bytes count towards the first one, or the first after a snapshot: members differ in it, so that they don't all make theirs at the same time
	CheckpointStep    int // so many of its records are gathered at once, and the next ones with the next Drain; zero: all

	LogBytesMax     uint64 // applied entries that may stay for a member that lacks them, after a checkpoint
	CatchupBytesMax uint64 // the same while that member is being brought up to date by a snapshot
}

// Replica is one member of one group. It is owned by one caller.
type Replica struct {
	engine  Engine
	machine Machine
	policy  Config

	applied    raft.EntryID
	hashes     hashes
	checkpoint checkpoint

	seq       uint64    // of the last Write handed out
	persisted uint64    // Seq of the last durable Write
	inFlight  []written // handed out and not yet durable, in order

	proposedSeq uint64 // Seq of the write that holds the last own proposal
	proposed    bool   // … which no Write holds yet

	reads []raft.ReadReady // wait for their index to be applied

	catchup catchup
	refused []raft.Message // answers to chunks that can't be used
	failed  error          // the machine can't go on
	out     Output         // of the last Drain; the next one overwrites it
}

// written remembers what a Write contained.
type written struct {
	seq       uint64
	engineSeq uint64       // zero: nothing of the engine
	install   raft.EntryID // the last entry of the snapshot; zero: none
	stages    bool         // a piece of one
}

// Write is what must become durable, atomically, in the order of Seq.
type Write struct {
	Seq       uint64
	HardState *raft.HardState // nil: unchanged
	Entries   []raft.Entry    // replace the log from Entries[0].Index on
	Compact   raft.EntryID    // drop the log up to here; zero: keep

	Stage     []KV // a piece of another member's snapshot, to be kept aside until Install
	StageAnew bool // what was kept aside before is dropped first
	// Install makes what was kept aside the state, and drops the old state and the whole log, before Entries. Compact
	// is the snapshot's last entry, Members who counts as of it. All of it happens or nothing.
	Install bool
	Members []byte // as raft encodes it

	// Retire drops all that there is of the group, for ever, and is alone in its Write. That the replica was here must be remembered: an empty one
	// that comes back would break what this one has promised.
	Retire bool
}

// Empty says that there is nothing to write.
func (w *Write) Empty() bool {
	return w.HardState == nil && len(w.Entries) == 0 && w.Compact.Index == 0 && len(w.Stage) == 0 && !w.StageAnew && !w.Retire
}

// Checkpoint is what the machine has changed up to an entry. It becomes durable as a whole, at any time, for all of that is in the log: nothing
// waits for it. One that an Install or a Retire overtakes must be dropped.
type Checkpoint struct {
	Applied raft.Index // zero: there is none
	State   [][]KV     // in pieces, as they were gathered: room for all of it at once would take a while to get
	Members []byte     // who counts as of Applied, as raft encodes it
}

// Records is how many records the state has.
func (c *Checkpoint) Records() (n int) {
	for _, piece := range c.State {
		n += len(piece)
	}
	return n
}

// Output is what a step has to say to the world.
type Output struct {
	Messages  []raft.Message // may leave at once
	Write     Write          // Seq is zero if there is neither something to write nor to wait for
	Durable   []raft.Message // leave when Write and all earlier ones are durable
	Reads     []uint64       // may be answered now
	ReadsLost []uint64
	Offers    []raft.Offer // chunks to read for members that miss what the log no longer holds

	Checkpoint Checkpoint
}

// New makes a replica from what its parts restored.
func New(cfg Config) *Replica {
	return &Replica{
		engine:     cfg.Engine,
		machine:    cfg.Machine,
		policy:     cfg,
		applied:    raft.EntryID{Index: cfg.Applied, Term: cfg.AppliedTerm},
		hashes:     newHashes(cfg.Applied, cfg.Machine.Hash()),
		checkpoint: newCheckpoint(&cfg),
	}
}

// Retire ends the replica's life with its last Write. Nothing may be called after it.
func (r *Replica) Retire() Write {
	r.seq++
	return Write{Seq: r.seq, Retire: true}
}

// Engine gives access to the consensus engine for ticks, messages and questions.
func (r *Replica) Engine() Engine { return r.engine }

// WantCheckpoint has a checkpoint made of what is applied now, as soon as no other is under way.
func (r *Replica) WantCheckpoint() { r.checkpoint.wanted = r.applied.Index }

// Checkpointed is the last entry that a durable checkpoint contains.
func (r *Replica) Checkpointed() raft.Index { return r.checkpoint.durable }

// Applied is the last entry that the machine has executed.
func (r *Replica) Applied() raft.Index { return r.applied.Index }

// Idle says that nothing is on its way to the disk, to the machine or to a reader.
func (r *Replica) Idle() bool {
	return len(r.inFlight) == 0 && len(r.reads) == 0 && !r.proposed && !r.Installing() && r.checkpoint.writing.Index == 0
}

// CanPropose says whether a proposal would find the disk free: while an earlier one is being written, what
// arrives gathers in the caller's hands and makes the next batch.
func (r *Replica) CanPropose() bool {
	return r.engine.LeaderReady() && !r.proposed && r.proposedSeq <= r.persisted
}

// Propose hands data to the engine in the engine's present term.
func (r *Replica) Propose(data []byte) (raft.EntryID, error) {
	id, err := r.engine.Propose(r.engine.Term(), data)
	if err == nil {
		r.proposed = true
	}
	return id, err
}

// Persisted reports that all writes up to seq are durable.
func (r *Replica) Persisted(seq uint64) {
	if seq > r.seq { // not Holds: its arguments would cost an allocation each on the hot path
		invariant.Fail("write %d is reported durable, %d was the last handed out", seq, r.seq)
	}
	var engineSeq uint64
	done := 0
	for ; done < len(r.inFlight) && r.inFlight[done].seq <= seq; done++ {
		w := &r.inFlight[done]
		if w.engineSeq != 0 {
			engineSeq = w.engineSeq
		}
		if w.install.Index != 0 {
			r.failed = errors.Join(r.failed, r.onInstalled(w))
		}
	}
	r.inFlight = slices.Delete(r.inFlight, 0, done) // in place: there are few, and most steps need no new room
	r.persisted = max(r.persisted, seq)
	if engineSeq != 0 {
		r.engine.Persisted(engineSeq)
	}
}

// CheckpointWritten reports that the checkpoint of an entry is durable; not of one that was dropped.
func (r *Replica) CheckpointWritten(applied raft.Index) {
	if r.checkpoint.writing.Index == applied { // else a snapshot was installed after it
		r.checkpoint.onWritten(r)
	}
}

// Gathering says that the next Drain goes on with a checkpoint, whatever else happens.
func (r *Replica) Gathering() bool { return r.checkpoint.next.Applied != 0 }

// Drain collects everything that the inputs since the last Drain have caused. The Output and its slices of messages are there until the next
// Drain, the rest of it belongs to the caller.
func (r *Replica) Drain() (*Output, error) {
	if r.failed != nil {
		return nil, r.failed
	}
	out := &r.out
	messages, durable := room.Emptied(out.Messages, messagesKept), room.Emptied(out.Durable, messagesKept)
	*out = Output{}
	out.Messages, out.Durable = messages, append(durable, r.refused...)
	r.refused = nil
	var engineSeq uint64
	var install raft.EntryID
	for r.engine.HasReady() {
		ready := r.engine.Ready()
		out.addMessages(&ready)
		out.ReadsLost = append(out.ReadsLost, ready.ReadsLost...)
		r.reads = append(r.reads, ready.Reads...)
		r.catchup.offer(out, ready.Offer)
		if err := r.catchup.take(&out.Write, ready.Chunks); err != nil {
			return nil, err
		}
		if p := ready.Persist; p != nil {
			if p.Install != nil {
				install = p.Install.Last
				r.install(&out.Write, p.Install)
			}
			engineSeq = p.Seq
			out.Write.HardState = &p.HardState
			out.Write.Entries = mergeEntries(out.Write.Entries, p.Entries)
		}
		if ready.Compact != 0 {
			r.checkpoint.compactable = max(r.checkpoint.compactable, ready.Compact)
		}
		if err := r.apply(ready.Committed); err != nil {
			return nil, err
		}
	}
	out.Reads = r.readable()
	if install.Index == 0 && !r.Installing() {
		r.checkpoint.addTo(r, out)
	}
	r.number(out, engineSeq, install)
	return out, nil
}

// messagesKept bounds the room that is kept for the messages of the next Drain.
const messagesKept = 1 << 6

// addMessages lets everything leave at once but the answers to chunks: they wait until the chunks are written, and so does the next chunk.
// They are copied: the engine's next Ready overwrites them.
func (out *Output) addMessages(ready *raft.Ready) {
	if len(ready.Chunks) == 0 {
		out.Messages = append(out.Messages, ready.Messages...)
	} else {
		for i := range ready.Messages {
			if ready.Messages[i].Kind == raft.SnapshotReply {
				out.Durable = append(out.Durable, ready.Messages[i])
			} else {
				out.Messages = append(out.Messages, ready.Messages[i])
			}
		}
	}
	out.Durable = append(out.Durable, ready.Durable...)
}

// number gives the write its place in the order, if there is something to write or to wait for.
func (r *Replica) number(out *Output, engineSeq uint64, install raft.EntryID) {
	if out.Write.Empty() && len(out.Durable) == 0 {
		return
	}
	r.seq++
	out.Write.Seq = r.seq
	if r.proposed {
		r.proposed = false
		r.proposedSeq = r.seq
	}
	r.inFlight = append(r.inFlight, written{
		seq:       r.seq,
		engineSeq: engineSeq,
		install:   install,
		stages:    len(out.Write.Stage) > 0,
	})
	if install.Index != 0 {
		r.catchup.installed = r.seq
	}
}

// mergeEntries puts later entries behind, or in place of, earlier ones of the same write.
func mergeEntries(earlier, later []raft.Entry) []raft.Entry {
	switch {
	case len(earlier) == 0:
		return later
	case len(later) == 0:
		return earlier
	}
	if later[0].Index <= earlier[0].Index {
		return later
	}
	keep := later[0].Index - earlier[0].Index
	invariant.Holds(int(keep) <= len(earlier), "entries %d.. leave a gap after %d", later[0].Index, earlier[len(earlier)-1].Index)
	return append(earlier[:keep:keep], later...)
}
