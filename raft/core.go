package raft

import (
	"fmt"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/internal/mutant"
	"github.com/quorate/quorate/raft/membership"
	"github.com/quorate/quorate/raft/progress"
	"github.com/quorate/quorate/raft/quorum"
)

// Role is what a node is at the moment.
type Role uint8

// The roles of Ongaro §3.3, with the pre-candidate of §9.6. A Learner has no vote (any more, or yet): it never campaigns.
const (
	Follower Role = iota + 1
	PreCandidate
	Candidate
	Leader
	Learner
)

func (role Role) String() string {
	names := [...]string{"none", "follower", "pre-candidate", "candidate", "leader", "learner"}
	if int(role) >= len(names) {
		return fmt.Sprintf("role %d", uint8(role))
	}
	return names[role]
}

// Raft is one member of one group. It belongs to whoever calls it: nothing in it is locked.
type Raft struct {
	cfg Config
	id  NodeID

	role     Role
	term     Term
	vote     NodeID
	leader   NodeID // zero: unknown
	accepted Term   // the leader of this term wrote our log up to verified
	verified Index

	log     log
	members membership.Config // active: as of log.applied
	voters  quorum.Joint      // members.Quorum, kept because it is asked for with every acknowledgement

	// What the host was given to write, and what it reported.
	seq         uint64
	handedHS    HardState
	durableTerm Term
	install     *Install

	// Time, in ticks.
	ticks         uint64
	chance        uint64 // state of the generator of election timeouts
	sinceHeard    int    // since a leader was heard, a vote granted, or a campaign begun
	timeout       int    // of this wait, ElectionTicks..2×ElectionTicks−1
	sinceBeat     int    // leader: since the last heartbeat
	lost          Term   // see State.Lost
	quietUntil    uint64 // leases: no vote before, for a leader may count on the one that we were before a restart
	votes         map[NodeID]bool
	voteCast      func(NodeID) (granted, said bool)
	peers         []peer // leader: all members, sorted by id
	limits        progress.Limits
	matched       func(NodeID) Index
	roundSeen     func(NodeID) Index
	heardAt       func(NodeID) Index
	termStart     Index  // leader: its own no-op
	uncommitted   uint64 // leader: bytes proposed in this term and not committed
	pendingChange Index  // leader: a Membership entry up to here is not applied yet
	handed        bool   // the last campaign was asked for by the leader before
	transferTo    NodeID // leader: who shall take over; zero: nobody
	transferSince uint64
	leaving       Index // leader: it lost its vote by the change at this index; zero: it stays
	sendDue       bool  // leader: something changed that may allow appends or commit news to leave

	reading reading
	arrival arrival // of a snapshot, chunk by chunk

	compact     Index // everybody has the log up to here
	compactTold Index

	// What Ready will say.
	messages  []Message
	sent      []Message // in the last Ready: the room of the next messages
	durable   []Message
	block     int // see messageBlock
	reads     []ReadReady
	readsLost []uint64
	chunks    []SnapshotChunk
	offers    []Offer
	persists  []Persist // room for the next ones
}

// peer is one member as the leader sees it, itself included.
type peer struct {
	id NodeID
	progress.Progress
}

// New makes a member of a group from what its disk remembered (ErrBadConfig, ErrBadState).
func New(cfg Config) (*Raft, error) {
	if err := cfg.Complete(); err != nil {
		return nil, err
	}
	if err := cfg.State.verify(); err != nil {
		return nil, err
	}
	members, err := cfg.members()
	if err != nil {
		return nil, err
	}
	s := &cfg.State
	hs := s.HardState
	r := &Raft{
		cfg: cfg, id: cfg.ID, role: Follower,
		term: hs.Term, vote: hs.Vote, accepted: hs.Accepted, durableTerm: hs.Term, handedHS: hs,
		chance: cfg.Seed ^ uint64(cfg.ID)*0x9e3779b97f4a7c15,
		lost:   s.Lost,
		block:  4,
		votes:  map[NodeID]bool{},
		limits: progress.Limits{Messages: cfg.MaxInflightMessages, Bytes: cfg.MaxInflightBytes},
	}
	if mutant.On(mutant.ForgetVote) {
		r.vote = 0
	}
	r.log = log{compacted: s.Compacted, entries: s.Entries[:len(s.Entries):len(s.Entries)]}
	r.log.handed, r.log.stable = r.log.last(), r.log.last()
	r.log.applied, r.log.delivered = s.Applied, s.Applied
	r.log.commit = max(hs.Commit, s.Applied)
	r.verified = r.log.commit
	if r.log.lastID().Term == r.accepted {
		r.verified = r.log.last() // the last entry is that leader's own, so all before it is its log
	}
	r.cfg.State = State{}
	r.voteCast = func(id NodeID) (bool, bool) { granted, said := r.votes[id]; return granted, said }
	r.matched = func(id NodeID) Index { return r.peer(id).Match }
	r.roundSeen = func(id NodeID) Index { return Index(r.peer(id).Round) }
	r.heardAt = func(id NodeID) Index { return Index(r.peer(id).Heard) }
	if cfg.LeaseTicks > 0 && hs.Term > 0 {
		r.quietUntil = uint64(cfg.ElectionTicks)
	}
	r.setMembers(members)
	r.newTimeout()
	r.check()
	return r, nil
}

