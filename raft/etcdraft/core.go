package etcdraft

import (
	"slices"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
	"github.com/quorate/quorate/raft/quorum"
)

// Raft is one member of one group on etcd's core. It belongs to whoever calls it: nothing in it is locked. Its
// methods are those of raft.Raft and promise the same.
type Raft struct {
	cfg  raft.Config
	id   raft.NodeID
	core *etcd.RawNode

	// What the core has said last.
	state  etcd.StateType
	leader raft.NodeID // zero: unknown
	term   raft.Term
	vote   raft.NodeID

	log      log
	accepted raft.Term // the leader of this term wrote our log up to verified
	verified raft.Index
	ruled    reign             // whom we have followed, also if the core has forgotten it
	members  membership.Config // active: as of log.applied
	voters   quorum.Joint

	seq         uint64
	handedHS    raft.HardState
	durableTerm raft.Term
	install     *raft.Install
	answers     []*pb.Message // for the core itself, once all that isn't durable yet is

	// Time, in ticks.
	ticks      uint64
	chance     uint64    // state of the generator of election timeouts
	sinceHeard int       // since a leader was heard, a vote granted, or a campaign begun
	timeout    int       // of this wait, ElectionTicks..2×ElectionTicks−1
	handed     bool      // the last campaign was asked for by the leader before
	lost       raft.Term // see raft.State
	quietUntil uint64    // leases: no vote before, for a leader may count on the one that we were before a restart

	lead    leading
	arrival arrival // of a snapshot, chunk by chunk

	compact     raft.Index // everybody has the log up to here
	compactTold raft.Index

	// What Ready will say.
	messages  []raft.Message
	durable   []raft.Message
	committed []raft.Entry
	reads     []raft.ReadReady
	readsLost []uint64
	chunks    []raft.SnapshotChunk
	offers    []raft.Offer
}

// reign is who leads a term.
type reign struct {
	term   raft.Term
	leader raft.NodeID
}

// New makes a member of a group from what its disk remembered (raft.ErrBadConfig, raft.ErrBadState).
func New(cfg raft.Config) (*Raft, error) {
	if err := cfg.Complete(); err != nil {
		return nil, err
	}
	judge, err := raft.New(cfg) // refuses what the other engine refuses, and decodes the membership
	if err != nil {
		return nil, err
	}
	if err := checkID(cfg.ID); err != nil {
		return nil, err
	}
	s := &cfg.State
	hs := s.HardState
	r := &Raft{
		cfg: cfg, id: cfg.ID, term: hs.Term, vote: hs.Vote, accepted: hs.Accepted, durableTerm: hs.Term, handedHS: hs,
		lost: s.Lost, chance: cfg.Seed ^ uint64(cfg.ID)*0x9e3779b97f4a7c15,
	}
	r.log = log{compacted: s.Compacted, entries: slices.Clip(s.Entries), shadow: entriesToEtcd(s.Entries)}
	r.log.handed, r.log.stable = r.log.last(), r.log.last()
	r.log.applied, r.log.delivered = s.Applied, s.Applied
	r.log.commit = max(hs.Commit, s.Applied)
	r.verified = r.log.commit
	if r.log.lastID().Term == r.accepted {
		r.verified = r.log.last() // the last entry is that leader's own, so all before it is its log
	}
	r.cfg.State = raft.State{}
	if cfg.LeaseTicks > 0 && hs.Term > 0 {
		r.quietUntil = uint64(cfg.ElectionTicks)
	}
	r.setMembers(judge.Members())
	r.newTimeout()
	if err := r.buildCore(); err != nil {
		return nil, err
	}
	r.absorb() // what was committed and not applied
	r.settle()
	return r, nil
}

