package etcdraft

import (
	etcd "go.etcd.io/raft/v3"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
)

// Tick lets one tick of time pass.
func (r *Raft) Tick() {
	r.ticks++
	if r.state == etcd.StateLeader {
		r.tickLeader()
	} else {
		r.tickElection()
	}
	r.settle()
}

// newTimeout draws the wait until the next campaign (Ongaro §3.4) from the injected seed (splitmix64).
func (r *Raft) newTimeout() {
	r.chance += 0x9e3779b97f4a7c15
	z := r.chance
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	r.timeout = r.cfg.ElectionTicks + int(z%uint64(r.cfg.ElectionTicks))
}

// waitAnew begins another wait, of another length.
func (r *Raft) waitAnew() {
	r.sinceHeard = 0
	r.newTimeout()
}

// tickElection does what the core's own clock would do, were it random in a way that a seed could repeat.
func (r *Raft) tickElection() {
	r.sinceHeard++
	if r.sinceHeard == r.cfg.ElectionTicks && r.state == etcd.StateFollower && r.leader != 0 {
		_ = r.core.ForgetLeader() // from now on, it grants votes again. A follower can always do that
		r.absorb()
	}
	if r.sinceHeard < r.timeout && !(r.state == etcd.StateFollower && r.voters.IsOnly(r.id)) {
		return
	}
	if r.mayCampaign() {
		r.waitAnew()
		r.handed = false
		_ = r.core.Campaign() // refused only where mayCampaign is stricter
		r.absorb()
	}
}

// mayCampaign says whether this node may ask for votes. It must not while a committed Membership entry is unapplied: it would count
// votes by a membership that the others have left. And with a disk that hangs it could not keep what it promises.
func (r *Raft) mayCampaign() bool {
	asking := r.state == etcd.StateCandidate && r.durableTerm < r.term // nobody was asked yet: the requests wait for the disk
	return r.voters.Has(r.id) && !r.Incomplete() && !asking && !r.diskHangs() && r.install == nil && !r.log.membershipIn(r.log.applied, r.log.commit)
}

// Incomplete says whether entries that this node once acknowledged may be missing from its log, as raft.Raft does.
func (r *Raft) Incomplete() bool { return r.lost != 0 && r.log.lastID().Term <= r.lost }

// diskHangs says whether a write is overdue.
func (r *Raft) diskHangs() bool {
	return len(r.log.writes) > 0 && r.ticks-r.log.writes[0].tick >= uint64(r.cfg.DiskStallTicks)
}

// heard notes that the leader of the term spoke.
func (r *Raft) heard(compact raft.Index) {
	r.sinceHeard = 0
	r.compact = max(r.compact, min(compact, r.log.commit))
}

func (r *Raft) stepAppend(m *raft.Message) error {
	if err := r.checkLeader(m); err != nil {
		return err
	}
	if err := r.checkAppend(m); err != nil {
		return err
	}
	prev := raft.EntryID{Index: m.Index, Term: m.LogTerm}
	joins := prev.Index >= r.log.commit && r.log.matches(prev) // else the core takes none of it
	if joins {
		r.accept(m.Term, prev.Index+raft.Index(len(m.Entries)))
	}
	r.tell(toEtcd(m))
	r.heard(m.Compact)
	return nil
}

// accept notes that the log up to last is that of the term's leader.
func (r *Raft) accept(term raft.Term, last raft.Index) {
	if r.accepted != term {
		r.accepted, r.verified = term, 0
	}
	r.verified = max(r.verified, last)
}

// stepHeartbeat passes on no more of the commit than is known to be that leader's log here: the core believes all of it.
func (r *Raft) stepHeartbeat(m *raft.Message) error {
	if err := r.checkLeader(m); err != nil {
		return err
	}
	if err := m.InspectCommit(r.log.last()); err != nil {
		return err
	}
	bound := raft.Index(0)
	if m.Term == r.accepted {
		bound = r.verified
	}
	theirs := toEtcd(m)
	theirs.Commit = new(uint64(min(m.Commit, bound)))
	r.tell(theirs)
	r.heard(m.Compact)
	return nil
}

// nameCommit says in a refusal what is committed here: see raft.Raft on candidates that don't know of their own membership.
func (r *Raft) nameCommit(refusal *raft.Message) {
	refusal.Index = r.log.commit
	refusal.LogTerm, _ = r.log.term(r.log.commit)
}

// learnCommit takes the news of a refusal. An entry's name is unique, so if our log has it, ours is committed. The core takes such news
// from a leader only, so it is built anew, which forgets the campaign. It would take all of the log for durable: while
// it isn't, the news must come again.
func (r *Raft) learnCommit(m *raft.Message) {
	news := m.Reject && m.Index > r.log.commit && r.log.matches(raft.EntryID{Index: m.Index, Term: m.LogTerm})
	busy := r.mustPersist() || len(r.log.writes) > 0 || len(r.answers) > 0
	if !news || busy || r.state == etcd.StateLeader {
		return
	}
	r.log.commit = m.Index
	err := r.buildCore()
	invariant.Holds(err == nil, "no core with commit %d: %v", m.Index, err)
	r.absorb()
}
