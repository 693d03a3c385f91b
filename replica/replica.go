package replica

import (
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
)

// Config is what a Replica is built from.
type Config struct {
	Engine  Engine
	Machine Machine
	Applied raft.Index // what the machine contains at the start

	CheckpointBytes   int // a checkpoint is due after so many bytes of applied entries …
	CheckpointEntries int // … or so many entries
}

// Replica is one member of one group. It is owned by one caller.
type Replica struct {
	engine  Engine
	machine Machine
	policy  Config

	applied    raft.EntryID
	checkpoint checkpoint

	seq       uint64    // of the last Write handed out
	persisted uint64    // Seq of the last durable Write
	inFlight  []written // handed out and not yet durable, in order

	proposedSeq uint64 // Seq of the write that holds the last own proposal
	proposed    bool   // … which no Write holds yet

	reads []raft.ReadReady // wait for their index to be applied
}

// written remembers what a Write contained.
type written struct {
	seq        uint64
	engineSeq  uint64 // zero: nothing of the engine
	checkpoint bool
}

// Write is what must become durable, atomically, in the order of Seq.
type Write struct {
	Seq       uint64
	HardState *raft.HardState // nil: unchanged
	Entries   []raft.Entry    // replace the log from Entries[0].Index on
	State     []KV            // a checkpoint, which contains everything up to Applied
	Applied   raft.Index      // zero: no checkpoint
	Members   []byte          // with a checkpoint: who counts as of Applied, as raft encodes it
	Compact   raft.EntryID    // drop the log up to here; zero: keep
}

// Empty says that there is nothing to write.
func (w *Write) Empty() bool {
	return w.HardState == nil && len(w.Entries) == 0 && w.Applied == 0 && w.Compact.Index == 0
}

// Output is what a step has to say to the world.
type Output struct {
	Messages  []raft.Message // may leave at once
	Write     Write          // Seq is zero if there is neither something to write nor to wait for
	Durable   []raft.Message // leave when Write and all earlier ones are durable
	Reads     []uint64       // may be answered now
	ReadsLost []uint64
	Stranded  []raft.NodeID // members that miss what the log no longer holds; nobody sends them a snapshot yet
}

// New makes a replica from what its parts restored.
func New(cfg Config) *Replica {
	return &Replica{
		engine:     cfg.Engine,
		machine:    cfg.Machine,
		policy:     cfg,
		applied:    raft.EntryID{Index: cfg.Applied},
		checkpoint: checkpoint{durable: cfg.Applied},
	}
}

// Engine gives access to the consensus engine for ticks, messages and questions.
func (r *Replica) Engine() Engine { return r.engine }

// Applied is the last entry that the machine has executed.
func (r *Replica) Applied() raft.Index { return r.applied.Index }

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
	invariant.Holds(seq <= r.seq, "write %d is reported durable, %d was the last handed out", seq, r.seq)
	var engineSeq uint64
	done := 0
	for ; done < len(r.inFlight) && r.inFlight[done].seq <= seq; done++ {
		w := &r.inFlight[done]
		if w.engineSeq != 0 {
			engineSeq = w.engineSeq
		}
		r.checkpoint.onWritten(r, w)
	}
	r.inFlight = r.inFlight[done:]
	r.persisted = max(r.persisted, seq)
	if engineSeq != 0 {
		r.engine.Persisted(engineSeq)
	}
}

// Drain collects everything that the inputs since the last Drain have caused.
func (r *Replica) Drain() (Output, error) {
	var out Output
	var engineSeq uint64
	for r.engine.HasReady() {
		ready := r.engine.Ready()
		out.Messages = append(out.Messages, ready.Messages...)
		out.Durable = append(out.Durable, ready.Durable...)
		out.ReadsLost = append(out.ReadsLost, ready.ReadsLost...)
		r.reads = append(r.reads, ready.Reads...)
		for _, offer := range ready.Offer {
			out.Stranded = append(out.Stranded, offer.To)
		}
		if p := ready.Persist; p != nil {
			invariant.Holds(p.Install == nil, "a snapshot is to be installed, and nobody here can have sent one")
			engineSeq = p.Seq
			hardState := p.HardState
			out.Write.HardState = &hardState
			out.Write.Entries = mergeEntries(out.Write.Entries, p.Entries)
		}
		if ready.Compact != 0 {
			r.checkpoint.compactable = max(r.checkpoint.compactable, ready.Compact)
		}
		if err := r.apply(ready.Committed); err != nil {
			return Output{}, err
		}
	}
	out.Reads = r.readable()
	r.checkpoint.addTo(r, &out.Write)
	r.number(&out, engineSeq)
	return out, nil
}

// number gives the write its place in the order, if there is something to write or to wait for.
func (r *Replica) number(out *Output, engineSeq uint64) {
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
		seq:        r.seq,
		engineSeq:  engineSeq,
		checkpoint: out.Write.Applied != 0,
	})
}

// mergeEntries puts later entries behind, or in place of, earlier ones of the same write.
func mergeEntries(earlier, later []raft.Entry) []raft.Entry {
	if len(earlier) == 0 || len(later) == 0 {
		return append(earlier, later...)
	}
	if later[0].Index <= earlier[0].Index {
		return later
	}
	keep := later[0].Index - earlier[0].Index
	invariant.Holds(int(keep) <= len(earlier), "entries %d.. leave a gap after %d", later[0].Index, earlier[len(earlier)-1].Index)
	return append(earlier[:keep:keep], later...)
}