// buildCore makes a core that knows what the log, the term, the vote and the membership are now, all of it durable as far as it can tell.
func (r *Raft) buildCore() error {
	r.log.start = &pb.HardState{Term: new(uint64(r.term)), Vote: new(uint64(r.vote)), Commit: new(uint64(r.log.commit))}
	core, err := etcd.NewRawNode(&etcd.Config{
		ID: uint64(r.id), ElectionTick: r.cfg.ElectionTicks, HeartbeatTick: r.cfg.HeartbeatTicks,
		Storage: storage{&r.log}, Applied: uint64(r.log.applied), AsyncStorageWrites: true,
		MaxSizePerMsg: r.cfg.MaxAppendBytes, MaxCommittedSizePerReady: 1 << 62,
		MaxUncommittedEntriesSize: r.cfg.MaxUncommittedBytes,
		MaxInflightMsgs:           r.cfg.MaxInflightMessages, MaxInflightBytes: max(r.cfg.MaxInflightBytes, r.cfg.MaxAppendBytes),
		CheckQuorum: true, PreVote: true, DisableProposalForwarding: true, StepDownOnRemoval: true,
		Logger: silence{},
	})
	r.core, r.state, r.leader = core, etcd.StateFollower, 0
	return err
}

// Step takes one message of a peer. Whatever its bytes, the answer to nonsense is an error and no change: raft.ErrBadMessage, or
// raft.ErrUnsafe, after which the host must stop. It keeps m.Entries and m.Snapshot, nobody may write into them any more.
func (r *Raft) Step(m raft.Message) error {
	if err := r.inspect(&m); err != nil {
		return err
	}
	if m.Term < r.term {
		r.answerOldTerm(&m)
		return nil
	}
	err := r.step(&m)
	r.settle()
	return err
}

func (r *Raft) step(m *raft.Message) error {
	switch m.Kind {
	case raft.Append:
		return r.stepAppend(m)
	case raft.Heartbeat:
		return r.stepHeartbeat(m)
	case raft.Snapshot:
		return r.stepSnapshot(m)
	case raft.PreVote, raft.Vote:
		if r.ticks < r.quietUntil && !m.Transfer || r.Incomplete() {
			return nil
		}
	case raft.PreVoteReply, raft.VoteReply:
		r.tell(toEtcd(m))
		r.settle()
		r.learnCommit(m)
		return nil
	case raft.AppendReply, raft.HeartbeatReply, raft.SnapshotReply:
		return r.stepReply(m)
	case raft.TimeoutNow:
		if r.state != etcd.StateFollower || !r.mayCampaign() {
			return nil
		}
		r.waitAnew()
		r.handed = true
	}
	r.tell(toEtcd(m))
	return nil
}

// answerOldTerm tells the sender the current term where it needs to know, as raft.Raft does: a leader of an older
// term must step down for a node that is stuck in a later one to be heard again. The answer names no index: the sender may lead the
// current term by now, and must not take it for the refusal of something that it has sent in this one.
func (r *Raft) answerOldTerm(m *raft.Message) {
	reply := raft.Message{From: r.id, To: m.From, Term: r.term, Reject: true}
	switch m.Kind {
	case raft.Append, raft.Heartbeat, raft.Snapshot:
		reply.Kind = raft.AppendReply
	case raft.PreVote, raft.Vote:
		reply.Kind = m.Kind + 1
		r.nameCommit(&reply)
	default:
		return
	}
	r.send(reply, false)
}

// tell hands the core a message and takes over all that follows from it.
func (r *Raft) tell(m *pb.Message) {
	err := r.core.Step(m)
	// From whom the core doesn't know there is nothing to learn: that node has left.
	invariant.Holds(err == nil || err == etcd.ErrStepPeerNotFound || err == etcd.ErrProposalDropped, "etcd's core refuses %v: %v", m.GetType(), err)
	r.absorb()
}

// absorb takes over all that the core has to say.
func (r *Raft) absorb() {
	for r.core.HasReady() {
		rd := r.core.Ready()
		if len(rd.Entries) > 0 {
			r.log.take(rd.Entries)
		}
		r.noteState(&rd)
		r.noteChanges(rd.Entries)
		for _, m := range rd.Messages {
			r.absorbMessage(m)
		}
		r.absorbCommitted(rd.CommittedEntries)
		for _, rs := range rd.ReadStates {
			r.readDone(rs)
		}
	}
	r.watchSnapshots()
}