// Tick lets one tick of time pass.
func (r *Raft) Tick() {
	r.ticks++
	if r.role == Leader {
		r.tickLeader()
	} else {
		r.tickElection()
	}
	r.check()
}

// Step takes one message of a peer. Whatever its bytes, the answer to nonsense is an error and no change: ErrBadMessage, or
// ErrUnsafe, after which the host must stop. It keeps m.Entries and m.Snapshot, nobody may write into them any more.
func (r *Raft) Step(m Message) error {
	if err := m.Inspect(r.id); err != nil {
		return err
	}
	err := r.step(&m)
	r.check()
	return err
}

func (r *Raft) step(m *Message) error {
	switch {
	case m.Term > r.term:
		if !r.enterTerm(m) {
			return nil
		}
	case m.Term < r.term:
		r.answerOldTerm(m)
		return nil
	}
	switch m.Kind {
	case PreVote, Vote:
		r.handleVote(m)
		return nil
	case PreVoteReply, VoteReply:
		r.handleVoteReply(m)
		return nil
	case Append, Heartbeat, Snapshot:
		return r.stepFromLeader(m)
	case AppendReply, HeartbeatReply, SnapshotReply:
		return r.stepReply(m)
	case TimeoutNow:
		r.handleTimeoutNow(m)
		return nil
	default:
		invariant.Fail("message of kind %d passed inspection", m.Kind)
		return nil
	}
}

// enterTerm follows a message into its later term, and says whether the message has more to say.
func (r *Raft) enterTerm(m *Message) bool {
	switch m.Kind {
	case PreVote:
		return !r.sticky() // a question about a term, not the term itself
	case PreVoteReply:
		if !m.Reject {
			return true // a grant names the term that was asked about
		}
		r.becomeFollower(m.Term, 0)
	case Vote:
		if r.sticky() && !m.Transfer {
			return false
		}
		r.becomeFollower(m.Term, 0)
	case Append, Heartbeat, Snapshot:
		r.becomeFollower(m.Term, m.From)
	default:
		r.becomeFollower(m.Term, 0)
	}
	return true
}

// answerOldTerm tells the sender the current term where it needs to know: a leader of an older term must step down for a node that is stuck in
// a later one (it voted, or campaigned in vain) to be heard again. The answer names no index: the sender may lead the
// current term by now, and must not take it for the refusal of something that it has sent in this one.
func (r *Raft) answerOldTerm(m *Message) {
	switch m.Kind {
	case Append, Heartbeat, Snapshot:
		r.send(Message{Kind: AppendReply, To: m.From, Reject: true})
	case PreVote, Vote:
		r.refuseVote(m)
	}
}

func (r *Raft) stepFromLeader(m *Message) error {
	if r.role == Leader {
		return fmt.Errorf("%w: node %d leads term %d too", ErrUnsafe, m.From, m.Term)
	}
	if r.leader != 0 && r.leader != m.From {
		return fmt.Errorf("%w: nodes %d and %d both lead term %d", ErrUnsafe, r.leader, m.From, m.Term)
	}
	if r.leader == 0 {
		r.becomeFollower(m.Term, m.From)
	}
	r.sinceHeard = 0
	switch m.Kind {
	case Append:
		return r.handleAppend(m)
	case Heartbeat:
		return r.handleHeartbeat(m)
	default:
		return r.handleSnapshot(m)
	}
}

func (r *Raft) stepReply(m *Message) error {
	if r.role != Leader {
		return nil
	}
	p := r.peer(m.From)
	if p == nil {
		return nil // it has left since
	}
	p.Heard = r.ticks
	switch m.Kind {
	case AppendReply:
		return r.handleAppendReply(p, m)
	case HeartbeatReply:
		return r.handleHeartbeatReply(p, m)
	default:
		return r.handleSnapshotReply(p, m)
	}
}

// messageBlock is how many durable messages are allocated together, see Ready: few at first, for most groups are quiet. Room for more than so many
// of the others isn't kept.
const messageBlock = 64

// send puts a message where it belongs. What promises something (a vote, an acknowledgement) waits for the disk, and so does every
// message of a term that isn't durable yet: after a crash this node could speak differently in that term.
func (r *Raft) send(m Message) {
	m.From = r.id
	if m.Term == 0 {
		m.Term = r.term
	}
	durable := r.term > r.durableTerm || m.Kind == Vote || (m.Kind == VoteReply || m.Kind == AppendReply) && !m.Reject
	if mutant.On(mutant.VoteBeforeDurable) && m.Kind == VoteReply || mutant.On(mutant.AckBeforeDurable) && m.Kind == AppendReply {
		durable = false
	}
	if !durable {
		r.messages = append(r.messages, m)
		return
	}
	if n := len(r.durable); n == cap(r.durable) {
		r.block = min(2*r.block, messageBlock)
		r.durable = append(make([]Message, 0, max(r.block, 2*n)), r.durable...)
	}
	r.durable = append(r.durable, m)
}

// peer returns the progress of a member, or nil. Groups are small: looking through beats a map.
func (r *Raft) peer(id NodeID) *peer {
	for i := range r.peers {
		if r.peers[i].id == id {
			return &r.peers[i]
		}
	}
	return nil
}
