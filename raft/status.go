package raft

// Status is a view for hosts, logs and people.
type Status struct {
	ID      NodeID
	Role    Role
	Term    Term
	Vote    NodeID
	Leader  NodeID // zero: unknown
	Commit  Index
	Applied Index
	Last    Index
	First   Index
	Match   map[NodeID]Index // leader only

	Incomplete  bool              // it lost what it had acknowledged, and neither votes nor campaigns yet
	Durable     Index             // the log is durable here up to this entry
	TransferTo  NodeID            // leader only: who shall take over; zero: nobody
	Handed      bool              // leader only: the leader before handed the group over, no timeout was needed
	Uncommitted uint64            // leader only: bytes
	Peers       map[NodeID]string // leader only: probe, replicate, snapshot
	SilentTicks map[NodeID]uint64 // leader only: since a peer was last heard in this term; absent: not yet
}

// Status returns a copy of what may interest people. It allocates: the accessors below don't.
func (r *Raft) Status() Status {
	s := Status{
		ID: r.id, Role: r.role, Term: r.term, Vote: r.vote, Leader: r.leader,
		Commit: r.log.commit, Applied: r.log.applied, Last: r.log.last(), First: r.log.compacted.Index + 1,
		Incomplete: r.Incomplete(), Durable: r.log.stable,
	}
	if r.role == Leader {
		s.TransferTo, s.Handed, s.Uncommitted = r.transferTo, r.handed, r.uncommitted
		s.Match, s.Peers, s.SilentTicks = map[NodeID]Index{}, map[NodeID]string{}, map[NodeID]uint64{}
		for i := range r.peers {
			p := &r.peers[i]
			s.Match[p.id] = p.Match
			if p.id != r.id {
				s.Peers[p.id] = p.State.String()
				if p.Match > 0 || p.Round > 0 {
					s.SilentTicks[p.id] = r.ticks - p.Heard
				}
			}
		}
	}
	return s
}

// Role returns what the node is.
func (r *Raft) Role() Role { return r.role }

// Term returns the current term.
func (r *Raft) Term() Term { return r.term }

// Leader returns the leader of the term, zero if it is unknown.
func (r *Raft) Leader() NodeID { return r.leader }

// Commit returns how far the log is decided, as far as this node knows.
func (r *Raft) Commit() Index { return r.log.commit }

// LeaderReady says whether this node leads and has applied its own first entry, and so everything that was
// decided before its term.
func (r *Raft) LeaderReady() bool { return r.role == Leader && r.log.applied >= r.termStart }

// HardState returns what of it a restart would need, durable or not.
func (r *Raft) HardState() HardState { return HardState{r.term, r.vote, r.log.commit, r.accepted} }

// EntryTerm returns the term of the entry at index, if the log still or already has it.
func (r *Raft) EntryTerm(index Index) (Term, bool) { return r.log.term(index) }