// noteState follows the core through terms and roles.
func (r *Raft) noteState(rd *etcd.Ready) {
	term, led := r.term, r.state == etcd.StateLeader
	if hs := rd.HardState; hs != nil && !etcd.IsEmptyHardState(hs) {
		r.term, r.vote = raft.Term(hs.GetTerm()), raft.NodeID(hs.GetVote())
		r.log.commit = raft.Index(hs.GetCommit())
	}
	if rd.SoftState != nil {
		r.state, r.leader = rd.RaftState, raft.NodeID(rd.Lead)
	}
	leads := r.state == etcd.StateLeader
	if led && (!leads || r.term != term) {
		r.stopLeading()
	}
	if leads && (!led || r.term != term) {
		r.startLeading()
	}
	if r.leader != 0 {
		r.ruled = reign{r.term, r.leader}
	}
	r.releaseReads()
}

// absorbMessage puts one message of the core where it belongs.
func (r *Raft) absorbMessage(m *pb.Message) {
	switch m.GetType() {
	case pb.MsgStorageAppend:
		for _, answer := range m.GetResponses() {
			if answer.GetTo() == uint64(r.id) {
				r.answers = append(r.answers, answer)
			} else {
				r.sendFromCore(answer, true)
			}
		}
	case pb.MsgStorageApply:
		// CommittedEntries has them, and Applied makes the answer.
	case pb.MsgSnap:
		r.offerSnapshot(raft.NodeID(m.GetTo()))
	default:
		r.sendFromCore(m, false)
	}
}

func (r *Raft) sendFromCore(theirs *pb.Message, promises bool) {
	m := fromEtcd(theirs)
	switch m.Kind {
	case raft.Append:
		m.Compact = r.compact
		if n := len(theirs.GetEntries()); n > 0 {
			m.Entries = r.log.slice(m.Index, m.Index+raft.Index(n))
		}
	case raft.Heartbeat:
		m.Compact = r.compact
		r.lead.sentRound = max(r.lead.sentRound, m.Round)
	case raft.HeartbeatReply:
		if m.Round == 0 {
			return // our leaders don't want an answer to that, and etcd's never send it
		}
	case raft.PreVoteReply, raft.VoteReply:
		if m.Reject {
			r.nameCommit(&m)
		} else if m.Kind == raft.VoteReply {
			r.sinceHeard = 0
		}
	}
	r.send(m, promises)
}

// send puts a message where it belongs. What promises something waits for the disk, and so does every message of a term that
// isn't durable yet, and with it every request for votes: after a crash this node could speak differently in that term.
func (r *Raft) send(m raft.Message, promises bool) {
	if promises || r.term > r.durableTerm {
		r.durable = append(r.durable, m)
		return
	}
	r.messages = append(r.messages, m)
}

// absorbCommitted notes what may be applied.
func (r *Raft) absorbCommitted(entries []*pb.Entry) {
	if len(entries) == 0 {
		return
	}
	first, last := raft.Index(entries[0].GetIndex()), raft.Index(entries[len(entries)-1].GetIndex())
	// A new core begins again after what is applied.
	invariant.Holds(first == r.log.delivered+1 || first == r.log.applied+1, "entry %d is to be applied after %d, applied is %d", first, r.log.delivered, r.log.applied)
	invariant.Holds(last <= r.log.stable, "entry %d is to be applied, durable is %d", last, r.log.stable)
	r.committed = append(r.committed, r.log.slice(r.log.delivered, last)...)
	r.log.delivered = max(r.log.delivered, last)
}

// settle ends every call: what the core waits for and needs no disk, it gets at once.
func (r *Raft) settle() {
	for len(r.answers) > 0 && !r.mustPersist() {
		if n := len(r.log.writes); n > 0 {
			last := &r.log.writes[n-1]
			last.answers = append(last.answers, r.takeAnswers()...)
			break
		}
		r.answer(r.takeAnswers())
	}
	r.check()
}

func (r *Raft) takeAnswers() []*pb.Message {
	answers := r.answers
	r.answers = nil
	return answers
}

// answer tells the core that what it said before is durable.
func (r *Raft) answer(answers []*pb.Message) {
	for _, m := range answers {
		r.tell(m)
	}
}
