package raft

import (
	"fmt"

	"github.com/quorate/quorate/raft/membership"
)

// Config is what a Raft is built from. Everything random comes from Seed. Limits left at zero get
// the default in brackets.
type Config struct {
	ID     NodeID
	Voters []NodeID // the first membership; ignored if State brings one
	Seed   uint64   // for the randomised election timeouts; differs from node to node

	ElectionTicks  int // a follower waits ElectionTicks..2×ElectionTicks−1 ticks [10]
	HeartbeatTicks int // the leader beats this often; below ElectionTicks [1]

	MaxAppendBytes      uint64 // entries in one message; one larger entry still travels [1 MiB]
	MaxInflightMessages int    // appends under way to one follower [256]
	MaxInflightBytes    uint64 // of them [16 MiB]
	MaxUncommittedBytes uint64 // proposals are refused above it [64 MiB]

	// LeaseTicks makes ReadIndex answer without a round while a heartbeat round begun less than LeaseTicks ago is
	// known to have reached a majority. Zero: no lease reads. At most ElectionTicks−2; what is left between the two is how
	// much the clocks of two nodes may drift apart within one election timeout. The host must have delivered all due
	// ticks before it calls ReadIndex. All nodes of a group must agree on whether there are leases.
	LeaseTicks int

	// DiskStallTicks is how long a Persist may be under way until a leader hands over to another voter [2×ElectionTicks].
	DiskStallTicks int

	State State // what the disk remembered
}

// State is what storage remembers of a group at start.
type State struct {
	HardState  HardState
	Compacted  EntryID // the entry before Entries; zero if the log is whole
	Entries    []Entry // consecutive, from Compacted.Index+1
	Applied    Index   // what the state machine's checkpoint contains; ≥ Compacted.Index
	Membership []byte  // as Raft.Membership returned it when the checkpoint was taken; nil: Config.Voters

	// Lost says that what was promised in terms up to this one may be missing here: a damaged disk was replaced by an empty one. The node neither
	// votes nor campaigns until its log ends with an entry of a later term. HardState.Term must be later. Zero: nothing is missing.
	Lost Term
}

// maxTerm and maxIndex bound what a peer may claim, so that adding to it never overflows.
const (
	maxTerm  = Term(1) << 62
	maxIndex = Index(1) << 62
)

func orDefault[T int | uint64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Complete puts in the defaults and says what is wrong (ErrBadConfig); New does it.
func (c *Config) Complete() error {
	orDefault(&c.ElectionTicks, 10)
	orDefault(&c.HeartbeatTicks, 1)
	orDefault(&c.MaxAppendBytes, 1<<20)
	orDefault(&c.MaxInflightMessages, 256)
	orDefault(&c.MaxInflightBytes, 16<<20)
	orDefault(&c.MaxUncommittedBytes, 64<<20)
	orDefault(&c.DiskStallTicks, 2*c.ElectionTicks)
	switch {
	case c.ID == 0:
		return fmt.Errorf("%w: node 0 is nobody", ErrBadConfig)
	case c.HeartbeatTicks < 0 || c.ElectionTicks <= c.HeartbeatTicks:
		return fmt.Errorf("%w: a heartbeat every %d ticks, but elections after %d", ErrBadConfig, c.HeartbeatTicks, c.ElectionTicks)
	case c.MaxInflightMessages < 0 || c.DiskStallTicks < 0 || c.LeaseTicks < 0:
		return fmt.Errorf("%w: a negative limit", ErrBadConfig)
	case c.LeaseTicks > 0 && c.LeaseTicks > c.ElectionTicks-2:
		return fmt.Errorf("%w: a lease of %d ticks must stay 2 below the election timeout of %d", ErrBadConfig, c.LeaseTicks, c.ElectionTicks)
	}
	return nil
}

// members returns the membership at State.Applied.
func (c *Config) members() (membership.Config, error) {
	if c.State.Membership != nil {
		m, err := membership.Decode(c.State.Membership)
		if err != nil {
			return m, fmt.Errorf("%w: %w", ErrBadState, err)
		}
		return m, nil
	}
	m := membership.Of(c.Voters...)
	if err := m.Verify(); err != nil {
		return m, fmt.Errorf("%w: voters %v: %w", ErrBadConfig, c.Voters, err)
	}
	return m, nil
}

// verify returns what is wrong with what the disk remembered (ErrBadState).
func (s *State) verify() error {
	hs := s.HardState
	prev := s.Compacted
	if (prev.Index == 0) != (prev.Term == 0) {
		return fmt.Errorf("%w: compacted to %d@%d", ErrBadState, prev.Index, prev.Term)
	}
	for i := range s.Entries {
		e := &s.Entries[i]
		if err := follows(prev, e); err != nil {
			return fmt.Errorf("%w: %w", ErrBadState, err)
		}
		prev = e.ID()
	}
	switch {
	case prev.Term > hs.Term || hs.Term > maxTerm || prev.Index > maxIndex:
		return fmt.Errorf("%w: the log ends with %d@%d, but the term is %d", ErrBadState, prev.Index, prev.Term, hs.Term)
	case hs.Accepted > hs.Term:
		return fmt.Errorf("%w: accepted a log of term %d in term %d", ErrBadState, hs.Accepted, hs.Term)
	case s.Lost != 0 && hs.Term <= s.Lost:
		return fmt.Errorf("%w: promises up to term %d are lost, but the term is %d", ErrBadState, s.Lost, hs.Term)
	case hs.Vote != 0 && hs.Term == 0:
		return fmt.Errorf("%w: a vote for node %d in term 0", ErrBadState, hs.Vote)
	case hs.Commit > prev.Index:
		return fmt.Errorf("%w: committed up to %d, but the log ends at %d", ErrBadState, hs.Commit, prev.Index)
	case s.Applied > prev.Index || s.Applied < s.Compacted.Index:
		return fmt.Errorf("%w: applied up to %d, but the log is %d to %d", ErrBadState, s.Applied, s.Compacted.Index+1, prev.Index)
	}
	return nil
}

// follows says what is wrong with e as the entry right after prev.
func follows(prev EntryID, e *Entry) error {
	switch {
	case e.Index != prev.Index+1:
		return fmt.Errorf("entry %d after entry %d", e.Index, prev.Index)
	case e.Term < prev.Term || e.Term == 0:
		return fmt.Errorf("entry %d of term %d after one of term %d", e.Index, e.Term, prev.Term)
	case e.Kind > Membership:
		return fmt.Errorf("entry %d of unknown kind %d", e.Index, e.Kind)
	}
	if e.Kind == Membership {
		if _, err := membership.DecodeChanges(e.Data); err != nil {
			return fmt.Errorf("entry %d: %w", e.Index, err)
		}
	}
	return nil
}
