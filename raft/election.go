package raft

import (
	"github.com/quorate/quorate/internal/mutant"
	"github.com/quorate/quorate/raft/quorum"
)

// newTimeout draws the wait until the next campaign (Ongaro §3.4) from the injected seed (splitmix64).
func (r *Raft) newTimeout() {
	r.chance += 0x9e3779b97f4a7c15
	z := r.chance
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	r.timeout = r.cfg.ElectionTicks + int(z%uint64(r.cfg.ElectionTicks))
}

func (r *Raft) tickElection() {
	r.sinceHeard++
	if r.sinceHeard < r.timeout && !(r.role == Follower && r.voters.IsOnly(r.id)) {
		return
	}
	if r.mayCampaign() {
		r.becomePreCandidate()
	}
}

// mayCampaign says whether this node may ask for votes. It must not while a committed Membership entry is unapplied: it would count
// votes by a membership that the others have left. And with a disk that hangs it could not keep what it promises.
func (r *Raft) mayCampaign() bool {
	asking := r.role == Candidate && r.durableTerm < r.term // nobody was asked yet: the requests wait for the disk
	return r.voters.Has(r.id) && !r.Incomplete() && !asking && !r.diskHangs() && r.install == nil &&
		!r.log.hasMembership(r.log.applied, r.log.commit)
}

// Incomplete says whether entries that this node once acknowledged may be missing from its log (State.Lost). Whoever was elected in a later term was so
// without its vote, so by the healthy alone, and has them all; and so has a log that ends with an entry of that term. What it
// acknowledges meanwhile is true: it has what that leader has, up to there. Source: the recovery of a faulty replica in "Viewstamped
// Replication Revisited" §4.3, where the others tell what this node's own note of its term tells here.
func (r *Raft) Incomplete() bool { return r.lost != 0 && r.log.lastID().Term <= r.lost }

// sticky says whether requests for votes are ignored: the leader is well as far as this node knows (Ongaro §4.2.3).
func (r *Raft) sticky() bool {
	return r.role == Leader || r.leader != 0 && r.sinceHeard < r.cfg.ElectionTicks || r.ticks < r.quietUntil
}

// becomeFollower enters a term, or stays in it, under a leader (zero: unknown). Only having heard a leader restarts the wait: a
// candidate that nobody can vote for must not keep others from campaigning.
func (r *Raft) becomeFollower(term Term, leader NodeID) {
	if term > r.term {
		r.term, r.vote = term, 0
	}
	if r.role == Leader {
		r.stopLeading()
	}
	if r.role != Follower && r.role != Learner || leader != 0 {
		r.sinceHeard = 0
		r.newTimeout()
	}
	r.role = Follower
	if !r.voters.Has(r.id) {
		r.role = Learner
	}
	r.leader = leader
}

// becomePreCandidate asks whether a campaign could be won, without any promise and in the old term (Ongaro §9.6).
func (r *Raft) becomePreCandidate() {
	r.startCampaign(PreCandidate)
	r.askForVotes(Message{Kind: PreVote, Term: r.term + 1})
	r.countVote(r.id, true)
}

// becomeCandidate campaigns. Its own vote counts once it is durable, see Persisted.
func (r *Raft) becomeCandidate(transfer bool) {
	r.term++
	r.vote, r.handed = r.id, transfer
	r.startCampaign(Candidate)
	r.askForVotes(Message{Kind: Vote, Transfer: transfer})
}

func (r *Raft) startCampaign(role Role) {
	r.role, r.leader = role, 0
	r.sinceHeard = 0
	r.newTimeout()
	clear(r.votes)
}

func (r *Raft) askForVotes(m Message) {
	last := r.log.lastID()
	m.Index, m.LogTerm = last.Index, last.Term
	for _, id := range r.members.Members() {
		if id != r.id && r.voters.Has(id) {
			m.To = id
			r.send(m)
		}
	}
}

// handleVote answers Vote and PreVote. A learner answers too: it may be a voter already and not know it.
func (r *Raft) handleVote(m *Message) {
	free := r.vote == m.From || r.vote == 0 && r.leader == 0 || m.Kind == PreVote && m.Term > r.term
	if mutant.On(mutant.VoteTwice) {
		free = true
	}
	last := r.log.lastID()
	upToDate := m.LogTerm > last.Term || m.LogTerm == last.Term && m.Index >= last.Index
	if mutant.On(mutant.VoteForOldLogs) {
		upToDate = true
	}
	switch {
	case !free || !upToDate || r.Incomplete():
		r.refuseVote(m)
		if m.Kind == PreVote && m.Term > r.term && !upToDate {
			r.hurry()
		}
	case m.Kind == PreVote:
		r.send(Message{Kind: PreVoteReply, To: m.From, Term: m.Term})
	default:
		r.vote = m.From
		r.sinceHeard = 0
		r.send(Message{Kind: VoteReply, To: m.From})
	}
}

// hurry has a follower campaign at the next tick: somebody with less of the log has found that there is no leader, and this node has found it, too, or it wouldn't
// have listened. A leader holds entries back from whom it doesn't need (Message.Deferrable), so of three nodes it leaves behind often just one can be
// elected, and the other one may be the first to ask.
func (r *Raft) hurry() {
	if r.role == Follower {
		r.sinceHeard = max(r.sinceHeard, r.timeout-1)
	}
}

// refuseVote names what is committed here. Who campaigns may be the voter of a membership that it doesn't know to be active, asking those who have
// left with the commit in their hands; without the news nobody could ever be elected.
func (r *Raft) refuseVote(m *Message) {
	known, _ := r.log.term(r.log.commit)
	r.send(Message{Kind: m.Kind + 1, To: m.From, Reject: true, Index: r.log.commit, LogTerm: known})
}

// learnCommit takes the news of a refusal. An entry's name is unique, so if ours has it, ours is committed.
func (r *Raft) learnCommit(m *Message) {
	if m.Index <= r.log.commit || !r.log.matches(EntryID{m.Index, m.LogTerm}) {
		return
	}
	r.commitTo(m.Index)
	if (r.role == PreCandidate || r.role == Candidate) && !r.mayCampaign() {
		r.becomeFollower(r.term, 0) // a membership must be applied first
	}
}

// handleVoteReply counts an answer if it belongs to the campaign that is running.
func (r *Raft) handleVoteReply(m *Message) {
	if m.Reject {
		r.learnCommit(m)
	}
	pre := m.Kind == PreVoteReply
	asked := r.term
	if pre && !m.Reject {
		asked = r.term + 1
	}
	if m.Term != asked || pre != (r.role == PreCandidate) || !pre && r.role != Candidate {
		return
	}
	r.countVote(m.From, !m.Reject)
}

func (r *Raft) countVote(from NodeID, granted bool) {
	if _, said := r.votes[from]; !said {
		r.votes[from] = granted
	}
	switch r.voters.Vote(r.voteCast) {
	case quorum.Won:
		if r.role == PreCandidate {
			r.becomeCandidate(false)
		} else {
			r.becomeLeader()
		}
	case quorum.Lost:
		r.becomeFollower(r.term, 0)
	}
}
